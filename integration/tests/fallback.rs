//! Hosts without writable control groups: each limit falls back, the report says to what, and it still holds.

use sandboxctl_integration::site::binary;
use sandboxctl_integration::{Bundle, Outcome, Site, require};

/// How a host can lack control groups.
const COVERED: &str = "mount -t tmpfs none /sys/fs/cgroup";
const READ_ONLY: &str = "for m in /sys/fs/cgroup /sys/fs/cgroup/*; do mountpoint -q $m && mount -o remount,bind,ro $m; done";

/// Runs where control groups are taken away, in a mount namespace of its own.
fn without_groups(site: &Site, how: &str, bundle: &Bundle) -> Outcome {
    let built = bundle.build(site);
    let mut command = site.prepare("unshare");
    let script = format!("set -e; {how}; exec \"$@\"");
    command.args(["-m", "--propagation", "private", "sh", "-c", &script, "sh"]);
    command.arg(binary()).arg("run");
    site.start_command(command, &built, &["--sample-ms", "50"]).wait()
}

#[test]
fn each_limit_names_its_second_best() {
    require!();
    let site = Site::new();
    for how in [COVERED, READ_ONLY] {
        let outcome = without_groups(&site, how, &Bundle::probe(&["true"]));
        outcome.expect(0).well_behaved();
        for kind in ["memory", "cpu", "tasks"] {
            let limit = outcome.limit(kind);
            assert_ne!(limit["enforcement"], "off", "{how}: {limit}");
            assert!(!limit["mechanism"].as_str().unwrap().starts_with("cgroup"), "{how}: {limit}");
        }
        assert_ne!(outcome.limit("memory")["enforcement"], "kernel");
        assert_ne!(outcome.limit("cpu")["enforcement"], "kernel");
        assert_eq!(outcome.report()["usage"]["source"], "estimated");
    }
}

#[test]
fn too_much_memory_ends_it_all_the_same() {
    require!();
    let site = Site::alone();
    for act in ["eat", "grandchild-eats"] {
        let bundle = Bundle::probe(&[act, "200"]).limit("memory_mb", 64);
        let outcome = without_groups(&site, COVERED, &bundle);
        outcome.expect(137).ended("limit", Some("memory"));
        outcome.recorded("memory-limit", "kind", "memory");
    }
    // RLIMIT_DATA does not see shared memory; the guard does.
    let shared = Bundle::python(
        r#"
import mmap, time
held = []
for _ in range(40):
    piece = mmap.mmap(-1, 4 << 20); held.append(piece)
    for page in range(0, 4 << 20, 4096): piece[page] = 1
    time.sleep(0.01)
print("ate all of it")
"#,
    )
    .limit("memory_mb", 64);
    without_groups(&site, COVERED, &shared).expect(137).ended("limit", Some("memory"));
    without_groups(&site, COVERED, &Bundle::probe(&["eat", "24"]).limit("memory_mb", 64)).expect(0);
}

#[test]
fn the_cpu_share_is_about_the_tiers() {
    require!();
    let site = Site::alone();
    let outcome = without_groups(&site, COVERED, &Bundle::probe(&["spin", "3000"]));
    outcome.expect(0).ended("exited", None);
    let seen = outcome.json();
    let share = seen["cpuMs"].as_f64().unwrap() / seen["wallMs"].as_f64().unwrap();
    assert!((0.12..0.42).contains(&share), "{share} of a core");
}

#[test]
fn tasks_and_time_hold() {
    require!();
    let site = Site::alone();
    let seen = without_groups(&site, COVERED, &Bundle::probe(&["forks", "40"]).limit("tasks", 16));
    assert_eq!(seen.expect(0).json()["refusal"], "EAGAIN");
    assert_eq!(seen.json()["children"], 15);
    let late = Bundle::probe(&["bomb"]).limit("tasks", 16).limit("timeout_ms", 1000);
    without_groups(&site, READ_ONLY, &late).expect(124).ended("limit", Some("timeout"));
}

/// An operator who wants the kernel's own limits gets them or no run.
#[test]
fn weaker_can_be_refused() {
    require!();
    let site = Site::new();
    site.configure("[limits]\nweaker = \"refuse\"\n");
    let outcome = without_groups(&site, COVERED, &Bundle::command(&["sh", "-c", "echo ran"]));
    outcome.expect(125);
    assert_eq!(outcome.stdout, "");
    for word in ["memory", "cpu", "hint:"] {
        assert!(outcome.stderr.contains(word), "{word}: {}", outcome.stderr);
    }
}
