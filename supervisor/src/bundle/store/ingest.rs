//! Into the store: compared with the list while it is copied, from the same buffer.

use std::fs::File;
use std::io::{self, Seek, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::{Mode, SFlag, fstat};
use policies::digest::Digest;
use policies::files::{Entry, FileList};

use super::staging::Staging;
use super::{ROUNDS, Store, StoreError, Stored};
use crate::bundle::archive::{self, ArchiveError, Frame, Sink};
use crate::bundle::listed::{FilesError, Listed};

/// Where a bundle comes from, open.
#[derive(Debug)]
pub enum Source {
    /// A folder with a `MANIFEST`.
    Folder(OwnedFd),
    /// An `.sbx`.
    Archive(File),
}

/// A bundle that did not get into the store; nothing of it is left there.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// The source has no list.
    #[error("there is no MANIFEST in it")]
    NoList,
    /// A folder is not what its list says.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// An archive is refused.
    #[error("refused archive: {0} [{code}]", code = .0.code())]
    Archive(#[from] ArchiveError),
    /// The store failed, not the bundle.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl IngestError {
    /// Stable, kebab-case.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoList => "list-missing",
            Self::Files(error) => error.code(),
            Self::Archive(error) => error.code(),
            Self::Store(_) => "store-failed",
        }
    }

    /// Whether it says something about the host and nothing about the bundle.
    #[must_use]
    pub const fn is_of_the_host(&self) -> bool {
        matches!(
            self,
            Self::Store(_)
                | Self::Files(FilesError::Copy { .. })
                | Self::Archive(ArchiveError::Write { .. } | ArchiveError::Read { .. })
        )
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoList => Some("sandboxctl pack makes one".to_owned()),
            Self::Files(error) => error.hint().map(str::to_owned),
            Self::Archive(error) => error.hint().map(str::to_owned),
            Self::Store(error) => error.hint(),
        }
    }
}

impl Source {
    /// Opens a folder or a regular file.
    ///
    /// # Errors
    /// The errno; `EINVAL` for anything else.
    pub fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
        let fd = nix::fcntl::open(path, flags, Mode::empty())?;
        match SFlag::from_bits_truncate(fstat(&fd)?.st_mode) & SFlag::S_IFMT {
            SFlag::S_IFDIR => Ok(Self::Folder(fd)),
            SFlag::S_IFREG => Ok(Self::Archive(fd.into())),
            _ => Err(Errno::EINVAL.into()),
        }
    }

    /// Reads the bundle to its end and compares it with its list, without a copy.
    ///
    /// # Errors
    /// [`IngestError`].
    pub fn inspect(&self, sink: &mut impl Sink) -> Result<Listed, IngestError> {
        match self {
            Self::Folder(dir) => {
                let listed = Listed::read(dir.as_fd())?.ok_or(IngestError::NoList)?;
                listed.compare(dir.as_fd())?;
                Ok(listed)
            }
            Self::Archive(file) => Ok(archive::read(&mut Frame::open(rewound(file)?)?, sink)?),
        }
    }
}

/// From its beginning, also where it was read before.
fn rewound(mut file: &File) -> Result<&File, ArchiveError> {
    file.rewind().map_err(|source| ArchiveError::Read { source })?;
    Ok(file)
}

impl Store {
    /// Puts a bundle into the store, or finds it there. The source is compared with its list to its end in both cases.
    ///
    /// The signature of the source, if it has one, is the one that is returned; it is stored only where none is.
    ///
    /// # Errors
    /// [`IngestError`]; nothing of the bundle is left in the store then.
    pub fn ingest(&self, source: &Source) -> Result<Stored, IngestError> {
        for _ in 0..ROUNDS {
            let listed = match source {
                Source::Folder(dir) => self.folder(dir)?,
                Source::Archive(file) => self.archive(file)?,
            };
            let Some(mut stored) = self.get(listed.digest())? else {
                // `gc` was here between the two.
                continue;
            };
            match (listed.statement.p7s, &stored.statement.p7s) {
                (Some(p7s), None) => self.put_signature(&mut stored, &p7s)?,
                (Some(p7s), Some(_)) => stored.statement.p7s = Some(p7s),
                (None, _) => {}
            }
            return Ok(stored);
        }
        Err(StoreError::Removed { path: self.path.clone() }.into())
    }

    /// The same for a folder whose list was made from its files.
    ///
    /// # Errors
    /// [`IngestError`]; the files changed since.
    pub fn ingest_listed(&self, dir: &OwnedFd, listed: &Listed) -> Result<Stored, IngestError> {
        for _ in 0..ROUNDS {
            self.copy(dir, listed)?;
            if let Some(stored) = self.get(listed.digest())? {
                return Ok(stored);
            }
        }
        Err(StoreError::Removed { path: self.path.clone() }.into())
    }

    fn folder(&self, dir: &OwnedFd) -> Result<Listed, IngestError> {
        let listed = Listed::read(dir.as_fd())?.ok_or(IngestError::NoList)?;
        self.copy(dir, &listed)?;
        Ok(listed)
    }

    fn copy(&self, dir: &OwnedFd, listed: &Listed) -> Result<(), IngestError> {
        if self.has(listed.digest())? {
            return Ok(listed.compare(dir.as_fd())?);
        }
        let staging = Staging::new(self)?;
        let made = staging.folders(&listed.list);
        made.map_err(|source| FilesError::Copy { path: ".".to_owned(), source })?;
        listed.compare_copying(dir.as_fd(), &staging)?;
        Ok(staging.finish(listed)?)
    }

    /// Whether the store has it, with files of the listed names, lengths and modes. What is damaged gives way to a new copy;
    /// a run that uses it goes on with what it has.
    fn has(&self, digest: &Digest) -> Result<bool, StoreError> {
        Ok(matches!(self.look(digest, false)?, Some(Ok(_))))
    }

    fn archive(&self, file: &File) -> Result<Listed, IngestError> {
        let mut unpack = Unpack { store: self, staging: None, file: None, failed: None };
        let read =
            rewound(file).and_then(|file| archive::read(&mut Frame::open(file)?, &mut unpack));
        if let Some(error) = unpack.failed {
            return Err(error.into());
        }
        let listed = read?;
        if let Some(staging) = unpack.staging {
            staging.finish(&listed)?;
        }
        Ok(listed)
    }
}

/// Writes what an archive has, unless the store has it already.
struct Unpack<'s> {
    store: &'s Store,
    staging: Option<Staging<'s>>,
    file: Option<File>,
    failed: Option<StoreError>,
}

impl Sink for Unpack<'_> {
    fn listed(&mut self, digest: &Digest, list: &FileList) -> io::Result<()> {
        let prepared = match self.store.has(digest) {
            Ok(true) => return Ok(()),
            Ok(false) => Staging::new(self.store),
            Err(error) => Err(error),
        };
        match prepared {
            Ok(staging) => {
                let made = staging.folders(list);
                self.staging = Some(staging);
                made
            }
            Err(error) => {
                self.failed = Some(error);
                Err(io::ErrorKind::Other.into())
            }
        }
    }

    fn begin(&mut self, entry: &Entry) -> io::Result<()> {
        let staging = self.staging.as_ref();
        self.file = staging.map(|staging| staging.file(&entry.path, entry.mode)).transpose()?;
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.as_mut().map_or(Ok(()), |file| file.write_all(bytes))
    }
}
