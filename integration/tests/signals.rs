//! Signals of the operator: passed on, and the report is written whatever happens.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sandboxctl_integration::{Bundle, Site, require};

#[test]
fn those_that_end_nothing_arrive() {
    require!();
    let site = Site::new();
    let mut run = site.start(&Bundle::probe(&["signals"]).build(&site), &[]);
    run.wait_for("ready");
    for signal in [Signal::SIGHUP, Signal::SIGUSR1, Signal::SIGUSR2] {
        run.signal(signal);
        run.wait_for(signal.as_str());
    }
    run.signal(Signal::SIGTERM);
    let outcome = run.wait();
    assert_eq!(outcome.stdout, "ready\nSIGHUP\nSIGUSR1\nSIGUSR2\nSIGTERM\n");
    outcome.ended("exited", None);
    assert_eq!(outcome.report()["result"]["exitCode"], 40);
    outcome.expect(40);
}

/// Ctrl-C: the whole foreground process group gets it; the extension, in its own session, only through us.
#[test]
fn ctrl_c_ends_the_extension_and_not_the_report() {
    require!();
    let site = Site::new();
    let mut run = site.start(&Bundle::probe(&["signals"]).build(&site), &[]);
    run.wait_for("ready");
    run.signal(Signal::SIGINT);
    let outcome = run.wait();
    assert_eq!(outcome.stdout, "ready\nSIGINT\n");
    outcome.expect(41).ended("exited", None);
}

/// The extension may have said its first word before the supervisor has heard that it started: a signal of that moment is
/// passed on like any other.
#[test]
fn a_signal_at_the_first_word_is_passed_on() {
    use std::io::{BufRead, BufReader};
    require!();
    let site = Site::new();
    let built = Bundle::probe(&["signals"]).build(&site);
    for _ in 0..150 {
        let mut command = site.prepare(sandboxctl_integration::site::binary());
        command.args(["run", "--quiet"]).arg(&built.path).stdout(std::process::Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut word = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut word).unwrap();
        kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGTERM).unwrap();
        assert_eq!((word.as_str(), child.wait().unwrap().code()), ("ready\n", Some(40)));
    }
}

/// Default actions: what does not handle SIGTERM is ended by it.
#[test]
fn an_unhandled_signal_ends_it() {
    require!();
    let site = Site::new();
    let script = "echo ready; exec sleep 100";
    let mut run = site.start(&Bundle::shell(script).build(&site), &[]);
    run.wait_for("ready");
    run.signal(Signal::SIGTERM);
    run.wait().expect(128 + Signal::SIGTERM as i32);
}

/// Asked, it has the grace; asked twice, it has none.
#[test]
fn what_ignores_the_operator_is_killed() {
    require!();
    let site = Site::new();
    let bundle = Bundle::probe(&["ignore-signals"]);
    for signals in [1, 2] {
        let mut run = site.start(&bundle.build(&site), &[]);
        run.wait_for("ready");
        for _ in 0..signals {
            run.signal(Signal::SIGINT);
        }
        let outcome = run.wait();
        let result = &outcome.report()["result"];
        assert!(result["limit"].is_null(), "{result}");
        assert_eq!(result["signal"], 9, "{result}");
        outcome.expect(137);
    }
}

/// The group of a shell job, or of a service: children of the entry command get it, too.
#[test]
fn the_whole_group_gets_it() {
    require!();
    let site = Site::new();
    let script = "/ext/probe signals & /ext/probe signals & wait; wait";
    let mut run = site.start(&Bundle::shell(script).with_probe().build(&site), &[]);
    run.wait_for("ready\nready");
    run.signal(Signal::SIGUSR1);
    // bash itself has no handler, so it ends.
    let outcome = run.wait();
    outcome.expect(128 + Signal::SIGUSR1 as i32);
}

/// The extension cannot reach the supervisor, and signals to PID 1 from inside are not signals of the operator.
#[test]
fn it_cannot_signal_outwards() {
    require!();
    let site = Site::new();
    let bundle = Bundle::python(
        r"
import signal
print(json.dumps({str(pid): attempt(lambda: os.kill(pid, signal.SIGTERM)) for pid in [1, int(sys.argv[1])]}))
",
    );
    let own = std::process::id().to_string();
    let built = bundle.build(&site);
    let mut command = site.prepare("sh");
    command.args(["-c", "bin=$0; id=$1; shift; exec \"$bin\" run \"$@\" -- \"$id\""]);
    command.arg(sandboxctl_integration::site::binary()).arg(&own);
    let outcome = site.start_command(command, &built, &[]).wait();
    let seen = outcome.expect(0).json();
    assert_eq!(seen["1"], "EPERM");
    assert_eq!(seen[&own], "ESRCH");
    kill(Pid::from_raw(i32::try_from(std::process::id()).unwrap()), None).unwrap();
}
