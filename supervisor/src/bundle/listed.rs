//! A bundle with a `MANIFEST`: the list, the signature if there is one, and whether the files are what the list says.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::AtFlags;
use nix::sys::stat::{FileStat, fstatat};
use policies::digest::Digest;
use policies::files::{
    Entry, FILE_LIST, FileList, FileListError, ListHead, MAX_LIST_BYTES, MAX_SIGNATURE_BYTES,
    SIGNATURE,
};
use semver::Version;

use super::content::{each, hash};
use super::digest::Hashed;
use super::fault::{Faults, What};
use super::walk::{Found, open_file, size, walk};

/// What is signed, and the signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// The extension that it is of.
    pub head: ListHead,
    /// `MANIFEST` as it stands; its digest is the bundle's.
    pub text: Hashed,
    /// `MANIFEST.p7s`, not looked at.
    pub p7s: Option<Vec<u8>>,
}

impl Statement {
    /// Of a text that is known by its digest to be a list. Its files are not read: a store that has them is asked for them
    /// by their names.
    pub(super) fn known(text: Hashed, p7s: Option<Vec<u8>>) -> Result<Self, FileListError> {
        Ok(Self { head: ListHead::parse(text.bytes())?, text, p7s })
    }

    /// Reads the list of files.
    ///
    /// # Errors
    /// [`FileListError`]; not of a bundle in the store that nobody has damaged.
    pub fn list(&self) -> Result<FileList, FileListError> {
        FileList::parse(self.text.bytes())
    }
}

/// A list of files, read, and what is signed of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// What is signed.
    pub statement: Statement,
    /// The files.
    pub list: FileList,
}

/// A folder whose files are not what they should be.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// Files, with everything that is wrong with each.
    #[error("refused files: {0}")]
    Faults(Faults),
    /// The list itself.
    #[error("failed to read {FILE_LIST}: {0} [{code}]", code = .0.code())]
    List(#[from] FileListError),
    /// `MANIFEST` or its signature cannot be read.
    #[error("failed to read {name}: {what}")]
    Read {
        /// `MANIFEST` or `MANIFEST.p7s`.
        name: &'static str,
        /// Why.
        what: What,
    },
    /// The signature is longer than any.
    #[error("failed to read {SIGNATURE}: it is larger than 64 KiB")]
    SignatureTooLarge,
    /// A signature without what it signs: somebody took the list away.
    #[error("failed to read {FILE_LIST}: there is a {SIGNATURE} and no list that it could sign")]
    SignatureAlone,
    /// A copy could not be written.
    #[error("failed to write a copy of {path}: {source}")]
    Copy {
        /// Of which file.
        path: String,
        /// The errno.
        source: io::Error,
    },
}

impl FilesError {
    /// Stable, kebab-case; of several faults the first one's.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Faults(faults) => faults.code(),
            Self::List(error) => error.code(),
            Self::Read { what, .. } => what.code(),
            Self::SignatureTooLarge => "signature-too-large",
            Self::SignatureAlone => "signature-alone",
            Self::Copy { .. } => "store-failed",
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Faults(faults) => faults.hint(),
            Self::List(_) => Some("remove MANIFEST and MANIFEST.p7s, and make them anew"),
            Self::Read { what, .. } => what.hint(),
            Self::SignatureTooLarge | Self::Copy { .. } => None,
            Self::SignatureAlone => {
                Some("remove MANIFEST.p7s, or put the MANIFEST back that it signs")
            }
        }
    }
}

/// Where copies of the files go.
pub(super) trait Copies: Sync {
    /// A new file for the content of this entry; `None` where no copy is wanted.
    fn create(&self, entry: &Entry) -> io::Result<Option<File>>;
}

/// No copies.
pub(super) struct Nowhere;

impl Copies for Nowhere {
    fn create(&self, _: &Entry) -> io::Result<Option<File>> {
        Ok(None)
    }
}

impl Listed {
    /// From what was read.
    pub(super) fn new(bytes: Vec<u8>, p7s: Option<Vec<u8>>) -> Result<Self, FileListError> {
        let list = FileList::parse(&bytes)?;
        let statement = Statement { head: list.head().clone(), text: Hashed::new(bytes), p7s };
        Ok(Self { statement, list })
    }

    /// The bundle's.
    #[must_use]
    pub const fn digest(&self) -> &Digest {
        self.statement.text.digest()
    }

    /// Reads the list and the signature of a folder; `None` where it has neither. The files are not looked at.
    ///
    /// # Errors
    /// [`FilesError`].
    pub fn read(root: BorrowedFd<'_>) -> Result<Option<Self>, FilesError> {
        let p7s = optional(root, SIGNATURE, MAX_SIGNATURE_BYTES)?;
        match (optional(root, FILE_LIST, MAX_LIST_BYTES)?, p7s) {
            (None, None) => Ok(None),
            (None, Some(_)) => Err(FilesError::SignatureAlone),
            (Some(bytes), p7s) if bytes.len() > MAX_LIST_BYTES => {
                drop(p7s);
                Err(FileListError::TooLarge.into())
            }
            (Some(_), Some(p7s)) if p7s.len() > MAX_SIGNATURE_BYTES => {
                Err(FilesError::SignatureTooLarge)
            }
            (Some(bytes), p7s) => Ok(Some(Self::new(bytes, p7s)?)),
        }
    }

    /// Compares a folder's files with the list, reading each once.
    ///
    /// # Errors
    /// [`FilesError::Faults`] with every difference, up to a bound.
    pub fn compare(&self, root: BorrowedFd<'_>) -> Result<(), FilesError> {
        self.compare_copying(root, &Nowhere)
    }

    /// The same; what was compared is what was copied.
    pub(super) fn compare_copying(
        &self,
        root: BorrowedFd<'_>,
        copies: &impl Copies,
    ) -> Result<(), FilesError> {
        let found = walk(root).map_err(FilesError::Faults)?;
        let mut faults = self.names_and_sizes(&found);
        let outcomes = each(&found, |found, buffer| {
            let Some(entry) = self.list.get(&found.path).filter(|entry| entry.size == found.size)
            else {
                return Ok(None);
            };
            let file = (found.path.as_str(), found.size);
            let digest = hash(root, file, buffer, || copies.create(entry))?;
            Ok(match digest {
                Ok(digest) if digest == entry.sha256 => None,
                Ok(_) => Some(What::ContentDiffers),
                Err(what) => Some(what),
            })
        });
        for (found, outcome) in found.iter().zip(outcomes) {
            match outcome {
                Ok(None) => {}
                Ok(Some(what)) => faults.push(&found.path, what),
                Err(source) => return Err(FilesError::Copy { path: found.path.clone(), source }),
            }
        }
        faults.into_result().map_err(FilesError::Faults)
    }

    /// What can be said without reading a file.
    pub(super) fn names_and_sizes(&self, found: &[Found]) -> Faults {
        let mut faults = Faults::default();
        for entry in self.list.entries() {
            if found.binary_search_by(|found| found.path.cmp(&entry.path)).is_err() {
                faults.push(&entry.path, What::Missing);
            }
        }
        for found in found {
            match self.list.get(&found.path) {
                None => faults.push(&found.path, What::Unlisted),
                Some(entry) if entry.size != found.size => {
                    let (listed, found_size) = (entry.size, found.size);
                    faults.push(&found.path, What::SizeDiffers { listed, found: found_size });
                }
                Some(entry) if entry.mode != found.mode => {
                    let (listed, mode) = (entry.mode, found.mode);
                    faults.push(&found.path, What::ModeDiffers { listed, found: mode });
                }
                Some(_) => {}
            }
        }
        faults
    }
}

/// Makes the list of a folder that has none.
///
/// # Errors
/// [`FilesError::Faults`] with everything that cannot be in a bundle, up to a bound.
pub fn scan(root: BorrowedFd<'_>, id: &str, version: &Version) -> Result<FileList, FilesError> {
    let found = walk(root).map_err(FilesError::Faults)?;
    let outcomes = each(&found, |found, buffer| {
        hash(root, (&found.path, found.size), buffer, || Ok(None::<File>))
    });
    let (mut faults, mut entries) = (Faults::default(), Vec::with_capacity(found.len()));
    for (Found { path, mode, size, .. }, outcome) in found.into_iter().zip(outcomes) {
        match outcome {
            Ok(Ok(sha256)) => entries.push(Entry { mode, size, sha256, path }),
            Ok(Err(what)) => faults.push(path, what),
            Err(source) => return Err(FilesError::Copy { path, source }),
        }
    }
    faults.into_result().map_err(FilesError::Faults)?;
    Ok(FileList::new(id.to_owned(), version.clone(), entries)?)
}

/// A file at the top, cut after one byte too many; `None` where there is none.
fn optional(
    root: BorrowedFd<'_>,
    name: &'static str,
    most: usize,
) -> Result<Option<Vec<u8>>, FilesError> {
    if let Err(Errno::ENOENT) = fstatat(root, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
        return Ok(None);
    }
    read_top(root, name, most).map(Some).map_err(|what| FilesError::Read { name, what })
}

/// A regular file at the top, cut after one byte too many.
pub(super) fn read_top(root: BorrowedFd<'_>, name: &str, most: usize) -> Result<Vec<u8>, What> {
    let (fd, stat) = open_file(root, name)?;
    read_open(fd, &stat, most)
}

/// The same, of what is open.
pub(super) fn read_open(fd: OwnedFd, stat: &FileStat, most: usize) -> Result<Vec<u8>, What> {
    let most = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::with_capacity(usize::try_from(size(stat).min(most)).unwrap_or(0) + 1);
    let read = File::from(fd).take(most).read_to_end(&mut bytes);
    read.map_err(|source| What::Read { source })?;
    Ok(bytes)
}
