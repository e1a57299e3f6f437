//! System calls by number, for the known-bad actions of `selftest`. They are made inside a sandbox and nowhere else: see
//! [`crate::selftest::probe`].

use nix::errno::Errno;
use nix::unistd::{ForkResult, Pid, fork};

/// `syscall(2)`: a call with up to six numbers as arguments.
///
/// # Errors
/// What the kernel, or the filter, said.
pub fn call(number: i64, arguments: [usize; 6]) -> Result<i64, Errno> {
    let [first, second, third, fourth, fifth, sixth] = arguments;
    // SAFETY: the catalogue's arguments are small numbers, -1, and addresses of immutable statics; the kernel checks
    // every pointer that it is given and writes to none of them, because the statics are mapped read-only.
    let result = unsafe { libc::syscall(number, first, second, third, fourth, fifth, sixth) };
    if result == -1 { Err(Errno::last()) } else { Ok(result) }
}

/// A call without arguments through `int 0x80`, the entry of i386 programs.
///
/// # Errors
/// What the kernel, or the filter, said.
pub fn call_i386(number: u32) -> Result<i64, Errno> {
    let result: u32;
    // SAFETY: the catalogue has calls without arguments only (getpid, getuid), which write no memory; the entry
    // clobbers r8 to r11 and nothing else.
    unsafe {
        std::arch::asm!(
            "int 0x80",
            inlateout("eax") number => result,
            out("r8") _, out("r9") _, out("r10") _, out("r11") _,
            options(nostack),
        );
    }
    match result.cast_signed() {
        error @ -4095..=-1 => Err(Errno::from_raw(-error)),
        value => Ok(value.into()),
    }
}

/// Runs `act` in a child of its own, so that what an action does to its process ends with it.
///
/// # Errors
/// The errno of fork(2).
pub fn in_child(act: impl FnOnce()) -> Result<Pid, Errno> {
    // SAFETY: the probe has one thread when it forks, so the child may go on with everything.
    match unsafe { fork() }? {
        ForkResult::Parent { child } => Ok(child),
        ForkResult::Child => {
            act();
            // SAFETY: ends the child at once, without the exit handlers that belong to its parent.
            unsafe { libc::_exit(0) }
        }
    }
}
