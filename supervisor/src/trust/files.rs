//! Small files of the operator's: read only where nobody else could have written them, written whole or not at all.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::libc::{O_NOFOLLOW, O_NONBLOCK};
use nix::sys::stat::{Mode, fstat};

/// Reads a file of at most `most` bytes that only root or this user can write.
pub(super) fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    // O_NONBLOCK: a FIFO in its place must not hang us.
    let file = OpenOptions::new().read(true).custom_flags(O_NOFOLLOW | O_NONBLOCK).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    guarded(metadata.uid(), metadata.mode())?;
    if metadata.len() > most {
        return Err(io::Error::other(format!(
            "it has {} bytes, and {most} are the most",
            metadata.len()
        )));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(0) + 1);
    file.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Names in a folder that only root or this user can write, sorted; none if the folder is not there. Names that begin with
/// a dot are what an interrupted write has left.
pub(super) fn list(path: &Path) -> io::Result<Vec<PathBuf>> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let mut folder = match Dir::open(path, flags, Mode::empty()) {
        Ok(folder) => folder,
        Err(Errno::ENOENT) => return Ok(Vec::new()),
        Err(errno) => return Err(errno.into()),
    };
    let stat = fstat(&folder)?;
    guarded(stat.st_uid, stat.st_mode)?;
    let mut paths = Vec::new();
    for entry in folder.iter() {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if !name.starts_with(b".") {
            paths.push(path.join(OsStr::from_bytes(name)));
        }
    }
    paths.sort();
    Ok(paths)
}

fn guarded(owner: u32, mode: u32) -> io::Result<()> {
    let mode = mode & 0o7777;
    if owner != 0 && owner != nix::unistd::geteuid().as_raw() {
        return Err(io::Error::other(format!("it belongs to user {owner}, not to root")));
    }
    if mode & 0o022 != 0 {
        return Err(io::Error::other(format!("its mode is {mode:04o}: others can write it")));
    }
    Ok(())
}

/// Writes a file so that a reader, and whoever comes after a crash, finds the old content or the new.
pub(super) fn write(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = path.with_file_name(format!(".{name}.{}", std::process::id()));
    let write = || {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(mode)
            .custom_flags(O_NOFOLLOW)
            .open(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    };
    if let Err(error) = write() {
        // The first error says more than one of cleaning up.
        fs::remove_file(&temporary).unwrap_or_default();
        return Err(error);
    }
    sync_folder(path)
}

/// Removes a file for good.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    fs::remove_file(path)?;
    sync_folder(path)
}

/// Makes the name of a file last.
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => File::open(folder)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}

/// A folder that everybody may read and only its owner may write, with its parents.
pub(super) fn folder(path: &Path, mode: u32) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(mode).create(path)
}
