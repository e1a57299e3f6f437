//! The content-addressed store: verified bundles, read-only, each in a folder that is named by its digest.
//!
//! `<state>/store/<digest>/` has the files and the list. A bundle gets there as a whole or not at all: it is built in
//! `.tmp-*` beside it, from the very bytes that were compared with the list, and renamed. Whoever uses a bundle holds a
//! shared lock on its folder, whoever builds one an exclusive lock on the folder that it is built in; `gc` takes what
//! nobody holds.

mod gc;
mod ingest;
mod staging;
mod verify;

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat2};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, fstatat};
use policies::digest::Digest;
use policies::files::{FILE_LIST, FileListError, MAX_LIST_BYTES, MAX_SIGNATURE_BYTES, SIGNATURE};

pub use gc::Collected;
pub use ingest::{IngestError, Source};
pub use verify::Health;

use super::digest::Hashed;
use super::fault::{Faults, What};
use super::listed::{FilesError, Listed, Statement, read_open};
use super::walk::{beneath, open_file};
use crate::state::{StateError, private_dir};

/// Beneath the state folder.
const STORE: &str = "store";
/// Names of what is not finished begin with this.
const UNFINISHED: &str = ".tmp-";
/// Of folders in the store.
const SEALED_DIR: u32 = 0o555;
/// How often a bundle may vanish between two steps, because `gc` runs at the same time.
const ROUNDS: usize = 5;

/// The store of this host.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    dir: OwnedFd,
}

/// A bundle in the store, open. It stays there as long as this lives.
#[derive(Debug)]
pub struct Stored {
    /// Its folder, with a shared lock on it.
    dir: File,
    /// What was verified when it came here; the signature as it is stored.
    pub statement: Statement,
}

impl Stored {
    /// Its digest.
    #[must_use]
    pub const fn digest(&self) -> &Digest {
        self.statement.text.digest()
    }

    /// Reads its list of files.
    ///
    /// # Errors
    /// [`Damage::List`].
    pub fn listed(&self) -> Result<Listed, Damage> {
        Ok(Listed { list: self.statement.list()?, statement: self.statement.clone() })
    }
}

impl AsFd for Stored {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }
}

/// The store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The folder cannot be made.
    #[error(transparent)]
    State(#[from] StateError),
    /// A step failed.
    #[error("failed to {step} {}: {source}", path.display())]
    Step {
        /// Which.
        step: &'static str,
        /// On what.
        path: PathBuf,
        /// The errno.
        source: io::Error,
    },
    /// Somebody else could have written there.
    #[error("failed to use {}: it is not a folder of root that nobody else can write to", path.display())]
    NotOurs {
        /// What.
        path: PathBuf,
    },
    /// A bundle of the store is not what it was.
    #[error("failed to use {}: {reason}", path.display())]
    Damaged {
        /// Its folder.
        path: PathBuf,
        /// Why.
        reason: Damage,
    },
    /// `gc` took the bundle away, again and again.
    #[error("failed to keep {}: it was removed meanwhile", path.display())]
    Removed {
        /// Its folder.
        path: PathBuf,
    },
}

/// What happened to a stored bundle.
#[derive(Debug, thiserror::Error)]
pub enum Damage {
    /// Its folder, list or signature is not root's, or can be written to.
    #[error("it is not read-only and root's")]
    Ownership,
    /// Its list has another digest than its name says.
    #[error("its MANIFEST is not the one that it is named by")]
    OtherList,
    /// Its list cannot be read.
    #[error("its {name} cannot be used: {what}")]
    Unreadable {
        /// `MANIFEST` or `MANIFEST.p7s`.
        name: &'static str,
        /// Why.
        what: What,
    },
    /// Its list is none.
    #[error("its MANIFEST is refused: {0}")]
    List(#[from] FileListError),
    /// Its files are not the listed ones, or not as the store has them.
    #[error("{0}")]
    Files(Faults),
    /// Its files differ from the list, or cannot be compared with it.
    #[error(transparent)]
    Compared(#[from] FilesError),
}

impl Damage {
    /// One line each: what is wrong with the bundle, or with which of its files.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        match self {
            Self::Files(faults) | Self::Compared(FilesError::Faults(faults)) => faults.lines(),
            other => vec![other.to_string()],
        }
    }
}

impl StoreError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::State(StateError { source, .. }) | Self::Step { source, .. }
                if source.kind() == io::ErrorKind::PermissionDenied =>
            {
                Some("run as root".to_owned())
            }
            Self::NotOurs { path } => Some(format!(
                "chown root:root {0} && chmod 700 {0}, after a look at who could write to it",
                path.display()
            )),
            Self::Damaged { .. } => {
                Some("run it from its folder or .sbx file once more: it is stored anew".to_owned())
            }
            _ => None,
        }
    }
}

/// For `map_err`.
fn step(step: &'static str, path: &Path) -> impl FnOnce(Errno) -> StoreError {
    let path = path.to_owned();
    move |errno| StoreError::Step { step, path, source: errno.into() }
}

/// For `map_err`.
fn step_io(step: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_owned();
    move |source| StoreError::Step { step, path, source }
}

/// Root's, and nobody may write to it.
fn is_sealed(stat: &FileStat) -> bool {
    stat.st_uid == 0 && stat.st_mode & 0o222 == 0
}

impl Store {
    /// Opens the store in the state folder; makes it where there is none.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn open(state: &Path) -> Result<Self, StoreError> {
        let path = state.join(STORE);
        private_dir(&path)?;
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let dir = nix::fcntl::open(&path, flags, Mode::empty()).map_err(step("open", &path))?;
        let stat = fstat(&dir).map_err(step("read", &path))?;
        if stat.st_uid != 0 || stat.st_mode & 0o022 != 0 {
            return Err(StoreError::NotOurs { path });
        }
        Ok(Self { path, dir })
    }

    /// The bundle with this digest, if it is there: the way of every launch. Looks at who owns its folder, and that its
    /// list is the one that it is named by; the files were compared with the list when they were written, and nobody but
    /// root can have written since. [`Store::verify`] compares them again.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn get(&self, digest: &Digest) -> Result<Option<Stored>, StoreError> {
        let name = digest.to_string();
        let path = self.path.join(&name);
        let Some(dir) = self.lock(&name)? else { return Ok(None) };
        let damaged = |reason| StoreError::Damaged { path: path.clone(), reason };
        let stat = fstat(&dir).map_err(step("read", &path))?;
        if !is_sealed(&stat) {
            return Err(damaged(Damage::Ownership));
        }
        let bytes = sealed(dir.as_fd(), FILE_LIST, MAX_LIST_BYTES).map_err(&damaged)?;
        let text = bytes.map(Hashed::new).filter(|text| text.digest() == digest);
        let text = text.ok_or_else(|| damaged(Damage::OtherList))?;
        let p7s = sealed(dir.as_fd(), SIGNATURE, MAX_SIGNATURE_BYTES).map_err(&damaged)?;
        let statement = Statement::known(text, p7s).map_err(|error| damaged(error.into()))?;
        Ok(Some(Stored { dir, statement }))
    }

    /// Every digest in the store, sorted.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn digests(&self) -> Result<Vec<Digest>, StoreError> {
        let mut digests: Vec<Digest> =
            self.names()?.iter().filter_map(|name| name.parse().ok()).collect();
        digests.sort();
        Ok(digests)
    }

    /// Every bundle in the store, those that `gc` takes away meanwhile left out.
    ///
    /// # Errors
    /// [`StoreError`], also for a damaged one.
    pub fn list(&self) -> Result<Vec<Stored>, StoreError> {
        let found = self.digests()?.into_iter().filter_map(|digest| self.get(&digest).transpose());
        found.collect()
    }

    /// The folder of a digest, for messages.
    #[must_use]
    pub fn path_of(&self, digest: &Digest) -> PathBuf {
        self.path.join(digest.to_string())
    }

    fn names(&self) -> Result<Vec<String>, StoreError> {
        let entries = std::fs::read_dir(&self.path).map_err(step_io("read", &self.path))?;
        entries
            .map(|entry| {
                let name = entry.map_err(step_io("read", &self.path))?.file_name();
                Ok(name.to_string_lossy().into_owned())
            })
            .collect()
    }

    /// Opens a folder of the store and takes the shared lock; `None` where it is not there or is just going away.
    fn lock(&self, name: &str) -> Result<Option<File>, StoreError> {
        let path = self.path.join(name);
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY;
        let dir = match openat2(&self.dir, name, beneath(flags)) {
            Ok(dir) => File::from(dir),
            Err(Errno::ENOENT) => return Ok(None),
            Err(errno) => return Err(step("open", &path)(errno)),
        };
        dir.lock_shared().map_err(step_io("lock", &path))?;
        Ok(self.is_named(&dir, name)?.then_some(dir))
    }

    /// Whether the folder still has this name, now that it is locked.
    fn is_named(&self, dir: &File, name: &str) -> Result<bool, StoreError> {
        let path = self.path.join(name);
        let held = fstat(dir).map_err(step("read", &path))?;
        match fstatat(&self.dir, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(named) => Ok((named.st_dev, named.st_ino) == (held.st_dev, held.st_ino)),
            Err(Errno::ENOENT) => Ok(false),
            Err(errno) => Err(step("read", &path)(errno)),
        }
    }
}

/// A file at the top of a stored bundle; `None` where there is none.
fn sealed(dir: BorrowedFd<'_>, name: &'static str, most: usize) -> Result<Option<Vec<u8>>, Damage> {
    match fstatat(dir, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
        Err(Errno::ENOENT) => return Ok(None),
        Ok(stat) if stat.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFREG.bits() => {}
        Ok(_) | Err(_) => return Err(Damage::Ownership),
    }
    let unreadable = |what| Damage::Unreadable { name, what };
    let (fd, stat) = open_file(dir, name).map_err(unreadable)?;
    if !is_sealed(&stat) {
        return Err(Damage::Ownership);
    }
    read_open(fd, &stat, most).map(Some).map_err(unreadable)
}

#[cfg(test)]
mod tests;
