//! From a folder to an `.sbx`.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use policies::diag::Diagnostics;
use policies::files::FileListError;
use policies::manifest::Manifest;
use policies::set::PolicySet;

use super::archive::{self, WriteError};
use super::digest::sha256;
use super::fault::{Faults, What};
use super::listed::{FilesError, Listed, scan};
use super::store::Source;
use super::{BundleError, MANIFEST, check_identity, read_beneath};

/// What was packed.
#[derive(Debug)]
pub struct Packed {
    /// List, digest, signature.
    pub listed: Listed,
    /// Bytes of the archive.
    pub archive_bytes: u64,
}

/// A folder that was not packed; no archive was written.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// The folder or its manifest cannot be read, or they are of different extensions.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The manifest is refused, with every problem.
    #[error("{0}")]
    Manifest(Diagnostics),
    /// The folder has what no bundle can have, or is not what its list says.
    #[error("failed to pack {}: {source}", path.display())]
    Files {
        /// The folder.
        path: PathBuf,
        /// Every problem.
        source: FilesError,
    },
    /// There is a file of that name.
    #[error("failed to write {}: it exists", path.display())]
    Exists {
        /// The archive.
        path: PathBuf,
    },
    /// Writing failed.
    #[error("failed to {step} {}: {source}", path.display())]
    Output {
        /// `create`, `write`, `rename`.
        step: &'static str,
        /// The archive, or what becomes it.
        path: PathBuf,
        /// The errno.
        source: io::Error,
    },
    /// The files changed while they were packed, or have no place in an archive.
    #[error("failed to pack {}: {source}", path.display())]
    Write {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: WriteError,
    },
}

impl PackError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Bundle(error) => error.hint(),
            Self::Files { source, .. } => source.hint().map(str::to_owned),
            Self::Exists { .. } => Some("--force replaces it".to_owned()),
            Self::Write { source: WriteError::Faults(faults), .. } => {
                faults.hint().map(str::to_owned)
            }
            Self::Write { source: WriteError::Name { .. }, .. } => {
                Some("shorten the names of its folders".to_owned())
            }
            Self::Manifest(_) | Self::Output { .. } | Self::Write { .. } => None,
        }
    }
}

/// Packs the folder. Its own `MANIFEST` goes into the archive, if its files are what that says; where it has none, one is
/// made for the archive. The folder itself is not changed.
///
/// # Errors
/// [`PackError`].
pub fn pack(
    dir: &Path,
    output: &Path,
    force: bool,
    policies: &PolicySet,
) -> Result<Packed, PackError> {
    if !force && fs::symlink_metadata(output).is_ok() {
        return Err(PackError::Exists { path: output.to_owned() });
    }
    let opened = match Source::open(dir) {
        Ok(Source::Folder(fd)) => Ok(fd),
        Ok(Source::Archive(_)) => Err(Errno::ENOTDIR.into()),
        Err(error) => Err(error),
    };
    let root = opened.map_err(|source| BundleError::Open { path: dir.to_owned(), source })?;
    let manifest_path = dir.join(MANIFEST);
    let bytes = read_beneath(root.as_fd(), MANIFEST)
        .map_err(|source| BundleError::Manifest { path: manifest_path.clone(), source })?;
    let name = manifest_path.display().to_string();
    let manifest = Manifest::parse_for(&name, &bytes, policies).map_err(PackError::Manifest)?;
    let refused = |source| PackError::Files { path: dir.to_owned(), source };
    let listed = match Listed::read(root.as_fd()).map_err(refused)? {
        Some(listed) => {
            listed.compare(root.as_fd()).map_err(refused)?;
            listed
        }
        None => made(root.as_fd(), &manifest).map_err(refused)?,
    };
    check_identity(dir, &listed.statement.head, &manifest)?;
    if listed.list.get(MANIFEST).is_none_or(|entry| entry.sha256 != sha256(&bytes)) {
        let mut faults = Faults::default();
        faults.push(MANIFEST, What::Changed);
        return Err(refused(FilesError::Faults(faults)));
    }
    let unfinished = Unfinished::new(output)?;
    let file = archive::write(root.as_fd(), &listed, BufWriter::new(&unfinished.file))
        .and_then(|mut out| out.flush().map_err(WriteError::from))
        .map_err(|source| PackError::Write { path: dir.to_owned(), source });
    file?;
    let archive_bytes = unfinished.finish(output, force)?;
    Ok(Packed { listed, archive_bytes })
}

fn made(root: std::os::fd::BorrowedFd<'_>, manifest: &Manifest) -> Result<Listed, FilesError> {
    let list = scan(root, &manifest.id, &manifest.version)?;
    let listed: Result<_, FileListError> = Listed::new(list.render(), None);
    Ok(listed?)
}

/// The archive under another name, beside its own; removed unless it gets that.
struct Unfinished {
    path: PathBuf,
    file: File,
}

impl Unfinished {
    fn new(output: &Path) -> Result<Self, PackError> {
        let mut name = std::ffi::OsString::from(".");
        name.push(output.file_name().unwrap_or_default());
        name.push(format!(".tmp-{}", std::process::id()));
        let path = output.with_file_name(name);
        match File::options().write(true).create_new(true).open(&path) {
            Ok(file) => Ok(Self { path, file }),
            Err(source) => Err(PackError::Output { step: "create", path, source }),
        }
    }

    fn finish(self, output: &Path, force: bool) -> Result<u64, PackError> {
        let failed = |step, source| PackError::Output { step, path: output.to_owned(), source };
        self.file.sync_all().map_err(|error| failed("write", error))?;
        let bytes = self.file.metadata().map_err(|error| failed("read", error))?.len();
        let flags = if force { RenameFlags::empty() } else { RenameFlags::RENAME_NOREPLACE };
        match renameat2(AT_FDCWD, &self.path, AT_FDCWD, output, flags) {
            Ok(()) => Ok(bytes),
            Err(Errno::EEXIST) => Err(PackError::Exists { path: output.to_owned() }),
            Err(errno) => Err(failed("rename", errno.into())),
        }
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(path = %self.path.display(), %error, "an unfinished archive stays");
        }
    }
}
