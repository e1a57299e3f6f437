//! Real filters on threads of the test process: a filter binds the thread that installs it and what it spawns.

use std::os::fd::{FromRawFd, OwnedFd};

use nix::errno::Errno;

/// Binds the calling thread to a filter that notifies about `notify` and about every foreign architecture, and allows
/// the rest. The listener is for another thread.
pub(crate) fn install(notify: &[i64]) -> Result<OwnedFd, Errno> {
    let statement = |code: u32, k: u32| libc::sock_filter {
        code: u16::try_from(code).expect("code"),
        jt: 0,
        jf: 0,
        k,
    };
    let jump = |k: u32, jt: u8, jf: u8| libc::sock_filter {
        jt,
        jf,
        ..statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, k)
    };
    let load = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    let give = libc::BPF_RET | libc::BPF_K;
    let mut program = vec![
        statement(load, 4),
        jump(0xc000_003e, 1, 0),
        statement(give, libc::SECCOMP_RET_USER_NOTIF),
        statement(load, 0),
    ];
    for nr in notify {
        program.push(jump(u32::try_from(*nr).expect("number"), 0, 1));
        program.push(statement(give, libc::SECCOMP_RET_USER_NOTIF));
    }
    program.push(statement(give, libc::SECCOMP_RET_ALLOW));
    let fprog = libc::sock_fprog {
        len: u16::try_from(program.len()).expect("length"),
        filter: program.as_mut_ptr(),
    };
    let flags =
        libc::SECCOMP_FILTER_FLAG_NEW_LISTENER | libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
    // SAFETY: sets a flag of the calling thread; takes no pointers.
    let rc = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
    Errno::result(rc)?;
    // SAFETY: `fprog` points to `program`, which outlives the call; the kernel copies it.
    let fd = unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const fprog)
    };
    let fd = i32::try_from(Errno::result(fd)?).expect("fd");
    // SAFETY: the kernel has just made this fd for us and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// `getpid` through the i386 entry.
pub(crate) fn getpid_i386() -> i32 {
    let result: i32;
    // SAFETY: `int 0x80` with number 20 takes no arguments, touches no memory of ours, and clobbers r8 to r11.
    unsafe {
        std::arch::asm!(
            "int 0x80",
            inlateout("eax") 20 => result,
            out("r8") _, out("r9") _, out("r10") _, out("r11") _,
        );
    }
    result
}

/// Takes a descriptor that came over a socket.
pub(crate) fn own(fd: i32) -> OwnedFd {
    // SAFETY: the kernel has just made this fd for us out of a control message, and the caller hands it over.
    unsafe { OwnedFd::from_raw_fd(fd) }
}
