//! What is refused before it reaches a layer that records, by design: see SECURITY.md. It must be refused all the same.

use super::{Act, Action, Arg, Expected, Sandbox};
use Arg::{Number, Text, Zeroes};

const fn silent(
    name: &'static str,
    act: Act,
    (by, reason): (&'static str, &'static str),
    why: &'static str,
) -> Action {
    Action { name, why, sandbox: Sandbox::Closed, act, record: Expected::Nothing { by, reason } }
}

const READ_ONLY: (&str, &str) =
    ("read-only mount", "EROFS comes from the mount, before any security module is asked");
const ABSENT: (&str, &str) = ("absent path", "what does not exist cannot be denied");
const CAPABILITY: (&str, &str) =
    ("no capability", "the call itself is allowed; the kernel records no missing capability");
const RESOURCE: (&str, &str) =
    ("own resource limits", "the call itself is allowed; the kernel records no refused value");
const CREATE: isize = (libc::O_WRONLY | libc::O_CREAT) as isize;

pub(super) const ACTIONS: &[Action] = &[
    silent(
        "write-usr",
        Act::Call(libc::SYS_open, &[Text(c"/usr/bin/selftest"), Number(CREATE), Number(0o755)]),
        READ_ONLY,
        "plants a program on the host",
    ),
    silent(
        "write-bundle",
        Act::Call(libc::SYS_open, &[Text(c"/ext/selftest"), Number(CREATE), Number(0o755)]),
        READ_ONLY,
        "changes its own code",
    ),
    silent(
        "write-core-pattern",
        Act::Call(libc::SYS_open, &[Text(c"/proc/sys/kernel/core_pattern"), Number(1)]),
        ("file mode", "the mode refuses before any security module is asked"),
        "has the kernel execute a program as root",
    ),
    silent(
        "read-state",
        Act::Call(libc::SYS_open, &[Text(c"/var/lib/sandboxctl")]),
        ABSENT,
        "reads the supervisor's records",
    ),
    silent(
        "read-disk",
        Act::Call(libc::SYS_open, &[Text(c"/dev/sda")]),
        ABSENT,
        "reads the host's disk",
    ),
    silent(
        "execute-tmp",
        Act::ExecuteFrom("/tmp"),
        ("noexec mount", "EACCES comes from the mount, before any security module is asked"),
        "executes what it has fetched",
    ),
    silent(
        "signal-other",
        // Beyond any pid of the sandbox's own namespace.
        Act::Call(libc::SYS_kill, &[Number(4_000_000), Number(9)]),
        ("own pid namespace", "processes outside have no number inside"),
        "kills processes of the host",
    ),
    silent("become-root", Act::Call(libc::SYS_setuid, &[]), CAPABILITY, "becomes root"),
    silent(
        "more-files",
        Act::Call(
            libc::SYS_prlimit64,
            &[
                Number(0),
                Number(7),
                Text(c"\xff\xff\xff\x7f\x01\x01\x01\x01\xff\xff\xff\x7f\x01\x01\x01\x01"),
            ],
        ),
        RESOURCE,
        "raises its own limit of open files",
    ),
    silent(
        "new-threads-call",
        Act::Call(libc::SYS_clone3, &[Zeroes, Number(64)]),
        (
            "seccomp",
            "answered ENOSYS by the filter itself: C libraries try it for each thread and fall back to clone",
        ),
        "its namespace flags are behind a pointer that a filter cannot read",
    ),
];
