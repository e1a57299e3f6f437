//! The log on a real file system, with several processes.

use std::cell::RefCell;
use std::fs::{self, OpenOptions};
use std::path::Path;
use std::process::Command;
use std::rc::Rc;
use std::time::{Duration, Instant};

use policies::violation::{Action, Code, Process};
use serde_json::{Value, json};

use super::*;
use crate::record::clock::Now;
use crate::record::ledger::{Attempt, Bounds, Ledger};
use crate::record::object::ObjectRef;

const CHILD: &str = "SANDBOXCTL_TEST_AUDIT_DIR";

pub(super) struct TempDir(pub(super) PathBuf);

impl TempDir {
    pub(super) fn new(name: &str) -> Self {
        let path =
            std::env::temp_dir().join(format!("sandboxctl-audit-{name}-{}", std::process::id()));
        fs::create_dir(&path).expect("temp dir");
        Self(path)
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).expect("remove temp dir");
    }
}

pub(super) fn subject(run: &str) -> Subject {
    Subject {
        ext: "acme.x\"y\n".to_owned(),
        ver: "1.0.0".to_owned(),
        run: run.to_owned(),
        actor: "uid:0".to_owned(),
    }
}

pub(super) fn event(n: u32) -> Event {
    let data = json!({ "n": n, "text": "x".repeat(usize::try_from(n).expect("n") % 300) });
    Event::new(EventType::RunStart, Severity::Info, SystemTime::now(), &data).expect("event")
}

/// Every line of every segment in order, the headers apart.
fn read(dir: &Path) -> (Vec<Value>, Vec<Value>) {
    let mut names: Vec<_> = fs::read_dir(dir)
        .expect("dir")
        .map(|entry| entry.expect("entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "jsonl"))
        .collect();
    names.sort();
    let lines = names.iter().flat_map(|name| {
        let text = fs::read_to_string(name).expect("text");
        assert!(text.ends_with('\n'));
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect::<Vec<Value>>()
    });
    lines.partition(|line| line.get("seq").is_none())
}

fn newest(dir: &Path) -> String {
    segment::numbered(dir).expect("dir").pop().expect("segment").1
}

/// Nothing is wrong with the log.
pub(super) fn assert_whole(dir: &Path) -> verify::Verified {
    let verified = verify::verify(dir, &verify::Options::default()).expect("verify");
    assert!(verified.ok, "{:#?}", verified.problems);
    verified
}

fn assert_consecutive(events: &[Value]) {
    for (at, event) in events.iter().enumerate() {
        assert_eq!(event["seq"], at + 1, "{event}");
    }
}

#[test]
fn events_are_numbered_over_processes_runs_and_reopening() {
    let dir = TempDir::new("plain");
    let log_dir = dir.0.join("state/audit");
    let mut one = AuditLog::open(&log_dir, &subject("one")).expect("open");
    let mut two = AuditLog::open(&log_dir, &subject("two")).expect("open");
    assert_eq!(one.append(&[event(1), event(2)]).expect("append"), 2);
    assert_eq!(two.append(&[event(3)]).expect("append"), 3);
    assert_eq!(one.append(&[event(9000)]).expect("append"), 4);
    drop(one);
    let mut three = AuditLog::open(&log_dir, &subject("three")).expect("open");
    assert_eq!(three.append(&[event(4)]).expect("append"), 5);
    let (headers, events) = read(&log_dir);
    assert_eq!((headers.len(), events.len()), (1, 5));
    assert_consecutive(&events);
    assert_eq!(events[2]["run"], "two");
    assert_eq!(events[2]["ext"], "acme.x\"y\n");
    assert_eq!(events[2]["type"], "run.start");
    let keys: Vec<_> = events[0].as_object().expect("object").keys().cloned().collect();
    let mut want = ["seq", "ts", "type", "sev", "ext", "ver", "run", "actor", "data", "h"];
    want.sort_unstable();
    assert_eq!(keys, want);
}

#[test]
fn a_torn_line_is_closed_and_said() {
    let dir = TempDir::new("torn");
    let mut log = AuditLog::open(&dir.0, &subject("one")).expect("open");
    log.append(&[event(1), event(2)]).expect("append");
    let segment = newest(&dir.0);
    let path = dir.0.join(&segment);
    let len = fs::metadata(&path).expect("metadata").len();
    OpenOptions::new().write(true).open(&path).expect("open").set_len(len - 10).expect("cut");
    assert_eq!(log.append(&[event(3)]).expect("append"), 3);
    let (_, events) = read(&dir.0);
    assert_eq!(events.len(), 3);
    assert_consecutive(&events);
    assert_eq!(events[1]["type"], "audit.torn");
    assert!(events[1]["data"]["bytes"].as_u64().expect("bytes") > 50);
}

#[test]
fn an_old_segment_is_followed_by_a_new_one() {
    let dir = TempDir::new("rotate");
    let mut log = AuditLog::open(&dir.0, &subject("one")).expect("open");
    log.append(&[event(1), event(2)]).expect("append");
    let segment = newest(&dir.0);
    fs::rename(dir.0.join(segment), dir.0.join("2020-01-01T00-000007.jsonl")).expect("rename");
    // The name in `lock` leads nowhere now, so the folder is searched.
    let mut log = AuditLog::open(&dir.0, &subject("two")).expect("open");
    assert_eq!(log.append(&[event(3)]).expect("append"), 3);
    assert_eq!(log.append(&[event(4)]).expect("append"), 4);
    let (headers, events) = read(&dir.0);
    assert_consecutive(&events);
    assert_eq!((events.len(), headers.len()), (4, 2));
    assert_eq!((&headers[1]["segment"], &headers[1]["firstSeq"]), (&json!(8), &json!(3)));
    assert_eq!(headers[1]["previous"], "2020-01-01T00-000007.jsonl");
}

#[test]
fn a_log_that_cannot_be_written_is_an_error() {
    let error = AuditLog::open(Path::new("/proc/nowhere/audit"), &subject("x")).expect_err("open");
    assert!(matches!(error, AuditLogError::Open { .. }), "{error}");
    assert!(error.to_string().contains("/proc/nowhere/audit"), "{error}");
}

/// The order of lines is the order of writing, whatever the clock says; that it went back is a line of its own.
#[test]
fn a_clock_that_is_set_back_is_noticed() {
    let dir = TempDir::new("clock");
    let mut log = AuditLog::open(&dir.0, &subject("one")).expect("open");
    let noon = SystemTime::UNIX_EPOCH + Duration::from_hours(20_000 * 24 + 12);
    let at = |when: SystemTime| {
        Event::new(EventType::RunEnd, Severity::Info, when, &json!({})).expect("event")
    };
    let earlier = noon - Duration::from_millis(90_500);
    for when in [noon, noon, earlier, earlier, noon] {
        log.append_at(&[at(when)], || when).expect("append");
    }
    // Another process sees the same.
    let mut log = AuditLog::open(&dir.0, &subject("two")).expect("open");
    log.append_at(&[at(earlier)], || earlier).expect("append");
    let (headers, events) = read(&dir.0);
    let types: Vec<_> = events.iter().map(|event| event["type"].as_str().expect("type")).collect();
    let step = "audit.clock-step";
    let end = "run.end";
    assert_eq!(types, [end, end, step, end, end, end, step, end]);
    assert_eq!(
        events[2]["data"],
        json!({ "before": "2024-10-04T12:00:00.000000Z", "backMs": 90_500 })
    );
    assert_eq!(headers.len(), 1);
    assert_consecutive(&events);
    assert_whole(&dir.0);
}

#[test]
fn what_could_not_be_written_is_said_by_the_next_line() {
    let dir = TempDir::new("dropped");
    let mut log = AuditLog::open(&dir.0, &subject("one")).expect("open");
    log.append(&[event(1)]).expect("append");
    let path = dir.0.join(newest(&dir.0));
    let aside = dir.0.join("aside");
    fs::rename(&path, &aside).expect("rename");
    fs::create_dir(&path).expect("in the way");
    let mut log = AuditLog::open(&dir.0, &subject("two")).expect("open");
    log.append(&[event(2), event(3)]).expect_err("a folder");
    log.append(&[event(4)]).expect_err("a folder");
    assert_eq!((log.standing().written, log.standing().lost), (0, 3));
    fs::remove_dir(&path).expect("out of the way");
    fs::rename(&aside, &path).expect("rename");
    assert_eq!(log.append(&[event(5)]).expect("append"), 3);
    assert_eq!((log.standing().written, log.standing().lost), (1, 3));
    let (_, events) = read(&dir.0);
    assert_eq!(events[1]["type"], "audit.dropped");
    assert_eq!(events[1]["data"]["events"], 3);
    assert_whole(&dir.0);
}

/// A crash between making a segment, pointing to it, and writing to it.
#[test]
fn a_rotation_that_was_cut_short_goes_on() {
    let dir = TempDir::new("cut-short");
    for points in [false, true] {
        let mut log = AuditLog::open(&dir.0, &subject("one")).expect("open");
        let last = log.append(&[event(1), event(2)]).expect("append");
        let number = segment::number(&newest(&dir.0)).expect("number") + 1;
        // Of another hour than the one in which it is found.
        let name = format!("2020-01-01T00-{number:06}.jsonl");
        fs::write(dir.0.join(&name), "").expect("write");
        if points {
            fs::write(dir.0.join("lock"), format!("{name}\n")).expect("write");
        } else {
            // The one before is over.
            let old =
                segment::numbered(&dir.0).expect("dir").into_iter().rev().nth(1).expect("old").1;
            fs::rename(
                dir.0.join(&old),
                dir.0.join(format!("2020-01-01T00-{:06}.jsonl", number - 1)),
            )
            .expect("rename");
            fs::write(dir.0.join("lock"), format!("2020-01-01T00-{:06}.jsonl\n", number - 1))
                .expect("write");
        }
        let mut log = AuditLog::open(&dir.0, &subject("two")).expect("open");
        assert_eq!(log.append(&[event(3)]).expect("append"), last + 1);
        assert_eq!(newest(&dir.0), name);
        if points {
            assert_whole(&dir.0);
        }
        fs::remove_dir_all(&dir.0).expect("remove");
        fs::create_dir(&dir.0).expect("again");
    }
}

/// Not a test: says what it has written, as soon as that is promised, until it is killed.
#[test]
#[ignore = "the child of another test"]
fn endless_child() {
    let Some(dir) = std::env::var_os(CHILD) else {
        return;
    };
    let settings = Settings { segment_bytes: 20_000, ..Settings::default() };
    let mut log = AuditLog::open_with(Path::new(&dir), &subject("child"), &settings).expect("open");
    for n in 0.. {
        let seq = log.append(&[event(n), event(n + 70)]).expect("append");
        // One write, and not to the harness.
        std::io::Write::write_all(&mut std::io::stderr(), format!("{seq}\n").as_bytes())
            .expect("write");
    }
}

#[test]
fn killed_writers_lose_nothing_that_was_promised() {
    let dir = TempDir::new("killed");
    for round in 0..100_u64 {
        let mut children: Vec<_> = (0..2)
            .map(|_| {
                Command::new(std::env::current_exe().expect("exe"))
                    .args([
                        "--exact",
                        "record::audit::tests::endless_child",
                        "--ignored",
                        "--nocapture",
                    ])
                    .env(CHILD, &dir.0)
                    .stdout(std::process::Stdio::null())
                    .stderr(std::process::Stdio::piped())
                    .spawn()
                    .expect("spawn")
            })
            .collect();
        let mut pipes: Vec<_> =
            children.iter_mut().map(|child| child.stderr.take().expect("stderr")).collect();
        // Each has begun, and goes on for a while that is never the same.
        for pipe in &mut pipes {
            std::io::Read::read_exact(pipe, &mut [0]).expect("a number");
        }
        std::thread::sleep(Duration::from_micros(round * 137 % 5000));
        for child in &mut children {
            child.kill().expect("kill");
            child.wait().expect("wait");
        }
        let verified = assert_whole(&dir.0);
        for mut pipe in pipes {
            let mut said = String::new();
            std::io::Read::read_to_string(&mut pipe, &mut said).expect("text");
            // The last word may be cut off, and the first lacks its first digit.
            let whole = said.rfind('\n').map_or("", |end| &said[..end]);
            let last = whole.lines().skip(1).filter_map(|line| line.parse().ok()).max();
            assert!(last <= verified.last_seq, "{last:?} was promised, {:?}", verified.last_seq);
        }
    }
    let verified = assert_whole(&dir.0);
    assert!(verified.segments > 3, "{verified:?}");
}

/// Not a test: what the next one runs eight times at once.
#[test]
#[ignore = "the child of another test"]
fn child() {
    let Some(dir) = std::env::var_os(CHILD) else {
        return;
    };
    let run = format!("pid{}", std::process::id());
    let mut log = AuditLog::open(Path::new(&dir), &subject(&run)).expect("open");
    for n in 0..250 {
        log.append(&[event(n), event(n + 1000)]).expect("append");
    }
}

#[test]
fn eight_processes_append_whole_lines() {
    let dir = TempDir::new("eight");
    let children: Vec<_> = (0..8)
        .map(|_| {
            Command::new(std::env::current_exe().expect("exe"))
                .args(["--exact", "record::audit::tests::child", "--ignored"])
                .env(CHILD, &dir.0)
                .stdout(std::process::Stdio::null())
                .spawn()
                .expect("spawn")
        })
        .collect();
    for mut child in children {
        assert!(child.wait().expect("wait").success());
    }
    let (_, events) = read(&dir.0);
    assert_eq!(events.len(), 8 * 500);
    assert_eq!(assert_whole(&dir.0).last_seq, Some(8 * 500));
    assert_consecutive(&events);
    let runs: std::collections::BTreeSet<_> =
        events.iter().map(|event| event["run"].as_str().expect("run")).collect();
    assert_eq!(runs.len(), 8);
}

#[test]
fn violations_reach_the_log_with_their_final_count() {
    let dir = TempDir::new("sink");
    let log = AuditLog::open(&dir.0, &subject("one")).expect("open");
    let mut ledger = Ledger::new(Bounds::default());
    ledger.add_sink(Box::new(AuditSink::new(Rc::new(RefCell::new(log)))));
    for _ in 0..123 {
        let attempt = Attempt {
            at: Now::read(),
            code: Code::PathDenied,
            severity: Severity::Warning,
            action: Action::Denied,
            rule: "landlock:no rule",
            object: ObjectRef::Path { path: "/x", access: "fs.read_file" },
            args: &[],
            by: None,
            count: 1,
        };
        ledger.record(&attempt, Process::default);
    }
    ledger.finish();
    assert_eq!(ledger.sink_errors(), 0);
    let (_, events) = read(&dir.0);
    let counts: Vec<_> = events.iter().map(|event| &event["data"]["count"]).collect();
    assert_eq!(counts, [1, 10, 100, 123]);
    assert_eq!(events[3]["data"]["code"], "path-denied");
}

/// `cargo test -p sandboxctl measure_ -- --ignored --nocapture --test-threads=1`
#[test]
#[ignore = "prints figures, asserts nothing"]
fn measure_audit_log() {
    let dir = TempDir::new("measure");
    let mut times: Vec<Duration> = (0..501)
        .map(|n| {
            let at = Instant::now();
            let mut log = AuditLog::open(&dir.0, &subject("one")).expect("open");
            log.append(&[event(n), event(n)]).expect("append");
            log.append(&[event(n)]).expect("append");
            at.elapsed()
        })
        .collect();
    times.sort();
    println!("open + start and decision + end: {:?}", times[250]);
    let mut log = AuditLog::open(&dir.0, &subject("one")).expect("open");
    let at = Instant::now();
    for n in 0..20_000 {
        log.append(&[event(n)]).expect("append");
    }
    println!("one event: {:?}", at.elapsed() / 20_000);
}
