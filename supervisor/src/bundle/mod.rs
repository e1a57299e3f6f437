//! A bundle on disk: opened once, and used through that descriptor from then on.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use nix::sys::stat::{Mode, SFlag, fstat};

/// The manifest's name in every bundle.
pub const MANIFEST: &str = "extension.toml";

/// Read at most; the parser refuses earlier, with a message that says where.
const READ_AT_MOST: u64 = 1 << 20;

/// A bundle that is open.
#[derive(Debug)]
pub struct Bundle {
    path: PathBuf,
    dir: OwnedFd,
    manifest: Vec<u8>,
}

/// A bundle that cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// The folder cannot be opened.
    #[error("failed to open bundle {}: {source}", path.display())]
    Open {
        /// As the user gave it.
        path: PathBuf,
        /// The errno.
        source: io::Error,
    },
    /// A packed bundle, which this version cannot read.
    #[error("failed to open bundle {}: packed bundles (.sbx) are not supported yet", path.display())]
    Packed {
        /// As the user gave it.
        path: PathBuf,
    },
    /// The manifest cannot be read.
    #[error("failed to read {}: {source}", path.display())]
    Manifest {
        /// Where it should be.
        path: PathBuf,
        /// The errno; `ELOOP` where it is a link.
        source: io::Error,
    },
}

impl BundleError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Open { source, path } => match source.kind() {
                io::ErrorKind::NotFound => {
                    Some(format!("make one with: sandboxctl init {} --lang python", path.display()))
                }
                io::ErrorKind::NotADirectory => Some("a bundle is a folder".to_owned()),
                _ => None,
            },
            Self::Packed { .. } => Some("unpack it and give the folder".to_owned()),
            Self::Manifest { source, .. } => match source.kind() {
                io::ErrorKind::NotFound => {
                    Some(format!("a bundle is a folder with a file {MANIFEST} in it"))
                }
                _ if source.raw_os_error() == Some(Errno::ELOOP as i32) => {
                    Some(format!("{MANIFEST} must be a plain file, not a link"))
                }
                _ => None,
            },
        }
    }
}

impl Bundle {
    /// Opens the folder and reads its manifest, beneath it and through no link.
    ///
    /// # Errors
    /// [`BundleError`].
    pub fn open(path: &Path) -> Result<Self, BundleError> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let dir = match nix::fcntl::open(path, flags, Mode::empty()) {
            Ok(dir) => dir,
            Err(Errno::ENOTDIR) if path.extension().is_some_and(|name| name == "sbx") => {
                return Err(BundleError::Packed { path: path.to_owned() });
            }
            Err(errno) => {
                return Err(BundleError::Open { path: path.to_owned(), source: errno.into() });
            }
        };
        let manifest = read_beneath(dir.as_fd(), MANIFEST)
            .map_err(|source| BundleError::Manifest { path: path.join(MANIFEST), source })?;
        Ok(Self { path: path.to_owned(), dir, manifest })
    }

    /// As the user gave it.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the manifest is, for messages.
    #[must_use]
    pub fn manifest_path(&self) -> PathBuf {
        self.path.join(MANIFEST)
    }

    /// The manifest's bytes.
    #[must_use]
    pub fn manifest(&self) -> &[u8] {
        &self.manifest
    }
}

impl AsFd for Bundle {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }
}

/// A regular file directly beneath `dir`, cut after [`READ_AT_MOST`].
fn read_beneath(dir: BorrowedFd<'_>, name: &str) -> io::Result<Vec<u8>> {
    // O_NONBLOCK: a FIFO in its place must not hang us.
    let how = OpenHow::new()
        .flags(OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)
        .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS);
    let fd = openat2(dir, name, how)?;
    let kind = SFlag::from_bits_truncate(fstat(&fd)?.st_mode) & SFlag::S_IFMT;
    if kind != SFlag::S_IFREG {
        return Err(io::Error::other("not a regular file"));
    }
    let mut bytes = Vec::with_capacity(4096);
    File::from(fd).take(READ_AT_MOST).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Entries looked at by [`closed`].
const LOOK_AT_MOST: usize = 5000;

/// What an extension cannot read of its bundle, because only its owner may: the sandbox's user id owns nothing. Looks at
/// a bounded number of entries, and follows no links.
#[must_use]
pub fn closed(path: &Path) -> Vec<PathBuf> {
    let (mut closed, mut folders, mut looked) = (Vec::new(), vec![path.to_owned()], 0);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            looked += 1;
            let Ok(metadata) = entry.metadata() else { continue };
            let needed = if metadata.is_dir() { 0o005 } else { 0o004 };
            if !metadata.is_symlink() && metadata.mode() & needed != needed {
                closed.push(entry.path());
            } else if metadata.is_dir() {
                folders.push(entry.path());
            }
            if looked == LOOK_AT_MOST {
                return closed;
            }
        }
    }
    closed.sort();
    closed
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn folder(name: &str) -> PathBuf {
        let path =
            std::env::temp_dir().join(format!("sandboxctl-bundle-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        path
    }

    #[test]
    fn a_manifest_is_read_beneath_the_folder_only() {
        let path = folder("plain");
        fs::write(path.join(MANIFEST), "x = 1").unwrap();
        assert_eq!(Bundle::open(&path).unwrap().manifest(), b"x = 1");
        fs::remove_file(path.join(MANIFEST)).unwrap();
        symlink("/etc/hostname", path.join(MANIFEST)).unwrap();
        let error = Bundle::open(&path).unwrap_err();
        assert!(error.hint().unwrap().contains("not a link"), "{error}");
        fs::remove_dir_all(path).unwrap();
    }

    #[test]
    fn what_only_the_owner_can_read_is_found() {
        let path = folder("closed");
        fs::create_dir_all(path.join("open/deep")).unwrap();
        fs::write(path.join("open/deep/secret.py"), "").unwrap();
        fs::write(path.join("main.py"), "").unwrap();
        let mode = fs::Permissions::from_mode;
        fs::set_permissions(path.join("main.py"), mode(0o644)).unwrap();
        fs::set_permissions(path.join("open"), mode(0o755)).unwrap();
        fs::set_permissions(path.join("open/deep"), mode(0o755)).unwrap();
        fs::set_permissions(path.join("open/deep/secret.py"), mode(0o640)).unwrap();
        assert_eq!(closed(&path), vec![path.join("open/deep/secret.py")]);
        fs::set_permissions(path.join("open/deep"), mode(0o750)).unwrap();
        assert_eq!(closed(&path), vec![path.join("open/deep")]);
        fs::remove_dir_all(path).unwrap();
    }

    #[test]
    fn what_is_no_bundle_is_refused_with_a_hint() {
        let path = folder("none");
        for (path, hint) in [
            (path.join("absent"), "sandboxctl init"),
            (path.clone(), "extension.toml"),
            (PathBuf::from("/etc/passwd"), "folder"),
        ] {
            let error = Bundle::open(&path).unwrap_err();
            assert!(error.hint().unwrap().contains(hint), "{error}");
        }
        nix::unistd::mkfifo(&path.join(MANIFEST), Mode::from_bits_truncate(0o600)).unwrap();
        assert!(Bundle::open(&path).unwrap_err().to_string().contains("not a regular file"));
        fs::remove_dir_all(path).unwrap();
    }
}
