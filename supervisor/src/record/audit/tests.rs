//! The log on a real file system, with several processes.

use std::cell::RefCell;
use std::fs;
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

struct TempDir(PathBuf);

impl TempDir {
    fn new(name: &str) -> Self {
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

fn subject(run: &str) -> Subject {
    Subject {
        ext: "acme.x\"y\n".to_owned(),
        ver: "1.0.0".to_owned(),
        run: run.to_owned(),
        actor: "uid:0".to_owned(),
    }
}

fn event(n: u32) -> Event {
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
    let mut want = ["seq", "ts", "type", "sev", "ext", "ver", "run", "actor", "data"];
    want.sort_unstable();
    assert_eq!(keys, want);
}

#[test]
fn a_torn_line_is_closed_and_said() {
    let dir = TempDir::new("torn");
    let mut log = AuditLog::open(&dir.0, &subject("one")).expect("open");
    log.append(&[event(1), event(2)]).expect("append");
    let segment = segment::newest(&dir.0).expect("dir").expect("segment");
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
    let segment = segment::newest(&dir.0).expect("dir").expect("segment");
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
