//! Limits: each is held, recorded, and told apart from the others and from the extension's own end.

use nix::sys::signal::Signal;
use sandboxctl_integration::{Bundle, Need, Outcome, Site, require};

fn run(bundle: &Bundle) -> Outcome {
    Site::new().run(bundle)
}

#[test]
fn too_much_memory_ends_it() {
    require!(Need::Controller("memory"));
    let outcome = run(&Bundle::probe(&["eat", "200"]).limit("memory_mb", 48));
    outcome.expect(137).ended("limit", Some("memory"));
    assert_eq!(outcome.limit("memory")["enforcement"], "kernel");
    assert_eq!(outcome.recorded("memory-limit", "kind", "memory")["action"], "killed");
    let peak = outcome.report()["usage"]["memoryPeakMb"].as_f64().unwrap();
    assert!((40.0..=49.0).contains(&peak), "{peak}");
}

#[test]
fn enough_memory_does_not() {
    require!();
    let outcome = run(&Bundle::probe(&["eat", "24"]).limit("memory_mb", 64));
    outcome.expect(0).ended("exited", None).well_behaved();
    let peak = outcome.report()["usage"]["memoryPeakMb"].as_f64().unwrap();
    assert!((24.0..=64.0).contains(&peak), "{peak}");
}

/// The entry command's own status says nothing: it does not even notice.
#[test]
fn a_grandchild_that_is_killed_for_memory_counts() {
    require!(Need::Controller("memory"));
    let outcome = run(&Bundle::probe(&["grandchild-eats", "200"]).limit("memory_mb", 48));
    outcome.expect(137).ended("limit", Some("memory"));
    outcome.recorded("memory-limit", "kind", "memory");
}

/// The pages of its temporary files are its memory.
#[test]
fn temporary_files_count_as_memory() {
    require!(Need::Controller("memory"));
    let bundle = Bundle::probe(&["fill", "/tmp"]).limit("memory_mb", 32).limit("tmp_mb", 64);
    run(&bundle).expect(137).ended("limit", Some("memory"));
}

#[test]
fn the_wall_clock_ends_it_with_a_grace() {
    require!();
    let bundle = Bundle::probe(&["signals"]).limit("timeout_ms", 2500);
    let outcome = run(&bundle);
    // It ends on SIGTERM by itself, within the grace; it is ended all the same.
    outcome.expect(124).ended("limit", Some("timeout"));
    assert_eq!(outcome.stdout, "ready\nSIGTERM\n");
    outcome.recorded("time-limit", "kind", "timeout");
}

#[test]
fn the_wall_clock_ends_what_ignores_sigterm() {
    require!();
    let bundle = Bundle::probe(&["ignore-signals"]).limit("timeout_ms", 3000);
    let outcome = run(&bundle);
    outcome.expect(124).ended("limit", Some("timeout"));
    assert_eq!(outcome.report()["result"]["signal"], 9);
    let took = outcome.report()["usage"]["executionTimeMs"].as_u64().unwrap();
    assert!(took >= 3000, "it had {took} ms of 3000");
}

#[test]
fn a_fork_bomb_ends_with_the_time() {
    require!();
    let site = Site::alone();
    let bundle = Bundle::probe(&["bomb"]).limit("timeout_ms", 4000).limit("tasks", 32);
    let outcome = site.run(&bundle);
    outcome.expect(124).ended("limit", Some("timeout"));
    outcome.recorded("task-limit", "kind", "tasks");
    assert!(outcome.report()["usage"]["tasksPeak"].as_u64().unwrap() <= 33);
}

/// Being refused a process is no reason to be killed.
#[test]
fn too_many_processes_are_refused() {
    require!();
    let outcome = run(&Bundle::probe(&["forks", "40"]).limit("tasks", 16));
    outcome.expect(0).ended("exited", None);
    let seen = outcome.json();
    // The entry command is one of them.
    assert_eq!(seen["children"], 15);
    assert_eq!(seen["refusal"], "EAGAIN");
    let violation = outcome.recorded("task-limit", "kind", "tasks");
    assert_eq!(violation["action"], "denied");
    run(&Bundle::probe(&["forks", "10"]).limit("tasks", 16)).expect(0).well_behaved();
}

#[test]
fn an_ephemeral_disk_is_full_at_its_limit() {
    require!();
    let outcome = run(&Bundle::probe(&["fill", "/data"]).limit("disk_mb", 10));
    outcome.expect(0).ended("exited", None);
    let seen = outcome.json();
    assert_eq!(seen["refusal"], "ENOSPC");
    assert_eq!(seen["mebibytes"], 10);
    outcome.recorded("disk-limit", "kind", "disk");
    let used = outcome.report()["usage"]["diskUsedMb"].as_f64().unwrap();
    assert!((9.0..=10.5).contains(&used), "{used}");
}

#[test]
fn temporary_space_is_full_at_its_limit() {
    require!();
    let seen = run(&Bundle::probe(&["fill", "/tmp"]).limit("tmp_mb", 5)).expect(0).json();
    assert_eq!((seen["refusal"].as_str(), seen["mebibytes"].as_u64()), (Some("ENOSPC"), Some(5)));
    let seen = run(&Bundle::probe(&["fill", "/dev/shm"]).limit("tmp_mb", 5)).expect(0).json();
    assert_eq!(seen["refusal"], "ENOSPC");
}

/// Measured inside, against the wall clock: a quarter of a core, within generous bounds.
#[test]
fn a_quarter_of_a_core_is_a_quarter() {
    require!(Need::Controller("cpu"));
    let site = Site::alone();
    let outcome = site.run(&Bundle::probe(&["spin", "2000"]));
    outcome.expect(0).ended("exited", None).well_behaved();
    assert!(outcome.limit("cpu")["hits"].as_u64().unwrap() > 0);
    let seen = outcome.json();
    let share = seen["cpuMs"].as_f64().unwrap() / seen["wallMs"].as_f64().unwrap();
    assert!((0.1..0.35).contains(&share), "{share} of a core");
    let reported = outcome.report()["usage"]["cpuPercentage"].as_f64().unwrap();
    assert!((10.0..35.0).contains(&reported), "{reported} %");
}

/// Waiting at the limit is no offence, and said where it went on for long.
#[test]
fn a_long_wait_at_the_cpu_limit_is_said() {
    require!(Need::Controller("cpu"));
    let outcome = run(&Bundle::probe(&["spin", "6000"]).limit("cpu_percent", 5));
    outcome.expect(0).ended("exited", None).well_behaved();
    let throttled = outcome.recorded("cpu-throttled", "kind", "cpu");
    assert_eq!(
        (throttled["severity"].as_str(), throttled["action"].as_str()),
        (Some("INFO"), Some("throttled"))
    );
}

/// All processes and threads together.
#[test]
fn many_processes_share_the_quarter() {
    require!(Need::Controller("cpu"));
    let site = Site::alone();
    let script = "for n in 1 2 3 4; do /ext/probe spin 2000 >/dev/null & done; wait";
    let outcome = site.run(&Bundle::shell(script).with_probe());
    outcome.expect(0);
    let reported = outcome.report()["usage"]["cpuPercentage"].as_f64().unwrap();
    assert!((10.0..35.0).contains(&reported), "{reported} %");
}

#[test]
fn its_own_exit_code_passes_through() {
    require!();
    for code in ["0", "1", "42", "124", "125", "137", "255"] {
        let outcome = run(&Bundle::probe(&["exit", code]));
        outcome.expect(code.parse().unwrap()).ended("exited", None);
        assert_eq!(outcome.report()["result"]["exitCode"], code.parse::<i32>().unwrap());
    }
}

/// 137 is what an extension that kills itself looks like, too; the report knows better.
#[test]
fn a_signal_is_no_limit() {
    require!();
    for signal in
        [Signal::SIGKILL, Signal::SIGSEGV, Signal::SIGABRT, Signal::SIGTERM, Signal::SIGSYS]
    {
        let number = signal as i32;
        let outcome = run(&Bundle::probe(&["kill-self", &number.to_string()]));
        outcome.expect(128 + number).ended("signalled", None);
        assert_eq!(outcome.report()["result"]["signal"], number);
        assert!(outcome.violations().is_empty(), "{:#?}", outcome.violations());
    }
}

/// What hides in a session of its own counts, and ends with the run.
#[test]
fn a_daemon_counts_and_ends() {
    require!(Need::Controller("memory"));
    let site = Site::new();
    let outcome = site.run(&Bundle::probe(&["daemon", "300", "40"]));
    outcome.expect(0).ended("exited", None);
    let usage = &outcome.report()["usage"];
    assert!(usage["cpuMs"].as_u64().unwrap() >= 300, "{usage}");
    assert!(usage["memoryPeakMb"].as_f64().unwrap() >= 40.0, "{usage}");
    // That the pipes of its output are closed, which the harness waits for, proves that it is dead.
}

/// Orphans are PID 1's to bury.
#[test]
fn the_dead_are_reaped() {
    require!();
    let outcome = run(&Bundle::python(
        r#"
import time
for _ in range(20):
    if os.fork() == 0:
        if os.fork() == 0: os._exit(0)
        os._exit(0)
    os.wait()
def state(pid):
    try: return open("/proc/%s/stat" % pid).read().rpartition(")")[2].split()[0]
    # Reaped between the listing and the reading.
    except (FileNotFoundError, ProcessLookupError): return "X"
def zombies(): return [state(pid) for pid in os.listdir("/proc") if pid.isdigit()].count("Z")
until = time.monotonic() + 20
while zombies() and time.monotonic() < until: time.sleep(0.01)
print(json.dumps(zombies()))
"#,
    ));
    assert_eq!(outcome.expect(0).json(), 0);
}

#[test]
fn each_limit_names_its_mechanism() {
    require!();
    let outcome = run(&Bundle::probe(&["true"]));
    let limits = outcome.expect(0).report()["limits"].as_array().unwrap();
    let kinds: Vec<&str> = limits.iter().map(|limit| limit["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["memory", "cpu", "disk", "timeout", "tasks"]);
    for limit in limits {
        assert!(!limit["mechanism"].as_str().unwrap().is_empty(), "{limit}");
        assert_ne!(limit["enforcement"], "off", "{limit}");
    }
    assert_eq!(outcome.report()["usage"]["source"], "kernel");
}
