//! What each run used, kept for later: `usage/<extension>.jsonl`, one line a run, the newest 1000 of each extension.
//!
//! [`UsageLog`] is the one place that knows how it is kept. A record that a crash cut off is skipped by readers and costs
//! the next one nothing; nothing is synced, because a figure that is lost with the power is no loss.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::report::{Report, Status, Usage};
use crate::state::{StateError, names_a_file, private_dir};

/// Runs of one extension that are kept.
const KEPT: usize = 1000;
/// A file that has grown beyond this is cut to the newest lines.
const MOST_BYTES: u64 = 1 << 20;
/// What is left of it then, in bytes, if [`KEPT`] lines are more than that.
const LEFT_BYTES: usize = 1 << 19;

/// One execution.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UsageRecord {
    /// The run; none of an execution that a host application has measured.
    pub run_id: Option<String>,
    /// The extension.
    pub extension_id: String,
    /// Its version.
    pub version: String,
    /// Its tier.
    pub tier: String,
    /// RFC 3339, UTC.
    pub started_at: String,
    /// How it ended.
    pub status: Status,
    /// What it used.
    #[serde(flatten)]
    pub usage: Usage,
    /// Attempts that were denied, throttled or killed.
    pub violations: u64,
}

impl UsageRecord {
    /// Of a run that is over.
    #[must_use]
    pub fn of(report: &Report) -> Self {
        Self {
            run_id: Some(report.run_id.clone()),
            extension_id: report.extension.id.clone(),
            version: report.extension.version.clone(),
            tier: report.tier.clone(),
            started_at: report.started_at.clone(),
            status: report.result.status,
            usage: report.usage,
            violations: report.violation_totals.total,
        }
    }
}

/// Figures that no execution can have.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("failed to record usage: {key} is {value}, and it is finite and not negative")]
pub struct NoUsage {
    /// As in the record.
    pub key: &'static str,
    /// What was said.
    pub value: f64,
}

impl Usage {
    /// Whether an execution can have used so much.
    ///
    /// # Errors
    /// [`NoUsage`]; the first figure.
    pub fn check(&self) -> Result<(), NoUsage> {
        let figures = [
            ("memoryPeakMb", self.memory_peak_mb),
            ("memoryUsedMb", self.memory_used_mb),
            ("cpuPercentage", self.cpu_percentage),
            ("diskUsedMb", self.disk_used_mb),
        ];
        let wrong = figures.into_iter().find(|(_, value)| !value.is_finite() || *value < 0.0);
        wrong.map_or(Ok(()), |(key, value)| Err(NoUsage { key, value }))
    }
}

/// The usage of all runs of this host.
#[derive(Clone, Debug)]
pub struct UsageLog {
    dir: PathBuf,
}

impl UsageLog {
    /// The log in a state folder. Touches nothing.
    #[must_use]
    pub fn new(state: &Path) -> Self {
        Self { dir: state.join("usage") }
    }

    /// Adds a run.
    ///
    /// # Errors
    /// [`StateError`]; the log is as it was, but for a line that readers skip.
    pub fn append(&self, record: &UsageRecord) -> Result<(), StateError> {
        let path = self.file_of(&record.extension_id)?;
        private_dir(&self.dir)?;
        let line = serde_json::to_vec(record).map_err(io::Error::from);
        line.and_then(|line| self.append_line(&path, line)).map_err(StateError::at("write", &path))
    }

    fn append_line(&self, path: &Path, mut line: Vec<u8>) -> io::Result<()> {
        // Against an append to a file that is being replaced.
        let lock = options().write(true).truncate(false).open(self.dir.join("lock"))?;
        lock.lock()?;
        let mut file = options().read(true).append(true).open(path)?;
        let size = file.metadata()?.len();
        let mut last = [b'\n'];
        if size > 0 {
            file.read_exact_at(&mut last, size - 1)?;
        }
        if last != *b"\n" {
            line.insert(0, b'\n');
        }
        line.push(b'\n');
        file.write_all(&line)?;
        if size > MOST_BYTES { cut(path) } else { Ok(()) }
    }

    /// The newest `most` runs of an extension, oldest first; none where there is no record of it.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn read(&self, extension_id: &str, most: usize) -> Result<Vec<UsageRecord>, StateError> {
        let path = self.file_of(extension_id)?;
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(StateError::at("read", &path)(error)),
        };
        let lines = bytes.split(|byte| *byte == b'\n').rev();
        let whole = lines.filter_map(|line| serde_json::from_slice(line).ok());
        let mut records: Vec<UsageRecord> = whole.take(most.min(KEPT)).collect();
        records.reverse();
        Ok(records)
    }

    /// The extensions that have a record, by id.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn extensions(&self) -> Result<Vec<String>, StateError> {
        let entries = match fs::read_dir(&self.dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(StateError::at("read", &self.dir)(error)),
        };
        let mut ids = Vec::new();
        for entry in entries {
            let name = entry.map_err(StateError::at("read", &self.dir))?.file_name();
            let id = name.to_str().and_then(|name| name.strip_suffix(".jsonl"));
            ids.extend(id.map(str::to_owned));
        }
        ids.sort();
        Ok(ids)
    }

    fn file_of(&self, id: &str) -> Result<PathBuf, StateError> {
        let path = self.dir.join(format!("{id}.jsonl"));
        if names_a_file(id) {
            Ok(path)
        } else {
            Err(StateError { action: "open", path, source: nix::errno::Errno::EINVAL.into() })
        }
    }
}

fn options() -> OpenOptions {
    let mut options = File::options();
    options.create(true).mode(0o600);
    options
}

/// Replaces the file by its newest lines.
fn cut(path: &Path) -> io::Result<()> {
    let bytes = fs::read(path)?;
    let mut from = bytes.len();
    let starts = bytes.iter().enumerate().rev().skip(1);
    for (at, _) in starts.filter(|(_, byte)| **byte == b'\n').take(KEPT) {
        if bytes.len() - at > LEFT_BYTES {
            break;
        }
        from = at + 1;
    }
    let fresh = path.with_extension("fresh");
    fs::write(&fresh, bytes.get(from..).unwrap_or_default())?;
    fs::rename(&fresh, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(name: &str) -> PathBuf {
        let dir =
            std::env::temp_dir().join(format!("sandboxctl-use-{name}-{}", std::process::id()));
        drop(fs::remove_dir_all(&dir));
        dir
    }

    fn record(run: usize) -> UsageRecord {
        UsageRecord {
            run_id: Some(format!("r{run}")),
            extension_id: "a.b".to_owned(),
            version: "1.0.0".to_owned(),
            tier: "community".to_owned(),
            started_at: "2026-11-23T20:00:00.000000Z".to_owned(),
            status: Status::Exited,
            usage: Usage { memory_peak_mb: 1.5, network_bytes_in: u64::MAX, ..Usage::default() },
            violations: 3,
        }
    }

    #[test]
    fn what_is_written_is_read_and_the_newest_come_last() {
        let state = state("read");
        let log = UsageLog::new(&state);
        assert_eq!(log.read("a.b", 9).unwrap(), []);
        assert!(log.extensions().unwrap().is_empty());
        for run in 0..5 {
            log.append(&record(run)).unwrap();
        }
        assert_eq!(log.read("a.b", 2).unwrap(), [record(3), record(4)]);
        assert_eq!(log.read("a.b", 99).unwrap().len(), 5);
        assert_eq!(log.extensions().unwrap(), ["a.b"]);
        assert!(log.read("../a", 1).is_err());
        fs::remove_dir_all(&state).unwrap();
    }

    #[test]
    fn figures_are_finite_and_not_negative() {
        assert_eq!(Usage::default().check(), Ok(()));
        for value in [f64::NAN, f64::INFINITY, -1.0] {
            let error = Usage { cpu_percentage: value, ..Usage::default() }.check().unwrap_err();
            assert_eq!(error.key, "cpuPercentage", "{value}");
        }
    }

    #[test]
    fn a_torn_line_costs_itself_only() {
        let state = state("torn");
        let log = UsageLog::new(&state);
        log.append(&record(0)).unwrap();
        let path = state.join("usage/a.b.jsonl");
        let whole = fs::read(&path).unwrap();
        for length in 1..whole.len() {
            fs::write(&path, [&whole, &whole[..length]].concat()).unwrap();
            log.append(&record(1)).unwrap();
            let read = log.read("a.b", 9).unwrap();
            // A line that lacks nothing but its end is whole.
            let more = usize::from(length == whole.len() - 1);
            assert_eq!(read.len(), 2 + more, "{length}");
            assert_eq!(read.last(), Some(&record(1)));
        }
        fs::remove_dir_all(&state).unwrap();
    }

    #[test]
    fn it_stays_bounded() {
        let state = state("bound");
        let log = UsageLog::new(&state);
        log.append(&record(0)).unwrap();
        let path = state.join("usage/a.b.jsonl");
        let line = fs::read(&path).unwrap();
        fs::write(&path, line.repeat(2 * 1024 * 1024 / line.len())).unwrap();
        log.append(&record(7)).unwrap();
        let size = fs::metadata(&path).unwrap().len();
        assert!(size <= u64::try_from(LEFT_BYTES).unwrap(), "{size}");
        let read = log.read("a.b", usize::MAX).unwrap();
        assert!(read.len() >= 900, "{}", read.len());
        assert_eq!(read.last(), Some(&record(7)));
        assert!(fs::read(&path).unwrap().split(|byte| *byte == b'\n').count() <= KEPT + 1);
        fs::remove_dir_all(&state).unwrap();
    }

    #[test]
    fn writers_at_once_lose_nothing() {
        let state = state("many");
        let log = UsageLog::new(&state);
        std::thread::scope(|scope| {
            for writer in 0..4 {
                let log = log.clone();
                scope.spawn(move || {
                    for run in 0..100 {
                        log.append(&record(writer * 1000 + run)).unwrap();
                    }
                });
            }
        });
        assert_eq!(log.read("a.b", usize::MAX).unwrap().len(), 400);
        fs::remove_dir_all(&state).unwrap();
    }
}
