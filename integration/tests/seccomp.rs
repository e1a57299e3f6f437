//! The system call filter: what is refused, with which errno, and how it is recorded; and that ordinary programs do not
//! notice it.

use sandboxctl_integration::{Bundle, Outcome, Site, require};
use serde_json::Value;

/// Makes the calls; each must come to its errno.
fn refused(calls: &[(&str, &str)]) -> Outcome {
    let site = Site::new();
    let mut words = vec!["calls"];
    words.extend(calls.iter().map(|(name, _)| *name));
    let outcome = site.run(&Bundle::probe(&words));
    let seen = outcome.expect(0).json();
    for (name, errno) in calls {
        assert_eq!(seen[name], *errno, "{name}");
    }
    outcome
}

fn syscall<'a>(outcome: &'a Outcome, code: &str, name: &str) -> &'a Value {
    outcome.recorded(code, "name", name)
}

#[test]
fn the_file_tree_stays_as_it_is() {
    require!();
    let calls = ["mount", "umount2", "pivot_root", "chroot", "fsopen", "open_tree"];
    let outcome = refused(&calls.map(|name| (name, "EPERM")));
    for name in calls {
        assert_eq!(syscall(&outcome, "mount-attempt", name)["severity"], "CRITICAL");
    }
}

#[test]
fn namespaces_can_be_neither_made_nor_entered() {
    require!();
    let outcome = refused(&[
        ("unshare-user", "EPERM"),
        ("unshare-net", "EPERM"),
        ("setns", "EPERM"),
        ("clone-newuser", "EPERM"),
    ]);
    for name in ["unshare", "setns", "clone"] {
        syscall(&outcome, "namespace-attempt", name);
    }
}

/// Its flags are behind a pointer, so it must look like a kernel that does not have it; libraries then use clone(2).
#[test]
fn clone3_is_not_there() {
    require!();
    refused(&[("clone3", "ENOSYS")]).well_behaved();
}

#[test]
fn other_processes_cannot_be_inspected() {
    require!();
    let calls = ["ptrace", "process_vm_readv", "pidfd_getfd"];
    let outcome = refused(&calls.map(|name| (name, "EPERM")));
    for name in calls {
        syscall(&outcome, "process-inspection", name);
    }
}

#[test]
fn the_kernel_cannot_be_changed() {
    require!();
    let calls = [
        "bpf",
        "perf_event_open",
        "open_by_handle_at",
        "init_module",
        "kexec_load",
        "reboot",
        "syslog",
        "sethostname",
    ];
    let outcome = refused(&calls.map(|name| (name, "EPERM")));
    for name in calls {
        assert_eq!(syscall(&outcome, "kernel-tampering", name)["severity"], "CRITICAL");
    }
}

#[test]
fn rarely_used_kernel_surface_is_closed() {
    require!();
    let calls = ["keyctl", "add_key", "userfaultfd"];
    let outcome = refused(&calls.map(|name| (name, "EPERM")));
    for name in calls {
        syscall(&outcome, "syscall-denied", name);
    }
    refused(&[("personality", "EPERM"), ("mknod-null", "EPERM"), ("mknod-fifo", "ok")]);
}

/// An own filter or ruleset on top of ours can hide denials from the record.
#[test]
fn its_own_confinement_is_out_of_reach() {
    require!();
    let outcome = refused(&[
        ("seccomp", "EPERM"),
        ("prctl-seccomp", "EPERM"),
        ("landlock_create_ruleset", "EPERM"),
    ]);
    for name in ["seccomp", "prctl", "landlock_create_ruleset"] {
        syscall(&outcome, "recorder-tampering", name);
    }
}

/// io_uring would bypass the filter. libuv probes it and lives without, which is no offence.
#[test]
fn io_uring_is_refused_as_a_probe() {
    require!();
    let outcome = refused(&[("io_uring_setup", "ENOSYS")]);
    assert_eq!(syscall(&outcome, "syscall-probe", "io_uring_setup")["severity"], "INFO");
    outcome.well_behaved();
}

#[test]
fn sockets_reach_nobody_outside() {
    require!();
    let outcome = refused(&[
        ("socket-unix", "ok"),
        ("socket-inet", "EPERM"),
        ("socket-inet6", "EPERM"),
        ("socket-packet", "EPERM"),
        ("socket-alg", "EAFNOSUPPORT"),
        ("socket-vsock", "EPERM"),
        ("socket-netlink", "EAFNOSUPPORT"),
    ]);
    let details: Vec<&str> = outcome
        .with_code("network-denied")
        .iter()
        .map(|violation| violation["object"]["detail"].as_str().unwrap())
        .collect();
    // Each family is a violation of its own.
    assert_eq!(details.len(), 5, "{details:?}");
    assert!(details.iter().all(|detail| !detail.is_empty()), "{details:?}");
}

#[test]
fn nothing_is_typed_into_a_terminal() {
    require!();
    let outcome = refused(&[("tiocsti", "EPERM"), ("tiocgwinsz", "ENOTTY")]);
    syscall(&outcome, "process-inspection", "ioctl");
    assert_eq!(outcome.violations().len(), 1, "{:#?}", outcome.violations());
}

#[test]
fn foreign_entries_are_refused_and_recorded() {
    require!();
    let site = Site::new();
    let outcome = site.run(&Bundle::probe(&["foreign"]));
    let seen = outcome.expect(0).json();
    assert_eq!(seen["i386"], "EPERM");
    assert_eq!(seen["x32"], "EPERM");
    for arch in ["i386", "x32"] {
        let violation = outcome.recorded("foreign-architecture", "arch", arch);
        assert_eq!(violation["object"]["name"], "getpid", "{violation:#}");
    }
}

#[test]
fn a_number_that_no_kernel_has_is_refused_too() {
    require!();
    let outcome = refused(&[("unknown", "EPERM"), ("getpid", "ok")]);
    syscall(&outcome, "syscall-denied", "syscall_1000");
}

/// Who, what, with which arguments, how often.
#[test]
fn a_denial_is_recorded_in_full() {
    require!();
    let outcome = refused(&[("unshare-net", "EPERM")]);
    assert_eq!(outcome.violations().len(), 1, "{:#?}", outcome.violations());
    let violation = &outcome.violations()[0];
    assert_eq!(violation["layer"], "seccomp");
    assert_eq!(violation["action"], "denied");
    assert_eq!(violation["count"], 1);
    assert_eq!(violation["object"]["name"], "unshare");
    assert_eq!(violation["object"]["arch"], "x86_64");
    assert_eq!(violation["object"]["nr"], 272);
    assert_eq!(violation["args"][0], "0x40000000", "CLONE_NEWNET");
    assert_eq!(violation["process"]["comm"], "probe");
    assert!(violation["process"]["pid"].as_i64().unwrap() > 2, "{violation:#}");
    assert!(violation["process"]["uid"].as_u64().unwrap() >= 0x7000_0000, "{violation:#}");
    assert!(!violation["rule"].as_str().unwrap().is_empty());
}

#[test]
fn ordinary_programs_do_not_notice() {
    require!();
    let site = Site::new();
    let outcome = site.run(&Bundle::python(
        r#"
import subprocess, threading, socket, tempfile, select, signal
got = []
threads = [threading.Thread(target=got.append, args=(n,)) for n in range(8)]
[t.start() for t in threads]; [t.join() for t in threads]
left, right = socket.socketpair()
left.send(b"x")
assert select.select([right], [], [], 5)[0]
assert subprocess.run(["sh", "-c", "echo $((6*7)) | tr 4 5"], capture_output=True, text=True).stdout == "52\n"
with tempfile.NamedTemporaryFile() as file:
    file.write(b"x" * 10000); file.flush(); os.fsync(file.fileno())
signal.setitimer(signal.ITIMER_REAL, 1000)
print(json.dumps(sorted(got)))
"#,
    ));
    outcome.expect(0).well_behaved();
    assert_eq!(outcome.json(), serde_json::json!([0, 1, 2, 3, 4, 5, 6, 7]));
}
