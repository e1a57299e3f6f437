//! The record of what was tried: exact counts, one schema, the same in the report, on stderr and in the audit log.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::collections::BTreeMap;
use std::fs;

use sandboxctl_integration::{Bundle, Need, Site, require};
use serde_json::Value;

/// The audit log of a site, line by line.
fn audit(site: &Site) -> Vec<Value> {
    let mut files: Vec<_> = fs::read_dir(site.state().join("audit"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "jsonl"))
        .collect();
    files.sort();
    let text: String = files.iter().map(|file| fs::read_to_string(file).unwrap()).collect();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// 32 threads, each in a tight loop for five seconds: not one attempt is missing from the total, and the supervisor hardly
/// works and does not grow.
#[test]
fn a_flood_is_counted_exactly_and_costs_little() {
    require!();
    let site = Site::alone();
    let before = children_cpu();
    let bundle = Bundle::probe(&["flood", "32", "5000"]).build(&site);
    let started = site.start(&bundle, &[]);
    let mut memory = Vec::new();
    while let Some(kb) = own_memory(started.pid()) {
        memory.push(kb);
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    let outcome = started.wait();
    outcome.expect(0);
    let attempts = outcome.json()["attempts"].as_u64().unwrap();
    assert!(attempts > 1000, "no flood: {attempts}");
    let violation = outcome.recorded("namespace-attempt", "name", "unshare");
    assert_eq!(violation["count"], attempts);
    assert_eq!(outcome.report()["violationTotals"]["total"], attempts);
    assert_eq!(outcome.report()["violationTotals"]["bySeverity"]["critical"], attempts);
    assert_eq!(outcome.report()["recording"]["seccomp"]["status"], "complete");
    // What this process waited for is the supervisor with the sandbox; the report has the sandbox alone.
    let both = children_cpu() - before;
    let usage = &outcome.report()["usage"];
    let supervisor = both.saturating_sub(usage["cpuMs"].as_u64().unwrap());
    let wall = usage["executionTimeMs"].as_u64().unwrap();
    assert!(supervisor * 2 < wall, "{supervisor} ms of CPU in {wall} ms");
    // The first fifth has everything that a run needs, the flood included.
    let (early, late) = memory.split_at(memory.len() / 5);
    let most = |of: &[u64]| of.iter().copied().max().unwrap();
    assert!(most(late) <= most(early) + 256, "kB: {memory:?}");
}

/// Memory that a process has written to, in kB; none of one that is over.
fn own_memory(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let line = text.lines().find(|line| line.starts_with("Private_Dirty:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// CPU time of processes that ended and were waited for, in milliseconds.
fn children_cpu() -> u64 {
    use nix::sys::resource::{UsageWho, getrusage};
    use nix::sys::time::TimeValLike;
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).unwrap();
    let millis = (usage.user_time() + usage.system_time()).num_milliseconds();
    u64::try_from(millis).unwrap()
}

/// One line for each kind of attempt on each object, however often.
#[test]
fn attempts_are_aggregated_by_code_and_object() {
    require!(Need::LandlockRecords);
    let site = Site::new();
    let outcome = site.run(&Bundle::python(
        r#"
for _ in range(7): attempt(lambda: open("/etc/shadow"))
for _ in range(3): attempt(lambda: os.listdir("/root"))
import ctypes
libc = ctypes.CDLL(None)
for _ in range(5): libc.unshare(0x10000000)
for _ in range(2): libc.unshare(0x20000)
"#,
    ));
    outcome.expect(0);
    let mut counts: BTreeMap<(String, String), u64> = BTreeMap::new();
    for violation in outcome.violations() {
        let object = &violation["object"];
        let what = if object["type"] == "path" { &object["path"] } else { &object["name"] };
        let key =
            (violation["code"].as_str().unwrap().to_owned(), what.as_str().unwrap().to_owned());
        *counts.entry(key).or_default() += violation["count"].as_u64().unwrap();
        assert!(violation["firstTs"].as_str().unwrap() <= violation["ts"].as_str().unwrap());
    }
    let expected = [
        (("namespace-attempt", "unshare"), 7),
        (("tripwire-touched", "/etc/shadow"), 7),
        (("tripwire-touched", "/root"), 3),
    ];
    let expected: BTreeMap<(String, String), u64> = expected
        .into_iter()
        .map(|((code, what), count)| ((code.to_owned(), what.to_owned()), count))
        .collect();
    assert_eq!(counts, expected);
    assert!(outcome.violations().len() <= 4, "{:#?}", outcome.violations());
    let numbers: Vec<u64> =
        outcome.violations().iter().map(|violation| violation["seq"].as_u64().unwrap()).collect();
    assert!(numbers.is_sorted() && numbers[0] == 1, "{numbers:?}");
}

#[test]
fn they_are_said_in_words_while_it_runs() {
    require!(Need::LandlockRecords);
    let site = Site::new();
    let bundle = Bundle::python("attempt(lambda: open(\"/etc/shadow\"))").build(&site);
    let outcome = site.run_built(&bundle, &[]);
    assert!(outcome.expect(0).stderr.contains("/etc/shadow"), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("tripwire"), "{}", outcome.stderr);
    let quiet = site.run_built(&bundle, &["--quiet"]);
    assert_eq!(quiet.expect(0).stderr, "");
    assert_eq!(quiet.violations().len(), 1);
}

/// A name of the extension's choice goes into records and onto the operator's terminal.
#[test]
fn names_cannot_forge_lines_or_control_a_terminal() {
    require!(Need::LandlockRecords);
    let site = Site::new();
    let outcome = site.run(&Bundle::python(
        r#"
import ctypes
libc = ctypes.CDLL(None)
libc.prctl(15, b"\x1b[2J\nviolation", 0, 0, 0)
libc.unshare(0x10000000)
open("/tmp/\x1b[31m\n{\"seq\":9}", "w").close()
attempt(lambda: os.rename("/tmp/\x1b[31m\n{\"seq\":9}", "/root/\x1b[31m\nx"))
print("done")
"#,
    ));
    outcome.expect(0);
    assert!(!outcome.stderr.contains('\x1b'), "{:?}", outcome.stderr);
    assert_eq!(outcome.stderr.matches("\nviolation").count(), outcome.violations().len() - 1);
    outcome.recorded("namespace-attempt", "name", "unshare");
    // Every line of the log is whole.
    assert!(audit(&site).len() >= 4);
}

#[test]
fn the_audit_log_has_decision_start_violations_and_end() {
    require!(Need::LandlockRecords);
    let site = Site::new();
    let bundle = Bundle::python("attempt(lambda: open(\"/etc/shadow\"))").build(&site);
    let outcome = site.run_built(&bundle, &[]);
    outcome.expect(0);
    let run = &outcome.report()["runId"];
    let log = audit(&site);
    let types: Vec<&str> = log
        .iter()
        .filter(|event| event["run"] == *run)
        .map(|event| event["type"].as_str().unwrap())
        .collect();
    // The built-in rule for tripwires warns.
    assert_eq!(types, ["decision", "run.start", "violation", "reaction", "run.end"]);
    let logged = log.iter().find(|event| event["type"] == "violation").unwrap();
    let reported = &outcome.violations()[0];
    for key in ["code", "layer", "severity", "object", "count", "firstTs"] {
        assert_eq!(logged["data"][key], reported[key], "{key}");
    }
    assert_eq!(logged["ext"], bundle.id);
    let end = log.iter().find(|event| event["type"] == "run.end").unwrap();
    assert_eq!(end["data"]["result"]["status"], "exited");
    // Numbered through, from run to run.
    site.run_built(&bundle, &[]).expect(0);
    let numbers: Vec<u64> = audit(&site).iter().filter_map(|event| event["seq"].as_u64()).collect();
    let whole: Vec<u64> = (1..=u64::try_from(numbers.len()).unwrap()).collect();
    assert_eq!(numbers, whole);
}

#[test]
fn a_refusal_is_logged() {
    require!();
    let site = Site::new();
    site.run(&Bundle::command(&["true"]).tier("professional")).expect(126);
    let log = audit(&site);
    let decision = log.iter().find(|event| event["type"] == "decision").unwrap();
    assert_eq!(decision["data"]["verdict"], "refused");
    assert!(!decision["data"]["violated"].as_array().unwrap().is_empty());
    assert!(log.iter().all(|event| event["type"] != "run.start"));
}

/// A community extension runs without a record, loudly.
#[test]
fn a_log_that_cannot_be_written_is_not_hidden() {
    require!();
    let site = Site::new();
    fs::create_dir_all(site.state()).unwrap();
    fs::write(site.state().join("audit"), "in the way").unwrap();
    let outcome = site.run(&Bundle::probe(&["true"]));
    assert!(outcome.expect(0).stderr.contains("NOT recorded"), "{}", outcome.stderr);
    let strict = Bundle::probe(&["true"]).tier("professional").build(&site);
    site.run_built(&strict, &["--dev"]).expect(125);
}
