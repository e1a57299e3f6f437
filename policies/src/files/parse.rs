//! From bytes to a list, line by line.

use semver::Version;

use super::{
    Entry, FileList, FileMode, ListHead, MAGIC, MAX_FILE_BYTES, MAX_FILES, MAX_LIST_BYTES,
    MAX_TOTAL_BYTES, PathError, Paths,
};
use crate::digest::{Digest, NoDigest};
use crate::manifest::{fits_version, is_id};

/// Bytes of a line at most; the longest that means something has 336.
const MAX_LINE: usize = 512;

/// A list that is refused. Lines count from 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FileListError {
    /// More than 16 MiB.
    #[error("the list is larger than 16 MiB")]
    TooLarge,
    /// The last line has no end: the file was cut off.
    #[error("line {line} does not end with a line feed")]
    NoFinalNewline {
        /// Which.
        line: usize,
    },
    /// A line that ends as on another system.
    #[error("line {line} has a carriage return")]
    CarriageReturn {
        /// Which.
        line: usize,
    },
    /// A line longer than any can be.
    #[error("line {line} is longer than 512 bytes")]
    LineTooLong {
        /// Which.
        line: usize,
    },
    /// Not such a list, or of a later version.
    #[error("line 1 is not \"sandboxctl-manifest 1\"")]
    Magic,
    /// The second line does not say whose list it is.
    #[error("line 2 is not \"id PUBLISHER.NAME\"")]
    Id,
    /// The third line does not say of which version it is.
    #[error("line 3 is not \"version\" and a semantic version")]
    Version,
    /// More than 100 000 files.
    #[error("line {line} is of one file too many: 100000 are allowed")]
    TooManyFiles {
        /// Which.
        line: usize,
    },
    /// No files.
    #[error("the list has no files")]
    NoFiles,
    /// Not four words with one space between each.
    #[error("line {line} is not \"MODE SIZE SHA256 PATH\"")]
    Fields {
        /// Which.
        line: usize,
    },
    /// Neither `0644` nor `0755`.
    #[error("line {line}: the mode is neither 0644 nor 0755")]
    Mode {
        /// Which.
        line: usize,
    },
    /// Not a decimal number, or one with leading zeros or a sign.
    #[error("line {line}: the size is not a plain decimal number")]
    Size {
        /// Which.
        line: usize,
    },
    /// A file of more than 2 GiB.
    #[error("line {line}: the file is larger than 2 GiB")]
    FileTooLarge {
        /// Which.
        line: usize,
    },
    /// More than 4 GiB together.
    #[error("line {line}: the files up to here are larger than 4 GiB together")]
    TotalTooLarge {
        /// Which.
        line: usize,
    },
    /// Not a digest.
    #[error("line {line}: {source}")]
    Digest {
        /// Which.
        line: usize,
        /// What one looks like.
        source: NoDigest,
    },
    /// A path that no file of a bundle can have.
    #[error("line {line}: {source}")]
    Path {
        /// Which.
        line: usize,
        /// Why.
        source: PathError,
    },
    /// A path that belongs before the one above it.
    #[error("line {line} is not sorted: its path comes before that of the line above")]
    Order {
        /// Which.
        line: usize,
    },
}

impl FileListError {
    /// Stable, kebab-case.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TooLarge => "list-too-large",
            Self::NoFinalNewline { .. } => "list-no-final-newline",
            Self::CarriageReturn { .. } => "list-carriage-return",
            Self::LineTooLong { .. } => "list-line-too-long",
            Self::Magic => "list-magic",
            Self::Id => "list-id",
            Self::Version => "list-version",
            Self::TooManyFiles { .. } => "list-too-many-files",
            Self::NoFiles => "list-no-files",
            Self::Fields { .. } => "list-fields",
            Self::Mode { .. } => "list-mode",
            Self::Size { .. } => "list-size",
            Self::FileTooLarge { .. } => "list-file-too-large",
            Self::TotalTooLarge { .. } => "list-total-too-large",
            Self::Digest { .. } => "list-digest",
            Self::Path { source, .. } => source.code(),
            Self::Order { .. } => "list-order",
        }
    }
}

pub(super) fn head(bytes: &[u8]) -> Result<ListHead, FileListError> {
    head_of(&mut Lines::of(bytes)?)
}

fn head_of(lines: &mut Lines<'_>) -> Result<ListHead, FileListError> {
    if lines.next()? != Some(MAGIC.as_bytes()) {
        return Err(FileListError::Magic);
    }
    let id = lines.next()?.and_then(|line| word(line, b"id ")).filter(|id| is_id(id));
    let id = id.ok_or(FileListError::Id)?.to_owned();
    let version = lines.next()?.and_then(|line| word(line, b"version "));
    let version = version.filter(|text| fits_version(text)).and_then(parse_version);
    let version = version.ok_or(FileListError::Version)?;
    Ok(ListHead { id, version })
}

pub(super) fn parse(bytes: &[u8]) -> Result<FileList, FileListError> {
    let mut lines = Lines::of(bytes)?;
    let head = head_of(&mut lines)?;
    let mut entries: Vec<Entry> = Vec::new();
    let (mut paths, mut total) = (Paths::new(), 0_u64);
    while let Some(text) = lines.next()? {
        let line = lines.number;
        if entries.len() == MAX_FILES {
            return Err(FileListError::TooManyFiles { line });
        }
        let (entry, path) = entry(text, line)?;
        let previous = entries.last().map(|entry| entry.path.as_bytes());
        if previous.is_some_and(|previous| path < previous) {
            return Err(FileListError::Order { line });
        }
        let path = paths.add(path).map_err(|source| FileListError::Path { line, source })?;
        total = total.saturating_add(entry.size);
        if total > MAX_TOTAL_BYTES {
            return Err(FileListError::TotalTooLarge { line });
        }
        entries.push(Entry { path: path.to_owned(), ..entry });
    }
    if entries.is_empty() { Err(FileListError::NoFiles) } else { Ok(FileList { head, entries }) }
}

/// An entry without its path, and the path.
fn entry(text: &[u8], line: usize) -> Result<(Entry, &[u8]), FileListError> {
    let mut words = text.splitn(4, |byte| *byte == b' ');
    let (Some(mode), Some(size), Some(sha256), Some(path)) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(FileListError::Fields { line });
    };
    let mode = match mode {
        b"0644" => FileMode::Plain,
        b"0755" => FileMode::Executable,
        _ => return Err(FileListError::Mode { line }),
    };
    let size = number(size).ok_or(FileListError::Size { line })?;
    if size > MAX_FILE_BYTES {
        return Err(FileListError::FileTooLarge { line });
    }
    let sha256 = std::str::from_utf8(sha256).map_err(|_| NoDigest).and_then(str::parse::<Digest>);
    let sha256 = sha256.map_err(|source| FileListError::Digest { line, source })?;
    Ok((Entry { mode, size, sha256, path: String::new() }, path))
}

/// A decimal number in its one form; too large a one is the largest.
fn number(digits: &[u8]) -> Option<u64> {
    let plain = match digits {
        [] => false,
        [b'0', rest @ ..] => rest.is_empty(),
        all => all.iter().all(u8::is_ascii_digit),
    };
    let text = std::str::from_utf8(digits).ok().filter(|_| plain)?;
    Some(text.parse().unwrap_or(u64::MAX))
}

fn word<'a>(line: &'a [u8], key: &[u8]) -> Option<&'a str> {
    std::str::from_utf8(line.strip_prefix(key)?).ok()
}

/// In its one form.
fn parse_version(text: &str) -> Option<Version> {
    Version::parse(text).ok().filter(|version| version.to_string() == text)
}

struct Lines<'a> {
    rest: &'a [u8],
    number: usize,
}

impl<'a> Lines<'a> {
    fn of(bytes: &'a [u8]) -> Result<Self, FileListError> {
        if bytes.len() > MAX_LIST_BYTES {
            return Err(FileListError::TooLarge);
        }
        Ok(Self { rest: bytes, number: 0 })
    }

    /// The next line without its end.
    fn next(&mut self) -> Result<Option<&'a [u8]>, FileListError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        self.number += 1;
        let line = self.number;
        let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') else {
            return Err(FileListError::NoFinalNewline { line });
        };
        let (text, rest) = self.rest.split_at(end);
        self.rest = rest.get(1..).unwrap_or_default();
        if text.len() > MAX_LINE {
            return Err(FileListError::LineTooLong { line });
        }
        if text.contains(&b'\r') {
            return Err(FileListError::CarriageReturn { line });
        }
        Ok(Some(text))
    }
}
