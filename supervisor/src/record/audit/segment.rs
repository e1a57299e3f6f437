//! One file of the audit log.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::record::clock::rfc3339;

const SUFFIX: &str = ".jsonl";
/// What is read at first to find the last line; most lines are shorter.
const TAIL: u64 = 4096;

/// The end of a segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct End {
    /// Bytes.
    pub(super) size: u64,
    /// Number of the last whole event; what the header promises if there is none.
    pub(super) seq: u64,
    /// Bytes of a last line that has no end, because its writer or the machine crashed.
    pub(super) torn: u64,
}

/// An open segment. Callers hold the log's lock.
#[derive(Debug)]
pub(super) struct Segment {
    file: File,
    name: String,
    previous: Option<String>,
    /// The end as this process left it: if the size still is the same, nobody wrote since.
    known: Option<End>,
}

impl Segment {
    /// Opens a segment by name; `None` if the name is none or the file is gone.
    pub(super) fn open(dir: &Path, name: &str) -> io::Result<Option<Self>> {
        if number(name).is_none() {
            return Ok(None);
        }
        match options().open(dir.join(name)) {
            Ok(file) => Ok(Some(Self { file, name: name.to_owned(), previous: None, known: None })),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Makes the segment with this number, or opens it if a crash has left it.
    pub(super) fn create(
        dir: &Path,
        now: SystemTime,
        number: u64,
        previous: Option<&Self>,
    ) -> io::Result<Self> {
        // `2026-11-23T20`: the names sort by time.
        let hour: String = rfc3339(now).chars().take(13).collect();
        let name = format!("{hour}-{number:06}{SUFFIX}");
        let file = options().create(true).mode(0o640).open(dir.join(&name))?;
        let previous = previous.map(|segment| segment.name.clone());
        Ok(Self { file, name, previous, known: None })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn path(&self, dir: &Path) -> PathBuf {
        dir.join(&self.name)
    }

    pub(super) fn number(&self) -> u64 {
        number(&self.name).unwrap_or(0)
    }

    /// Whether the next event belongs into another segment. A clock that was set back does not end one.
    pub(super) fn is_over(&self, now: SystemTime, size: u64, most: u64) -> bool {
        let today: String = rfc3339(now).chars().take(10).collect();
        size >= most || self.name.get(..10).is_some_and(|day| day < today.as_str())
    }

    /// The first line. `firstSeq` also carries the count on if no event was written after it.
    pub(super) fn header(&self, now: SystemTime, first_seq: u64) -> String {
        let previous =
            self.previous.as_ref().map_or_else(|| "null".to_owned(), |name| format!("\"{name}\""));
        format!(
            "{{\"segment\":{},\"firstSeq\":{first_seq},\"created\":\"{}\",\"previous\":{previous}}}\n",
            self.number(),
            rfc3339(now)
        )
    }

    /// Reads the end of the file, if anybody has written since we did.
    pub(super) fn end(&self) -> io::Result<End> {
        let size = self.file.metadata()?.len();
        if let Some(known) = self.known.filter(|known| known.size == size) {
            return Ok(known);
        }
        let mut want = TAIL;
        loop {
            let from = size.saturating_sub(want);
            let len = usize::try_from(size - from).map_err(io::Error::other)?;
            let mut tail = vec![0; len];
            self.file.read_exact_at(&mut tail, from)?;
            if let Some((seq, torn)) = last_seq(&tail, from == 0) {
                return Ok(End { size, seq, torn });
            }
            want = want.saturating_mul(8);
        }
    }

    /// Adds the lines with one write, or leaves the file as it was.
    pub(super) fn write(&mut self, lines: &str, size: u64, seq: u64) -> io::Result<()> {
        self.known = None;
        let written = self.file.write(lines.as_bytes());
        match written {
            Ok(len) if len == lines.len() => {
                let len = u64::try_from(len).map_err(io::Error::other)?;
                self.known = Some(End { size: size + len, seq, torn: 0 });
                Ok(())
            }
            // A full disk takes a part of it.
            other => {
                self.file.set_len(size)?;
                Err(other.err().unwrap_or_else(|| ErrorKind::StorageFull.into()))
            }
        }
    }
}

/// The name of the last segment in the folder.
pub(super) fn newest(dir: &Path) -> io::Result<Option<String>> {
    let mut newest: Option<(u64, String)> = None;
    for entry in fs::read_dir(dir)? {
        let Ok(name) = entry?.file_name().into_string() else {
            continue;
        };
        if let Some(number) = number(&name)
            && newest.as_ref().is_none_or(|(most, _)| number > *most)
        {
            newest = Some((number, name));
        }
    }
    Ok(newest.map(|(_, name)| name))
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).append(true);
    options
}

/// `2026-11-23T20-000001.jsonl` is number 1.
fn number(name: &str) -> Option<u64> {
    let (hour, rest) = name.split_at_checked(13)?;
    if !hour.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-' || byte == b'T') {
        return None;
    }
    rest.strip_prefix('-')?.strip_suffix(SUFFIX)?.parse().ok()
}

/// Number of the last whole event and length of what follows its line's end; `None` if that needs more of the file.
fn last_seq(tail: &[u8], is_whole_file: bool) -> Option<(u64, u64)> {
    let end = tail.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let torn = u64::try_from(tail.len() - end).unwrap_or(u64::MAX);
    let mut rest = &tail[..end];
    while !rest.is_empty() {
        let body = &rest[..rest.len() - 1];
        let start = body.iter().rposition(|byte| *byte == b'\n').map(|at| at + 1);
        if start.is_none() && !is_whole_file {
            return None;
        }
        let start = start.unwrap_or(0);
        let line = &body[start..];
        if let Some(seq) = digits(line, b"{\"seq\":") {
            return Some((seq, torn));
        }
        // A header: the number before its first.
        let key = b"\"firstSeq\":";
        if line.starts_with(b"{\"segment\":")
            && let Some(at) = line.windows(key.len()).position(|window| window == key)
            && let Some(first) = digits(&line[at..], key)
        {
            return Some((first.saturating_sub(1), torn));
        }
        // A line that was torn once: the event before it counts.
        rest = &rest[..start];
    }
    is_whole_file.then_some((0, torn))
}

fn digits(text: &[u8], prefix: &[u8]) -> Option<u64> {
    let rest = text.strip_prefix(prefix)?;
    let end = rest.iter().position(|byte| !byte.is_ascii_digit())?;
    str::from_utf8(&rest[..end]).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn the_last_number_is_found() {
        let header = "{\"segment\":2,\"firstSeq\":8,\"created\":\"\"}\n";
        for (text, whole, want) in [
            ("", true, Some((0, 0))),
            (header, true, Some((7, 0))),
            (header, false, None),
            ("{\"seq\":8,\"a\":1}\n{\"seq\":9,\"a\":1}\n", true, Some((9, 0))),
            ("rest of 8\n{\"seq\":9,\"a\":1}\n", false, Some((9, 0))),
            ("{\"seq\":8,\"a\":1}\n{\"seq\":9,\"a", true, Some((8, 11))),
            ("{\"seq\":8,\"a\":1}\n{\"se\n{\"s", true, Some((8, 3))),
            ("{\"segment\":2,\"first\n", true, Some((0, 0))),
            ("half", true, Some((0, 4))),
            ("half", false, None),
        ] {
            assert_eq!(last_seq(text.as_bytes(), whole), want, "{text}");
        }
    }

    #[test]
    fn names() {
        assert_eq!(number("2026-11-23T20-000012.jsonl"), Some(12));
        assert_eq!(number("2026-11-23T20-1000000.jsonl"), Some(1_000_000));
        for bad in ["", "lock", "../../etc/pas-000001.jsonl", "2026-11-23T20-1.ckpt"] {
            assert_eq!(number(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_segment_is_over_at_midnight_and_when_large() {
        let dir = std::env::temp_dir();
        let noon = UNIX_EPOCH + Duration::from_secs(1_700_049_601);
        let file = File::open(&dir).expect("temp dir");
        let name = "2023-11-15T12-000001.jsonl".to_owned();
        let segment = Segment { file, name, previous: None, known: None };
        assert!(!segment.is_over(noon, 9, 10));
        assert!(segment.is_over(noon, 10, 10));
        assert!(segment.is_over(noon + Duration::from_hours(13), 9, 10));
        assert!(!segment.is_over(noon - Duration::from_hours(48), 9, 10));
    }
}
