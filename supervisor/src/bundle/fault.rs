//! What is wrong with the files of a bundle: all of it up to a bound, each with its path.

use std::fmt;
use std::io;

use policies::files::{FileMode, PathError};

/// Listed at most; the rest is counted.
const MOST: usize = 100;

/// What is wrong with one file.
#[derive(Debug, thiserror::Error)]
pub enum What {
    /// A symbolic link.
    #[error("is a symbolic link")]
    Symlink,
    /// A file with another name elsewhere, through which it could be changed.
    #[error("has {names} hard links")]
    HardLink {
        /// How many.
        names: u64,
    },
    /// A block or character device.
    #[error("is a device")]
    Device,
    /// A FIFO.
    #[error("is a FIFO")]
    Fifo,
    /// A socket.
    #[error("is a socket")]
    Socket,
    /// A set-user-id or set-group-id program.
    #[error("is set-user-id or set-group-id")]
    SetId,
    /// Something is mounted there.
    #[error("is on another file system than the bundle")]
    OtherFilesystem,
    /// A name that no file of a bundle can have.
    #[error(transparent)]
    Path(#[from] PathError),
    /// More than 2 GiB.
    #[error("is larger than 2 GiB")]
    FileTooLarge,
    /// More than 4 GiB in all.
    #[error("makes the bundle larger than 4 GiB")]
    TotalTooLarge,
    /// More entries than a bundle may have.
    #[error("is one entry too many")]
    TooManyFiles,
    /// The kernel refused.
    #[error("cannot be read: {source}")]
    Read {
        /// The errno.
        source: io::Error,
    },
    /// Listed, and not there.
    #[error("is listed in MANIFEST and missing")]
    Missing,
    /// There, and not listed.
    #[error("is not listed in MANIFEST")]
    Unlisted,
    /// Executable or not, against the list.
    #[error("has mode {found} instead of the listed {listed}")]
    ModeDiffers {
        /// By the list.
        listed: FileMode,
        /// On disk.
        found: FileMode,
    },
    /// Another length than the list says.
    #[error("has {found} bytes instead of the listed {listed}")]
    SizeDiffers {
        /// By the list.
        listed: u64,
        /// On disk.
        found: u64,
    },
    /// Another content than the list says.
    #[error("is not the listed content: its SHA-256 differs")]
    ContentDiffers,
    /// It changed between two looks.
    #[error("changed while it was read")]
    Changed,
    /// In the store: not root's, or writable.
    #[error("is not a read-only file of root")]
    Ownership,
}

impl What {
    /// Stable, kebab-case.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Symlink => "file-symlink",
            Self::HardLink { .. } => "file-hard-link",
            Self::Device => "file-device",
            Self::Fifo => "file-fifo",
            Self::Socket => "file-socket",
            Self::SetId => "file-set-id",
            Self::OtherFilesystem => "file-other-filesystem",
            Self::Path(error) => error.code(),
            Self::FileTooLarge => "file-too-large",
            Self::TotalTooLarge => "files-too-large",
            Self::TooManyFiles => "files-too-many",
            Self::Read { .. } => "file-unreadable",
            Self::Missing => "file-missing",
            Self::Unlisted => "file-unlisted",
            Self::ModeDiffers { .. } => "file-mode-differs",
            Self::SizeDiffers { .. } => "file-size-differs",
            Self::ContentDiffers => "file-content-differs",
            Self::Changed => "file-changed-meanwhile",
            Self::Ownership => "file-ownership",
        }
    }

    /// What to do about it; none where the message says it.
    #[must_use]
    pub const fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Symlink => Some("a bundle has no links: put the file itself there"),
            Self::HardLink { .. } => Some("copy the file: cp FILE FILE.new && mv FILE.new FILE"),
            Self::Device | Self::Fifo | Self::Socket => {
                Some("a bundle has folders and regular files only")
            }
            Self::SetId => Some("chmod ug-s FILE"),
            Self::OtherFilesystem => Some("unmount it, or copy what is mounted there"),
            Self::Path(_) => Some("rename it"),
            Self::Missing
            | Self::Unlisted
            | Self::ModeDiffers { .. }
            | Self::SizeDiffers { .. }
            | Self::ContentDiffers => Some(
                "the folder is not what its MANIFEST says; if it should be as it is, remove MANIFEST and MANIFEST.p7s and make them anew",
            ),
            Self::Changed => Some("try again when nobody writes to it"),
            Self::Ownership => {
                Some("run the bundle from its folder or .sbx file once more: it is stored anew")
            }
            Self::FileTooLarge | Self::TotalTooLarge | Self::TooManyFiles | Self::Read { .. } => {
                None
            }
        }
    }
}

/// One file, and what is wrong with it.
#[derive(Debug)]
pub struct Fault {
    /// Relative to the bundle, made safe for terminals.
    pub path: String,
    /// See [`What`].
    pub what: What,
}

/// Every fault of a bundle.
#[derive(Debug, Default)]
pub struct Faults {
    listed: Vec<Fault>,
    more: usize,
}

impl Faults {
    /// Adds one.
    pub fn push(&mut self, path: impl AsRef<[u8]>, what: What) {
        if self.listed.len() == MOST {
            self.more += 1;
        } else {
            let path = path.as_ref().escape_ascii().to_string();
            self.listed.push(Fault { path, what });
        }
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.listed.is_empty()
    }

    /// Those that are listed; at most 100.
    #[must_use]
    pub fn listed(&self) -> &[Fault] {
        &self.listed
    }

    /// How many more there are.
    #[must_use]
    pub const fn more(&self) -> usize {
        self.more
    }

    /// The code of the first.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.listed.first().map_or("file-unreadable", |fault| fault.what.code())
    }

    /// What to do about the first that something can be done about.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        self.listed.iter().find_map(|fault| fault.what.hint())
    }

    /// One line each.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let more = (self.more > 0).then(|| format!("and {} more", self.more));
        self.listed.iter().map(Fault::to_string).chain(more).collect()
    }

    /// Sorted by path; an error unless there are none.
    pub(super) fn into_result(mut self) -> Result<(), Self> {
        self.listed.sort_by(|a, b| a.path.cmp(&b.path));
        if self.is_empty() { Ok(()) } else { Err(self) }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, what } = self;
        write!(f, "{path} {what} [{}]", what.code())
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.lines().as_slice() {
            [one] => f.write_str(one),
            several => several.iter().try_for_each(|line| write!(f, "\n  {line}")),
        }
    }
}

impl std::error::Error for Faults {}
