//! Files and mounts.

use shim::wire::Str;

use super::call::{int, long, small, syscall, word};
use super::{Errno, Result, nr};

const AT_FDCWD: i32 = -100;
const AT_EMPTY_PATH: u32 = 0x1000;
const AT_RECURSIVE: u32 = 0x8000;
const OPEN_TREE_CLONE: u32 = 1;
const OPEN_TREE_CLOEXEC: u32 = 0o2_000_000;
const MOVE_MOUNT_F_EMPTY_PATH: u32 = 4;

/// From fcntl.h.
pub(crate) const O_RDONLY: i32 = 0;
pub(crate) const O_WRONLY: i32 = 1;
pub(crate) const O_CREAT_EXCL: i32 = 0o300;
pub(crate) const O_DIRECTORY: i32 = 0o200_000;
pub(crate) const O_CLOEXEC: i32 = 0o2_000_000;
pub(crate) const O_PATH: i32 = 0o10_000_000;

/// From linux/mount.h: flags of mount(2).
pub(crate) const MS_RDONLY: usize = 1;
pub(crate) const MS_NOSUID: usize = 2;
pub(crate) const MS_NODEV: usize = 4;
pub(crate) const MS_NOEXEC: usize = 8;
pub(crate) const MS_REMOUNT: usize = 32;
pub(crate) const MS_NOATIME: usize = 1024;
pub(crate) const MS_BIND: usize = 4096;
pub(crate) const MS_REC: usize = 16384;
pub(crate) const MS_PRIVATE: usize = 1 << 18;

/// From linux/mount.h: attributes of mount_setattr(2).
pub(crate) const MOUNT_ATTR_RDONLY: u64 = 1;
pub(crate) const MOUNT_ATTR_NOSUID: u64 = 2;
pub(crate) const MOUNT_ATTR_NODEV: u64 = 4;
pub(crate) const MOUNT_ATTR_NOEXEC: u64 = 8;

/// From linux/stat.h.
pub(crate) const S_IFREG: u32 = 0o100_000;
pub(crate) const S_IFCHR: u32 = 0o020_000;

/// A path with its NUL: from a plan or from the shim's own text.
#[derive(Clone, Copy)]
pub(crate) struct Path<'a>(&'a [u8]);

impl<'a> Path<'a> {
    /// From text in the program; it must end in NUL.
    pub(crate) const fn fixed(text: &'a core::ffi::CStr) -> Self {
        Self(text.to_bytes_with_nul())
    }

    /// The bytes without the NUL, for messages.
    pub(crate) fn bytes(self) -> &'a [u8] {
        self.0.split_last().map_or(&[], |(_, text)| text)
    }

    pub(super) fn addr(self) -> usize {
        self.0.as_ptr().addr()
    }
}

impl<'a> From<Str<'a>> for Path<'a> {
    fn from(text: Str<'a>) -> Self {
        Self(text.with_nul())
    }
}

/// open(2).
pub(crate) fn open(path: Path<'_>, flags: i32, mode: u32) -> Result<i32> {
    // SAFETY: a Path ends in NUL and outlives the call.
    unsafe { syscall(nr::OPEN, [path.addr(), int(flags), word(mode), 0, 0, 0]) }.map(small)
}

/// close(2). Linux frees the descriptor whatever it returns, so there is nothing to tell.
pub(crate) fn close(fd: i32) {
    // SAFETY: no pointers; the shim uses every descriptor by number and never after closing it.
    let closed = unsafe { syscall(nr::CLOSE, [int(fd), 0, 0, 0, 0, 0]) };
    debug_assert!(closed.is_ok());
}

/// write(2), all of it or an error.
pub(crate) fn write(fd: i32, bytes: &[u8]) -> Result<()> {
    // SAFETY: the slice is valid for its length.
    let n = unsafe { syscall(nr::WRITE, [int(fd), bytes.as_ptr().addr(), bytes.len(), 0, 0, 0]) }?;
    if n == bytes.len() { Ok(()) } else { Err(Errno::EINVAL) }
}

/// read(2), once.
pub(crate) fn read(fd: i32, buffer: &mut [u8]) -> Result<usize> {
    let (at, length) = (buffer.as_mut_ptr().expose_provenance(), buffer.len());
    // SAFETY: the slice is valid and exclusively borrowed for its length.
    unsafe { syscall(nr::READ, [int(fd), at, length, 0, 0, 0]) }
}

/// Opens `path`, writes `bytes`, closes.
pub(crate) fn write_file(path: Path<'_>, flags: i32, mode: u32, bytes: &[u8]) -> Result<()> {
    let fd = open(path, flags | O_CLOEXEC, mode)?;
    let written = write(fd, bytes);
    close(fd);
    written
}

/// mkdir(2).
pub(crate) fn mkdir(path: Path<'_>, mode: u32) -> Result<()> {
    // SAFETY: a Path ends in NUL and outlives the call.
    unsafe { syscall(nr::MKDIR, [path.addr(), word(mode), 0, 0, 0, 0]) }.map(drop)
}

/// mknod(2) with the device number of makedev(3); 0 for a regular file.
pub(crate) fn mknod(path: Path<'_>, mode: u32, major: u32, minor: u32) -> Result<()> {
    let device = u64::from(minor & 0xff) | u64::from(major) << 8 | u64::from(minor >> 8) << 20;
    // SAFETY: a Path ends in NUL and outlives the call.
    unsafe { syscall(nr::MKNOD, [path.addr(), word(mode), long(device), 0, 0, 0]) }.map(drop)
}

/// symlink(2).
pub(crate) fn symlink(to: Path<'_>, path: Path<'_>) -> Result<()> {
    // SAFETY: both Paths end in NUL and outlive the call.
    unsafe { syscall(nr::SYMLINK, [to.addr(), path.addr(), 0, 0, 0, 0]) }.map(drop)
}

/// chdir(2).
pub(crate) fn chdir(path: Path<'_>) -> Result<()> {
    // SAFETY: a Path ends in NUL and outlives the call.
    unsafe { syscall(nr::CHDIR, [path.addr(), 0, 0, 0, 0, 0]) }.map(drop)
}

/// umask(2), which cannot fail.
pub(crate) fn umask(mask: u32) -> Result<()> {
    // SAFETY: no pointers.
    unsafe { syscall(nr::UMASK, [word(mask), 0, 0, 0, 0, 0]) }.map(drop)
}

/// mount(2). Empty paths stand for null pointers.
pub(crate) fn mount(
    source: Option<Path<'_>>,
    target: Path<'_>,
    kind: Option<Path<'_>>,
    flags: usize,
    options: Option<Path<'_>>,
) -> Result<()> {
    let addr = |path: Option<Path<'_>>| path.map_or(0, Path::addr);
    // SAFETY: each Path ends in NUL and outlives the call; null is allowed where the kernel ignores the argument.
    unsafe {
        syscall(nr::MOUNT, [addr(source), target.addr(), addr(kind), flags, addr(options), 0])
    }
    .map(drop)
}

/// umount2(2) with `MNT_DETACH`.
pub(crate) fn detach(path: Path<'_>) -> Result<()> {
    const MNT_DETACH: i32 = 2;
    // SAFETY: a Path ends in NUL and outlives the call.
    unsafe { syscall(nr::UMOUNT2, [path.addr(), int(MNT_DETACH), 0, 0, 0, 0]) }.map(drop)
}

/// pivot_root(2).
pub(crate) fn pivot_root(new: Path<'_>, old: Path<'_>) -> Result<()> {
    // SAFETY: both Paths end in NUL and outlive the call.
    unsafe { syscall(nr::PIVOT_ROOT, [new.addr(), old.addr(), 0, 0, 0, 0]) }.map(drop)
}

/// A detached copy of a mount tree, submounts included; open_tree(2).
pub(crate) fn open_tree(path: Path<'_>) -> Result<i32> {
    let flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE;
    // SAFETY: a Path ends in NUL and outlives the call.
    unsafe { syscall(nr::OPEN_TREE, [int(AT_FDCWD), path.addr(), word(flags), 0, 0, 0]) }.map(small)
}

/// Sets attributes on the mount that `fd` refers to, submounts included; mount_setattr(2).
pub(crate) fn mount_setattr(fd: i32, set: u64) -> Result<()> {
    let attr = [set, 0, 0, 0];
    // SAFETY: the path is an empty string, and `attr` has the layout and size of struct mount_attr.
    unsafe {
        syscall(
            nr::MOUNT_SETATTR,
            [
                int(fd),
                Path::fixed(c"").addr(),
                word(AT_EMPTY_PATH | AT_RECURSIVE),
                attr.as_ptr().expose_provenance(),
                size_of_val(&attr),
                0,
            ],
        )
    }
    .map(drop)
}

/// Attaches a detached mount at `path`; move_mount(2).
pub(crate) fn move_mount(fd: i32, path: Path<'_>) -> Result<()> {
    // SAFETY: both strings end in NUL and outlive the call.
    unsafe {
        syscall(
            nr::MOVE_MOUNT,
            [
                int(fd),
                Path::fixed(c"").addr(),
                int(AT_FDCWD),
                path.addr(),
                word(MOVE_MOUNT_F_EMPTY_PATH),
                0,
            ],
        )
    }
    .map(drop)
}
