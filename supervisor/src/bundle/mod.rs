//! A bundle: opened once, and used through that descriptor from then on.
//!
//! Its bytes come as a folder, as an archive ([`archive`]), or from the store ([`store`]), where everything that has a
//! list ([`listed`]) is copied to and run from. What is wrong with the files is a [`fault`].

pub mod archive;
mod content;
pub mod digest;
mod error;
pub mod fault;
pub mod listed;
#[cfg(not(fuzzing))]
pub mod pack;
pub mod store;
mod walk;

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use nix::sys::stat::{Mode, SFlag, fstat};
use policies::digest::Digest;
use policies::files::{Entry, FileList, ListHead};
use policies::manifest::Manifest;

use archive::Sink;
pub use error::BundleError;
use listed::{FilesError, Listed, Statement};
use store::{IngestError, Source, Store, StoreError, Stored};

/// The manifest's name in every bundle.
pub const MANIFEST: &str = "extension.toml";

/// Read at most; the parser refuses earlier, with a message that says where.
const READ_AT_MOST: u64 = 1 << 20;

/// What stands before the digest of a bundle in the store, where a path could stand.
const BY_DIGEST: &str = "sha256:";

/// A bundle that is open.
#[derive(Debug)]
pub struct Bundle {
    path: PathBuf,
    files: Files,
    manifest: Vec<u8>,
}

/// Where its files are.
#[derive(Debug)]
enum Files {
    /// In a folder of its author's, as they are at any moment.
    Folder(OwnedFd),
    /// In the store, as they were verified.
    Stored(Box<Stored>),
    /// Wherever they were compared with their list; nothing can be run from there.
    Inspected(Box<Statement>),
}

/// What a bundle is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To run it: what has a list goes into the store, which takes root.
    Run,
    /// To look at it: nothing is written.
    Look,
}

impl Bundle {
    /// Opens a bundle: a folder, an `.sbx`, or `sha256:DIGEST` for one in the store.
    ///
    /// A folder without `MANIFEST` is used as it is. Everything else is compared with its list to the last byte, and, to
    /// be run, is run from the store: what is compared is what is copied there.
    ///
    /// # Errors
    /// [`BundleError`].
    pub fn open(path: &Path, state: &Path, purpose: Purpose) -> Result<Self, BundleError> {
        if let Some(digest) = path.to_str().and_then(|text| text.strip_prefix(BY_DIGEST)) {
            return Self::stored(path, digest, state);
        }
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let refused = |source| BundleError::Refused { path: path.to_owned(), source };
        let source = match nix::fcntl::open(path, flags, Mode::empty()) {
            Ok(dir) => {
                let listed = Listed::read(dir.as_fd()).map_err(|error| refused(error.into()))?;
                if listed.is_none() {
                    let manifest = read_beneath(dir.as_fd(), MANIFEST);
                    return Self::new(path, Files::Folder(dir), manifest);
                }
                Source::Folder(dir)
            }
            Err(Errno::ENOTDIR) => Source::open(path).map_err(opening(path))?,
            Err(errno) => return Err(opening(path)(errno.into())),
        };
        match purpose {
            Purpose::Run => {
                let stored = Store::open(state).map_err(|error| refused(error.into()))?;
                let stored = stored.ingest(&source).map_err(refused)?;
                let manifest = read_beneath(stored.as_fd(), MANIFEST);
                Self::new(path, Files::Stored(Box::new(stored)), manifest)
            }
            Purpose::Look => {
                let mut capture = Capture::default();
                let listed = source.inspect(&mut capture).map_err(refused)?;
                let manifest = match &source {
                    Source::Folder(dir) => read_beneath(dir.as_fd(), MANIFEST),
                    Source::Archive(_) => capture.taken(),
                };
                Self::new(path, Files::Inspected(Box::new(listed.statement)), manifest)
            }
        }
    }

    fn stored(path: &Path, digest: &str, state: &Path) -> Result<Self, BundleError> {
        let store = |source: StoreError| BundleError::Refused {
            path: path.to_owned(),
            source: IngestError::Store(source),
        };
        let not_stored = || BundleError::NotStored { path: path.to_owned() };
        let digest: Digest = digest.parse().map_err(|_| not_stored())?;
        let found = Store::open(state).and_then(|store| store.get(&digest)).map_err(store)?;
        let stored = found.ok_or_else(not_stored)?;
        let manifest = read_beneath(stored.as_fd(), MANIFEST);
        Self::new(path, Files::Stored(Box::new(stored)), manifest)
    }

    fn new(path: &Path, files: Files, manifest: io::Result<Vec<u8>>) -> Result<Self, BundleError> {
        let path = path.to_owned();
        match manifest {
            Ok(manifest) => Ok(Self { path, files, manifest }),
            Err(source) => Err(BundleError::Manifest { path: path.join(MANIFEST), source }),
        }
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

    /// Its list, with which every file was compared, and the signature; `None` for a folder without a list, about which
    /// nothing is known.
    #[must_use]
    pub fn statement(&self) -> Option<&Statement> {
        match &self.files {
            Files::Folder(_) => None,
            Files::Stored(stored) => Some(&stored.statement),
            Files::Inspected(statement) => Some(statement),
        }
    }

    /// The same with a list: one is made of the files where there is none, and, to be run, they are copied to the store.
    ///
    /// # Errors
    /// [`BundleError::Refused`].
    pub fn with_list(
        self,
        manifest: &Manifest,
        state: &Path,
        purpose: Purpose,
    ) -> Result<Self, BundleError> {
        let Self { path, files: Files::Folder(dir), .. } = self else { return Ok(self) };
        let refused = |source| BundleError::Refused { path: path.clone(), source };
        let list = listed::scan(dir.as_fd(), &manifest.id, &manifest.version)
            .map_err(|error| refused(error.into()))?;
        let listed = Listed::new(list.render(), None)
            .map_err(|error| refused(FilesError::from(error).into()))?;
        match purpose {
            Purpose::Look => {
                let read = read_beneath(dir.as_fd(), MANIFEST);
                Self::new(&path, Files::Inspected(Box::new(listed.statement)), read)
            }
            Purpose::Run => {
                let stored = Store::open(state)
                    .map_err(IngestError::from)
                    .and_then(|store| store.ingest_listed(&dir, &listed))
                    .map_err(refused)?;
                // Of the copy: whoever changed the folder meanwhile has changed nothing here.
                let read = read_beneath(stored.as_fd(), MANIFEST);
                Self::new(&path, Files::Stored(Box::new(stored)), read)
            }
        }
    }

    /// A file at its top; none where there is none.
    ///
    /// # Errors
    /// The errno; `EINVAL` of what was opened to be looked at.
    pub fn read(&self, name: &str, most: usize) -> io::Result<Option<Vec<u8>>> {
        let dir = self.dir().map_err(|_| io::Error::from(Errno::EINVAL))?;
        let most = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
        match read_at_most(dir, name, most) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            result => result.map(Some),
        }
    }

    /// Checks that the list, if it has one, is of the extension that the manifest describes.
    ///
    /// # Errors
    /// [`BundleError::OtherIdentity`].
    pub fn check_identity(&self, manifest: &Manifest) -> Result<(), BundleError> {
        self.statement()
            .map_or(Ok(()), |statement| check_identity(&self.path, &statement.head, manifest))
    }

    /// The folder to run.
    ///
    /// # Errors
    /// [`BundleError::OnlyInspected`] for what was opened to be looked at.
    pub fn dir(&self) -> Result<BorrowedFd<'_>, BundleError> {
        match &self.files {
            Files::Folder(dir) => Ok(dir.as_fd()),
            Files::Stored(stored) => Ok(stored.as_fd()),
            Files::Inspected(_) => Err(BundleError::OnlyInspected { path: self.path.clone() }),
        }
    }
}

/// Opens a bundle's folder and reads its manifest; nothing is compared with a list.
///
/// # Errors
/// [`BundleError`].
pub fn open_folder(path: &Path) -> Result<(OwnedFd, Vec<u8>), BundleError> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let dir = nix::fcntl::open(path, flags, Mode::empty())
        .map_err(|errno| BundleError::Open { path: path.to_owned(), source: errno.into() })?;
    let manifest = read_beneath(dir.as_fd(), MANIFEST)
        .map_err(|source| BundleError::Manifest { path: path.join(MANIFEST), source })?;
    Ok((dir, manifest))
}

/// A signed list must not pass under another name or version than it was signed for.
fn check_identity(path: &Path, head: &ListHead, manifest: &Manifest) -> Result<(), BundleError> {
    if head.id() == manifest.id && *head.version() == manifest.version {
        return Ok(());
    }
    Err(BundleError::OtherIdentity {
        path: path.to_owned(),
        listed: format!("{} {}", head.id(), head.version()),
        claimed: format!("{} {}", manifest.id, manifest.version),
    })
}

fn opening(path: &Path) -> impl FnOnce(io::Error) -> BundleError {
    let path = path.to_owned();
    move |source| BundleError::Open { path, source }
}

/// Keeps the manifest of an archive that is read.
#[derive(Default)]
struct Capture {
    bytes: Option<Vec<u8>>,
    now: bool,
}

impl Capture {
    fn taken(self) -> io::Result<Vec<u8>> {
        self.bytes.ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Sink for Capture {
    fn listed(&mut self, _: &Digest, _: &FileList) -> io::Result<()> {
        Ok(())
    }

    fn begin(&mut self, entry: &Entry) -> io::Result<()> {
        self.now = entry.path == MANIFEST;
        if self.now {
            self.bytes = Some(Vec::new());
        }
        Ok(())
    }

    fn write(&mut self, piece: &[u8]) -> io::Result<()> {
        if let Some(bytes) = self.bytes.as_mut().filter(|_| self.now) {
            let most = usize::try_from(READ_AT_MOST).unwrap_or(usize::MAX);
            let room = most.saturating_sub(bytes.len()).min(piece.len());
            bytes.extend(piece.iter().take(room));
        }
        Ok(())
    }
}

/// A regular file directly beneath `dir`, cut after [`READ_AT_MOST`].
fn read_beneath(dir: BorrowedFd<'_>, name: &str) -> io::Result<Vec<u8>> {
    read_at_most(dir, name, READ_AT_MOST)
}

fn read_at_most(dir: BorrowedFd<'_>, name: &str, most: u64) -> io::Result<Vec<u8>> {
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
    File::from(fd).take(most).read_to_end(&mut bytes)?;
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

    fn open(path: &Path) -> Result<Bundle, BundleError> {
        Bundle::open(path, Path::new("/nonexistent"), Purpose::Look)
    }

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
        assert_eq!(open(&path).unwrap().manifest(), b"x = 1");
        fs::remove_file(path.join(MANIFEST)).unwrap();
        symlink("/etc/hostname", path.join(MANIFEST)).unwrap();
        let error = open(&path).unwrap_err();
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
            (path.join("absent.sbx"), "sandboxctl pack DIR"),
            (PathBuf::from("acme.absent"), "sandboxctl ext list"),
            (path.clone(), "extension.toml"),
            (PathBuf::from("/etc/passwd"), "folder"),
        ] {
            let error = open(&path).unwrap_err();
            assert!(error.hint().unwrap().contains(hint), "{error}");
        }
        nix::unistd::mkfifo(&path.join(MANIFEST), Mode::from_bits_truncate(0o600)).unwrap();
        assert!(open(&path).unwrap_err().to_string().contains("not a regular file"));
        fs::remove_dir_all(path).unwrap();
    }
}
