//! The shim's program, embedded, as a sealed memory file.

use std::io::Write;
use std::os::fd::OwnedFd;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};

use super::SpawnError;

/// What build.rs compiled.
static SHIM: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/shim"));

/// A memory file that nobody can change any more: executing it from disk would let a sandbox that got hold of
/// `/proc/self/exe` overwrite the next sandbox's PID 1.
pub(crate) fn sealed() -> Result<OwnedFd, SpawnError> {
    let failed = |source| SpawnError::Image { source };
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    // MFD_EXEC (6.3) says that this one is meant to be executed, for hosts where vm.memfd_noexec says otherwise.
    let exec = MFdFlags::from_bits_retain(flags.bits() | libc::MFD_EXEC);
    let fd = match memfd_create(c"sandboxctl-shim", exec) {
        Err(Errno::EINVAL) => memfd_create(c"sandboxctl-shim", flags),
        other => other,
    }
    .map_err(|errno| failed(errno.into()))?;
    let mut file = std::fs::File::from(fd);
    file.write_all(SHIM).map_err(failed)?;
    let seals = SealFlag::F_SEAL_SEAL
        | SealFlag::F_SEAL_SHRINK
        | SealFlag::F_SEAL_GROW
        | SealFlag::F_SEAL_WRITE;
    fcntl(&file, FcntlArg::F_ADD_SEALS(seals)).map_err(|errno| failed(errno.into()))?;
    Ok(file.into())
}
