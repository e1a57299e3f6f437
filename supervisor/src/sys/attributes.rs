//! Attributes of files that chattr(1) sets.
//!
//! # References
//! [`statx(2)`](https://man7.org/linux/man-pages/man2/statx.2.html)

use std::ffi::CString;
use std::io;
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::errno::Errno;

/// Whether a file cannot be removed, by root neither: it is append-only (`chattr +a`) or immutable (`chattr +i`). Not on file
/// systems that have no such attributes.
///
/// # Errors
/// The errno of statx(2); `EINVAL` of a path with a zero byte.
pub fn is_fixed(path: &Path) -> io::Result<bool> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut found = MaybeUninit::<libc::statx>::zeroed();
    let flags = libc::AT_SYMLINK_NOFOLLOW;
    // SAFETY: the path is a C string that lives until the call returns, and `found` is a statx structure that is written to.
    let result =
        unsafe { libc::statx(libc::AT_FDCWD, path.as_ptr(), flags, 0, found.as_mut_ptr()) };
    Errno::result(result)?;
    // SAFETY: all zeros is a valid statx structure, and the kernel has filled it in.
    let found = unsafe { found.assume_init() };
    let fixed = libc::STATX_ATTR_APPEND | libc::STATX_ATTR_IMMUTABLE;
    // Their constants are signed, the field is not: the bits are the same.
    Ok(found.stx_attributes & u64::from(fixed.cast_unsigned()) != 0)
}
