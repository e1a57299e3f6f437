//! Started from any control group, as a service or a shell's job is: the limits hold, and nothing but what is documented
//! stays in the caller's group.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use sandboxctl_integration::site::binary;
use sandboxctl_integration::{Bundle, Need, Outcome, Site, require};

/// A group of one name in each hierarchy that limits something. Removed with it.
struct Caller {
    dirs: Vec<PathBuf>,
}

impl Caller {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("caller-{}-{number}", std::process::id());
        let root = Path::new("/sys/fs/cgroup");
        let tops = ["", "unified", "memory", "cpu", "pids"].map(|top| root.join(top));
        let dirs: Vec<PathBuf> = tops
            .iter()
            .filter(|top| top.join("cgroup.procs").exists())
            .map(|top| top.join(&name))
            .collect();
        for dir in &dirs {
            fs::create_dir_all(dir).unwrap();
        }
        Self { dirs }
    }

    /// Runs `eat` beyond its memory, started by a shell that is in the group and runs `last`.
    fn run(&self, site: &Site, last: &str) -> Outcome {
        let built = Bundle::probe(&["grandchild-eats", "200"]).limit("memory_mb", 48).build(site);
        let joins: Vec<String> = self
            .dirs
            .iter()
            .map(|dir| format!("echo 0 > {}/cgroup.procs", dir.display()))
            .collect();
        let mut command = site.prepare("sh");
        command
            .args(["-c", &format!("set -e; {}; {last}", joins.join("; ")), "sh"])
            .arg(binary())
            .arg("run");
        site.start_command(command, &built, &[]).wait()
    }

    /// What lies beneath the groups.
    fn beneath(&self) -> Vec<String> {
        let entries = self.dirs.iter().flat_map(|dir| fs::read_dir(dir).unwrap().flatten());
        entries
            .filter(|entry| entry.file_type().unwrap().is_dir())
            .map(|entry| entry.file_name().into_string().unwrap())
            .collect()
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        for dir in &self.dirs {
            drop(fs::remove_dir(dir.join("supervisor")));
            drop(fs::remove_dir(dir));
        }
    }
}

fn held_by_the_kernel(outcome: &Outcome) {
    outcome.expect(137).ended("limit", Some("memory"));
    for kind in ["memory", "cpu", "tasks"] {
        let limit = outcome.limit(kind);
        assert_eq!(limit["enforcement"], "kernel", "{limit}");
        assert!(limit["mechanism"].as_str().unwrap().starts_with("cgroup"), "{limit}");
    }
    assert_eq!(outcome.recorded("memory-limit", "kind", "memory")["count"], 1);
}

/// As a service: a group of its own, which version 2 lets it divide only after it moved to a leaf.
#[test]
fn alone_in_its_group() {
    require!(Need::Controller("memory"), Need::Controller("cpu"), Need::Controller("pids"));
    let site = Site::new();
    let caller = Caller::new();
    held_by_the_kernel(&caller.run(&site, "exec \"$@\""));
    let beneath = caller.beneath();
    assert!(beneath.iter().all(|name| name == "supervisor"), "{beneath:?}");
}

/// As a shell's job: version 2 does not let a group with other processes be divided, so one above it is.
#[test]
fn beside_its_shell() {
    require!(Need::Controller("memory"), Need::Controller("cpu"), Need::Controller("pids"));
    let site = Site::new();
    let caller = Caller::new();
    held_by_the_kernel(&caller.run(&site, "set +e; \"$@\"; exit $?"));
    assert_eq!(caller.beneath(), [] as [String; 0]);
}
