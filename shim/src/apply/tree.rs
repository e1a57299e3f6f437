//! The file tree, built relative to the staging directory before the pivot.

use shim::step::Step;
use shim::wire::{Malformed, Reader, bind, tree};

use super::cgroups::plan_fd;
use crate::failure::{At, Failure};
use crate::sys::fs::{self, Path};
use crate::sys::{Errno, Result as SysResult};

const FIXED: u64 = fs::MOUNT_ATTR_NOSUID | fs::MOUNT_ATTR_NODEV;

/// Carries out every operation. Paths are relative (`usr/bin`), so they fall below the staging directory.
pub(crate) fn apply(plan: &mut Reader<'static>) -> Result<(), Failure<'static>> {
    loop {
        let tag = plan.u8()?;
        if tag == tree::END {
            return Ok(());
        }
        operation(tag, plan)?;
    }
}

fn operation(tag: u8, plan: &mut Reader<'static>) -> Result<(), Failure<'static>> {
    let (path, done) = match tag {
        tree::DIR => {
            let mode = plan.u32()?;
            let path = Path::from(plan.str()?);
            (path, existing(fs::mkdir(path, mode)))
        }
        tree::FILE => {
            let path = Path::from(plan.str()?);
            let text = plan.bytes()?;
            (path, fs::write_file(path, fs::O_WRONLY | fs::O_CREAT_EXCL, 0o644, text))
        }
        tree::SYMLINK => {
            let path = Path::from(plan.str()?);
            (path, fs::symlink(plan.str()?.into(), path))
        }
        tree::BIND_PATH => {
            let flags = plan.u32()?;
            let source = Path::from(plan.str()?);
            let path = Path::from(plan.str()?);
            (path, bind_at(source, flags, path))
        }
        tree::ATTACH => {
            let dir = plan.u32()? & bind::DIR != 0;
            let fd = plan_fd(plan)?;
            let path = Path::from(plan.str()?);
            (path, mount_point(path, dir).and_then(|()| fs::move_mount(fd, path)))
        }
        tree::PROC => {
            let path = Path::from(plan.str()?);
            (path, proc(path))
        }
        tree::NODE => {
            let (major, minor) = (plan.u32()?, plan.u32()?);
            let path = Path::from(plan.str()?);
            (path, node(path, major, minor, plan.str()?.into()))
        }
        tree::MASK => {
            let path = Path::from(plan.str()?);
            (path, mask(path))
        }
        tree::TRIPWIRE => {
            let dir = plan.u32()? != 0;
            let path = Path::from(plan.str()?);
            (path, tripwire(path, dir))
        }
        _ => return Err(Malformed.into()),
    };
    done.at_path(Step::Tree, path.bytes())
}

/// Success where it was there already.
fn existing(made: SysResult<()>) -> SysResult<()> {
    match made {
        Err(Errno::EEXIST) => Ok(()),
        other => other,
    }
}

/// A place to mount on.
fn mount_point(path: Path<'_>, dir: bool) -> SysResult<()> {
    existing(if dir { fs::mkdir(path, 0o755) } else { fs::mknod(path, fs::S_IFREG | 0o644, 0, 0) })
}

/// By detached copy, attributes, attach: the copy is never visible without its attributes. Only for paths of the host
/// itself; what an extension's author or manifest names comes as a descriptor.
fn bind_at(source: Path<'_>, flags: u32, path: Path<'_>) -> SysResult<()> {
    mount_point(path, flags & bind::DIR != 0)?;
    let mut attributes = FIXED;
    if flags & bind::WRITE == 0 {
        attributes |= fs::MOUNT_ATTR_RDONLY;
    }
    if flags & bind::EXEC == 0 {
        attributes |= fs::MOUNT_ATTR_NOEXEC;
    }
    attach_copy(source, attributes, path)
}

fn attach_copy(source: Path<'_>, attributes: u64, path: Path<'_>) -> SysResult<()> {
    let fd = fs::open_tree(source)?;
    let done = fs::mount_setattr(fd, attributes).and_then(|()| fs::move_mount(fd, path));
    fs::close(fd);
    done
}

fn proc(path: Path<'_>) -> SysResult<()> {
    existing(fs::mkdir(path, 0o555))?;
    let kind = Path::fixed(c"proc");
    // noatime: for the same reason as the root.
    let flags = fs::MS_NOSUID | fs::MS_NODEV | fs::MS_NOEXEC | fs::MS_NOATIME;
    fs::mount(Some(kind), path, Some(kind), flags, None)
}

/// A container without `CAP_MKNOD` binds the host's node instead.
fn node(path: Path<'_>, major: u32, minor: u32, host: Path<'_>) -> SysResult<()> {
    match fs::mknod(path, fs::S_IFCHR | 0o666, major, minor) {
        Err(Errno::EPERM) => {
            mount_point(path, false)?;
            let fd = fs::open_tree(host)?;
            let done = fs::move_mount(fd, path);
            fs::close(fd);
            done
        }
        other => other,
    }
}

/// Covers a file with the sandbox's own `/dev/null` and a directory with an empty, read-only tmpfs. Where the target does
/// not exist there is nothing to hide; where the cover does not, the mask failed.
fn mask(path: Path<'_>) -> SysResult<()> {
    let fd = fs::open_tree(Path::fixed(c"dev/null"))?;
    // Not nodev: the cover is a device node.
    let attributes = fs::MOUNT_ATTR_NOSUID | fs::MOUNT_ATTR_RDONLY | fs::MOUNT_ATTR_NOEXEC;
    let covered = match fs::mount_setattr(fd, attributes) {
        Ok(()) => fs::move_mount(fd, path),
        Err(errno) => {
            fs::close(fd);
            return Err(errno);
        }
    };
    fs::close(fd);
    match covered {
        Err(Errno::ENOTDIR | Errno::EINVAL) => {
            let kind = Path::fixed(c"tmpfs");
            let flags = fs::MS_NOSUID | fs::MS_NODEV | fs::MS_NOEXEC | fs::MS_RDONLY;
            let options = Path::fixed(c"size=4k,mode=555");
            fs::mount(Some(kind), path, Some(kind), flags, Some(options))
        }
        Err(Errno::ENOENT) => Ok(()),
        other => other,
    }
}

/// Open to everyone by its mode, so that the refusal comes from Landlock, which records it. Where something else is
/// already, or the place cannot be written, there is nothing to guard.
fn tripwire(path: Path<'_>, dir: bool) -> SysResult<()> {
    let made =
        if dir { fs::mkdir(path, 0o777) } else { fs::mknod(path, fs::S_IFREG | 0o666, 0, 0) };
    match made {
        Err(Errno::EEXIST | Errno::EROFS | Errno::ENOENT | Errno::ENOTDIR) => Ok(()),
        other => other,
    }
}
