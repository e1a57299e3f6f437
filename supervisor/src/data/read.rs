//! What the operator reads of an extension's data. A hostile extension wrote it: no link is followed, nothing but regular
//! files is opened, and no name reaches a terminal as it is.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::fcntl::{AtFlags, OFlag, OpenHow, ResolveFlag, openat2};
use nix::sys::stat::{FileStat, SFlag, fstat, fstatat};
use serde::Serialize;

use super::{DataError, Place, image, lock, mount};

/// A directory of a hostile extension can hold millions.
const MOST_ENTRIES: usize = 65_536;

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link, not followed.
    Symlink,
    /// A device, FIFO or socket.
    Other,
}

/// One entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Its name, with everything but printable ASCII and letters escaped as Rust does.
    pub name: String,
    /// What it is.
    pub kind: EntryKind,
    /// Size in bytes.
    pub size: u64,
    /// Last change of its content, in seconds since 1970.
    pub modified: i64,
}

/// A directory, sorted by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Listing {
    /// The entries, or the file itself if a file was asked for.
    pub entries: Vec<Entry>,
    /// Whether there were more than are listed.
    pub truncated: bool,
}

/// Lists a directory in the data of an extension; `path` is relative to `/data`, or starts with it.
pub fn list(state_dir: &Path, id: &str, path: &str) -> Result<Listing, DataError> {
    let data = Data::open(state_dir, id)?;
    let found = data.find(path, OFlag::O_PATH)?;
    let stat = fstat(&found).map_err(|errno| data.error("read", path, errno.into()))?;
    if kind(&stat) != EntryKind::Directory {
        let name = Path::new(path).file_name().unwrap_or_default();
        return Ok(Listing { entries: vec![entry(name.as_bytes(), &stat)], truncated: false });
    }
    let directory = data.find(path, OFlag::O_RDONLY | OFlag::O_DIRECTORY)?;
    let failed = |source| data.error("list", path, source);
    let mut listing = Listing { entries: Vec::new(), truncated: false };
    for item in fs::read_dir(format!("/proc/self/fd/{}", directory.as_raw_fd())).map_err(failed)? {
        if listing.entries.len() == MOST_ENTRIES {
            listing.truncated = true;
            break;
        }
        let name = item.map_err(failed)?.file_name();
        let stat = fstatat(&directory, &*name, AtFlags::AT_SYMLINK_NOFOLLOW)
            .map_err(|errno| failed(errno.into()))?;
        listing.entries.push(entry(name.as_bytes(), &stat));
    }
    listing.entries.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(listing)
}

/// Writes a file of the data to `writer`; returns its length in bytes.
pub fn get(
    state_dir: &Path,
    id: &str,
    path: &str,
    writer: &mut dyn Write,
) -> Result<u64, DataError> {
    let data = Data::open(state_dir, id)?;
    // Not even a FIFO is waited for.
    let found = data.find(path, OFlag::O_RDONLY | OFlag::O_NONBLOCK)?;
    let refused =
        |reason| Err(DataError::Refused { path: path.to_owned(), id: data.id.clone(), reason });
    let stat = fstat(&found).map_err(|errno| data.error("read", path, errno.into()))?;
    match kind(&stat) {
        EntryKind::File => {}
        EntryKind::Directory => return refused("it is a directory"),
        EntryKind::Symlink | EntryKind::Other => return refused("it is not a regular file"),
    }
    let size = u64::try_from(stat.st_size).unwrap_or(u64::MAX);
    if size > data.capacity {
        return refused("it is sparse, and larger than the disk it lies on");
    }
    let mut file = File::from(found);
    let mut buffer = vec![0_u8; 128 << 10];
    let mut copied = 0_u64;
    loop {
        let read = match file.read(&mut buffer) {
            Ok(0) => return Ok(copied),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(source) => return Err(data.error("read", path, source)),
        };
        let chunk = buffer.get(..read).unwrap_or_default();
        writer.write_all(chunk).map_err(|source| DataError::Output { source })?;
        copied = copied.saturating_add(u64::try_from(read).unwrap_or(u64::MAX));
    }
}

/// An extension's data, mounted read-only.
struct Data {
    id: String,
    // In this order: the mount goes before the lock.
    mount: OwnedFd,
    capacity: u64,
    _lock: lock::Lock,
}

impl Data {
    fn open(state_dir: &Path, id: &str) -> Result<Self, DataError> {
        let place = Place::new(state_dir, id)?;
        let absent = || DataError::Absent { id: id.to_owned() };
        if !place.image.exists() {
            return Err(absent());
        }
        let lock = lock::Lock::take(&place, None)?;
        let image = image::open(&place.image, false)?.ok_or_else(absent)?;
        lock::hold(&place, &image)?;
        let capacity =
            image.metadata().map_err(DataError::file("read the size of", &place.image))?;
        let mount = mount(&place.image, &image, true)?;
        Ok(Self { id: place.id, mount, capacity: capacity.len(), _lock: lock })
    }

    /// Opens a path beneath the root of the data, never through a link and never out of it.
    fn find(&self, path: &str, flags: OFlag) -> Result<OwnedFd, DataError> {
        let beneath =
            path.strip_prefix("/data").filter(|rest| rest.is_empty() || rest.starts_with('/'));
        let relative = beneath.unwrap_or(path).trim_start_matches('/');
        let relative = if relative.is_empty() { "." } else { relative };
        let how = OpenHow::new().flags(flags | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW).resolve(
            ResolveFlag::RESOLVE_BENEATH
                | ResolveFlag::RESOLVE_NO_SYMLINKS
                | ResolveFlag::RESOLVE_NO_MAGICLINKS
                | ResolveFlag::RESOLVE_NO_XDEV,
        );
        openat2(&self.mount, relative, how).map_err(|errno| self.error("open", path, errno.into()))
    }

    fn error(&self, step: &'static str, path: &str, source: io::Error) -> DataError {
        DataError::Inside { step, path: path.to_owned(), id: self.id.clone(), source }
    }
}

fn kind(stat: &FileStat) -> EntryKind {
    match SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT {
        SFlag::S_IFREG => EntryKind::File,
        SFlag::S_IFDIR => EntryKind::Directory,
        SFlag::S_IFLNK => EntryKind::Symlink,
        _ => EntryKind::Other,
    }
}

fn entry(name: &[u8], stat: &FileStat) -> Entry {
    Entry {
        name: printable(name),
        kind: kind(stat),
        size: u64::try_from(stat.st_size).unwrap_or(0),
        modified: stat.st_mtime,
    }
}

/// A name that a terminal cannot be steered by: control characters, and those that reorder or hide text, escaped.
fn printable(name: &[u8]) -> String {
    let mut text = String::new();
    for chunk in name.utf8_chunks() {
        for letter in chunk.valid().chars() {
            if letter == '\\'
                || !(letter.is_ascii_graphic() || letter == ' ' || letter.is_alphanumeric())
            {
                text.extend(letter.escape_default());
            } else {
                text.push(letter);
            }
        }
        for byte in chunk.invalid() {
            text.extend(std::ascii::escape_default(*byte).map(char::from));
        }
    }
    text
}
