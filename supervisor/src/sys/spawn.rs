//! A child in new namespaces that executes a program by descriptor.

use std::ffi::{CStr, c_char, c_int, c_long, c_uint};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// The namespaces a sandbox gets from outside. The user namespace comes later, inside, so that it owns none of these;
/// the cgroup namespace too, after the groups were joined.
const NAMESPACES: c_int = libc::CLONE_NEWNS
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUTS;

/// First number of the passed descriptors in the child.
const FIRST_FD: RawFd = 3;

/// Above every descriptor number that the child uses, so that arranging them never overwrites one that is still needed.
const PARKED: RawFd = 512;

/// What the child executes and receives.
#[derive(Debug)]
pub struct Spawn<'a> {
    /// The program.
    pub image: BorrowedFd<'a>,
    /// Its only argument.
    pub name: &'a CStr,
    /// Its descriptors from 3 on, in this order; 0, 1, 2 are inherited and everything else is closed.
    pub fds: &'a [BorrowedFd<'a>],
    /// The version 2 control group to be born in.
    pub cgroup: Option<BorrowedFd<'a>>,
}

/// A child that was started.
#[derive(Debug)]
pub struct Spawned {
    /// Its process id, in our namespace.
    pub pid: libc::pid_t,
    /// Its pidfd.
    pub pidfd: OwnedFd,
}

/// struct clone_args of clone3(2), as of Linux 5.7.
#[repr(C)]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// `CLONE_INTO_CGROUP` does not fit the `int` that libc gives the other flags.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

impl Spawn<'_> {
    /// Starts the child; clone3(2), then in the child dup2(2), close_range(2) and execveat(2), nothing else.
    ///
    /// Must be called from a process with one thread: a copy of a lock that another thread held would never be
    /// released in the child.
    ///
    /// # Errors
    /// The errno of clone3 or of parking a descriptor. A child that cannot execute ends with code 125.
    pub fn start(&self) -> io::Result<Spawned> {
        let mut parked = Vec::with_capacity(self.fds.len());
        for fd in self.fds {
            parked.push(park(*fd)?);
        }
        let image = park(self.image)?;
        let mut pidfd: c_int = -1;
        let mut args = CloneArgs {
            flags: flag_bits(NAMESPACES | libc::CLONE_PIDFD),
            pidfd: (&raw mut pidfd).expose_provenance() as u64,
            exit_signal: flag_bits(libc::SIGCHLD),
            ..CloneArgs::default()
        };
        if let Some(cgroup) = self.cgroup {
            args.flags |= CLONE_INTO_CGROUP;
            args.cgroup = flag_bits(cgroup.as_raw_fd());
        }
        let names = [self.name.as_ptr(), std::ptr::null()];
        // SAFETY: `args` has the kernel's layout and lives through the call; `pidfd` is valid for writing. No stack is
        // given, so the child continues on a copy of this one and touches only memory that was set up above.
        let pid =
            unsafe { libc::syscall(libc::SYS_clone3, &raw const args, size_of::<CloneArgs>()) };
        match pid {
            0 => child(&parked, &image, &names),
            pid if pid > 0 => {
                let pid = libc::pid_t::try_from(pid).map_err(io::Error::other)?;
                // SAFETY: the kernel has just put a new descriptor there, and nothing else owns it.
                let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
                Ok(Spawned { pid, pidfd })
            }
            _ => Err(io::Error::last_os_error()),
        }
    }
}

/// Flags and small numbers that are never negative.
fn flag_bits(value: c_int) -> u64 {
    u64::from(value.cast_unsigned())
}

/// A copy out of the way of the numbers 3, 4, 5, ...
fn park(fd: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    // SAFETY: the descriptor is borrowed, so it is open; F_DUPFD_CLOEXEC takes an int.
    let copy = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_DUPFD_CLOEXEC, PARKED) };
    if copy < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made this descriptor, and nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

/// Between clone3 and execveat nothing allocates, locks or returns.
fn child(fds: &[OwnedFd], image: &OwnedFd, argv: &[*const c_char; 2]) -> ! {
    let envp: [*const c_char; 1] = [std::ptr::null()];
    let mut target = FIRST_FD;
    for fd in fds {
        // SAFETY: both numbers are plain ints; the target is below PARKED, so no parked descriptor is overwritten.
        if unsafe { libc::dup2(fd.as_raw_fd(), target) } < 0 {
            give_up();
        }
        target += 1;
    }
    let closed: c_long =
        // SAFETY: no pointers; with CLOEXEC nothing is closed before the exec below.
        unsafe {
            libc::syscall(
                libc::SYS_close_range,
                target.cast_unsigned(),
                c_uint::MAX,
                libc::CLOSE_RANGE_CLOEXEC,
            )
        };
    if closed < 0 {
        give_up();
    }
    // SAFETY: the path is an empty C string, both lists end in null, and all of it lives until the call replaces this
    // process.
    unsafe {
        libc::syscall(
            libc::SYS_execveat,
            image.as_raw_fd(),
            c"".as_ptr(),
            argv.as_ptr(),
            envp.as_ptr(),
            libc::AT_EMPTY_PATH,
        );
    }
    give_up()
}

fn give_up() -> ! {
    // SAFETY: _exit(2) takes an int and runs no destructors of the copied process.
    unsafe { libc::_exit(125) }
}

/// Takes ownership of a descriptor that the kernel has just made for the caller, for example with `SCM_RIGHTS`.
#[must_use]
pub fn own(fd: RawFd) -> OwnedFd {
    // SAFETY: the kernel (recvmsg(2), pidfd_open(2)) installed it for this process a moment ago, and the caller got the bare
    // number from there.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// A descriptor of a process that is not our child; pidfd_open(2). It is never of another one that gets the same pid.
///
/// # Errors
/// `ESRCH` where there is none.
pub fn pidfd_open(pid: i32) -> nix::Result<OwnedFd> {
    // SAFETY: pidfd_open(2) takes two integers and touches no memory of ours.
    let opened = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    let fd = nix::errno::Errno::result(opened)?;
    Ok(own(RawFd::try_from(fd).map_err(|_| nix::errno::Errno::EBADF)?))
}

/// Sends a signal through a pidfd; pidfd_send_signal(2).
///
/// # Errors
/// `ESRCH` where the process was reaped already.
pub fn pidfd_signal(pidfd: BorrowedFd<'_>, signal: nix::sys::signal::Signal) -> nix::Result<()> {
    // SAFETY: the descriptor is borrowed and open; a null siginfo is allowed.
    let sent = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            pidfd.as_raw_fd(),
            signal as c_int,
            std::ptr::null::<libc::siginfo_t>(),
            0,
        )
    };
    nix::errno::Errno::result(sent).map(drop)
}
