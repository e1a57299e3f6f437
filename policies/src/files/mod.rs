//! `MANIFEST`: the list of a bundle's files, with the digest of each. Its own digest names the bundle.
//!
//! ```text
//! sandboxctl-manifest 1
//! id acme.hello
//! version 1.2.3
//! 0755 51234 <64 hexadecimal digits> bin/hello
//! 0644 812 <64 hexadecimal digits> extension.toml
//! ```
//!
//! ASCII, one LF after every line, sorted by the bytes of the path. A list has one form only: what [`FileList::parse`]
//! accepts is, byte for byte, what [`FileList::render`] writes, so a digest of the text is a digest of its meaning.

mod parse;
mod path;

use std::fmt::{self, Write as _};

use semver::Version;

use crate::digest::Digest;
pub use parse::FileListError;
pub use path::{PathError, Paths, check_path};

/// The list's name in a bundle.
pub const FILE_LIST: &str = "MANIFEST";
/// The name of its detached signature.
pub const SIGNATURE: &str = "MANIFEST.p7s";
/// Files of one bundle at most.
pub const MAX_FILES: usize = 100_000;
/// Bytes of a list at most: 16 MiB.
pub const MAX_LIST_BYTES: usize = 16 << 20;
/// Bytes of a signature at most: 64 KiB.
pub const MAX_SIGNATURE_BYTES: usize = 64 << 10;
/// Bytes of one file at most: 2 GiB.
pub const MAX_FILE_BYTES: u64 = 2 << 30;
/// Bytes of all files together at most: 4 GiB.
pub const MAX_TOTAL_BYTES: u64 = 4 << 30;

/// The first line.
const MAGIC: &str = "sandboxctl-manifest 1";
/// The line of the first file, from 1.
const FIRST_FILE: usize = 4;

/// The modes that a file can have. Who owns it, and what else its mode says, is the host's business.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FileMode {
    /// `0644`.
    Plain,
    /// `0755`.
    Executable,
}

impl FileMode {
    /// As the list writes it.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Plain => "0644",
            Self::Executable => "0755",
        }
    }

    /// As chmod(2) takes it.
    #[must_use]
    pub const fn bits(self) -> u32 {
        match self {
            Self::Plain => 0o644,
            Self::Executable => 0o755,
        }
    }
}

impl fmt::Display for FileMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

/// One file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Whether it is executable.
    pub mode: FileMode,
    /// Bytes.
    pub size: u64,
    /// Of its content.
    pub sha256: Digest,
    /// Relative to the bundle, see [`check_path`].
    pub path: String,
}

/// What a list is of: the lines before its files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListHead {
    id: String,
    version: Version,
}

impl ListHead {
    /// Reads the head of a list and none of its files.
    ///
    /// # Errors
    /// [`FileListError`] of one of the lines of the head.
    pub fn parse(bytes: &[u8]) -> Result<Self, FileListError> {
        parse::head(bytes)
    }

    /// The extension; equal to the id in `extension.toml`, or the bundle is refused.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its version; equal to the version in `extension.toml`, or the bundle is refused.
    #[must_use]
    pub const fn version(&self) -> &Version {
        &self.version
    }
}

/// The files of a bundle, complete and sorted: what is not listed does not belong to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileList {
    head: ListHead,
    entries: Vec<Entry>,
}

impl FileList {
    /// Sorts the entries and checks everything that [`FileList::parse`] checks.
    ///
    /// # Errors
    /// [`FileListError`], with the line that the entry would have.
    pub fn new(
        id: String,
        version: Version,
        mut entries: Vec<Entry>,
    ) -> Result<Self, FileListError> {
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        for (index, entry) in entries.iter().enumerate() {
            let line = FIRST_FILE + index;
            check_path(entry.path.as_bytes())
                .map_err(|source| FileListError::Path { line, source })?;
        }
        let list = Self { head: ListHead { id, version }, entries };
        // An id with a line feed in it could read as something else.
        if Self::parse(&list.render())? == list { Ok(list) } else { Err(FileListError::Id) }
    }

    /// Reads a list strictly.
    ///
    /// # Errors
    /// [`FileListError`] with the line.
    pub fn parse(bytes: &[u8]) -> Result<Self, FileListError> {
        parse::parse(bytes)
    }

    /// What it is of.
    #[must_use]
    pub const fn head(&self) -> &ListHead {
        &self.head
    }

    /// The files, sorted by path.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The entry of a path.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<&Entry> {
        let found = self.entries.binary_search_by(|entry| entry.path.as_str().cmp(path));
        found.ok().and_then(|index| self.entries.get(index))
    }

    /// Bytes of all files together.
    #[must_use]
    pub fn total_bytes(&self) -> u64 {
        self.entries.iter().map(|entry| entry.size).sum()
    }

    /// The folders that the files lie in, each after the one that it lies in.
    #[must_use]
    pub fn folders(&self) -> Vec<&str> {
        let mut folders: Vec<&str> = Vec::new();
        for entry in &self.entries {
            let ends = entry.path.match_indices('/').map(|(end, _)| end);
            folders.extend(ends.filter_map(|end| entry.path.get(..end)));
        }
        folders.sort_unstable();
        folders.dedup();
        folders
    }

    /// The text of the file `MANIFEST`.
    #[must_use]
    pub fn render(&self) -> Vec<u8> {
        let mut text = format!("{MAGIC}\nid {}\nversion {}\n", self.head.id, self.head.version);
        for Entry { mode, size, sha256, path } in &self.entries {
            // Writing to a String cannot fail.
            writeln!(text, "{mode} {size} {sha256} {path}").unwrap_or_default();
        }
        text.into_bytes()
    }
}

#[cfg(test)]
mod tests;
