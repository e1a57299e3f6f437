//! Mounts as descriptors: attached to no tree until somebody attaches them, and gone with their last descriptor.

use std::ffi::{CStr, c_int, c_long, c_uint};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;

/// From linux/mount.h.
const FSOPEN_CLOEXEC: c_uint = 1;
const FSCONFIG_SET_FLAG: c_uint = 0;
const FSCONFIG_SET_STRING: c_uint = 1;
const FSCONFIG_CMD_CREATE: c_uint = 6;
const FSMOUNT_CLOEXEC: c_uint = 1;

/// Mount attributes, from linux/mount.h.
pub mod attr {
    /// Read-only.
    pub const RDONLY: u32 = 1;
    /// No set-user-id programs.
    pub const NOSUID: u32 = 2;
    /// No device nodes.
    pub const NODEV: u32 = 4;
    /// No programs.
    pub const NOEXEC: u32 = 8;
    /// Owners mapped by a user namespace.
    pub(super) const IDMAP: u32 = 0x10_0000;
}

/// A new filesystem instance, mounted nowhere: fsopen(2), fsconfig(2), fsmount(2). An option with an empty value is a flag.
///
/// # Errors
/// The errno of the call that refused; `EINVAL` for an option the filesystem does not know.
pub fn detached(kind: &CStr, options: &[(&CStr, &CStr)], attributes: u32) -> nix::Result<OwnedFd> {
    // SAFETY: `kind` is a C string that lives through the call.
    let context = fd(unsafe { libc::syscall(libc::SYS_fsopen, kind.as_ptr(), FSOPEN_CLOEXEC) })?;
    for (key, value) in options {
        if value.is_empty() {
            configure(context.as_fd(), FSCONFIG_SET_FLAG, Some((key, None)))?;
        } else {
            configure(context.as_fd(), FSCONFIG_SET_STRING, Some((key, Some(value))))?;
        }
    }
    configure(context.as_fd(), FSCONFIG_CMD_CREATE, None)?;
    // SAFETY: no pointers; the context is open.
    fd(unsafe {
        libc::syscall(libc::SYS_fsmount, context.as_raw_fd(), FSMOUNT_CLOEXEC, attributes)
    })
}

/// A detached copy of what `fd` refers to, submounts included, with these attributes; open_tree(2), mount_setattr(2).
///
/// Made here and not in the sandbox, because a descriptor's mount can only be copied in its own mount namespace.
///
/// # Errors
/// The errno of the call that refused.
pub fn copy(source: BorrowedFd<'_>, attributes: u32) -> nix::Result<OwnedFd> {
    let empty = libc::AT_EMPTY_PATH | libc::AT_RECURSIVE;
    let flags = libc::OPEN_TREE_CLONE | libc::OPEN_TREE_CLOEXEC | empty.cast_unsigned();
    // SAFETY: the path is an empty C string; the descriptor is borrowed and open.
    let copy =
        fd(unsafe { libc::syscall(libc::SYS_open_tree, source.as_raw_fd(), c"".as_ptr(), flags) })?;
    set(copy.as_fd(), empty, attributes, 0)?;
    Ok(copy)
}

/// Maps the owners in a detached mount by a user namespace; mount_setattr(2).
///
/// # Errors
/// The errno of the call; `EINVAL` where the filesystem cannot do it.
pub fn map_ids(mount: BorrowedFd<'_>, user_namespace: BorrowedFd<'_>) -> nix::Result<()> {
    let namespace = u64::try_from(user_namespace.as_raw_fd()).map_err(|_| Errno::EBADF)?;
    set(mount, libc::AT_EMPTY_PATH, attr::IDMAP, namespace)
}

fn set(mount: BorrowedFd<'_>, flags: c_int, attributes: u32, namespace: u64) -> nix::Result<()> {
    // struct mount_attr: attr_set, attr_clr, propagation, userns_fd.
    let attr: [u64; 4] = [u64::from(attributes), 0, 0, namespace];
    // SAFETY: the path is an empty C string, and `attr` has the layout and size of struct mount_attr.
    let set = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags,
            attr.as_ptr(),
            size_of_val(&attr),
        )
    };
    Errno::result(set).map(drop)
}

fn configure(
    context: BorrowedFd<'_>,
    command: c_uint,
    option: Option<(&CStr, Option<&CStr>)>,
) -> nix::Result<()> {
    let pointer = |text: Option<&CStr>| text.map_or(std::ptr::null(), CStr::as_ptr);
    let (key, value) =
        (pointer(option.map(|(key, _)| key)), pointer(option.and_then(|(_, value)| value)));
    // SAFETY: both strings are C strings that live through the call, or null where the command takes none.
    let done =
        unsafe { libc::syscall(libc::SYS_fsconfig, context.as_raw_fd(), command, key, value, 0) };
    Errno::result(done).map(drop)
}

fn fd(result: c_long) -> nix::Result<OwnedFd> {
    let raw = Errno::result(result)?;
    Ok(super::spawn::own(i32::try_from(raw).map_err(|_| Errno::EOVERFLOW)?))
}
