//! System calls that a sandbox refuses, one by one. Each is harmless should it be let through.

use std::process::ExitCode;

use nix::errno::Errno;
use serde_json::{Map, Value};

use crate::sys::call;

/// Makes the named calls; prints what each came to: `ok` or the name of the errno.
pub(crate) fn main(names: &[&str]) -> ExitCode {
    let mut results = Map::new();
    for name in names {
        let result = make(name).map_or_else(|errno| format!("{errno:?}"), |_| "ok".to_owned());
        results.insert((*name).to_owned(), Value::from(result));
    }
    println!("{}", Value::from(results));
    ExitCode::SUCCESS
}

fn make(name: &str) -> Result<i64, Errno> {
    let path = c"/tmp/probe".as_ptr().addr();
    let root = c"/".as_ptr().addr();
    let tmpfs = c"tmpfs".as_ptr().addr();
    let word = [0_u8; 128];
    let memory = word.as_ptr().addr();
    let own = usize::try_from(std::process::id()).unwrap();
    let plain = |number: i64| call(number, [0; 6]);
    let one = |number: i64, a: usize| call(number, [a, 0, 0, 0, 0, 0]);
    let two = |number: i64, a: usize, b: usize| call(number, [a, b, 0, 0, 0, 0]);
    let three = |number: i64, a: usize, b: usize, c: usize| call(number, [a, b, c, 0, 0, 0]);
    match name {
        "mount" => call(libc::SYS_mount, [tmpfs, path, tmpfs, 0, 0, 0]),
        "umount2" => two(libc::SYS_umount2, path, 0),
        "pivot_root" => two(libc::SYS_pivot_root, path, path),
        "chroot" => one(libc::SYS_chroot, root),
        "fsopen" => two(libc::SYS_fsopen, tmpfs, 0),
        "open_tree" => three(libc::SYS_open_tree, usize::MAX, root, 1),
        "unshare-user" => one(libc::SYS_unshare, 0x1000_0000),
        "unshare-net" => one(libc::SYS_unshare, 0x4000_0000),
        "setns" => two(libc::SYS_setns, 0, 0),
        // SIGCHLD with CLONE_NEWUSER: should it work, the child ends at once.
        "clone-newuser" => {
            let pid = call(libc::SYS_clone, [0x1000_0011, 0, 0, 0, 0, 0])?;
            if pid == 0 {
                crate::processes::leave(0);
            }
            Ok(pid)
        }
        "clone3" => two(libc::SYS_clone3, 0, 0),
        "ptrace" => plain(libc::SYS_ptrace),
        "process_vm_readv" => one(libc::SYS_process_vm_readv, own),
        "pidfd_getfd" => three(libc::SYS_pidfd_getfd, 0, 0, 0),
        "bpf" => three(libc::SYS_bpf, 0, memory, 128),
        "io_uring_setup" => two(libc::SYS_io_uring_setup, 0, memory),
        // KEYCTL_GET_KEYRING_ID of the session keyring.
        "keyctl" => three(libc::SYS_keyctl, 0, (-3_isize).cast_unsigned(), 0),
        "add_key" => plain(libc::SYS_add_key),
        "userfaultfd" => plain(libc::SYS_userfaultfd),
        "perf_event_open" => plain(libc::SYS_perf_event_open),
        "open_by_handle_at" => plain(libc::SYS_open_by_handle_at),
        "init_module" => plain(libc::SYS_init_module),
        "kexec_load" => call(libc::SYS_kexec_load, [0, 0, 0, usize::MAX, 0, 0]),
        // Without its magic numbers it does nothing.
        "reboot" => plain(libc::SYS_reboot),
        "syslog" => one(libc::SYS_syslog, 10),
        "sethostname" => two(libc::SYS_sethostname, root, 1),
        // SECCOMP_GET_ACTION_AVAIL.
        "seccomp" => one(libc::SYS_seccomp, 2),
        // PR_SET_SECCOMP with no mode.
        "prctl-seccomp" => one(libc::SYS_prctl, 22),
        // LANDLOCK_CREATE_RULESET_VERSION.
        "landlock_create_ruleset" => three(libc::SYS_landlock_create_ruleset, 0, 0, 1),
        "socket-inet" => two(libc::SYS_socket, 2, 1 | 0x80000),
        "socket-inet6" => two(libc::SYS_socket, 10, 2 | 0x80000),
        "socket-packet" => two(libc::SYS_socket, 17, 3),
        "socket-alg" => two(libc::SYS_socket, 38, 5),
        "socket-vsock" => two(libc::SYS_socket, 40, 1),
        "socket-netlink" => two(libc::SYS_socket, 16, 3),
        "socket-unix" => two(libc::SYS_socket, 1, 1),
        // TIOCSTI on stdin, whatever it is.
        "tiocsti" => three(libc::SYS_ioctl, 0, 0x5412, memory),
        "tiocgwinsz" => three(libc::SYS_ioctl, 0, 0x5413, memory),
        "mknod-null" => three(libc::SYS_mknod, path, 0o020_666, 0x103),
        "mknod-fifo" => three(libc::SYS_mknod, path, 0o010_666, 0),
        "personality" => one(libc::SYS_personality, 0x004_0000),
        "unknown" => plain(1000),
        "getpid" => plain(libc::SYS_getpid),
        other => panic!("no such call: {other}"),
    }
}
