//! Limits, capabilities, Landlock, seccomp.

use super::call::{int, long, small, syscall, word};
use super::{Errno, Result, nr};

/// prctl(2) with integer arguments.
fn prctl(option: i32, argument: usize) -> Result<usize> {
    // SAFETY: the options used here take no pointers.
    unsafe { syscall(nr::PRCTL, [int(option), argument, 0, 0, 0, 0]) }
}

/// Deliver SIGKILL when the parent dies. A change of credentials clears it, see PR_SET_PDEATHSIG(2const).
pub(crate) fn die_with_parent() -> Result<()> {
    const PR_SET_PDEATHSIG: i32 = 1;
    prctl(PR_SET_PDEATHSIG, int(super::process::SIGKILL)).map(drop)
}

/// Keep permitted capabilities over the next change of user id.
pub(crate) fn keep_capabilities() -> Result<()> {
    const PR_SET_KEEPCAPS: i32 = 8;
    prctl(PR_SET_KEEPCAPS, 1).map(drop)
}

/// See PR_SET_NO_NEW_PRIVS(2const).
pub(crate) fn no_new_privs() -> Result<()> {
    const PR_SET_NO_NEW_PRIVS: i32 = 38;
    prctl(PR_SET_NO_NEW_PRIVS, 1).map(drop)
}

/// Remove one capability from the bounding set.
pub(crate) fn drop_bounding(capability: u32) -> Result<()> {
    const PR_CAPBSET_DROP: i32 = 24;
    prctl(PR_CAPBSET_DROP, word(capability)).map(drop)
}

/// Clear the ambient set.
pub(crate) fn clear_ambient() -> Result<()> {
    const PR_CAP_AMBIENT: i32 = 47;
    const PR_CAP_AMBIENT_CLEAR_ALL: usize = 4;
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL).map(drop)
}

/// capset(2): effective and permitted become `mask`, inheritable becomes empty.
pub(crate) fn set_capabilities(mask: u32) -> Result<()> {
    const VERSION_3: u32 = 0x2008_0522;
    let header = [VERSION_3, 0];
    // Twice {effective, permitted, inheritable}: capabilities 0 to 31, then 32 to 63.
    let data = [mask, mask, 0, 0, 0, 0];
    // SAFETY: both arrays have the kernel's layout for version 3 and live through the call.
    unsafe {
        syscall(
            nr::CAPSET,
            [header.as_ptr().expose_provenance(), data.as_ptr().expose_provenance(), 0, 0, 0, 0],
        )
    }
    .map(drop)
}

/// `CAP_KILL` as a bit.
pub(crate) const CAP_KILL: u32 = 1 << 5;

/// setrlimit by prlimit64(2) on this process.
pub(crate) fn set_rlimit(resource: u32, soft: u64, hard: u64) -> Result<()> {
    let limit = [soft, hard];
    // SAFETY: `limit` has the layout of struct rlimit64 and lives through the call; the old value is not asked for.
    unsafe {
        syscall(nr::PRLIMIT64, [0, word(resource), limit.as_ptr().expose_provenance(), 0, 0, 0])
    }
    .map(drop)
}

/// landlock_add_rule(2): `access` beneath what `fd` refers to.
pub(crate) fn landlock_allow(ruleset: i32, fd: i32, access: u64) -> Result<()> {
    const LANDLOCK_RULE_PATH_BENEATH: i32 = 1;
    /// struct landlock_path_beneath_attr, which is packed.
    #[repr(C, packed)]
    struct PathBeneath {
        access: u64,
        fd: i32,
    }
    let rule = PathBeneath { access, fd };
    // SAFETY: `rule` has the kernel's layout and lives through the call.
    unsafe {
        syscall(
            nr::LANDLOCK_ADD_RULE,
            [
                int(ruleset),
                int(LANDLOCK_RULE_PATH_BENEATH),
                (&raw const rule).expose_provenance(),
                0,
                0,
                0,
            ],
        )
    }
    .map(drop)
}

/// landlock_restrict_self(2).
pub(crate) fn landlock_restrict(ruleset: i32, flags: u32) -> Result<()> {
    // SAFETY: no pointers.
    unsafe { syscall(nr::LANDLOCK_RESTRICT_SELF, [int(ruleset), word(flags), 0, 0, 0, 0]) }
        .map(drop)
}

/// close_range(2) from `first` on.
pub(crate) fn close_from(first: i32, keep_until_exec: bool) -> Result<()> {
    const CLOSE_RANGE_CLOEXEC: u32 = 4;
    let flags = if keep_until_exec { CLOSE_RANGE_CLOEXEC } else { 0 };
    // SAFETY: no pointers; nothing here uses a descriptor after it was closed.
    unsafe { syscall(nr::CLOSE_RANGE, [int(first), word(u32::MAX), word(flags), 0, 0, 0]) }
        .map(drop)
}

/// seccomp(2): installs `program` (struct sock_filter, 8 bytes each) and gives the listener of its notifications.
pub(crate) fn install_filter(program: &[u8]) -> Result<i32> {
    const SECCOMP_SET_MODE_FILTER: i32 = 1;
    const NEW_LISTENER: u64 = 1 << 3;
    /// A notification that the supervisor has received can only be interrupted by a fatal signal; without it a
    /// program with a timer can repeat one call for ever (seccomp_unotify(2)).
    const WAIT_KILLABLE_RECV: u64 = 1 << 5;
    /// struct sock_fprog.
    #[repr(C)]
    struct Program {
        length: u16,
        filter: usize,
    }
    let (instructions, rest) = program.as_chunks::<8>();
    if !rest.is_empty() {
        return Err(Errno::EPROTO);
    }
    let length = u16::try_from(instructions.len()).map_err(|_| Errno::EPROTO)?;
    let program = Program { length, filter: program.as_ptr().expose_provenance() };
    // SAFETY: the program's bytes live through the call; the kernel copies and checks them.
    unsafe {
        syscall(
            nr::SECCOMP,
            [
                int(SECCOMP_SET_MODE_FILTER),
                long(NEW_LISTENER | WAIT_KILLABLE_RECV),
                (&raw const program).expose_provenance(),
                0,
                0,
                0,
            ],
        )
    }
    .map(small)
}
