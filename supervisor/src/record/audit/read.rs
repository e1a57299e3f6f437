//! Reading the log while others append to it.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::Path;

use super::segment;

/// What is read at once.
const CHUNK: usize = 256 * 1024;

/// A segment as it was at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SegmentFile {
    pub(super) number: u64,
    pub(super) name: String,
    /// Bytes; what was added later is not read.
    pub(super) size: u64,
}

/// The segments at one moment, between two appends, in order, and the name of the last as `lock` has it. Without a `lock`
/// the segments are there all the same.
pub(super) fn snapshot(dir: &Path) -> io::Result<(Vec<SegmentFile>, Option<String>)> {
    let lock = match File::open(dir.join("lock")) {
        Ok(lock) => Some(lock),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    if let Some(lock) = &lock {
        lock.lock_shared()?;
    } else if !dir.exists() {
        return Ok((Vec::new(), None));
    }
    let mut files = Vec::new();
    for (number, name) in segment::numbered(dir)? {
        let size = std::fs::metadata(dir.join(&name))?.len();
        files.push(SegmentFile { number, name, size });
    }
    let mut name = String::new();
    // Closing it unlocks it. What is not text is no name of ours.
    if lock.is_some_and(|lock| lock.take(64).read_to_string(&mut name).is_err()) {
        name.clear();
    }
    let name = Some(name.trim_end().to_owned()).filter(|name| !name.is_empty());
    Ok((files, name))
}

/// The lines of a file.
#[derive(Debug)]
pub(super) struct Lines<R> {
    source: R,
    buffer: Vec<u8>,
    /// What of the buffer is read but not handed out.
    from: usize,
    to: usize,
    at_end: bool,
}

/// One line, without its newline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Line<'a> {
    pub(super) bytes: &'a [u8],
    /// Whether it has a newline; only the last may not.
    pub(super) is_whole: bool,
}

impl Lines<io::Take<File>> {
    /// Of a segment, as far as it was seen.
    pub(super) fn open(dir: &Path, file: &SegmentFile) -> io::Result<Self> {
        Ok(Self::new(File::open(dir.join(&file.name))?.take(file.size)))
    }
}

impl<R: Read> Lines<R> {
    pub(super) fn new(source: R) -> Self {
        Self { source, buffer: vec![0; CHUNK], from: 0, to: 0, at_end: false }
    }

    pub(super) fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        let mut seen = self.from;
        loop {
            if let Some(at) = memchr::memchr(b'\n', &self.buffer[seen..self.to]) {
                let (start, end) = (self.from, seen + at);
                self.from = end + 1;
                return Ok(Some(Line { bytes: &self.buffer[start..end], is_whole: true }));
            }
            if self.at_end {
                let start = std::mem::replace(&mut self.from, self.to);
                let bytes = &self.buffer[start..self.to];
                return Ok((!bytes.is_empty()).then_some(Line { bytes, is_whole: false }));
            }
            self.buffer.copy_within(self.from..self.to, 0);
            self.to -= self.from;
            self.from = 0;
            seen = self.to;
            if self.to == self.buffer.len() {
                self.buffer.resize(self.buffer.len() * 2, 0);
            }
            match self.source.read(&mut self.buffer[self.to..]) {
                Ok(0) => self.at_end = true,
                Ok(len) => self.to += len,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_any_length() {
        let long = "x".repeat(CHUNK * 2 + 7);
        let text = format!("a\n\n{long}\nb\nrest");
        let mut lines = Lines::new(text.as_bytes());
        let mut seen = Vec::new();
        while let Some(line) = lines.next().expect("read") {
            seen.push((String::from_utf8(line.bytes.to_vec()).expect("text"), line.is_whole));
        }
        let want = [("a", true), ("", true), (&long, true), ("b", true), ("rest", false)];
        assert_eq!(seen, want.map(|(text, whole)| (text.to_owned(), whole)));
        assert!(lines.next().expect("read").is_none());
    }
}
