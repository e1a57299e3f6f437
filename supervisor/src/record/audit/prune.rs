//! Retention: whole segments go once their last event is old enough. Their checkpoints stay, so that what follows them
//! still hangs on something.
//!
//! Whoever begins a new segment prunes once its run is over, at most once a day ([`daily`]); `audit prune` does it at once.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use policies::violation::Severity;
use serde::Serialize;
use serde_json::json;

use super::append::lock_file;
use super::checkpoint::{self, CheckpointError};
use super::key::published;
use super::note::Signed;
use super::read::{SegmentFile, snapshot};
use super::seal::look;
use super::{AuditLog, Event, EventType};
use crate::record::clock::rfc3339;
use crate::sys::attributes::is_fixed;

/// Held by whoever prunes; its text is the time at which the retention was last held without an operator.
pub const TURN: &str = "prune.lock";

/// One segment that is too old.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Old {
    /// Its file name.
    pub segment: String,
    /// Bytes.
    pub size: u64,
    /// Its first event.
    pub first_seq: u64,
    /// Its last event.
    pub last_seq: u64,
    /// RFC 3339: the time of its latest event.
    pub to: String,
}

/// What pruning does, or would do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Pruning {
    /// What goes.
    pub old: Vec<Old>,
    /// Why the segment after these stays although it is old, where it does.
    pub kept: Option<String>,
    /// Whether no closed segment is younger than the retention.
    #[serde(skip)]
    is_all: bool,
}

/// Says which segments are older than `keep` at `now`: from the oldest on, up to the first that is not, and never the last.
///
/// # Errors
/// [`CheckpointError`].
pub fn plan(dir: &Path, keep: Duration, now: SystemTime) -> Result<Pruning, CheckpointError> {
    let (mut files, _) = snapshot(dir).map_err(CheckpointError::at("read", dir))?;
    files.pop();
    let edge = now.checked_sub(keep).map(rfc3339).unwrap_or_default();
    let mut pruning = Pruning { is_all: true, ..Pruning::default() };
    for file in files {
        match judge(dir, &file, &edge)? {
            Judged::Old(old) => pruning.old.push(old),
            Judged::Young => {
                pruning.is_all = false;
                break;
            }
            Judged::Stays(why) => {
                pruning.kept = Some(format!("{}: {why}", file.name));
                break;
            }
        }
    }
    Ok(pruning)
}

/// Holds the retention, unless that was done today or somebody is at it. Nothing goes where even the segment that was closed
/// last is older than the retention: that is a clock that is wrong, or a host that was away for long, and an operator can
/// tell which.
///
/// # Errors
/// [`CheckpointError`]; [`CheckpointError::Kept`] where a segment is old and stays.
pub fn daily(log: &mut AuditLog, clock: impl Fn() -> SystemTime) -> Result<(), CheckpointError> {
    let (dir, keep) = (log.dir().to_owned(), log.settings().retention);
    let now = rfc3339(clock());
    let Some(mut turn) = Turn::try_take(&dir)? else { return Ok(()) };
    let day = |time: &str| time.chars().take(10).collect::<String>();
    if day(&turn.last()?) == day(&now) {
        return Ok(());
    }
    turn.set(&now)?;
    let plan = plan(&dir, keep, clock())?;
    if plan.is_all && plan.kept.is_none() && !plan.old.is_empty() {
        let days = keep.as_secs() / (24 * 60 * 60);
        let reason = format!(
            "every closed segment, the last one of {} included, would go: if the clock is right and nothing was recorded for {days} days, `audit prune` removes them",
            plan.old.last().map_or("", |old| old.to.as_str())
        );
        return Err(CheckpointError::Kept { reason });
    }
    prune(log, &plan, keep, clock)?;
    plan.kept.map_or(Ok(()), |reason| Err(CheckpointError::Kept { reason }))
}

/// The right to prune, which one process has at a time. Given back when it is dropped.
#[derive(Debug)]
pub struct Turn {
    file: File,
    path: PathBuf,
}

impl Turn {
    /// Waits for it.
    ///
    /// # Errors
    /// [`CheckpointError::File`].
    pub fn take(dir: &Path) -> Result<Self, CheckpointError> {
        let turn = Self::open(dir)?;
        turn.file.lock().map_err(CheckpointError::at("lock", &turn.path))?;
        Ok(turn)
    }

    /// `None` where another process has it.
    fn try_take(dir: &Path) -> Result<Option<Self>, CheckpointError> {
        let turn = Self::open(dir)?;
        match turn.file.try_lock() {
            Ok(()) => Ok(Some(turn)),
            Err(fs::TryLockError::WouldBlock) => Ok(None),
            Err(fs::TryLockError::Error(error)) => {
                Err(CheckpointError::at("lock", &turn.path)(error))
            }
        }
    }

    fn open(dir: &Path) -> Result<Self, CheckpointError> {
        let path = dir.join(TURN);
        let file = lock_file(&path).map_err(CheckpointError::at("open", &path))?;
        Ok(Self { file, path })
    }

    fn last(&self) -> Result<String, CheckpointError> {
        let mut bytes = Vec::new();
        (&self.file)
            .take(64)
            .read_to_end(&mut bytes)
            .map_err(CheckpointError::at("read", &self.path))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn set(&mut self, now: &str) -> Result<(), CheckpointError> {
        let mut write = || -> io::Result<()> {
            self.file.set_len(0)?;
            self.file.seek(SeekFrom::Start(0))?;
            self.file.write_all(now.as_bytes())
        };
        write().map_err(CheckpointError::at("write", &self.path))
    }
}

enum Judged {
    Old(Old),
    Young,
    Stays(String),
}

fn judge(dir: &Path, file: &SegmentFile, edge: &str) -> Result<Judged, CheckpointError> {
    let path = dir.join(checkpoint::name_of(&file.name));
    // Made in a younger hour than that: no need to read it.
    if file.name.get(..13) > edge.get(..13) {
        return Ok(Judged::Young);
    }
    let (walked, seen, walk) = look(dir, file)?;
    if seen.range.to.as_str() >= edge && !walked.is_plain {
        return Ok(Judged::Young);
    }
    if walked.is_plain {
        return Ok(Judged::Stays(
            "it has no hashes, so nothing would tell that it was there; remove it by hand"
                .to_owned(),
        ));
    }
    if !path.exists() {
        return Ok(Judged::Stays("it has no checkpoint".to_owned()));
    }
    let (note, checkpoint) = checkpoint::read(&path)?;
    if note.signed_by(&published(dir)?) != Signed::Rightly {
        return Ok(Judged::Stays("its checkpoint is not signed by this log".to_owned()));
    }
    if let Some((code, detail)) = seen.problem {
        return Ok(Judged::Stays(format!("{} at {detail}", code.text())));
    }
    if (checkpoint.size, checkpoint.head) != (walk.chain.seq, walk.chain.head) {
        return Ok(Judged::Stays("its checkpoint saw other events".to_owned()));
    }
    let segment = dir.join(&file.name);
    if is_fixed(&segment).map_err(CheckpointError::at("read", &segment))? {
        return Ok(Judged::Stays(format!(
            "it cannot be removed: chattr -ai {}",
            segment.display()
        )));
    }
    Ok(Judged::Old(Old {
        segment: file.name.clone(),
        size: file.size,
        first_seq: walked.first.unwrap_or(checkpoint.size),
        last_seq: checkpoint.size,
        to: seen.range.to,
    }))
}

/// Removes what [`plan`] found. That they go is in the log before they do.
///
/// # Errors
/// [`CheckpointError`]; what was not removed is found again the next time.
pub fn prune(
    log: &mut AuditLog,
    pruning: &Pruning,
    keep: Duration,
    clock: impl Fn() -> SystemTime,
) -> Result<(), CheckpointError> {
    let Some(last) = pruning.old.last() else { return Ok(()) };
    let names: Vec<&str> = pruning.old.iter().map(|old| old.segment.as_str()).collect();
    let data = json!({
        "segments": names,
        "fromSeq": pruning.old.first().map(|old| old.first_seq),
        "throughSeq": last.last_seq,
        "to": last.to,
        "retentionDays": keep.as_secs() / (24 * 60 * 60),
    });
    let event = Event::new(EventType::Pruned, Severity::Info, clock(), &data)?;
    log.append_at(&[event], clock)?;
    for name in names {
        let path = log.dir().join(name);
        fs::remove_file(&path).map_err(CheckpointError::at("remove", &path))?;
    }
    let sync = || File::open(log.dir())?.sync_all();
    sync().map_err(CheckpointError::at("write", log.dir()))
}

#[cfg(test)]
mod tests;
