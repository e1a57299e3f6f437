//! Namespaces: what the extension sees of the host's processes, network, names, and who owns its namespaces.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::collections::BTreeSet;
use std::fs;

use sandboxctl_integration::{Bundle, Site, require};
use serde_json::json;

#[test]
fn its_processes_are_its_own() {
    require!();
    let site = Site::new();
    let seen = site
        .run(&Bundle::python(
            r#"
pids = sorted(int(name) for name in os.listdir("/proc") if name.isdigit())
print(json.dumps({
    "pid": os.getpid(), "ppid": os.getppid(), "pids": pids,
    "host": attempt(lambda: os.kill(4194000, 0)),
    "init": attempt(lambda: os.kill(1, 9)),
}))
"#,
        ))
        .expect(0)
        .json();
    assert_eq!(
        seen,
        json!({"pid": 2, "ppid": 1, "pids": [1, 2], "host": "ESRCH", "init": "EPERM"})
    );
}

#[test]
fn its_network_is_one_downed_loopback() {
    require!();
    let site = Site::new();
    let seen = site
        .run(&Bundle::python(
            r#"
lines = open("/proc/net/dev").read().splitlines()[2:]
print(json.dumps({
    "interfaces": [line.split(":")[0].strip() for line in lines],
    "routes": len(open("/proc/net/route").read().splitlines()[1:]),
    "unix": len(open("/proc/net/unix").read().splitlines()[1:]),
}))
"#,
        ))
        .expect(0)
        .json();
    // No route, not even of the loopback: it is down.
    assert_eq!(seen, json!({"interfaces": ["lo"], "routes": 0, "unix": 0}));
}

#[test]
fn its_names_and_queues_are_its_own() {
    require!();
    let site = Site::new();
    let outcome = site.run(&Bundle::python(
        r#"
import socket
print(json.dumps({
    "hostname": socket.gethostname(), "domain": open("/proc/sys/kernel/domainname").read().strip(),
    "cgroup": open("/proc/self/cgroup").read().splitlines(),
    "segments": len(open("/proc/sysvipc/shm").read().splitlines()[1:]),
    "namespaces": {name: os.stat("/proc/self/ns/" + name).st_ino for name in os.listdir("/proc/self/ns")},
}))
"#,
    ));
    let seen = outcome.expect(0).json();
    assert_eq!(seen["hostname"], "sandbox");
    assert_eq!(seen["segments"], 0);
    for line in seen["cgroup"].as_array().unwrap() {
        assert!(line.as_str().unwrap().ends_with(":/"), "a path of the host's cgroups: {line}");
    }
    for kind in ["mnt", "pid", "net", "ipc", "uts", "cgroup", "user"] {
        use std::os::unix::fs::MetadataExt;
        let ours = fs::metadata(format!("/proc/self/ns/{kind}")).unwrap().ino();
        assert_ne!(seen["namespaces"][kind], ours, "it has the host's {kind} namespace");
    }
}

/// The extension's user namespace has no power over the others: asked for the owner of each, the kernel says that it is
/// none of the caller's business. NS_GET_USERNS, ioctl_nsfs(2).
#[test]
fn its_user_namespace_owns_none_of_the_others() {
    require!();
    let site = Site::new();
    let seen = site
        .run(&Bundle::python(
            r#"
import fcntl
def owner(name):
    with open("/proc/self/ns/" + name) as namespace:
        return attempt(lambda: fcntl.ioctl(namespace, 0xb701))
print(json.dumps({name: owner(name) for name in ["mnt", "pid", "net", "ipc", "uts", "cgroup"]}))
"#,
        ))
        .expect(0)
        .json();
    for (kind, answer) in seen.as_object().unwrap() {
        assert_eq!(answer, "EPERM", "it owns its {kind} namespace");
    }
}

/// Seen from the host, while it runs: PID 1 and the workload are users that nobody else is.
#[test]
fn on_the_host_it_is_nobody() {
    require!();
    let site = Site::new();
    let bundle = Bundle::probe(&["signals"]);
    let mut runs: Vec<_> = (0..2).map(|_| site.start(&bundle.build(&site), &[])).collect();
    let mut ids = BTreeSet::new();
    for run in &mut runs {
        run.wait_for("ready");
        let shim = only_child(run.pid());
        let workload = only_child(shim);
        for pid in [shim, workload] {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
            for field in ["Uid:", "Gid:"] {
                let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
                let all: BTreeSet<u32> =
                    line.split_whitespace().map(|id| id.parse().unwrap()).collect();
                assert_eq!(all.len(), 1, "{field}{line}");
                assert!(all.iter().all(|id| *id >= 0x7000_0000), "{field}{line}");
                ids.extend(all);
            }
            let caps = status.lines().find_map(|line| line.strip_prefix("CapEff:\t")).unwrap();
            // PID 1 keeps CAP_KILL alone, bit 5: it signals a workload of another id.
            let most = if pid == shim { 1 << 5 } else { 0 };
            assert_eq!(u64::from_str_radix(caps, 16).unwrap() & !most, 0, "{pid}: {caps}");
        }
        let map = fs::read_to_string(format!("/proc/{workload}/uid_map")).unwrap();
        let fields: Vec<u32> = map.split_whitespace().map(|field| field.parse().unwrap()).collect();
        assert_eq!((fields.len(), fields[0], fields[2]), (3, 1000, 1), "{map}");
        assert!(fields[1] >= 0x7000_0000, "{map}");
    }
    assert_eq!(ids.len(), 4, "two runs share an id: {ids:?}");
    for run in runs {
        run.signal(nix::sys::signal::Signal::SIGTERM);
        run.wait().ended("exited", None);
    }
}

fn only_child(pid: u32) -> u32 {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    let children: Vec<u32> = text.split_whitespace().map(|child| child.parse().unwrap()).collect();
    assert_eq!(children.len(), 1, "children of {pid}: {children:?}");
    children[0]
}
