//! The Landlock ABI of this kernel.

use nix::errno::Errno;

/// landlock_create_ruleset(2) with `LANDLOCK_CREATE_RULESET_VERSION`.
///
/// # Errors
/// `ENOSYS` where it is not built in, `EOPNOTSUPP` where it was not enabled at boot.
pub fn abi() -> nix::Result<i32> {
    const LANDLOCK_CREATE_RULESET_VERSION: u32 = 1;
    // SAFETY: a null attribute of size 0 is what this flag asks for.
    let version = unsafe {
        libc::syscall(
            libc::SYS_landlock_create_ruleset,
            std::ptr::null::<libc::c_void>(),
            0_usize,
            LANDLOCK_CREATE_RULESET_VERSION,
        )
    };
    Errno::result(version).map(|version| i32::try_from(version).unwrap_or(i32::MAX))
}
