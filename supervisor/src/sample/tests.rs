//! Over real processes in a pid namespace of their own.

use std::io::{BufRead, BufReader};
use std::os::fd::AsFd;
use std::process::{Child, Command, Stdio};

use super::tree::descendants;
use super::watch::TreeWatch;
use super::*;
use crate::limits::cgroup::Layout;

/// A pid namespace whose init is a shell that runs `script`, until it says "ready".
struct Namespace {
    unshare: Child,
    init: i32,
}

impl Namespace {
    fn new(script: &str) -> Self {
        assert!(nix::unistd::geteuid().is_root(), "needs root: namespaces are made");
        // setpriv, so that a test that is killed leaves nothing either.
        let mut unshare = Command::new("setpriv")
            .args([
                "--pdeathsig",
                "KILL",
                "unshare",
                "--pid",
                "--net",
                "--fork",
                "--kill-child",
                "bash",
                "-c",
                script,
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(unshare.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        let init = descendants(i32::try_from(unshare.id()).unwrap())[0];
        Self { unshare, init }
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        self.unshare.kill().unwrap();
        self.unshare.wait().unwrap();
    }
}

fn no_groups() -> Groups {
    let limits = policies::limits::Limits {
        memory_mb: 64,
        cpu_percent: 100,
        disk_mb: 1,
        tmp_mb: 1,
        timeout_ms: 1,
        grace_ms: 1,
        tasks: 1,
        open_files: 1,
        file_mb: 1,
    };
    Groups::create(&Layout::none("not wanted here"), "x", &limits, 1).unwrap()
}

/// Forks twice, leaves the session, has its parent die, holds 40 MiB in 3 threads and spins.
const DAEMON: &str = r#"
( setsid python3 -c '
import threading, time
held = bytearray(40 << 20)
for _ in range(2): threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
print("ready", flush=True)
while True: pass' & )
sleep 1000"#;

#[test]
fn a_daemon_that_forked_twice_still_counts() {
    let namespace = Namespace::new(DAEMON);
    let mut sampler = TreeSampler::new(namespace.init, Duration::from_millis(100));
    let groups = no_groups();
    let start = std::time::Instant::now();
    let first = sampler.sample(start.elapsed(), &groups, None, (0, 0));
    while sampler.last.cpu_usec < first.cpu_usec + 50_000 {
        std::thread::sleep(Duration::from_millis(20));
        sampler.sample(start.elapsed(), &groups, None, (0, 0));
    }
    let sample = sampler.last;
    assert!(sample.memory_bytes >= 40 << 20, "{sample:?}");
    // The threads of python; the shell became its last command, and is init.
    assert_eq!(sample.tasks, 3, "{sample:?}");
    assert!(sampler.series().peaks().cpu_percent > 0.0);
    assert_eq!((sample.net_in_bytes, sample.net_out_bytes), (0, 0));
}

#[test]
fn the_guards_readings_agree_with_the_kernels() {
    let namespace = Namespace::new(DAEMON);
    let mut watch = TreeWatch::new(namespace.init);
    let first = watch.measure();
    assert!(first.rss_bytes >= 40 << 20, "{first:?}");
    let proportional = watch.proportional().unwrap();
    assert!((40 << 20..=first.rss_bytes + (1 << 20)).contains(&proportional), "{proportional}");
    while watch.measure().cpu < first.cpu + Duration::from_millis(20) {
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn cpu_time_of_a_process_that_ended_is_kept() {
    let namespace =
        Namespace::new("python3 -c 'while True: pass' & echo ready; wait; sleep 1000; :");
    let mut watch = TreeWatch::new(namespace.init);
    let mut sampler = TreeSampler::new(namespace.init, Duration::from_millis(100));
    let groups = no_groups();
    let mut seen = sampler.sample(Duration::ZERO, &groups, None, (0, 0));
    while seen.cpu_usec < 30_000 {
        std::thread::sleep(Duration::from_millis(5));
        seen = sampler.sample(Duration::ZERO, &groups, None, (0, 0));
    }
    let before = watch.measure().cpu;
    let spinning = descendants(namespace.init)
        .into_iter()
        .find(|pid| {
            let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            name.starts_with("python3")
        })
        .unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(spinning), nix::sys::signal::Signal::SIGKILL)
        .unwrap();
    while descendants(namespace.init).contains(&spinning) {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(watch.measure().cpu >= before);
    let after = sampler.sample(Duration::ZERO, &groups, None, (0, 0));
    assert!(after.cpu_usec >= seen.cpu_usec && after.tasks <= 1, "{after:?}");
}

#[test]
fn a_child_of_a_thread_that_is_not_the_first_is_found() {
    let script = r#"python3 -c '
import subprocess, threading
def work():
    child = subprocess.Popen(["sleep", "1000"])
    print("ready", flush=True)
    child.wait()
threading.Thread(target=work).start()'; true"#;
    let namespace = Namespace::new(script);
    assert_eq!(descendants(namespace.init).len(), 2);
}

#[test]
fn more_children_than_one_read_returns_are_all_found() {
    // 1500 pids of up to 5 digits and a space are more than a page.
    let script = "for i in $(seq 1500); do sleep 1000 & done; echo ready; wait";
    let namespace = Namespace::new(script);
    assert_eq!(descendants(namespace.init).len(), 1500);
}

#[test]
fn disk_is_what_the_filesystem_says() {
    let namespace = Namespace::new("echo ready; sleep 1000");
    let shm = std::fs::File::open("/dev/shm").unwrap();
    let sample = TreeSampler::new(namespace.init, Duration::from_millis(100)).sample(
        Duration::from_millis(1),
        &no_groups(),
        Some(shm.as_fd()),
        (7, 5),
    );
    assert_eq!((sample.net_in_bytes, sample.net_out_bytes), (7, 5));
    assert!(sample.disk_bytes.is_some());
}

#[test]
fn a_tree_that_is_gone_samples_as_nothing() {
    let namespace = Namespace::new("echo ready; sleep 1000");
    let mut sampler = TreeSampler::new(namespace.init, Duration::from_millis(100));
    drop(namespace);
    let sample = sampler.sample(Duration::from_millis(1), &no_groups(), None, (0, 0));
    assert_eq!((sample.tasks, sample.memory_bytes, sample.cpu_usec), (0, 0, 0));
}
