//! Why an archive is refused: one code each.

use std::io;

use policies::files::{FileListError, FileMode, PathError};

/// An archive that is refused. Names in it are made safe for terminals.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The file cannot be read.
    #[error("it cannot be read: {source}")]
    Read {
        /// The errno.
        source: io::Error,
    },
    /// What was read cannot be written.
    #[error("a copy of its files cannot be written: {source}")]
    Write {
        /// The errno.
        source: io::Error,
    },
    /// It ends before it is complete.
    #[error("it is cut off")]
    Truncated,
    /// It does not begin as a frame of Zstandard does.
    #[error("it is no Zstandard file")]
    NotZstd,
    /// It begins with a skippable frame, in which anything can hide.
    #[error("it begins with a skippable frame")]
    SkippableFrame,
    /// Its decoding would take more memory than any archive needs.
    #[error("its window is larger than 8 MiB")]
    WindowTooLarge,
    /// It needs a dictionary that nobody has.
    #[error("it needs a dictionary")]
    Dictionary,
    /// The decoder refuses it.
    #[error("its compressed data is damaged: {reason}")]
    Corrupt {
        /// In the decoder's words.
        reason: String,
    },
    /// It grows out of all proportion.
    #[error("it grows to more than 200 times its size")]
    Bomb,
    /// Something follows its frame.
    #[error("bytes follow its end")]
    TrailingBytes,
    /// Another frame follows: other programs would read on.
    #[error("a second frame follows its end")]
    SecondFrame,
    /// A header whose sum is wrong, or none.
    #[error("entry {entry} has no tar header: its sum is wrong")]
    BadSum {
        /// From 1.
        entry: usize,
    },
    /// A header of another kind of tar.
    #[error("entry {entry} is not of the ustar format")]
    NotUstar {
        /// From 1.
        entry: usize,
    },
    /// A number of a header that is not plain octal.
    #[error("entry {entry} has a number that is not plain octal")]
    Number {
        /// From 1.
        entry: usize,
    },
    /// Bytes after the end of a name, or a name in a field that has none.
    #[error("entry {entry} has bytes where there must be none")]
    Smuggled {
        /// From 1.
        entry: usize,
    },
    /// A symbolic link.
    #[error("entry {entry} is a symbolic link")]
    Symlink {
        /// From 1.
        entry: usize,
    },
    /// A hard link.
    #[error("entry {entry} is a hard link")]
    HardLink {
        /// From 1.
        entry: usize,
    },
    /// A block or character device.
    #[error("entry {entry} is a device")]
    Device {
        /// From 1.
        entry: usize,
    },
    /// A FIFO.
    #[error("entry {entry} is a FIFO")]
    Fifo {
        /// From 1.
        entry: usize,
    },
    /// A folder: those follow from the files.
    #[error("entry {entry} is a folder")]
    Folder {
        /// From 1.
        entry: usize,
    },
    /// A name in an entry of its own, as GNU tar writes long ones.
    #[error("entry {entry} is a long name of GNU tar")]
    LongName {
        /// From 1.
        entry: usize,
    },
    /// An extended header, which could say everything once more.
    #[error("entry {entry} is a pax header")]
    Pax {
        /// From 1.
        entry: usize,
    },
    /// A file with holes.
    #[error("entry {entry} is a sparse file")]
    Sparse {
        /// From 1.
        entry: usize,
    },
    /// A type that means nothing here.
    #[error("entry {entry} has the unknown type {kind}")]
    UnknownType {
        /// From 1.
        entry: usize,
        /// The byte.
        kind: u8,
    },
    /// A name that no file of a bundle can have.
    #[error("entry {entry}: {source}")]
    Path {
        /// From 1.
        entry: usize,
        /// Why.
        source: PathError,
    },
    /// Set-user-id, set-group-id or sticky.
    #[error("{path} is set-user-id, set-group-id or sticky")]
    SetId {
        /// Which.
        path: String,
    },
    /// Neither `0644` nor `0755`.
    #[error("{path} has a mode that is neither 0644 nor 0755")]
    Mode {
        /// Which.
        path: String,
    },
    /// The first entry is not the list.
    #[error("its first entry is {path} and not MANIFEST")]
    ListNotFirst {
        /// What it is instead.
        path: String,
    },
    /// The list is too large.
    #[error("its MANIFEST is larger than 16 MiB")]
    ListTooLarge,
    /// The list is refused.
    #[error("its MANIFEST is refused: {0}")]
    List(#[from] FileListError),
    /// The signature is not the second entry.
    #[error("its MANIFEST.p7s is not the second entry")]
    SignatureNotSecond,
    /// The signature is too large.
    #[error("its MANIFEST.p7s is larger than 64 KiB")]
    SignatureTooLarge,
    /// A second entry of one name.
    #[error("{path} is there twice")]
    Duplicate {
        /// Which.
        path: String,
    },
    /// Not in the list.
    #[error("{path} is not listed in its MANIFEST")]
    Unlisted {
        /// Which.
        path: String,
    },
    /// Not in the list, but for upper and lower case.
    #[error("{path} differs from the listed {listed} in upper and lower case alone")]
    CaseClash {
        /// Which.
        path: String,
        /// What the list has.
        listed: String,
    },
    /// Another length than the list says.
    #[error("{path} has {found} bytes instead of the listed {listed}")]
    SizeDiffers {
        /// Which.
        path: String,
        /// By the list.
        listed: u64,
        /// By the header.
        found: u64,
    },
    /// Another mode than the list says.
    #[error("{path} has mode {found} instead of the listed {listed}")]
    ModeDiffers {
        /// Which.
        path: String,
        /// By the list.
        listed: FileMode,
        /// By the header.
        found: FileMode,
    },
    /// Another content than the list says.
    #[error("{path} is not the listed content: its SHA-256 differs")]
    ContentDiffers {
        /// Which.
        path: String,
    },
    /// The rest of a block is not empty.
    #[error("bytes are hidden behind the end of {path}")]
    Padding {
        /// Which.
        path: String,
    },
    /// Listed files that are not there.
    #[error("{path} is listed in its MANIFEST and missing{}", and_more(*more))]
    Missing {
        /// The first of them.
        path: String,
        /// How many more.
        more: usize,
    },
    /// After the end of the tar there is something else than zeros.
    #[error("bytes follow the end of the last file")]
    AfterEnd,
}

fn and_more(more: usize) -> String {
    if more == 0 { String::new() } else { format!(", and {more} more") }
}

impl ArchiveError {
    /// Stable, kebab-case.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Read { .. } => "archive-unreadable",
            Self::Write { .. } => "store-failed",
            Self::Truncated => "archive-truncated",
            Self::NotZstd => "archive-not-zstd",
            Self::SkippableFrame => "archive-skippable-frame",
            Self::WindowTooLarge => "archive-window-too-large",
            Self::Dictionary => "archive-dictionary",
            Self::Corrupt { .. } => "archive-corrupt",
            Self::Bomb => "archive-bomb",
            Self::TrailingBytes => "archive-trailing-bytes",
            Self::SecondFrame => "archive-second-frame",
            Self::BadSum { .. } => "archive-bad-sum",
            Self::NotUstar { .. } => "archive-not-ustar",
            Self::Number { .. } => "archive-number",
            Self::Smuggled { .. } => "archive-smuggled-bytes",
            Self::Symlink { .. } => "archive-symlink",
            Self::HardLink { .. } => "archive-hard-link",
            Self::Device { .. } => "archive-device",
            Self::Fifo { .. } => "archive-fifo",
            Self::Folder { .. } => "archive-folder",
            Self::LongName { .. } => "archive-long-name",
            Self::Pax { .. } => "archive-pax",
            Self::Sparse { .. } => "archive-sparse",
            Self::UnknownType { .. } => "archive-unknown-type",
            Self::Path { source, .. } => source.code(),
            Self::SetId { .. } => "archive-set-id",
            Self::Mode { .. } => "archive-mode",
            Self::ListNotFirst { .. } => "archive-list-not-first",
            Self::ListTooLarge => "list-too-large",
            Self::List(error) => error.code(),
            Self::SignatureNotSecond => "archive-signature-not-second",
            Self::SignatureTooLarge => "signature-too-large",
            Self::Duplicate { .. } => "archive-duplicate",
            Self::Unlisted { .. } => "file-unlisted",
            Self::CaseClash { .. } => "path-case-clash",
            Self::SizeDiffers { .. } => "file-size-differs",
            Self::ModeDiffers { .. } => "file-mode-differs",
            Self::ContentDiffers { .. } => "file-content-differs",
            Self::Padding { .. } => "archive-hidden-bytes",
            Self::Missing { .. } => "file-missing",
            Self::AfterEnd => "archive-after-end",
        }
    }

    /// What to do about it; none where nothing but another archive helps.
    #[must_use]
    pub const fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NotZstd
            | Self::NotUstar { .. }
            | Self::ListNotFirst { .. }
            | Self::Folder { .. } => {
                Some("a packed bundle is made by: sandboxctl pack DIR -o FILE.sbx")
            }
            Self::Truncated => Some("it was not copied to its end: fetch it again"),
            _ => None,
        }
    }
}
