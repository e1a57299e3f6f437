//! Nothing is left, whatever way a run ends; what only a later process can clear, the next run or `gc` does.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use sandboxctl_integration::{Bundle, Need, Site, Snapshot, require};

/// What a dead supervisor cannot take back itself.
const LEFT_TO_GC: [&str; 3] = ["control groups:", "run slots:", "kernel audit:"];

#[test]
fn ordinary_ends_leave_nothing() {
    require!(Need::LoopDevices);
    let site = Site::alone();
    let before = Snapshot::take();
    for bundle in [
        Bundle::probe(&["true"]),
        Bundle::probe(&["kill-self", "9"]),
        Bundle::probe(&["eat", "100"]).limit("memory_mb", 24),
        Bundle::probe(&["ignore-signals"]).limit("timeout_ms", 200),
        Bundle::probe(&["daemon", "1", "1"]),
        Bundle::probe(&["true"]).storage("persistent"),
        Bundle::command(&["/ext/absent"]).storage("persistent"),
        Bundle::command(&["true"]).tier("enterprise"),
        Bundle::probe(&["calls", "mount", "unshare-net"]),
    ] {
        drop(site.run(&bundle));
    }
    before.assert_unchanged();
}

/// SIGKILL of the supervisor at points that cover its whole life, from its first instruction to its last. The sandbox
/// dies with it; `gc` clears the rest.
#[test]
fn a_killed_supervisor_leaves_nothing() {
    require!(Need::LoopDevices);
    let site = Site::alone();
    let bundles = [
        Bundle::probe(&["exit", "3"]).storage("none").build(&site),
        Bundle::probe(&["exit", "3"]).id("test.killed").storage("persistent").build(&site),
        Bundle::probe(&["ignore-signals"]).storage("ephemeral").build(&site),
    ];
    // Makes the image, so that the points below meet an attachment and not its making.
    site.run_built(&bundles[1], &[]).expect(3);
    let before = Snapshot::take();
    let mut killed = 0;
    for bundle in &bundles {
        let began = Instant::now();
        let mut whole = site.start(bundle, &[]);
        if bundle.path == bundles[2].path {
            whole.wait_for("ready");
            whole.signal(Signal::SIGKILL);
            drop(whole.wait());
        } else {
            whole.wait().expect(3);
        }
        let step = began.elapsed().max(Duration::from_millis(8)) / 40;
        for number in 0..=44 {
            let run = site.start(bundle, &[]);
            std::thread::sleep(step * number);
            run.signal(Signal::SIGKILL);
            // The harness waits for the pipes too, which the extension holds as long as it lives.
            let outcome = run.wait();
            killed += u32::from(outcome.status.code().is_none());
        }
    }
    assert!(killed > 60, "only {killed} were killed before they ended");
    let left: Vec<String> = before
        .differences_to_now()
        .into_iter()
        .filter(|line| !LEFT_TO_GC.iter().any(|kind| line.starts_with(kind)))
        .collect();
    assert!(left.is_empty(), "the kernel should have cleared:\n  {}", left.join("\n  "));
    site.sandboxctl(&["gc"]).expect(0);
    before.assert_unchanged();
    // Everything can be had again.
    site.run_built(&bundles[1], &[]).expect(3);
    before.assert_unchanged();
}

/// Without `gc`: the next run takes over the number of a dead one, and with it what it left.
#[test]
fn the_next_run_clears_what_a_killed_one_left() {
    require!();
    let site = Site::alone();
    let before = Snapshot::take();
    let bundle = Bundle::probe(&["signals"]).build(&site);
    let mut run = site.start(&bundle, &[]);
    run.wait_for("ready");
    run.signal(Signal::SIGKILL);
    drop(run.wait());
    let mut next = site.start(&bundle, &[]);
    next.wait_for("ready");
    next.signal(Signal::SIGTERM);
    next.wait().expect(40);
    before.assert_unchanged();
}

/// A run that lives is not garbage.
#[test]
fn gc_leaves_the_living_alone() {
    require!();
    let site = Site::alone();
    let bundle = Bundle::probe(&["signals"]).build(&site);
    let mut run = site.start(&bundle, &[]);
    run.wait_for("ready");
    let cleared = site.sandboxctl(&["gc", "--json"]).expect(0).json();
    assert_eq!(cleared["slots"], serde_json::json!([]));
    run.signal(Signal::SIGUSR1);
    run.wait_for("SIGUSR1");
    run.signal(Signal::SIGTERM);
    run.wait().expect(40).ended("exited", None);
}

/// PID 1 killed from outside, as an operator or the kernel might: the run ends, is reported, and leaves nothing.
#[test]
fn a_killed_pid_1_ends_the_run() {
    require!();
    let site = Site::alone();
    let before = Snapshot::take();
    let mut run = site.start(&Bundle::probe(&["signals"]).build(&site), &[]);
    run.wait_for("ready");
    let children =
        std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", run.pid())).unwrap();
    let shim: i32 = children.split_whitespace().next().unwrap().parse().unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(shim), Signal::SIGKILL).unwrap();
    let outcome = run.wait();
    assert_ne!(outcome.code(), 0);
    assert!(outcome.report()["result"]["limit"].is_null(), "{}", outcome.report()["result"]);
    before.assert_unchanged();
}
