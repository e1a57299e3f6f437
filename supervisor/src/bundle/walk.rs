//! The names in a folder, looked at without opening a file: what is there, and everything that must not be.

use std::ffi::CStr;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, OpenHow, ResolveFlag, openat2};
use nix::sys::stat::{FileStat, SFlag, fstat, fstatat};
use policies::files::{
    FILE_LIST, FileMode, MAX_FILE_BYTES, MAX_FILES, MAX_TOTAL_BYTES, Paths, SIGNATURE, check_path,
};

use super::fault::{Faults, What};

/// Entries looked at, folders included: a bundle of nothing but folders ends too.
const LOOK_AT_MOST: usize = 2 * MAX_FILES;

/// A regular file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// Relative to the folder.
    pub(super) path: String,
    /// What the owner's permission to execute says.
    pub(super) mode: FileMode,
    /// Bytes.
    pub(super) size: u64,
    /// Whether it is root's and nobody may write to it.
    pub(super) sealed: bool,
}

/// Beneath a folder, through no link, into no other mount.
pub(super) fn beneath(flags: OFlag) -> OpenHow {
    OpenHow::new().flags(flags | OFlag::O_CLOEXEC | OFlag::O_NOCTTY).resolve(
        ResolveFlag::RESOLVE_BENEATH
            | ResolveFlag::RESOLVE_NO_SYMLINKS
            | ResolveFlag::RESOLVE_NO_MAGICLINKS
            | ResolveFlag::RESOLVE_NO_XDEV,
    )
}

/// What is wrong with a file of this kind; `None` for a regular file or a folder.
pub(super) fn kind(stat: &FileStat) -> Option<What> {
    match SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT {
        SFlag::S_IFREG if stat.st_mode & 0o6000 != 0 => Some(What::SetId),
        SFlag::S_IFREG if stat.st_nlink != 1 => Some(What::HardLink { names: stat.st_nlink }),
        SFlag::S_IFREG | SFlag::S_IFDIR => None,
        SFlag::S_IFLNK => Some(What::Symlink),
        SFlag::S_IFIFO => Some(What::Fifo),
        SFlag::S_IFSOCK => Some(What::Socket),
        _ => Some(What::Device),
    }
}

/// Its length; `MAX` where the kernel says something impossible.
pub(super) fn size(stat: &FileStat) -> u64 {
    u64::try_from(stat.st_size).unwrap_or(u64::MAX)
}

/// What the kernel refused.
pub(super) fn refused(errno: Errno) -> What {
    match errno {
        Errno::ELOOP => What::Symlink,
        Errno::EXDEV => What::OtherFilesystem,
        Errno::ENOENT | Errno::ENOTDIR => What::Changed,
        other => What::Read { source: other.into() },
    }
}

/// Looks at everything beneath `root`: the files sorted by path, without the list and its signature.
///
/// # Errors
/// [`Faults`]: links, devices, FIFOs, sockets, set-user-id programs, other file systems, names that a bundle cannot have
/// or that clash, too much of anything.
pub(super) fn walk(root: BorrowedFd<'_>) -> Result<Vec<Found>, Faults> {
    let mut walk =
        Walk { faults: Faults::default(), files: Vec::new(), folders: Vec::new(), looked: 0 };
    match fstat(root) {
        Ok(top) => {
            walk.folders.push(String::new());
            while let Some(folder) = walk.folders.pop() {
                walk.folder(root, &folder, &top);
            }
        }
        Err(errno) => walk.faults.push(".", refused(errno)),
    }
    let Walk { mut faults, mut files, .. } = walk;
    files.sort_by(|a, b| a.path.cmp(&b.path));
    let (mut paths, mut total) = (Paths::new(), 0_u64);
    for file in &files {
        if let Err(error) = paths.add(file.path.as_bytes()) {
            faults.push(&file.path, error.into());
        }
        let before = total;
        total = total.saturating_add(file.size);
        if before <= MAX_TOTAL_BYTES && total > MAX_TOTAL_BYTES {
            faults.push(&file.path, What::TotalTooLarge);
        }
    }
    if let Some(file) = files.get(MAX_FILES) {
        faults.push(&file.path, What::TooManyFiles);
    }
    faults.into_result()?;
    Ok(files)
}

struct Walk {
    faults: Faults,
    files: Vec<Found>,
    folders: Vec<String>,
    looked: usize,
}

impl Walk {
    fn folder(&mut self, root: BorrowedFd<'_>, folder: &str, top: &FileStat) {
        let name = if folder.is_empty() { "." } else { folder };
        let opened = openat2(root, name, beneath(OFlag::O_RDONLY | OFlag::O_DIRECTORY))
            .and_then(Dir::from_fd);
        let mut dir = match opened {
            Ok(dir) => dir,
            Err(errno) => return self.faults.push(name, refused(errno)),
        };
        let mut names = Vec::new();
        for entry in dir.iter() {
            match entry {
                Ok(entry) => names.push(entry.file_name().to_owned()),
                Err(errno) => return self.faults.push(name, refused(errno)),
            }
            if names.len() > LOOK_AT_MOST {
                break;
            }
        }
        for entry in names {
            if matches!(entry.to_bytes(), b"." | b"..") {
                continue;
            }
            self.looked += 1;
            if self.looked > LOOK_AT_MOST {
                self.folders.clear();
                return self.faults.push(name, What::TooManyFiles);
            }
            self.entry(&dir, folder, &entry, top);
        }
    }

    fn entry(&mut self, dir: &Dir, folder: &str, name: &CStr, top: &FileStat) {
        let mut path = folder.as_bytes().to_vec();
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend(name.to_bytes());
        let stat = match fstatat(dir, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(errno) => return self.faults.push(path, refused(errno)),
        };
        if stat.st_dev != top.st_dev {
            return self.faults.push(path, What::OtherFilesystem);
        }
        if let Some(what) = kind(&stat) {
            return self.faults.push(path, what);
        }
        let text = match check_path(&path) {
            Ok(text) => text.to_owned(),
            Err(error) => return self.faults.push(path, error.into()),
        };
        if stat.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFDIR.bits() {
            self.folders.push(text);
        } else if text != FILE_LIST && text != SIGNATURE {
            if size(&stat) > MAX_FILE_BYTES {
                return self.faults.push(path, What::FileTooLarge);
            }
            let mode =
                if stat.st_mode & 0o100 == 0 { FileMode::Plain } else { FileMode::Executable };
            let sealed = stat.st_uid == 0 && stat.st_mode & 0o222 == 0;
            self.files.push(Found { path: text, mode, size: size(&stat), sealed });
        }
    }
}

/// Opens a regular file that has one name, without waiting for anybody.
pub(super) fn open_file(root: BorrowedFd<'_>, path: &str) -> Result<(OwnedFd, FileStat), What> {
    // O_NONBLOCK: what was a file a moment ago may be a FIFO now.
    let fd = openat2(root, path, beneath(OFlag::O_RDONLY | OFlag::O_NONBLOCK)).map_err(refused)?;
    let stat = fstat(&fd).map_err(refused)?;
    match kind(&stat) {
        Some(what) => Err(what),
        None if stat.st_mode & SFlag::S_IFMT.bits() != SFlag::S_IFREG.bits() => {
            Err(What::Read { source: io::Error::from(Errno::EISDIR) })
        }
        None => Ok((fd, stat)),
    }
}
