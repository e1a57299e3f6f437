//! The report: its schema, its figures, where it is written.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::path::Path;

use sandboxctl_integration::site::binary;
use sandboxctl_integration::{Bundle, Outcome, Site, require};
use serde_json::Value;

/// Compiled in, so that this runs on machines without the sources.
const SCHEMA: &str = include_str!("../../supervisor/report.schema.json");

fn assert_valid(outcome: &Outcome) {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let errors: Vec<String> =
        validator.iter_errors(outcome.report()).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{errors:#?}\n{:#}", outcome.report());
}

#[test]
fn every_end_keeps_to_the_schema() {
    require!();
    let site = Site::new();
    let ends = [
        (Bundle::probe(&["true"]), 0),
        (Bundle::probe(&["exit", "7"]), 7),
        (Bundle::probe(&["kill-self", "9"]), 137),
        (Bundle::probe(&["eat", "100"]).limit("memory_mb", 24), 137),
        (Bundle::probe(&["signals"]).limit("timeout_ms", 300), 124),
        (Bundle::probe(&["calls", "mount", "socket-inet", "unknown"]), 0),
        (Bundle::command(&["/ext/absent"]), 127),
        (Bundle::probe(&["true"]).tier("enterprise"), 126),
    ];
    for (bundle, code) in ends {
        let outcome = site.run(&bundle);
        outcome.expect(code);
        assert_valid(&outcome);
        let totals = outcome.report()["violationTotals"]["total"].as_u64().unwrap();
        let sum: u64 = outcome.violations().iter().map(|one| one["count"].as_u64().unwrap()).sum();
        assert_eq!(totals, sum);
    }
}

#[test]
fn it_says_what_ran_and_how_it_was_confined() {
    require!();
    let site = Site::new();
    let bundle = Bundle::probe(&["true"]).build(&site);
    let outcome = site.run_built(&bundle, &[]);
    let report = outcome.expect(0).report();
    assert_eq!(report["extension"]["id"], bundle.id);
    assert_eq!(report["tier"], "community");
    assert_eq!(report["dev"], false);
    assert_eq!(report["isolation"], "full");
    assert!(report["startedAt"].as_str().unwrap() <= report["endedAt"].as_str().unwrap());
    let layers: Vec<&str> = report["layers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|layer| {
            // Linux 6.3 and newer.
            let lacking = layer["layer"] == "memory-files"
                && !Path::new("/proc/sys/vm/memfd_noexec").exists();
            let wanted = if lacking { "off" } else { "kernel" };
            assert_eq!(layer["enforcement"], wanted, "{layer}");
            layer["layer"].as_str().unwrap()
        })
        .collect();
    for wanted in ["namespaces", "seccomp", "landlock", "capabilities", "rlimits", "no-new-privs"] {
        assert!(layers.contains(&wanted), "{wanted} in {layers:?}");
    }
}

#[test]
fn usage_is_sampled_over_time() {
    require!();
    let site = Site::new();
    let program = r#"
import time
held = bytearray(20 << 20)
open("/data/x", "wb").write(b"x" * (3 << 20))
time.sleep(0.6)
"#;
    let bundle = Bundle::python(program).build(&site);
    let outcome = site.run_built(&bundle, &["--sample-ms", "50"]);
    let report = outcome.expect(0).report();
    let series = &report["series"];
    assert_eq!(series["intervalMs"], 50);
    let points = series["points"].as_array().unwrap();
    assert!(points.len() >= 3, "{series}");
    let most =
        |key: &str| points.iter().map(|point| point[key].as_f64().unwrap()).fold(0.0, f64::max);
    assert!(most("memoryMb") >= 20.0, "{series}");
    assert!(most("diskMb") >= 3.0, "{series}");
    assert!(most("tasks") >= 1.0, "{series}");
    let times: Vec<u64> = points.iter().map(|point| point["atMs"].as_u64().unwrap()).collect();
    assert!(times.is_sorted_by(|a, b| a < b), "{times:?}");
    let usage = &report["usage"];
    assert!(usage["memoryPeakMb"].as_f64().unwrap() >= 20.0, "{usage}");
    assert!((3.0..4.0).contains(&usage["diskUsedMb"].as_f64().unwrap()), "{usage}");
    assert!(usage["executionTimeMs"].as_u64().unwrap() >= 600, "{usage}");
    assert!(usage["cpuMs"].as_u64().unwrap() > 0, "{usage}");
}

/// stdout is the extension's, unless the report is asked for there.
#[test]
fn it_goes_where_it_is_wanted() {
    require!();
    let site = Site::new();
    let bundle = Bundle::probe(&["exit", "3"]).build(&site);
    let path = bundle.path.to_str().unwrap();
    let to_stdout = site.sandboxctl(&["run", "--report", "-", path]);
    assert_eq!(to_stdout.expect(3).json()["result"]["exitCode"], 3);
    let mut command = site.prepare("sh");
    command.args(["-c", "exec \"$0\" run --quiet --report-fd 5 \"$1\" 5>&1 >/dev/null"]);
    let output = command.arg(binary()).arg(path).output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["result"]["exitCode"], 3);
    let none = site.sandboxctl(&["run", path]);
    assert_eq!(none.expect(3).stdout, "");
    assert!(none.stderr.contains("exited with code 3"), "{}", none.stderr);
    assert!(none.stderr.contains("memory"), "{}", none.stderr);
}

/// A file for the report that cannot be made is told before anything runs.
#[test]
fn a_report_that_cannot_be_written_is_an_error() {
    require!();
    let site = Site::new();
    let bundle = Bundle::command(&["sh", "-c", "echo ran"]).build(&site);
    let outcome =
        site.sandboxctl(&["run", "--report", "/proc/no/report", bundle.path.to_str().unwrap()]);
    assert_ne!(outcome.code(), 0);
    assert!(outcome.stderr.contains("/proc/no/report"), "{}", outcome.stderr);
}

/// One line that is written over, on a terminal; elsewhere nothing but whole lines.
#[test]
fn progress_is_for_terminals() {
    require!(sandboxctl_integration::Need::Program("script"));
    let site = Site::new();
    let bundle = Bundle::command(&["sleep", "1.2"]).build(&site);
    let mut command = site.prepare("script");
    // Whatever the terminal of the tests is.
    command.env("TERM", "xterm").env_remove("NO_COLOR");
    let line = format!("{} run {}", binary().display(), bundle.path.display());
    let output = command.args(["-qec", &line, "/dev/null"]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let over = |text: &str| text.replace("\r\n", "\n").contains('\r') || text.contains("\x1b[2K");
    assert!(over(&text), "{text:?}");
    let piped = site.run_built(&bundle, &[]);
    assert!(!over(&piped.expect(0).stderr), "{:?}", piped.stderr);
    assert!(!piped.stderr.contains('\x1b'), "{:?}", piped.stderr);
}
