//! The retention, held by whoever begins a new segment, on real files.

use std::collections::BTreeSet;

use super::super::tests::{TempDir, assert_whole, event, subject};
use super::super::{Settings, seal};
use super::*;

const DAY: Duration = Duration::from_hours(24);

fn day(number: u32) -> SystemTime {
    SystemTime::UNIX_EPOCH + DAY * (19_000 + number) + Duration::from_hours(1)
}

/// A run on that day: one event, and what is due after a run.
fn run(dir: &Path, number: u32) -> Result<(), CheckpointError> {
    run_at(dir, || day(number))
}

fn run_at(dir: &Path, clock: impl Fn() -> SystemTime) -> Result<(), CheckpointError> {
    let settings = Settings { retention: DAY * 30, ..Settings::default() };
    let mut log = AuditLog::open_with(dir, &subject("one"), &settings).expect("open");
    let data = json!({ "n": 1 });
    let ended = Event::new(EventType::RunEnd, Severity::Info, clock(), &data).expect("event");
    log.append_at(&[ended], &clock).expect("append");
    seal::after_run(&mut log, None, &clock)
}

fn segments(dir: &Path) -> BTreeSet<String> {
    snapshot(dir).expect("snapshot").0.into_iter().map(|file| file.name).collect()
}

/// How often the log says so.
fn said(dir: &Path, kind: &str) -> usize {
    let text = |name: &String| fs::read_to_string(dir.join(name)).expect("text");
    let needle = format!("\"type\":\"{kind}\"");
    segments(dir).iter().map(|name| text(name).matches(&needle).count()).sum()
}

#[test]
fn the_retention_holds_without_an_operator() {
    let dir = TempDir::new("retention");
    for number in 0..40 {
        run(&dir.0, number).expect("run");
        // Beyond that many days, and the day that is under way.
        let kept = segments(&dir.0).len();
        assert!(kept <= 32, "{kept} segments on day {number}");
    }
    let left = segments(&dir.0);
    assert_eq!(said(&dir.0, "audit.prune-failed"), 0);
    assert!(said(&dir.0, "audit.pruned") >= 8 && left.len() >= 30, "{left:?}");
    let verified = assert_whole(&dir.0);
    assert!(verified.pruned_through_seq.is_some());
    // Nobody prunes the days that are kept.
    assert_eq!(plan(&dir.0, DAY * 30, day(39)).expect("plan").old, []);
}

#[test]
fn once_a_day_and_by_one_process() {
    let dir = TempDir::new("retention-once");
    for number in [0, 1, 20] {
        run(&dir.0, number).expect("run");
    }
    // Somebody is at it: the segments stay, and nobody waits.
    let turn = Turn::take(&dir.0).expect("turn");
    run(&dir.0, 40).expect("run");
    assert_eq!(segments(&dir.0).len(), 4);
    drop(turn);
    let settings = Settings { retention: DAY * 30, ..Settings::default() };
    let mut log = AuditLog::open_with(&dir.0, &subject("one"), &settings).expect("open");
    daily(&mut log, || day(40)).expect("pruned");
    assert_eq!(segments(&dir.0).len(), 2);
    // Of the same day: not again, whatever the retention says meanwhile.
    let settings = Settings { retention: DAY, ..Settings::default() };
    let mut log = AuditLog::open_with(&dir.0, &subject("one"), &settings).expect("open");
    log.append(&[event(1)]).expect("append");
    daily(&mut log, || day(40)).expect("nothing to do");
    assert_eq!(segments(&dir.0).len(), 3);
    assert_whole(&dir.0);
}

#[test]
fn what_proves_nothing_stays_and_is_said() {
    let dir = TempDir::new("retention-unproven");
    for number in [0, 20] {
        run(&dir.0, number).expect("run");
    }
    // Changed after it was closed: its checkpoint does not fit any more.
    let first = segments(&dir.0).pop_first().expect("segment");
    let path = dir.0.join(&first);
    let text = fs::read_to_string(&path).expect("text");
    fs::write(&path, text.replace("\"n\":1", "\"n\":2")).expect("write");
    let error = run(&dir.0, 40).expect_err("kept");
    assert!(error.to_string().contains(&first), "{error}");
    assert!(path.exists());
    assert_eq!(said(&dir.0, "audit.prune-failed"), 1);
    // Without a checkpoint, which nobody makes again for what is not whole.
    fs::remove_file(dir.0.join(checkpoint::name_of(&first))).expect("remove");
    let error = run(&dir.0, 41).expect_err("kept");
    assert!(error.to_string().contains("no checkpoint"), "{error}");
    assert!(path.exists());
    // Repaired: it goes.
    fs::write(&path, text).expect("write");
    run(&dir.0, 42).expect("pruned");
    assert!(!path.exists() && dir.0.join(checkpoint::name_of(&first)).exists());
    assert_whole(&dir.0);
}

/// A clock that is a year ahead must not empty the log.
#[test]
fn a_leap_of_the_clock_removes_nothing() {
    let dir = TempDir::new("retention-clock");
    for number in [0, 1, 2] {
        run(&dir.0, number).expect("run");
    }
    let before = segments(&dir.0);
    let error = run(&dir.0, 400).expect_err("kept");
    assert!(error.to_string().contains("if the clock is right"), "{error}");
    assert!(before.is_subset(&segments(&dir.0)));
    assert_eq!(said(&dir.0, "audit.prune-failed"), 1);
    // It was right: what is recorded from then on makes that plain.
    run(&dir.0, 401).expect("pruned");
    assert_eq!(segments(&dir.0).len(), 2);
    assert_whole(&dir.0);
}

/// A folder in which nothing can be removed: the run is not affected, the log says so.
#[test]
fn a_failure_is_on_record() {
    let dir = TempDir::new("retention-failure");
    for number in [0, 20] {
        run(&dir.0, number).expect("run");
    }
    // A folder in the place of the lock.
    fs::remove_file(dir.0.join(TURN)).expect("remove");
    fs::create_dir(dir.0.join(TURN)).expect("folder");
    let error = run(&dir.0, 40).expect_err("failed");
    assert!(error.to_string().contains(TURN), "{error}");
    assert_eq!(said(&dir.0, "audit.prune-failed"), 1);
    assert_whole(&dir.0);
}
