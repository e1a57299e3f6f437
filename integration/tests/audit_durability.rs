//! What is decided is on the disk before it takes effect: the order of the system calls of a real run.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::fs;

use sandboxctl_integration::site::binary;
use sandboxctl_integration::{Bundle, Need, Site, require};
use shim::message::Command;

/// Runs `sandboxctl` under strace(1); gives every call that matters, in the order in which they began and ended.
fn trace(site: &Site, arguments: &[&str]) -> (Option<i32>, Vec<String>) {
    let log = site.dir().join("trace");
    let mut strace = site.prepare("strace");
    // -y names files, and -f follows the shim and the extension.
    strace
        .args(["-f", "-y", "-s", "4096", "--seccomp-bpf", "-o"])
        .arg(&log)
        .args(["-e", "trace=write,fdatasync,sendto,sendmsg,execve"])
        .arg(binary())
        .args(arguments);
    let output = strace.output().unwrap();
    let text = fs::read_to_string(&log).unwrap();
    assert!(!text.is_empty(), "{output:?}");
    (output.status.code(), text.lines().map(str::to_owned).collect())
}

/// Where the first line is that has all of these, from a line on.
fn find(trace: &[String], from: usize, words: &[&str]) -> usize {
    let at = trace[from..].iter().position(|line| words.iter().all(|word| line.contains(word)));
    from + at.unwrap_or_else(|| panic!("no {words:?} from line {from} on: {trace:#?}"))
}

/// Where the call that begins in a line has returned 0; another process may have come between.
fn done(trace: &[String], at: usize) -> usize {
    let line = &trace[at];
    if line.contains("<unfinished ...>") {
        let resumed = find(trace, at + 1, &[pid(line), "<... fdatasync resumed>"]);
        assert!(trace[resumed].ends_with("= 0"), "{}", trace[resumed]);
        return resumed;
    }
    assert!(line.ends_with("= 0"), "{line}");
    at
}

/// The process id that begins a line.
fn pid(line: &str) -> &str {
    line.split(' ').next().unwrap()
}

#[test]
fn a_decision_is_on_the_disk_before_the_extension_runs() {
    require!(Need::Program("strace"));
    let site = Site::new();
    let bundle = Bundle::command(&["true"]).build(&site);
    let (code, trace) = trace(&site, &["run", bundle.path.to_str().unwrap()]);
    assert_eq!(code, Some(0), "{trace:#?}");
    let written = find(&trace, 0, &["write(", ".jsonl>", r#"\"type\":\"decision\""#]);
    assert!(trace[written].contains(r#"\"type\":\"run.start\""#), "{}", trace[written]);
    let supervisor = pid(&trace[written]);
    let durable = done(&trace, find(&trace, written, &[supervisor, "fdatasync(", ".jsonl>"]));
    // `Command::Go`, the one message that lets the workload go on.
    let go = format!("\"\\{:o}\", 1,", Command::Go.encode());
    let released = find(&trace, 0, &[supervisor, "sendto(", &go]);
    let executed = find(&trace, 0, &["execve(", "[\"true\"]"]);
    assert!(written < durable && durable < released && released < executed, "{trace:#?}");
    assert_ne!(pid(&trace[executed]), supervisor);
    // Nothing else of the segment between, that the disk could not have.
    let between = &trace[written + 1..durable];
    assert!(!between.iter().any(|line| line.contains("write(") && line.contains(".jsonl>")));
}

/// What is refused is on the disk before the command says so.
#[test]
fn a_refusal_is_on_the_disk_before_it_is_told() {
    require!(Need::Program("strace"));
    let site = Site::new();
    let bundle = Bundle::command(&["true"]).tier("professional").build(&site);
    let (code, trace) = trace(&site, &["run", bundle.path.to_str().unwrap()]);
    assert_eq!(code, Some(126), "{trace:#?}");
    let written = find(&trace, 0, &["write(", ".jsonl>", r#"\"verdict\":\"refused\""#]);
    let durable = done(&trace, find(&trace, written, &["fdatasync(", ".jsonl>"]));
    let told = find(&trace, 0, &["write(2<", "refused"]);
    assert!(durable < told, "{trace:#?}");
    assert!(!trace.iter().any(|line| line.contains("[\"true\"]")));
}
