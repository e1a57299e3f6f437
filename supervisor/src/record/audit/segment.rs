//! One file of the audit log.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::line::{self, Head};
use crate::record::clock::rfc3339;

pub(super) const SUFFIX: &str = ".jsonl";
/// What is read at first to find the last line; most lines are shorter.
const TAIL: u64 = 4096;
/// A header is shorter than this.
const HEADER: u64 = 1024;
const DAY: Duration = Duration::from_hours(24);

/// What a line follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Last {
    /// Number of the last whole event; what the header promises if there is none.
    pub(super) seq: u64,
    /// Hash of the last whole line.
    pub(super) head: Head,
    /// Time of the last whole line; empty if unknown.
    pub(super) ts: String,
    /// Whether that line is an event, and not a header.
    pub(super) is_event: bool,
}

impl Last {
    /// What the first line of a chain follows, after `seq` events without hashes.
    pub(super) fn first(seq: u64) -> Self {
        Self { seq, head: Head::ZERO, ts: String::new(), is_event: false }
    }
}

/// Bytes at the end that are no line of the log, because their writer or the machine crashed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Torn {
    pub(super) bytes: u64,
    pub(super) sha256: Head,
}

/// What a segment holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// No header yet.
    Nothing,
    /// Lines without hashes, of a version before this one; it gets no more. The number of its last event.
    Plain(u64),
    /// A chain, whose last line this is.
    Chained(Last),
}

/// The end of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct End {
    /// Bytes.
    pub(super) size: u64,
    pub(super) content: Content,
    pub(super) torn: Option<Torn>,
    /// Whether the last line is whole but for its newline.
    pub(super) is_open: bool,
}

impl End {
    fn new(size: u64, content: Content) -> Self {
        Self { size, content, torn: None, is_open: false }
    }
}

/// An open segment. Callers hold the log's lock.
#[derive(Debug)]
pub(super) struct Segment {
    file: File,
    name: String,
    /// The end as this process left it: if the size still is the same, nobody wrote since.
    known: Option<End>,
}

impl Segment {
    /// Opens a segment by name; `None` if the name is none or the file is gone.
    pub(super) fn open(dir: &Path, name: &str) -> io::Result<Option<Self>> {
        if number(name).is_none() {
            return Ok(None);
        }
        match OpenOptions::new().read(true).append(true).open(dir.join(name)) {
            Ok(file) => Ok(Some(Self { file, name: name.to_owned(), known: None })),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Makes the segment with this number, or opens it if a crash has left it. It outlives a crash of the machine.
    pub(super) fn create(dir: &Path, now: SystemTime, number: u64) -> io::Result<Self> {
        if let Some((_, name)) = numbered(dir)?.into_iter().rfind(|(found, _)| *found == number)
            && let Some(segment) = Self::open(dir, &name)?
        {
            return Ok(segment);
        }
        // `2026-11-23T20`: the names sort by time.
        let hour: String = rfc3339(now).chars().take(13).collect();
        let name = format!("{hour}-{number:06}{SUFFIX}");
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o640)
            .open(dir.join(&name))?;
        File::open(dir)?.sync_all()?;
        Ok(Self { file, name, known: None })
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

    /// Whether the next event belongs into another segment: this one is large, or of another day. A clock that was set
    /// back within a day ends none, so that one that wavers around midnight does not make a segment an event.
    pub(super) fn is_over(&self, now: SystemTime, size: u64, most: u64) -> bool {
        let day = |at: SystemTime| rfc3339(at).chars().take(10).collect::<String>();
        let Some(own) = self.name.get(..10) else { return true };
        size >= most || own < day(now).as_str() || own > day(now + DAY).as_str()
    }

    /// Reads the end of the file, if anybody has written since we did.
    pub(super) fn end(&self) -> io::Result<End> {
        let size = self.file.metadata()?.len();
        if let Some(known) = self.known.as_ref().filter(|known| known.size == size) {
            return Ok(known.clone());
        }
        let mut want = TAIL;
        loop {
            let from = size.saturating_sub(want);
            let tail = self.read(from, size)?;
            match last(&tail, from == 0) {
                Found::Line(found, rest) => {
                    return Ok(End {
                        size,
                        content: Content::Chained(found),
                        torn: torn(&tail[rest..])?,
                        is_open: size > 0 && tail.last() != Some(&b'\n') && rest == tail.len(),
                    });
                }
                Found::Nothing => {
                    return Ok(End { torn: torn(&tail)?, ..End::new(size, Content::Nothing) });
                }
                Found::Plain(seq) => {
                    return Ok(End::new(size, Content::Plain(seq)));
                }
                Found::Beyond if want == TAIL => {
                    let start = self.read(0, size.min(HEADER))?;
                    let first = start.split(|byte| *byte == b'\n').next().unwrap_or_default();
                    if is_plain_header(first) {
                        return Ok(End::new(size, Content::Plain(plain_seq(&tail))));
                    }
                }
                Found::Beyond => {}
            }
            want = want.saturating_mul(8);
        }
    }

    fn read(&self, from: u64, to: u64) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(to - from).map_err(io::Error::other)?];
        self.file.read_exact_at(&mut bytes, from)?;
        Ok(bytes)
    }

    /// Adds the lines with one write, or leaves the file as it was. Where it is append-only (`chattr +a`), what a full
    /// disk took of them stays, and the next append says so.
    pub(super) fn write(&mut self, lines: &str, size: u64, last: Last) -> io::Result<()> {
        self.known = None;
        let written = self.file.write(lines.as_bytes());
        match written {
            Ok(len) if len == lines.len() => {
                let size = size + u64::try_from(len).map_err(io::Error::other)?;
                self.known = Some(End::new(size, Content::Chained(last)));
                Ok(())
            }
            other => {
                if self.file.metadata()?.len() != size
                    && let Err(error) = self.file.set_len(size)
                    && error.kind() != ErrorKind::PermissionDenied
                {
                    return Err(error);
                }
                Err(other.err().unwrap_or_else(|| ErrorKind::StorageFull.into()))
            }
        }
    }

    /// Waits until what was written is on the disk.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

/// The segments in the folder, in order.
pub(super) fn numbered(dir: &Path) -> io::Result<Vec<(u64, String)>> {
    let mut all = Vec::new();
    for entry in fs::read_dir(dir)? {
        if let Ok(name) = entry?.file_name().into_string()
            && let Some(number) = number(&name)
        {
            all.push((number, name));
        }
    }
    all.sort();
    Ok(all)
}

/// `2026-11-23T20-000001.jsonl` is number 1.
pub(super) fn number(name: &str) -> Option<u64> {
    let (hour, rest) = name.split_at_checked(13)?;
    if !hour.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-' || byte == b'T') {
        return None;
    }
    rest.strip_prefix('-')?.strip_suffix(SUFFIX)?.parse().ok()
}

/// The first line of a segment.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Header {
    /// Number of the segment.
    pub(super) segment: u64,
    /// Number of its first event. Also carries the count on if no event was written after it.
    pub(super) first_seq: u64,
    /// RFC 3339.
    pub(super) created: String,
    /// File name of the segment before.
    pub(super) previous: Option<String>,
    /// Hash of the last line of the segment before; zeros if there is none, or it has no hashes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) prev_head: Option<String>,
    #[serde(default, skip_serializing)]
    h: Option<String>,
}

impl Header {
    pub(super) fn new(
        number: u64,
        now: SystemTime,
        follows: &Last,
        previous: Option<String>,
    ) -> Self {
        Self {
            segment: number,
            first_seq: follows.seq + 1,
            created: rfc3339(now),
            previous,
            prev_head: Some(follows.head.to_string()),
            h: None,
        }
    }

    /// From a line, with or without a hash.
    pub(super) fn parse(line: &[u8]) -> Option<Self> {
        line.starts_with(b"{\"segment\":").then(|| serde_json::from_slice(line).ok())?
    }
}

fn is_plain_header(line: &[u8]) -> bool {
    line::split(line).is_none() && Header::parse(line).is_some()
}

/// What the end of a file shows.
enum Found {
    /// The last line with a hash, and where what follows it begins.
    Line(Last, usize),
    /// The whole file was seen: it has lines without hashes only.
    Plain(u64),
    /// The whole file was seen: it has no line.
    Nothing,
    /// More of the file is needed.
    Beyond,
}

fn last(tail: &[u8], is_whole_file: bool) -> Found {
    let mut end = tail.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    // Cut off right in front of the newline: nothing of it is missing.
    if (end > 0 || is_whole_file)
        && let Some(last) = chained(&tail[end..])
    {
        return Found::Line(last, tail.len());
    }
    while end > 0 {
        let body = &tail[..end - 1];
        let start = body.iter().rposition(|byte| *byte == b'\n').map(|at| at + 1);
        if start.is_none() && !is_whole_file {
            return Found::Beyond;
        }
        let start = start.unwrap_or(0);
        if let Some(last) = chained(&tail[start..end - 1]) {
            return Found::Line(last, end);
        }
        end = start;
    }
    let first = tail.split(|byte| *byte == b'\n').next().unwrap_or_default();
    match is_whole_file {
        false => Found::Beyond,
        true if is_plain_header(first) => Found::Plain(plain_seq(tail)),
        true => Found::Nothing,
    }
}

/// A whole line with a hash. That the hash is right is for `verify` to see.
fn chained(line: &[u8]) -> Option<Last> {
    let (body, head) = line::split(line)?;
    if let Some(front) = line::front(body) {
        return Some(Last { seq: front.seq, head, ts: front.ts.to_owned(), is_event: true });
    }
    let header = Header::parse(line)?;
    let seq = header.first_seq.saturating_sub(1);
    Some(Last { seq, head, ts: header.created, is_event: false })
}

/// The number of the last whole event without hashes.
fn plain_seq(tail: &[u8]) -> u64 {
    let lines = tail.split_inclusive(|byte| *byte == b'\n').rev();
    let seq = |line: &[u8]| {
        let line = line.strip_suffix(b"\n")?;
        let rest = line.strip_prefix(b"{\"seq\":");
        let header = || Some(Header::parse(line)?.first_seq.saturating_sub(1));
        rest.and_then(line::number).map(|(seq, _)| seq).or_else(header)
    };
    lines.into_iter().find_map(seq).unwrap_or(0)
}

fn torn(bytes: &[u8]) -> io::Result<Option<Torn>> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let len = u64::try_from(bytes.len()).map_err(io::Error::other)?;
    Ok(Some(Torn { bytes: len, sha256: line::sha256(bytes) }))
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    fn seen(text: &str, whole: bool) -> String {
        match last(text.as_bytes(), whole) {
            Found::Line(last, rest) => format!("{} {}", last.seq, text.len() - rest),
            Found::Plain(seq) => format!("plain {seq}"),
            Found::Nothing => "nothing".to_owned(),
            Found::Beyond => "beyond".to_owned(),
        }
    }

    #[test]
    fn the_last_line_is_found() {
        let hash = "0".repeat(64);
        let header = format!(
            "{{\"segment\":2,\"firstSeq\":8,\"created\":\"\",\"previous\":null,\"prevHead\":\"{hash}\",\"h\":\"{hash}\"}}\n"
        );
        let event = |seq: u64| {
            format!(
                "{{\"seq\":{seq},\"ts\":\"2026-11-23T20:00:00.000000Z\",\"type\":\"a\",\"h\":\"{hash}\"}}\n"
            )
        };
        let plain = "{\"segment\":2,\"firstSeq\":8,\"created\":\"\",\"previous\":null}\n";
        for (text, whole, want) in [
            (String::new(), true, "nothing"),
            (header.clone(), true, "7 0"),
            (header.clone(), false, "beyond"),
            (format!("{header}{}", event(8)), true, "8 0"),
            (format!("{header}{}", event(8).trim_end()), true, "8 0"),
            (header.trim_end().to_owned(), true, "7 0"),
            (format!("rest of 8\n{}", event(9)), false, "9 0"),
            (format!("{}{{\"seq\":9,\"a", event(8)), true, "8 11"),
            (format!("{}{{\"se\n{{\"s", event(8)), true, "8 8"),
            ("{\"segment\":2,\"first\n".to_owned(), true, "nothing"),
            ("half".to_owned(), true, "nothing"),
            ("half".to_owned(), false, "beyond"),
            (plain.to_owned(), true, "plain 7"),
            (format!("{plain}{{\"seq\":8,\"a\":1}}\n{{\"seq\":9"), true, "plain 8"),
        ] {
            assert_eq!(seen(&text, whole), want, "{text}");
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
        let segment = Segment { file, name, known: None };
        assert!(!segment.is_over(noon, 9, 10));
        assert!(segment.is_over(noon, 10, 10));
        assert!(segment.is_over(noon + Duration::from_hours(13), 9, 10));
        assert!(!segment.is_over(noon - Duration::from_hours(20), 9, 10));
        assert!(segment.is_over(noon - Duration::from_hours(48), 9, 10));
    }
}
