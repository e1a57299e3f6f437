//! The control socket, the release gate and signals as descriptors.

use super::call::{int, small, syscall, word};
use super::{Errno, Result, nr};

const MSG_NOSIGNAL: i32 = 0x4000;
const SOL_SOCKET: i32 = 1;
const SCM_RIGHTS: i32 = 1;

/// struct iovec and struct msghdr of recvmsg(2) on x86-64.
#[repr(C)]
struct IoVec {
    base: usize,
    length: usize,
}

#[repr(C)]
struct MsgHdr {
    name: usize,
    name_length: u32,
    iov: usize,
    iov_length: usize,
    control: usize,
    control_length: usize,
    flags: i32,
}

/// struct cmsghdr with room for one descriptor, padded as CMSG_SPACE(4).
#[repr(C, align(8))]
struct OneFd {
    length: usize,
    level: i32,
    kind: i32,
    fd: i32,
    pad: i32,
}

/// One datagram into `buffer`; 0 at end of file. A datagram that does not fit is an error.
pub(crate) fn receive(fd: i32, buffer: &mut [u8]) -> Result<usize> {
    const MSG_TRUNC: i32 = 0x20;
    let iov = IoVec { base: buffer.as_mut_ptr().expose_provenance(), length: buffer.len() };
    let mut header = MsgHdr {
        name: 0,
        name_length: 0,
        iov: (&raw const iov).expose_provenance(),
        iov_length: 1,
        control: 0,
        control_length: 0,
        flags: 0,
    };
    // SAFETY: header points to one iovec, which points to an exclusively borrowed buffer; all live through the call.
    let n = unsafe {
        syscall(nr::RECVMSG, [int(fd), (&raw mut header).expose_provenance(), 0, 0, 0, 0])
    }?;
    if header.flags & MSG_TRUNC == 0 { Ok(n) } else { Err(Errno::EPROTO) }
}

/// One datagram, with a descriptor if given.
pub(crate) fn send(fd: i32, bytes: &[u8], pass: Option<i32>) -> Result<()> {
    let iov = IoVec { base: bytes.as_ptr().expose_provenance(), length: bytes.len() };
    let rights =
        OneFd { length: 20, level: SOL_SOCKET, kind: SCM_RIGHTS, fd: pass.unwrap_or(-1), pad: 0 };
    let (control, control_length) = match pass {
        Some(_) => ((&raw const rights).expose_provenance(), size_of::<OneFd>()),
        None => (0, 0),
    };
    let header = MsgHdr {
        name: 0,
        name_length: 0,
        iov: (&raw const iov).expose_provenance(),
        iov_length: 1,
        control,
        control_length,
        flags: 0,
    };
    // SAFETY: header points to one iovec and at most one control message; all live through the call.
    unsafe {
        syscall(
            nr::SENDMSG,
            [int(fd), (&raw const header).expose_provenance(), int(MSG_NOSIGNAL), 0, 0, 0],
        )
    }
    .map(drop)
}

/// eventfd2(2) with `EFD_CLOEXEC`, as a gate: a read blocks until something was written.
pub(crate) fn gate() -> Result<i32> {
    // SAFETY: no pointers.
    unsafe { syscall(nr::EVENTFD2, [0, int(super::fs::O_CLOEXEC), 0, 0, 0, 0]) }.map(small)
}

/// A set of signals as the kernel has it: bit n-1 is signal n.
pub(crate) fn signal_set(signals: &[i32]) -> u64 {
    signals.iter().fold(0, |set, &signal| set | 1 << (signal - 1))
}

/// Replaces the set of blocked signals; rt_sigprocmask(2).
pub(crate) fn block_signals(set: u64) -> Result<()> {
    const SIG_SETMASK: i32 = 2;
    // SAFETY: `set` lives through the call and has the 8 bytes that are announced.
    unsafe {
        syscall(
            nr::RT_SIGPROCMASK,
            [int(SIG_SETMASK), (&raw const set).expose_provenance(), 0, size_of::<u64>(), 0, 0],
        )
    }
    .map(drop)
}

/// Restores the default action; rt_sigaction(2).
pub(crate) fn default_action(signal: i32) -> Result<()> {
    // struct kernel_sigaction: handler, flags, restorer, mask; all zero is SIG_DFL.
    let action = [0_u64; 4];
    // SAFETY: `action` has the kernel's layout and lives through the call.
    unsafe {
        syscall(
            nr::RT_SIGACTION,
            [int(signal), action.as_ptr().expose_provenance(), 0, size_of::<u64>(), 0, 0],
        )
    }
    .map(drop)
}

/// A descriptor that delivers the blocked signals of `set`; signalfd4(2).
pub(crate) fn signal_fd(set: u64) -> Result<i32> {
    const SFD_NONBLOCK: i32 = 0o4000;
    let flags = super::fs::O_CLOEXEC | SFD_NONBLOCK;
    // SAFETY: `set` lives through the call and has the 8 bytes that are announced.
    unsafe {
        syscall(
            nr::SIGNALFD4,
            [int(-1), (&raw const set).expose_provenance(), size_of::<u64>(), int(flags), 0, 0],
        )
    }
    .map(small)
}

/// The next pending signal of a signal descriptor; `None` where there is none.
pub(crate) fn next_signal(fd: i32) -> Option<i32> {
    // struct signalfd_siginfo is 128 bytes and starts with the signal number, see signalfd(2).
    let mut info = [0_u8; 128];
    match super::fs::read(fd, &mut info) {
        Ok(128) => Some(i32::from_le_bytes([info[0], info[1], info[2], info[3]])),
        _ => None,
    }
}

/// struct pollfd.
#[repr(C)]
pub(crate) struct PollFd {
    pub(crate) fd: i32,
    pub(crate) events: i16,
    pub(crate) revents: i16,
}

/// From poll.h.
pub(crate) const POLLIN: i16 = 1;
pub(crate) const POLLHUP: i16 = 16;

/// ppoll(2) without a time limit.
pub(crate) fn poll(fds: &mut [PollFd]) -> Result<()> {
    let count = u32::try_from(fds.len()).map_err(|_| Errno::EINVAL)?;
    // SAFETY: the slice is valid and exclusively borrowed; null timeout and mask are allowed.
    unsafe { syscall(nr::PPOLL, [fds.as_mut_ptr().expose_provenance(), word(count), 0, 0, 0, 0]) }
        .map(drop)
}
