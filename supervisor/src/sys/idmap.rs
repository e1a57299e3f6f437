//! A user namespace that serves as the id map of a mount and holds no process.
//!
//! # References
//! [`mount_setattr(2)`](https://man7.org/linux/man-pages/man2/mount_setattr.2.html), "ID-mapped mounts"

use std::ffi::c_long;
use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;

/// A user namespace that maps the user and group `inside` to `outside`, and nothing else.
///
/// A namespace is made by a process entering it, so one is started for the moment. The caller has a single thread.
pub fn user_namespace(inside: u32, outside: u32) -> io::Result<OwnedFd> {
    let keeper = Keeper::start()?;
    let proc = |file: &str| format!("/proc/{}/{file}", keeper.0);
    let map = format!("{inside} {outside} 1");
    fs::write(proc("uid_map"), &map)?;
    fs::write(proc("gid_map"), &map)?;
    Ok(File::open(proc("ns/user"))?.into())
}

/// A child that does nothing but be in a new user namespace; killed and reaped on drop.
struct Keeper(Pid);

impl Keeper {
    fn start() -> io::Result<Self> {
        let flags = c_long::from(libc::CLONE_NEWUSER | libc::SIGCHLD);
        let parent = std::process::id();
        // SAFETY: a fork without a new stack. The child makes system calls only, so it needs no lock that another
        // thread may hold.
        let pid = unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) };
        let pid = Errno::result(pid)?;
        if pid == 0 {
            idle(parent);
        }
        Ok(Self(Pid::from_raw(i32::try_from(pid).map_err(|_| Errno::EOVERFLOW)?)))
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        // It is our unreaped child, so the pid is its own; neither call can fail.
        if kill(self.0, Signal::SIGKILL).is_ok() {
            drop(waitpid(self.0, None).map(|_| ()).map_err(io::Error::from));
        }
    }
}

/// The child: waits to be killed, also by our death.
fn idle(parent: u32) -> ! {
    // SAFETY: one system call without pointers.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0) };
    loop {
        // SAFETY: one system call without arguments.
        if unsafe { libc::getppid() }.cast_unsigned() != parent {
            // It died before the line that asks to die with it.
            // SAFETY: ends the process without running anything of the parent's image.
            unsafe { libc::_exit(0) };
        }
        // SAFETY: one system call without arguments.
        unsafe { libc::pause() };
    }
}
