//! A bundle under construction: a locked folder in the store that becomes the bundle by its name alone.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, RenameFlags, openat2, renameat2};
use nix::sys::stat::{Mode, fchmod, mkdirat};
use nix::unistd::{fsync, syncfs};
use policies::files::{Entry, FILE_LIST, FileList, FileMode, SIGNATURE};

use super::{SEALED_DIR, Store, StoreError, UNFINISHED, step, step_io};
use crate::bundle::listed::{Copies, Listed};
use crate::bundle::walk::beneath;

/// Numbers that one process tries for a folder's name.
const TRIES: u32 = 100;

/// Removed when it is dropped, unless it became a bundle.
#[derive(Debug)]
pub(super) struct Staging<'s> {
    store: &'s Store,
    name: String,
    path: PathBuf,
    dir: File,
    renamed: bool,
}

impl<'s> Staging<'s> {
    /// Makes an empty folder that `gc` leaves alone as long as this process lives.
    pub(super) fn new(store: &'s Store) -> Result<Self, StoreError> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        for _ in 0..TRIES {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let name = format!("{UNFINISHED}{}-{number}", std::process::id());
            let path = store.path.join(&name);
            match mkdirat(&store.dir, name.as_str(), Mode::S_IRWXU) {
                Ok(()) => {}
                // Of a process with the same number that was killed.
                Err(Errno::EEXIST) => continue,
                Err(errno) => return Err(step("create", &path)(errno)),
            }
            let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY;
            let dir = match openat2(&store.dir, name.as_str(), beneath(flags)) {
                Ok(dir) => File::from(dir),
                Err(Errno::ENOENT) => continue,
                Err(errno) => return Err(step("open", &path)(errno)),
            };
            // `gc` may have seen the folder before it was locked; then it is gone, and so is its name.
            dir.lock().map_err(step_io("lock", &path))?;
            if store.is_named(&dir, &name)? {
                return Ok(Self { store, name, path, dir, renamed: false });
            }
        }
        Err(step("create", &store.path)(Errno::EEXIST))
    }

    /// Makes the folders of the files.
    pub(super) fn folders(&self, list: &FileList) -> io::Result<()> {
        for folder in list.folders() {
            mkdirat(&self.dir, folder, Mode::S_IRWXU)?;
        }
        Ok(())
    }

    /// A new file, read-only for everybody but this descriptor.
    pub(super) fn file(&self, path: &str, mode: FileMode) -> io::Result<File> {
        let how: OpenHow = beneath(OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL);
        let file = File::from(openat2(&self.dir, path, how.mode(Mode::S_IRUSR))?);
        // Past the umask.
        fchmod(&file, Mode::from_bits_truncate(sealed_mode(mode)))?;
        Ok(file)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let written = self.file(name, FileMode::Plain).and_then(|mut file| file.write_all(bytes));
        written.map_err(step_io("write", &self.path.join(name)))
    }

    /// Adds list and signature, seals the folders, writes all to disk and gives it its name; dropped, where somebody else
    /// was faster.
    pub(super) fn finish(mut self, listed: &Listed) -> Result<(), StoreError> {
        self.write(FILE_LIST, listed.statement.text.bytes())?;
        if let Some(p7s) = &listed.statement.p7s {
            self.write(SIGNATURE, p7s)?;
        }
        let sealed = Mode::from_bits_truncate(SEALED_DIR);
        for folder in listed.list.folders() {
            let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY;
            let done =
                openat2(&self.dir, folder, beneath(flags)).and_then(|dir| fchmod(dir, sealed));
            done.map_err(step("seal", &self.path.join(folder)))?;
        }
        fchmod(&self.dir, sealed).map_err(step("seal", &self.path))?;
        syncfs(&self.dir).map_err(step("write to disk", &self.path))?;
        let name = listed.digest().to_string();
        let (from, to) = (self.name.as_str(), name.as_str());
        let dir = &self.store.dir;
        match renameat2(dir, from, dir, to, RenameFlags::RENAME_NOREPLACE) {
            Ok(()) => self.renamed = true,
            Err(Errno::EEXIST | Errno::ENOTEMPTY) => return Ok(()),
            Err(errno) => return Err(step("rename", &self.path)(errno)),
        }
        fsync(dir).map_err(step("write to disk", &self.store.path))
    }
}

/// The permissions of a file in the store.
const fn sealed_mode(mode: FileMode) -> u32 {
    match mode {
        FileMode::Plain => 0o444,
        FileMode::Executable => 0o555,
    }
}

impl AsFd for Staging<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }
}

impl Copies for Staging<'_> {
    fn create(&self, entry: &Entry) -> io::Result<Option<File>> {
        self.file(&entry.path, entry.mode).map(Some)
    }
}

impl Drop for Staging<'_> {
    fn drop(&mut self) {
        // Once it was renamed, somebody else may have its name.
        if !self.renamed
            && let Err(error) = fs::remove_dir_all(&self.path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(path = %self.path.display(), %error, "stays until store gc");
        }
    }
}

impl Store {
    /// Puts a signature beside a stored list that has none, or in place of another one. Whether it is good is the
    /// caller's business; it changes no file of the bundle.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn put_signature(&self, stored: &mut super::Stored, p7s: &[u8]) -> Result<(), StoreError> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{UNFINISHED}sig-{}-{number}", std::process::id());
        let path = self.path.join(&name);
        let written = File::options()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW)
            .open(&path)
            .and_then(|mut file| {
                file.lock()?;
                file.write_all(p7s)?;
                file.set_permissions(fs::Permissions::from_mode(0o444))?;
                file.sync_all()
            });
        written.map_err(step_io("write", &path))?;
        renameat2(&self.dir, name.as_str(), stored.as_fd(), SIGNATURE, RenameFlags::empty())
            .and_then(|()| fsync(stored.as_fd()))
            .map_err(step("rename", &path))?;
        stored.statement.p7s = Some(p7s.to_vec());
        Ok(())
    }
}
