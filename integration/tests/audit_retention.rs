//! The retention of the audit log, held by runs without an operator.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use sandboxctl_integration::{Bundle, Need, Site, require};
use serde_json::Value;

/// Writes a segment again as one of the year 2020, with hashes that fit, as it would have been written then.
const AGE: &str = r#"
import hashlib, json, re, sys
source, target, lock = sys.argv[1:]
lines = open(source).read().splitlines()
head = json.loads(lines[0])["prevHead"]
out = []
for line in lines:
    event = json.loads(line)
    number = event.get("seq", event.get("firstSeq"))
    body = line[:line.rindex(',"h":"')]
    body = re.sub(r'"(ts|created)":"\d{4}-\d\d-\d\d', r'"\1":"2020-01-01', body)
    head = hashlib.sha256(f"{head}{number}".encode() + body.encode()).hexdigest()
    out.append(body + ',"h":"' + head + '"}')
open(target, "w").write("\n".join(out) + "\n")
open(lock, "w").write(target.rsplit("/", 1)[1] + "\n")
"#;

fn folder(site: &Site) -> PathBuf {
    site.state().join("audit")
}

/// The segments' names, in order.
fn segments(site: &Site) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder(site))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| Path::new(name).extension().is_some_and(|end| end == "jsonl"))
        .collect();
    names.sort();
    names
}

/// Makes the only segment one of the year 2020.
fn age(site: &Site) -> String {
    let name = segments(site).pop().unwrap();
    let old = format!("2020-01-01T00-{}", name.rsplit('-').next().unwrap());
    let path = |name: &str| folder(site).join(name);
    let mut python = site.prepare("python3");
    python.args(["-c", AGE]).arg(path(&name)).arg(path(&old)).arg(path("lock"));
    assert!(python.status().unwrap().success());
    fs::remove_file(path(&name)).unwrap();
    site.sandboxctl(&["audit", "verify"]).expect(0);
    old
}

/// Makes the last segment one of another day, so that the next run begins a new one; its events stay as they are.
fn close(site: &Site, day: &str) {
    let name = segments(site).pop().unwrap();
    let closed = format!("{day}T00-{}", name.rsplit('-').next().unwrap());
    fs::rename(folder(site).join(name), folder(site).join(&closed)).unwrap();
    fs::write(folder(site).join("lock"), format!("{closed}\n")).unwrap();
}

/// As if the last time had been another day.
fn yesterday(site: &Site) {
    fs::write(folder(site).join("prune.lock"), "2020-01-01T00:00:00.000000Z").unwrap();
}

fn events(site: &Site, kind: &str) -> Vec<Value> {
    let found = site.sandboxctl(&["audit", "query", "--json", "--type", kind]);
    found.expect(0).stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_run_prunes_what_is_older_than_the_retention() {
    require!(Need::Program("python3"));
    let site = Site::new();
    let bundle = Bundle::command(&["true"]).build(&site);
    let run = || site.run_built(&bundle, &[]);
    run().expect(0);
    let old = age(&site);
    // Every closed segment is old: a wrong clock, for all that a run can tell. It says so and goes on.
    let said = run();
    assert!(said.expect(0).stderr.contains("kept although it is old"), "{}", said.stderr);
    assert_eq!(segments(&site).len(), 2);
    assert_eq!(events(&site, "audit.prune-failed").len(), 1);
    // A younger one is closed, and a day has gone by.
    close(&site, "2020-02-01");
    let again = run();
    assert!(!again.expect(0).stderr.contains("warning"), "once a day: {}", again.stderr);
    assert!(segments(&site).contains(&old));
    close(&site, "2020-03-01");
    yesterday(&site);
    let pruned = run();
    assert!(!pruned.expect(0).stderr.contains("warning"), "{}", pruned.stderr);
    assert!(!segments(&site).contains(&old), "{:?}", segments(&site));
    assert_eq!(segments(&site).len(), 3);
    let told = events(&site, "audit.pruned");
    assert_eq!(told.len(), 1);
    assert_eq!(told[0]["data"]["segments"], serde_json::json!([old]));
    assert_eq!(told[0]["data"]["retentionDays"], 365);
    // Its checkpoint stays, and the rest hangs on it.
    assert!(folder(&site).join(&old).with_extension("ckpt").exists());
    let verified = site.sandboxctl(&["audit", "verify", "--json"]).expect(0).json();
    assert_eq!(verified["ok"], true, "{verified:#}");
}

#[test]
fn a_segment_without_a_checkpoint_stays_and_the_run_succeeds() {
    require!(Need::Program("python3"));
    let site = Site::new();
    let bundle = Bundle::command(&["true"]).build(&site);
    let run = || site.run_built(&bundle, &[]);
    run().expect(0);
    let old = age(&site);
    // Not whole any more, so that nobody signs it.
    let path = folder(&site).join(&old);
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("\"exited\"", "\"Exited\"")).unwrap();
    let said = run();
    assert!(said.expect(0).stderr.contains("it has no checkpoint"), "{}", said.stderr);
    assert!(path.exists());
    let failed = events(&site, "audit.prune-failed");
    assert!(failed[0]["data"]["detail"].as_str().unwrap().contains(&old), "{failed:?}");
    assert!(!events(&site, "audit.seal-failed").is_empty());
}

/// Takes the attribute away again, so that the folder can be removed.
struct AppendOnly<'a>(&'a Path);

impl<'a> AppendOnly<'a> {
    fn new(path: &'a Path) -> Self {
        chattr("+a", path);
        Self(path)
    }
}

impl Drop for AppendOnly<'_> {
    fn drop(&mut self) {
        chattr("-a", self.0);
    }
}

fn chattr(change: &str, path: &Path) {
    let status = Command::new("chattr").arg(change).arg(path).status().unwrap();
    assert!(status.success(), "chattr {change} {}: its file system cannot do that", path.display());
}

// What cannot be removed is not said to have been.
#[test]
fn an_append_only_segment_stays_and_is_not_said_to_be_gone() {
    require!(Need::Program("python3"), Need::Program("chattr"));
    let site = Site::new();
    let bundle = Bundle::command(&["true"]).build(&site);
    let run = || site.run_built(&bundle, &[]);
    run().expect(0);
    let old = age(&site);
    let path = folder(&site).join(&old);
    let fixed = AppendOnly::new(&path);
    let said = run();
    assert!(said.expect(0).stderr.contains("chattr -ai"), "{}", said.stderr);
    assert!(path.exists() && events(&site, "audit.pruned").is_empty());
    drop(fixed);
    close(&site, "2020-02-01");
    run().expect(0);
    close(&site, "2020-03-01");
    yesterday(&site);
    run().expect(0);
    assert!(!path.exists());
    assert_eq!(events(&site, "audit.pruned").len(), 1);
}
