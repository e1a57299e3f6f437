//! Many runs at once.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::collections::BTreeSet;

use sandboxctl_integration::{Bundle, Site, Snapshot, require};

/// The host's id of the extension, from the layers of a report.
fn host_id(report: &serde_json::Value) -> u32 {
    let layers = report["layers"].as_array().unwrap();
    let user = layers.iter().find(|layer| layer["layer"] == "user").unwrap();
    let words = user["detail"].as_str().unwrap();
    let first = words.split(|letter: char| !letter.is_ascii_digit()).find(|word| !word.is_empty());
    first.unwrap().parse().unwrap()
}

/// All of them live at the same time: each waits for a signal.
#[test]
fn fifty_of_the_same_and_fifty_of_different_extensions() {
    require!();
    let site = Site::alone();
    let before = Snapshot::take();
    for same in [true, false] {
        let bundle = |_| Bundle::probe(&["signals"]).storage("none").build(&site);
        let one = bundle(0);
        let mut runs: Vec<_> = (0..50)
            .map(|number| site.start(&if same { one.clone() } else { bundle(number) }, &[]))
            .collect();
        for run in &mut runs {
            run.wait_for("ready");
        }
        let listed = site.sandboxctl(&["ps", "--json"]).expect(0).json();
        // Others may use this host, too.
        let own = format!("test.p{}n", std::process::id());
        let own = |run: &&serde_json::Value| run["extensionId"].as_str().unwrap().starts_with(&own);
        assert_eq!(listed.as_array().unwrap().iter().filter(own).count(), 50);
        for run in &runs {
            run.signal(nix::sys::signal::Signal::SIGTERM);
        }
        let mut ids = BTreeSet::new();
        let mut names = BTreeSet::new();
        for run in runs {
            let outcome = run.wait();
            outcome.expect(40).well_behaved();
            ids.insert(host_id(outcome.report()));
            names.insert(outcome.report()["runId"].as_str().unwrap().to_owned());
        }
        assert_eq!((ids.len(), names.len()), (50, 50), "ids or names are shared");
    }
    before.assert_unchanged();
}

/// Each gets its own violations, and none of the others'.
#[test]
fn denials_are_told_apart() {
    require!(sandboxctl_integration::Need::LandlockRecords);
    let site = Site::alone();
    let paths = ["/etc/shadow", "/etc/gshadow", "/etc/sudoers", "/root/.ssh/id_rsa"];
    let program = |path: &str| format!("for _ in range(20): attempt(lambda: open({path:?}))");
    let runs: Vec<_> = (0..16)
        .map(|number| {
            let path = paths[number % paths.len()];
            (path, site.start(&Bundle::python(&program(path)).build(&site), &[]))
        })
        .collect();
    for (path, run) in runs {
        let outcome = run.wait();
        outcome.expect(0);
        assert_eq!(outcome.recorded("tripwire-touched", "path", path)["count"], 20);
        assert_eq!(outcome.violations().len(), 1, "{:#?}", outcome.violations());
    }
}

/// What is numbered once a host stays so where operators move the run folder: neither run ends or hides the other.
#[test]
fn two_run_folders_do_not_disturb_each_other() {
    require!();
    let site = Site::alone();
    let bundle = Bundle::probe(&["signals"]).build(&site);
    let mut runs: Vec<_> = ["run-a", "run-b"]
        .iter()
        .map(|name| {
            let mut command = site.prepare(sandboxctl_integration::site::binary());
            command.arg("run").env("SANDBOXCTL_RUN_DIR", site.dir().join(name));
            let mut run = site.start_command(command, &bundle, &[]);
            run.wait_for("ready");
            run
        })
        .collect();
    for run in &runs {
        run.signal(nix::sys::signal::Signal::SIGTERM);
    }
    let mut ids = BTreeSet::new();
    for run in runs.drain(..) {
        let outcome = run.wait();
        outcome.expect(40).ended("exited", None);
        ids.insert(host_id(outcome.report()));
    }
    assert_eq!(ids.len(), 2, "both are the same user");
}
