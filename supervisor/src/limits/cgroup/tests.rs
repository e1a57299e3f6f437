//! On the host's real control groups, whichever it has.

use std::fmt::Write;
use std::io::Read;
use std::os::fd::AsRawFd;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::poll::{PollFd, PollTimeout, poll};

use super::*;

const LIMITS: Limits = Limits {
    memory_mb: 32,
    cpu_percent: 25,
    disk_mb: 1,
    tmp_mb: 1,
    timeout_ms: 1000,
    grace_ms: 100,
    tasks: 8,
    open_files: 64,
    file_mb: 1,
};

/// A name that no other test, and no real run, uses.
fn name() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    assert!(nix::unistd::geteuid().is_root(), "needs root: control groups are made");
    format!("sandboxctl-test-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

fn groups(name: &str, limits: &Limits) -> Groups {
    Groups::create(&Layout::detect(), name, limits, 1).unwrap()
}

/// A shell that joins the groups as the shim does, then runs `script`.
fn inside(groups: &Groups, script: &str) -> Command {
    let mut line = String::new();
    for fd in groups.join_fds() {
        fcntl(fd, FcntlArg::F_SETFD(FdFlag::empty())).unwrap();
        write!(line, "echo 0 >&{0} && exec {0}>&- && ", fd.as_raw_fd()).unwrap();
    }
    if let Some(group) = &groups.v2 {
        // A stand-in for CLONE_INTO_CGROUP, which std::process cannot do.
        write!(line, "echo 0 > {}/cgroup.procs && ", group.dir.display()).unwrap();
    }
    let mut command = Command::new("bash");
    command.arg("-c").arg(format!("{line}{{ {script}; }}")).stdin(Stdio::null());
    command
}

fn output(groups: &Groups, script: &str) -> Output {
    inside(groups, script).output().unwrap()
}

/// Waits until the child has joined and said so.
fn joined(mut command: Command) -> Child {
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut ready = [0_u8; 6];
    child.stdout.as_mut().unwrap().read_exact(&mut ready).unwrap();
    assert_eq!(&ready, b"ready\n");
    child
}

#[test]
fn groups_are_made_and_leave_nothing() {
    let groups = groups(&name(), &LIMITS);
    let dirs: Vec<PathBuf> = groups.dirs().map(Path::to_owned).collect();
    assert!(!dirs.is_empty(), "this host offers no control groups: {groups:?}");
    assert!(dirs.iter().all(|dir| dir.is_dir()));
    for controller in Controller::LIMITING {
        assert!(groups.holds(controller), "{:?}", groups.control(controller));
    }
    assert!(groups.remove().is_empty());
    assert!(dirs.iter().all(|dir| !dir.exists()));
}

#[test]
fn dropping_removes_too() {
    let groups = groups(&name(), &LIMITS);
    let dirs: Vec<PathBuf> = groups.dirs().map(Path::to_owned).collect();
    drop(groups);
    assert!(dirs.iter().all(|dir| !dir.exists()));
}

#[test]
fn an_oom_of_a_grandchild_is_counted_and_signalled() {
    let groups = groups(&name(), &LIMITS);
    let events = groups.oom_events().unwrap().unwrap();
    assert_eq!(groups.oom_kills_now(), Some(0));
    let done = output(&groups, r"python3 -c 'x = bytearray(96 << 20)'; echo grandchild $?");
    assert!(groups.oom_kills_now().unwrap() >= 1, "{done:?}");
    if groups.control(Controller::Memory).unwrap().contains("v1") {
        // v1 kills one process: that the leader lives on is what the counter is needed for.
        assert_eq!(String::from_utf8_lossy(&done.stdout), "grandchild 137\n");
    } else {
        // v2 kills the group, and counts that once.
        assert!(done.stdout.is_empty() && !done.status.success(), "{done:?}");
        assert_eq!(groups.oom_kills_now(), Some(1));
    }
    let mut polled = [PollFd::new(events.as_fd(), events.events)];
    assert_eq!(poll(&mut polled, PollTimeout::from(1000_u16)).unwrap(), 1);
    events.drain();
    let mut polled = [PollFd::new(events.as_fd(), events.events)];
    assert_eq!(poll(&mut polled, PollTimeout::ZERO).unwrap(), 0);
    assert!(groups.read().memory_peak.unwrap() <= LIMITS.memory_mb << 20);
    assert!(groups.remove().is_empty());
}

#[test]
fn memory_below_the_limit_is_no_oom() {
    let groups = groups(&name(), &LIMITS);
    let done = output(&groups, "python3 -c 'x = bytearray(4 << 20)'");
    assert!(done.status.success(), "{done:?}");
    let usage = groups.read();
    assert_eq!(usage.oom_kills, Some(0));
    assert!(usage.memory_peak.unwrap() >= 4 << 20, "{usage:?}");
}

#[test]
fn forks_stop_at_the_limit_and_ours_come_on_top() {
    const FORKS: &str = "exec python3 -c '
import os, signal
pids = []
try:
    while len(pids) < 100:
        pid = os.fork()
        if pid == 0: signal.pause()
        pids.append(pid)
except BlockingIOError: pass
print(len(pids), flush=True)
for pid in pids: os.kill(pid, 9)
for pid in pids: os.waitpid(pid, 0)'";
    let groups = groups(&name(), &LIMITS);
    let done = output(&groups, FORKS);
    // Eight and the shim's one, of which the forking process itself is one.
    assert_eq!(String::from_utf8_lossy(&done.stdout), "8\n", "{done:?}");
    let usage = groups.read();
    assert_eq!(usage.pids_max_events, Some(1));
    assert!(usage.tasks_peak.is_none_or(|peak| peak == 9), "{usage:?}");
}

#[test]
fn the_cpu_quota_is_a_share_of_one_core_for_the_whole_tree() {
    let groups = groups(&name(), &LIMITS);
    let start = Instant::now();
    let done =
        output(&groups, "for i in 1 2 3; do timeout 1 bash -c 'while :; do :; done' & done; wait");
    let wall = u64::try_from(start.elapsed().as_micros()).unwrap();
    assert!(done.status.success(), "{done:?}");
    let usage = groups.read();
    // Three spinning processes want up to two hundred per cent and more here.
    assert!(usage.cpu_usec.unwrap() < wall / 2, "{usage:?} in {wall} us");
    assert!(usage.nr_throttled.unwrap() > 0, "{usage:?}");
    assert!(usage.throttled_usec.unwrap() > 0, "{usage:?}");
}

#[test]
fn cpu_time_of_dead_processes_counts() {
    let limits = Limits { cpu_percent: 200, ..LIMITS };
    let groups = groups(&name(), &limits);
    assert!(
        output(&groups, "timeout 0.3 bash -c 'while :; do :; done'").status.code() == Some(124)
    );
    assert!(groups.read().cpu_usec.unwrap() > 10_000, "{:?}", groups.read());
}

#[test]
fn leftovers_of_a_dead_run_are_killed_and_removed() {
    let name = name();
    let groups = groups(&name, &LIMITS);
    let dirs: Vec<PathBuf> = groups.dirs().map(Path::to_owned).collect();
    let mut child = joined(inside(&groups, "echo ready; exec sleep 1000"));
    // As a supervisor that was killed: no destructor runs.
    std::mem::forget(groups);
    let removed = clear_stale(&Layout::detect(), &name, []).unwrap();
    assert_eq!(removed.len(), dirs.len());
    assert!(dirs.iter().all(|dir| !dir.exists()));
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&child.wait().unwrap()), Some(9));
    assert!(clear_stale(&Layout::detect(), &name, []).unwrap().is_empty());
}

#[test]
fn a_v1_group_without_cgroup_kill_is_cleared_by_pid() {
    let Some(memory) = Layout::detect().v1.first().map(|v1| v1.parent.clone()) else {
        // On a host with v2 alone there is no such group.
        assert_eq!(Layout::detect().kind(), "v2");
        return;
    };
    let dir = memory.join(name());
    fs::create_dir(&dir).unwrap();
    let mut shell = Command::new("bash");
    shell.arg("-c").arg(format!(
        "echo 0 > {0}/tasks; sleep 1000 & mkdir {0}/inner; echo ready; exec sleep 1000",
        dir.display()
    ));
    let mut child = joined(shell);
    stale::clear(&dir).unwrap();
    assert!(!dir.exists());
    assert!(!child.wait().unwrap().success());
}

#[test]
fn creating_over_leftovers_clears_them() {
    let name = name();
    let first = groups(&name, &LIMITS);
    let mut child = joined(inside(&first, "echo ready; exec sleep 1000"));
    std::mem::forget(first);
    let second = groups(&name, &LIMITS);
    assert!(!child.wait().unwrap().success());
    assert_eq!(second.read().tasks_now, Some(0));
    assert!(second.remove().is_empty());
}

#[test]
fn noted_directories_are_cleared_only_if_they_are_cgroups_of_that_name() {
    let folder = std::env::temp_dir().join(name());
    fs::create_dir(&folder).unwrap();
    let own = folder.file_name().unwrap().to_str().unwrap();
    assert!(clear_stale(&Layout::none("test"), own, [&*folder]).unwrap().is_empty());
    assert!(folder.is_dir());
    fs::remove_dir(&folder).unwrap();

    let groups = groups(own, &LIMITS);
    let dirs: Vec<PathBuf> = groups.dirs().map(Path::to_owned).collect();
    let noted = || dirs.iter().map(PathBuf::as_path);
    assert!(clear_stale(&Layout::none("test"), "other", noted()).unwrap().is_empty());
    assert_eq!(clear_stale(&Layout::none("test"), own, noted()).unwrap(), dirs);
    assert!(groups.remove().is_empty());
}

#[test]
fn freezing_stops_and_killing_ends_the_whole_group() {
    let groups = groups(&name(), &LIMITS);
    let mut child = joined(inside(&groups, "sleep 1000 & echo ready; wait"));
    assert!(groups.freeze(true).unwrap(), "no v2 tree on this host");
    assert!(groups.kill().unwrap());
    assert!(!child.wait().unwrap().success());
    assert!(groups.remove().is_empty());
}

#[test]
fn a_host_without_cgroups_gets_groups_that_hold_nothing() {
    let groups = Groups::create(&Layout::none("read-only file system"), "x", &LIMITS, 1).unwrap();
    assert_eq!(groups.dirs().count(), 0);
    assert_eq!(groups.read(), Usage::default());
    assert!(groups.join_fds().is_empty() && groups.clone_into().is_none());
    assert!(!groups.kill().unwrap());
    assert!(groups.oom_events().unwrap().is_none());
    assert_eq!(groups.control(Controller::Cpu).unwrap_err().reason, "read-only file system");
}

#[test]
fn read_only_cgroups_are_a_gap_with_path_and_errno() {
    // /proc/sys/kernel stands for a mount that takes no new directories.
    let layout = Layout {
        v1: vec![layout::Hierarchy {
            parent: "/proc/sys/kernel".into(),
            controllers: [Controller::Memory].into(),
        }],
        ..Layout::none("not mounted")
    };
    let layout = Layout { absent: Vec::new(), ..layout };
    let groups = Groups::create(&layout, "x", &LIMITS, 1).unwrap();
    let gap = groups.control(Controller::Memory).unwrap_err();
    assert!(gap.reason.starts_with("failed to create /proc/sys/kernel/x: "), "{gap:?}");
}

#[test]
fn small_quotas_keep_to_the_kernels_least() {
    assert_eq!(Quota::of_percent(25), Quota { quota_us: 5_000, period_us: 20_000 });
    assert_eq!(Quota::of_percent(200), Quota { quota_us: 40_000, period_us: 20_000 });
    for percent in 1..=400 {
        let quota = Quota::of_percent(percent);
        assert!(quota.quota_us >= Quota::LEAST_US && quota.period_us <= 1_000_000, "{percent}");
        assert_eq!(quota.quota_us * 100 / quota.period_us, u64::from(percent));
    }
}
