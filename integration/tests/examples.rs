//! The examples that ship with the product, as a new user runs them.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::path::{Path, PathBuf};

use sandboxctl_integration::bundle::Built;
use sandboxctl_integration::{Need, Site, require};

fn example(name: &str, id: &str) -> Built {
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples").join(name);
    Built { path: path.canonicalize().unwrap(), id: id.to_owned() }
}

#[test]
fn the_shift_report_is_computed_and_kept() {
    require!(Need::Program("python3"), Need::LoopDevices);
    let site = Site::new();
    let shift_report = example("shift-report", "plantworks.shift-report");
    for run in ["Run 1", "Run 2"] {
        let outcome = site.run_built(&shift_report, &[]);
        assert!(outcome.expect(0).stdout.contains(run), "{}", outcome.stdout);
        assert!(outcome.violations().is_empty(), "{:#?}", outcome.violations());
    }
    let list = site.sandboxctl(&["data", "ls", &shift_report.id]).expect(0).stdout.clone();
    for file in ["report.json", "report.md", "daily.csv"] {
        assert!(list.contains(file), "no {file} in {list}");
    }
    let report =
        site.sandboxctl(&["data", "get", &shift_report.id, "report.json"]).expect(0).json();
    assert!(report.as_object().is_some_and(|keys| !keys.is_empty()));
}

/// Nothing that it does gets through, and what it does is in the report.
#[test]
fn nosy_gets_nowhere() {
    require!(
        Need::Program("python3"),
        Need::LandlockRecords,
        Need::Controller("memory"),
        Need::Controller("cpu"),
    );
    let site = Site::alone();
    let outcome = site.run_built(&example("nosy", "curious.nosy"), &[]);
    assert!(!outcome.stdout.contains("GOT THROUGH"), "{}", outcome.stdout);
    // Its last act is to eat memory.
    outcome.expect(137).ended("limit", Some("memory"));
    for (code, key, value) in [
        ("tripwire-touched", "path", "/etc/shadow"),
        ("tripwire-touched", "path", "/root"),
        ("mount-attempt", "name", "mount"),
        ("namespace-attempt", "name", "unshare"),
        ("process-inspection", "name", "ptrace"),
        ("network-denied", "name", "socket"),
        ("foreign-architecture", "arch", "i386"),
        ("task-limit", "kind", "tasks"),
        ("disk-limit", "kind", "disk"),
        ("memory-limit", "kind", "memory"),
    ] {
        outcome.recorded(code, key, value);
    }
    assert!(outcome.stderr.contains("touched a tripwire: /etc/shadow"), "{}", outcome.stderr);
}

#[test]
fn the_erp_example_reaches_its_server_and_no_other() {
    require!(Need::Internet);
    let site = Site::new();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/erp-sync/demo.sh");
    let output = site
        .prepare(script)
        .env("SANDBOXCTL", sandboxctl_integration::site::binary())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let all = format!("{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{all}");
    for line in [
        "erp-sync: https://erp.example.com/api/shift-reports: 201 accepted",
        "erp-sync: https://backup.example.net/api/shift-reports: no such host",
        "server: erp.example.com got {\"shift\"",
        "report: erp.example.com:443: 1 connection",
        "report: name-refused: backup.example.net",
    ] {
        assert!(text.contains(line), "{line}: {all}");
    }
    assert!(!text.contains("server: backup.example.net"), "{all}");
}
