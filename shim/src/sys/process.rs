//! Processes, identities and waiting.

use shim::wire::Str;

use super::call::{int, small, syscall, word};
use super::fs::Path;
use super::{Result, nr};

pub(crate) const SIGHUP: i32 = 1;
pub(crate) const SIGINT: i32 = 2;
pub(crate) const SIGKILL: i32 = 9;
pub(crate) const SIGUSR1: i32 = 10;
pub(crate) const SIGUSR2: i32 = 12;
pub(crate) const SIGTERM: i32 = 15;
pub(crate) const SIGCHLD: i32 = 17;
pub(crate) const SIGCONT: i32 = 18;
pub(crate) const SIGSTOP: i32 = 19;

/// From linux/sched.h.
const CLONE_NEWCGROUP: usize = 0x0200_0000;
const CLONE_NEWUSER: usize = 0x1000_0000;

/// Which side of a fork this is.
pub(crate) enum Fork {
    Parent(i32),
    Child,
}

/// clone(2) into a new user namespace, with a copy of the address space: a fork.
pub(crate) fn fork_into_user_namespace() -> Result<Fork> {
    // SAFETY: no stack is given, so the child goes on with a copy of ours; the shim has no threads and no state that a
    // copy could break.
    let pid =
        unsafe { syscall(nr::CLONE, [CLONE_NEWUSER | int(SIGCHLD), 0, 0, 0, 0, 0]) }.map(small)?;
    Ok(if pid == 0 { Fork::Child } else { Fork::Parent(pid) })
}

/// unshare(2) of the cgroup namespace.
pub(crate) fn unshare_cgroup_namespace() -> Result<()> {
    // SAFETY: no pointers.
    unsafe { syscall(nr::UNSHARE, [CLONE_NEWCGROUP, 0, 0, 0, 0, 0]) }.map(drop)
}

/// execve(2); returns only an error.
pub(crate) fn execve(path: Path<'_>, argv: &[usize], envp: &[usize]) -> super::Errno {
    // SAFETY: `path` and every entry are NUL-terminated strings in the plan's buffer, which lives as long as the
    // process; both lists end in a null entry, which `Vector` guarantees.
    let result = unsafe {
        syscall(nr::EXECVE, [path.addr(), argv.as_ptr().addr(), envp.as_ptr().addr(), 0, 0, 0])
    };
    result.err().unwrap_or(super::Errno::EINVAL)
}

/// A null-terminated list of strings for execve(2), on the stack.
pub(crate) struct Vector<const N: usize> {
    entries: [usize; N],
    length: usize,
}

impl<const N: usize> Vector<N> {
    pub(crate) const fn new() -> Self {
        Self { entries: [0; N], length: 0 }
    }

    /// Appends; false where the list is full (one entry stays null).
    pub(crate) fn push(&mut self, text: Str<'_>) -> bool {
        let fits = self.length + 1 < N;
        if fits {
            self.entries[self.length] = text.with_nul().as_ptr().expose_provenance();
            self.length += 1;
        }
        fits
    }

    pub(crate) fn entries(&self) -> &[usize] {
        &self.entries
    }
}

/// kill(2).
pub(crate) fn kill(pid: i32, signal: i32) -> Result<()> {
    // SAFETY: no pointers.
    unsafe { syscall(nr::KILL, [int(pid), int(signal), 0, 0, 0, 0]) }.map(drop)
}

/// What wait4(2) found.
pub(crate) enum Reaped {
    /// A child that ended: its pid and wait status.
    Child(i32, i32),
    /// Children, but none that has ended.
    None,
    /// No children at all.
    NoChildren,
}

/// wait4(2) with `WNOHANG`.
pub(crate) fn reap() -> Reaped {
    const WNOHANG: i32 = 1;
    /// Also children that were cloned without SIGCHLD.
    const WALL: i32 = 0x4000_0000;
    let mut status = 0_i32;
    // SAFETY: `status` is valid for writing through the call; no rusage is asked for.
    let pid = unsafe {
        syscall(
            nr::WAIT4,
            [int(-1), (&raw mut status).expose_provenance(), int(WNOHANG | WALL), 0, 0, 0],
        )
    };
    match pid.map(small) {
        Ok(0) => Reaped::None,
        Ok(pid) => Reaped::Child(pid, status),
        Err(_) => Reaped::NoChildren,
    }
}

/// CPU time in microseconds and the largest resident set in KiB of all reaped children; getrusage(2).
pub(crate) fn children_usage() -> (u64, u64) {
    const RUSAGE_CHILDREN: i32 = -1;
    // struct rusage: two timevals (seconds, microseconds), ru_maxrss, thirteen more words.
    let mut usage = [0_u64; 18];
    // SAFETY: `usage` has the size of struct rusage and is valid for writing through the call.
    let got = unsafe {
        syscall(
            nr::GETRUSAGE,
            [int(RUSAGE_CHILDREN), usage.as_mut_ptr().expose_provenance(), 0, 0, 0, 0],
        )
    };
    if got.is_err() {
        return (0, 0);
    }
    let [user_s, user_rest, kernel_s, kernel_rest, max_rss, ..] = usage;
    ((user_s + kernel_s) * 1_000_000 + user_rest + kernel_rest, max_rss)
}

/// getpid(2), which cannot fail.
pub(crate) fn pid() -> Result<i32> {
    // SAFETY: no pointers.
    unsafe { syscall(nr::GETPID, [0; 6]) }.map(small)
}

/// setsid(2).
pub(crate) fn setsid() -> Result<()> {
    // SAFETY: no pointers.
    unsafe { syscall(nr::SETSID, [0; 6]) }.map(drop)
}

/// setgroups(2) with an empty list.
pub(crate) fn clear_groups() -> Result<()> {
    // SAFETY: the kernel does not read a list of length 0.
    unsafe { syscall(nr::SETGROUPS, [0; 6]) }.map(drop)
}

/// setresgid(2) and setresuid(2), all three ids each; the group first, while it is still allowed.
pub(crate) fn become_user(uid: u32, gid: u32) -> Result<()> {
    // SAFETY: no pointers.
    unsafe { syscall(nr::SETRESGID, [word(gid), word(gid), word(gid), 0, 0, 0]) }?;
    // SAFETY: no pointers.
    unsafe { syscall(nr::SETRESUID, [word(uid), word(uid), word(uid), 0, 0, 0]) }.map(drop)
}

/// setresgid(2) of the saved group id alone.
pub(crate) fn save_group(gid: u32) -> Result<()> {
    let same = word(u32::MAX);
    // SAFETY: no pointers.
    unsafe { syscall(nr::SETRESGID, [same, same, word(gid), 0, 0, 0]) }.map(drop)
}

/// sethostname(2).
pub(crate) fn set_hostname(name: &[u8]) -> Result<()> {
    // SAFETY: the slice is valid for its length.
    unsafe { syscall(nr::SETHOSTNAME, [name.as_ptr().addr(), name.len(), 0, 0, 0, 0]) }.map(drop)
}
