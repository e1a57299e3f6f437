//! The listener of seccomp user notifications, see `seccomp_unotify(2)`.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// `SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP` of `SECCOMP_IOCTL_NOTIF_SET_FLAGS`, Linux 6.6.
const SYNC_WAKE_UP: u64 = 1;

/// A refused system call that waits for its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Notification {
    /// Names the waiting call; never reused by one listener.
    pub id: u64,
    /// Thread id in the pid namespace of the reader; 0 where it is not visible there.
    pub pid: u32,
    /// System call number as the thread gave it.
    pub nr: i32,
    /// Audit architecture (`AUDIT_ARCH_*`).
    pub arch: u32,
    /// The argument registers.
    pub args: [u64; 6],
}

/// What a listener has to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// Nothing waits.
    Idle,
    /// At least one call waits; receiving does not block.
    Pending,
    /// The last task under the filter is gone.
    Closed,
}

/// The listener, with buffers of the sizes that the running kernel asks for.
#[derive(Debug)]
pub struct Listener {
    fd: OwnedFd,
    notif: Vec<u64>,
    resp: Vec<u64>,
}

impl Listener {
    /// Wraps a listener fd and asks for synchronous wake-ups, which a kernel before 6.6 refuses without harm.
    pub fn new(fd: OwnedFd) -> Result<Self, Errno> {
        let mut sizes =
            libc::seccomp_notif_sizes { seccomp_notif: 0, seccomp_notif_resp: 0, seccomp_data: 0 };
        // SAFETY: the operation takes no flags and writes one `seccomp_notif_sizes` to the pointer, which is valid
        // for writes and outlives the call.
        let rc = unsafe {
            libc::syscall(libc::SYS_seccomp, libc::SECCOMP_GET_NOTIF_SIZES, 0, &raw mut sizes)
        };
        Errno::result(rc)?;
        // The kernel writes structs of its own size: larger than ours on a newer kernel.
        let words = |kernel: u16, ours: usize| usize::from(kernel).max(ours).div_ceil(8);
        let listener = Self {
            fd,
            notif: vec![0; words(sizes.seccomp_notif, size_of::<libc::seccomp_notif>())],
            resp: vec![0; words(sizes.seccomp_notif_resp, size_of::<libc::seccomp_notif_resp>())],
        };
        // SAFETY: SET_FLAGS takes the flags by value and touches no memory of ours.
        let rc = unsafe {
            libc::ioctl(listener.fd.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SET_FLAGS, SYNC_WAKE_UP)
        };
        match Errno::result(rc) {
            Ok(_) | Err(Errno::EINVAL | Errno::ENOTTY) => Ok(listener),
            Err(errno) => Err(errno),
        }
    }

    /// Whether a call waits. Never blocks.
    pub fn readiness(&self) -> Result<Readiness, Errno> {
        let mut fds = [PollFd::new(self.fd.as_fd(), PollFlags::POLLIN)];
        match poll(&mut fds, PollTimeout::ZERO) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
        let revents = fds[0].revents().unwrap_or(PollFlags::empty());
        Ok(if revents.contains(PollFlags::POLLIN) {
            Readiness::Pending
        } else if revents.intersects(PollFlags::POLLHUP | PollFlags::POLLERR | PollFlags::POLLNVAL)
        {
            Readiness::Closed
        } else {
            Readiness::Idle
        })
    }

    /// Takes one waiting call; `None` if it went away meanwhile. Blocks unless [`Self::readiness`] said
    /// [`Readiness::Pending`], so ask that first, each time.
    pub fn receive(&mut self) -> Result<Option<Notification>, Errno> {
        // The kernel refuses a buffer that is not all zero.
        self.notif.fill(0);
        // SAFETY: `notif` is 8-byte aligned, zeroed, and at least as long as the running kernel's `seccomp_notif`
        // (checked in `new`), so the kernel writes inside it.
        let rc = unsafe {
            libc::ioctl(
                self.fd.as_raw_fd(),
                libc::SECCOMP_IOCTL_NOTIF_RECV,
                self.notif.as_mut_ptr(),
            )
        };
        match Errno::result(rc) {
            Ok(_) => {}
            // ENOENT: the caller was killed between the wake-up and now, or nobody is left.
            Err(Errno::ENOENT | Errno::EINTR) => return Ok(None),
            Err(errno) => return Err(errno),
        }
        // SAFETY: the buffer is aligned for and at least as long as `seccomp_notif`, which is plain integers, and
        // the kernel has just filled it.
        let raw = unsafe { self.notif.as_ptr().cast::<libc::seccomp_notif>().read() };
        Ok(Some(Notification {
            id: raw.id,
            pid: raw.pid,
            nr: raw.data.nr,
            arch: raw.data.arch,
            args: raw.data.args,
        }))
    }

    /// Whether the call still waits, which proves that its pid was not reused since it was received.
    #[must_use]
    pub fn is_waiting(&self, id: u64) -> bool {
        // SAFETY: ID_VALID reads one u64 from the pointer, which is valid for reads during the call.
        let rc = unsafe {
            libc::ioctl(self.fd.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_ID_VALID, &raw const id)
        };
        rc == 0
    }

    /// Refuses the call with an errno. `Ok(false)` if nobody waits for the answer any more.
    pub fn refuse(&mut self, id: u64, errno: i32) -> Result<bool, Errno> {
        self.resp.fill(0);
        let answer = libc::seccomp_notif_resp { id, val: 0, error: -errno, flags: 0 };
        // SAFETY: `resp` is aligned for and at least as long as `seccomp_notif_resp` (checked in `new`).
        unsafe {
            self.resp.as_mut_ptr().cast::<libc::seccomp_notif_resp>().write(answer);
        }
        // SAFETY: the kernel reads one `seccomp_notif_resp` of its own size, which `resp` is long enough for.
        let rc = unsafe {
            libc::ioctl(self.fd.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SEND, self.resp.as_mut_ptr())
        };
        match Errno::result(rc) {
            Ok(_) => Ok(true),
            Err(Errno::ENOENT) => Ok(false),
            Err(errno) => Err(errno),
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
