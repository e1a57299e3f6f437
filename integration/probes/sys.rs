//! System calls by number: the only unsafe code of the probe.

use nix::errno::Errno;

/// Makes a system call with up to six numbers as arguments. What a number points to is the caller's business: the callers
/// pass null, or addresses of values that live on.
pub(crate) fn call(number: i64, arguments: [usize; 6]) -> Result<i64, Errno> {
    let [first, second, third, fourth, fifth, sixth] = arguments;
    // SAFETY: the probe passes only null pointers or pointers to live buffers; the kernel checks the rest.
    let result = unsafe { libc::syscall(number, first, second, third, fourth, fifth, sixth) };
    if result == -1 { Err(Errno::last()) } else { Ok(result) }
}

/// fork(2). The probe has one thread when it forks.
pub(crate) fn fork() -> Result<Option<nix::unistd::Pid>, Errno> {
    // SAFETY: there is one thread, so the child may go on with everything.
    match unsafe { nix::unistd::fork() }? {
        nix::unistd::ForkResult::Child => Ok(None),
        nix::unistd::ForkResult::Parent { child } => Ok(Some(child)),
    }
}

/// getpid(2) through `int 0x80`, the entry of i386 programs: number 20 there. The raw result, negative errno on failure.
pub(crate) fn getpid_i386() -> i64 {
    let result: i32;
    // SAFETY: getpid takes no argument and writes no memory; i386 entry clobbers r8 to r11.
    unsafe {
        std::arch::asm!(
            "int 0x80",
            inlateout("eax") 20 => result,
            out("r8") _, out("r9") _, out("r10") _, out("r11") _,
            options(nostack),
        );
    }
    result.into()
}

/// Ignores or restores a signal.
pub(crate) fn set_action(signal: i32, action: nix::sys::signal::SigHandler) -> Result<(), Errno> {
    let signal = nix::sys::signal::Signal::try_from(signal)?;
    // SAFETY: the callers pass SIG_IGN or SIG_DFL, never a function.
    unsafe { nix::sys::signal::signal(signal, action) }.map(drop)
}
