//! The audit log through the command line: whole after whatever happens, and found out when somebody was at it.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::fs;
use std::io::Read;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use sandboxctl_integration::site::binary;
use sandboxctl_integration::{Bundle, Need, Outcome, Site, require};
use serde_json::Value;

fn audit(site: &Site, arguments: &[&str]) -> Outcome {
    site.sandboxctl(&[&["audit"], arguments].concat())
}

fn segments(site: &Site) -> Vec<PathBuf> {
    let entries =
        fs::read_dir(site.state().join("audit")).unwrap().map(|entry| entry.unwrap().path());
    let mut all: Vec<_> =
        entries.filter(|path| path.extension().is_some_and(|end| end == "jsonl")).collect();
    all.sort();
    all
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Codes of what `audit verify` finds.
fn problems(site: &Site, arguments: &[&str], code: i32) -> Vec<String> {
    let outcome = audit(site, &[&["verify", "--json"], arguments].concat());
    let verified = outcome.expect(code).json();
    assert_eq!(verified["ok"], code == 0);
    let all = verified["problems"].as_array().unwrap();
    all.iter().map(|problem| problem["code"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn runs_at_once_leave_one_whole_chain() {
    require!();
    let site = Site::new();
    let bundle = Bundle::command(&["true"]).build(&site);
    for _ in 0..5 {
        let runs: Vec<_> = (0..4).map(|_| site.start(&bundle, &[])).collect();
        for run in runs {
            run.wait().expect(0);
        }
    }
    let verified = audit(&site, &["verify", "--json"]).expect(0).json();
    assert_eq!((&verified["events"], &verified["lastSeq"]), (&60.into(), &60.into()));
    let text = audit(&site, &["verify"]).expect(0).stdout.clone();
    assert!(text.ends_with("ok\n") && text.contains("no signed checkpoint"), "{text}");
}

/// The chain by other means than ours: the snippet of the README.
#[test]
fn the_chain_can_be_verified_by_hand() {
    require!(Need::Program("python3"));
    let site = Site::new();
    let bundle = Bundle::command(&["true"]).build(&site);
    site.run_built(&bundle, &[]).expect(0);
    let readme =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md")).unwrap();
    let snippet = readme.split("```python\n").nth(1).unwrap().split("```").next().unwrap();
    let run = || {
        let mut command = site.prepare("python3");
        command.arg("-c").arg(snippet).args(segments(&site));
        command.output().unwrap()
    };
    let output = run();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let head = audit(&site, &["verify", "--json"]).json()["head"].as_str().unwrap().to_owned();
    assert!(output.status.success() && text.contains(&head), "{output:?}");
    let path = segments(&site).remove(0);
    let changed = fs::read_to_string(&path).unwrap().replace("\"exited\"", "\"Exited\"");
    fs::write(&path, changed).unwrap();
    assert!(!run().status.success());
}

#[test]
fn tampering_is_found_and_has_an_exit_code() {
    require!();
    let site = Site::new();
    let bundle = Bundle::command(&["true"]).build(&site);
    site.run_built(&bundle, &[]).expect(0);
    assert_eq!(problems(&site, &[], 0), Vec::<String>::new());
    let path = segments(&site).remove(0);
    let whole = fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = whole.lines().collect();
    assert_eq!(lines.len(), 4);
    let joined = |lines: &[&str]| format!("{}\n", lines.join("\n"));
    let cases = [
        (whole.replace("\"allowed\"", "\"refused\""), "hash-mismatch"),
        (joined(&[lines[0], lines[1], lines[3]]), "lines-missing"),
        (joined(&[lines[0], lines[2], lines[1], lines[3]]), "out-of-order"),
        (joined(&[lines[0], lines[1], "x", lines[2], lines[3]]), "malformed-line"),
        (joined(&lines[1..]), "segment-header"),
    ];
    for (text, code) in cases {
        assert_ne!(text, whole);
        fs::write(&path, &text).unwrap();
        let found = problems(&site, &[], 1);
        assert!(found.iter().any(|found| found == code), "{code}: {found:?}");
        let said = audit(&site, &["verify"]).expect(1).stdout.clone();
        assert!(said.contains(&format!(": {code}:")) && said.contains("NOT ok"), "{said}");
    }
    fs::remove_file(&path).unwrap();
    assert_eq!(problems(&site, &[], 1), ["segment-missing"]);
}

#[test]
fn a_checkpoint_elsewhere_shows_what_is_missing_at_the_end() {
    require!(Need::Program("openssl"));
    let site = Site::new();
    let bundle = Bundle::command(&["true"]).build(&site);
    audit(&site, &["checkpoint"]).expect(1);
    site.run_built(&bundle, &[]).expect(0);
    let kept = site.dir().join("kept.ckpt");
    let kept = kept.to_str().unwrap();
    audit(&site, &["checkpoint", "--out", kept]).expect(0);
    let text = fs::read_to_string(kept).unwrap();
    let mut lines = text.lines();
    assert!(lines.next().unwrap().starts_with("sandboxctl/audit/"));
    assert_eq!(lines.next(), Some("3"));
    assert!(text.contains("\n\n\u{2014} sandboxctl/audit/"), "{text}");
    let key = audit(&site, &["key"]).expect(0).stdout.trim().to_owned();
    assert_eq!(problems(&site, &["--against", kept, "--key", &key], 0), Vec::<String>::new());
    // The key is one that others can read.
    let pem = site.state().join("audit/log-key.pem");
    let mut openssl = site.prepare("openssl");
    openssl.args(["pkey", "-in"]).arg(pem).args(["-pubout", "-outform", "DER"]);
    let der = openssl.output().unwrap();
    assert!(der.status.success(), "{der:?}");
    // Cut off, and the copy beside the log removed.
    let path = segments(&site).remove(0);
    let whole = fs::read_to_string(&path).unwrap();
    let cut: Vec<&str> = whole.lines().take(3).collect();
    fs::write(&path, format!("{}\n", cut.join("\n"))).unwrap();
    assert_eq!(problems(&site, &[], 1), ["truncated"]);
    fs::remove_file(site.state().join("audit/head.ckpt")).unwrap();
    assert_eq!(problems(&site, &[], 0), Vec::<String>::new());
    assert_eq!(problems(&site, &["--against", kept], 1), ["truncated"]);
    // And not a checkpoint at all, or nobody's.
    audit(&site, &["verify", "--against", path.to_str().unwrap()]).expect(125);
    fs::write(&path, whole).unwrap();
    fs::write(kept, text.replacen("\n3\n", "\n2\n", 1)).unwrap();
    assert_eq!(problems(&site, &["--against", kept], 1), ["checkpoint-signature"]);
}

#[test]
fn queries_and_exports() {
    require!();
    let site = Site::new();
    let bundle = Bundle::python("attempt(lambda: os.mkdir(\"/ext/x\"))\nimport ctypes\nctypes.CDLL(None).unshare(0x10000000)")
        .build(&site);
    let outcome = site.run_built(&bundle, &[]);
    outcome.expect(0);
    let run = outcome.report()["runId"].as_str().unwrap();
    site.run(&Bundle::command(&["true"]).tier("professional")).expect(126);
    let query = |arguments: &[&str]| {
        lines(&audit(&site, &[&["query", "--json"], arguments].concat()).expect(0).stdout)
    };
    let all = query(&[]);
    assert_eq!(all, lines(&audit(&site, &["export", "--format", "jsonl"]).expect(0).stdout));
    assert!(query(&["--run", run]).iter().all(|event| event["run"] == run));
    let ours = query(&["--ext", &bundle.id, "--type", "violation", "--code", "namespace-attempt"]);
    assert_eq!(ours.len(), 1);
    assert_eq!(query(&["--severity", "critical", "--ext", &bundle.id]).len(), 1);
    let refused = query(&["--type", "decision", "--severity", "warning"]);
    assert_eq!(refused.len(), 1);
    assert_eq!(refused[0]["data"]["verdict"], "refused");
    let code = refused[0]["data"]["violated"][0]["code"].as_str().unwrap();
    assert_eq!(query(&["--code", code]), refused);
    assert_eq!(query(&["--since", "1h"]).len(), all.len());
    assert_eq!(query(&["--until", "1h"]).len(), 0);
    audit(&site, &["query", "--since", "yesterday"]).expect(2);
    let table = audit(&site, &["query", "--ext", &bundle.id]).expect(0).stdout.clone();
    assert!(
        table.contains("namespace-attempt: tried to make or enter a namespace: unshare"),
        "{table}"
    );
    let cef = audit(&site, &["export", "--format", "cef", "--type", "violation"])
        .expect(0)
        .stdout
        .clone();
    assert!(cef.lines().all(|line| line.starts_with("CEF:0|sandboxctl|sandboxctl|")), "{cef}");
    assert!(cef.contains("|namespace-attempt|tried to make or enter a namespace|9|"), "{cef}");
    let ocsf = lines(&audit(&site, &["export", "--format", "ocsf"]).expect(0).stdout);
    assert_eq!(ocsf.len(), all.len());
    assert!(ocsf.iter().any(|event| event["class_uid"] == 2004));
}

#[test]
fn tail_follows() {
    require!();
    let site = Site::new();
    let bundle = Bundle::command(&["true"]).build(&site);
    site.run_built(&bundle, &[]).expect(0);
    let last = lines(&audit(&site, &["tail", "-n", "2", "--json"]).expect(0).stdout);
    assert_eq!(last.iter().map(|event| &event["seq"]).collect::<Vec<_>>(), [2, 3]);
    let mut tail = site
        .prepare(binary())
        .args(["audit", "tail", "-f", "-n", "1", "--json", "--type", "run.end"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = tail.stdout.take().unwrap();
    let mut read = || {
        let mut text = Vec::new();
        let mut byte = [0];
        while text.last() != Some(&b'\n') {
            out.read_exact(&mut byte).unwrap();
            text.push(byte[0]);
        }
        serde_json::from_slice::<Value>(&text).unwrap()
    };
    assert_eq!(read()["seq"], 3);
    site.run_built(&bundle, &[]).expect(0);
    assert_eq!(read()["seq"], 6);
    // Over a rotation: the segment is of a day long ago now.
    let path = segments(&site).remove(0);
    let old = path.with_file_name("2020-01-01T00-000001.jsonl");
    fs::rename(&path, &old).unwrap();
    fs::write(site.state().join("audit/lock"), "2020-01-01T00-000001.jsonl\n").unwrap();
    site.run_built(&bundle, &[]).expect(0);
    assert_eq!(read()["seq"], 9);
    tail.kill().unwrap();
    tail.wait().unwrap();
    assert_eq!(segments(&site).len(), 2);
    // The run that rotated has closed the segment before.
    assert!(old.with_extension("ckpt").exists());
    let sealed =
        lines(&audit(&site, &["query", "--json", "--type", "audit.sealed"]).expect(0).stdout);
    assert_eq!(sealed[0]["data"]["segment"], "2020-01-01T00-000001.jsonl");
    assert_eq!(problems(&site, &[], 0), Vec::<String>::new());
    let dry = audit(&site, &["prune", "--dry-run", "--json"]).expect(0).json();
    assert_eq!(dry["old"], Value::Array(Vec::new()));
}

/// A state folder that is full, or cannot be written: nothing runs unrecorded but a community extension, and that loudly.
#[test]
fn a_full_or_read_only_disk() {
    require!(Need::Program("unshare"));
    let site = Site::new();
    let community = Bundle::probe(&["true"]).build(&site);
    let strict = Bundle::probe(&["true"]).tier("professional").build(&site);
    fs::create_dir_all(site.state()).unwrap();
    let report = site.dir().join("report.json");
    let run = |prepare: &str, bundle: &Path, dev: &str| {
        let script = format!(
            "set -e; mount -t tmpfs -o size=256k tmpfs \"$SANDBOXCTL_STATE_DIR\"; {prepare}; \
             exec \"$0\" run {dev} --report \"$1\" \"$2\""
        );
        let mut command = site.prepare("unshare");
        command.args(["-m", "--propagation", "private", "sh", "-c", &script]).arg(binary());
        let output = command.arg(&report).arg(bundle).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    // Room for the lock and no more.
    let full = "mkdir -m 750 $SANDBOXCTL_STATE_DIR/audit; touch $SANDBOXCTL_STATE_DIR/audit/lock; \
                dd if=/dev/zero of=$SANDBOXCTL_STATE_DIR/fill bs=4k 2>/dev/null || true";
    let read_only = "mount -o remount,ro \"$SANDBOXCTL_STATE_DIR\"";
    for (prepare, hint) in [(full, "make room"), (read_only, "read-only")] {
        let (code, said) = run(prepare, &strict.path, "--dev");
        assert_eq!(code, Some(125), "{said}");
        assert!(
            said.contains("audit log") && said.contains("hint: ") && said.contains(hint),
            "{said}"
        );
        let (code, said) = run(prepare, &community.path, "");
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains("NOT recorded"), "{said}");
        let report: Value = serde_json::from_slice(&fs::read(&report).unwrap()).unwrap();
        let log = &report["recording"]["auditLog"];
        assert_eq!((&log["status"], &log["written"]), (&"unavailable".into(), &0.into()), "{log}");
        assert!(log["lost"].as_u64().unwrap() >= 3 && log["reason"].is_string(), "{log}");
        assert!(said.contains("are not in the audit log"), "{said}");
    }
}

/// Full only once the run has begun: the run goes on, and the report says what is not in the log.
#[test]
fn a_disk_that_fills_up_meanwhile() {
    require!(Need::Program("unshare"));
    let site = Site::new();
    let bundle = Bundle::python("print(\"ready\", flush=True)\nsys.stdin.readline()").build(&site);
    // What is in the log once the run has begun.
    site.run_built(&bundle, &[]).expect(0);
    let path = segments(&site).remove(0);
    let text = fs::read_to_string(&path).unwrap();
    let begun: usize = text.lines().take(3).map(|line| line.len() + 1).sum();
    // One argument more, so that the next line needs another page, and there is none.
    let argument = "x".repeat(4096 - 100 - begun - ",\"\"".len());
    fs::remove_dir_all(site.state()).unwrap();
    fs::create_dir_all(site.state()).unwrap();
    let report = site.dir().join("report.json");
    let script =
        "set -e; mount -t tmpfs -o size=256k tmpfs \"$SANDBOXCTL_STATE_DIR\"; mkfifo in out
        \"$0\" run --report \"$1\" \"$2\" -- \"$3\" <in >out & exec 3>in 4<out; read -r word <&4
        dd if=/dev/zero of=$SANDBOXCTL_STATE_DIR/fill bs=4k 2>/dev/null || true
        echo go >&3; wait $!; wc -c <$SANDBOXCTL_STATE_DIR/audit/*.jsonl";
    let mut command = site.prepare("unshare");
    command.args(["-m", "--propagation", "private", "bash", "-c", script]).arg(binary());
    command.arg(&report).arg(&bundle.path).arg(&argument).current_dir(site.dir());
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    let report: Value = serde_json::from_slice(&fs::read(&report).unwrap()).unwrap();
    let log = &report["recording"]["auditLog"];
    assert_eq!((&log["written"], &log["lost"]), (&2.into(), &1.into()), "{log} {said}");
    assert_eq!(log["status"], "incomplete");
    assert!(said.contains("the end of this run is NOT recorded"), "{said}");
    // Nothing of it is left in the file.
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), (4096 - 100).to_string());
}

#[test]
fn events_are_forwarded_and_losses_recorded() {
    require!();
    let site = Site::new();
    let bundle = Bundle::command(&["true"]).build(&site);
    let path = site.dir().join("log.sock");
    let server = UnixDatagram::bind(&path).unwrap();
    server.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    site.configure(&format!("[audit.forward]\nsyslog = \"unix:{}\"\n", path.display()));
    let outcome = site.run_built(&bundle, &[]);
    let forward = &outcome.expect(0).report()["recording"]["forward"];
    assert_eq!((&forward["status"], &forward["recorded"]), (&"complete".into(), &3.into()));
    for kind in ["decision", "run.start", "run.end"] {
        let mut bytes = vec![0; 65536];
        let len = server.recv(&mut bytes).unwrap();
        let text = String::from_utf8_lossy(&bytes[..len]).into_owned();
        assert!(
            text.starts_with("<1") && text.contains(&format!(" {kind} [sandboxctl@")),
            "{text}"
        );
    }
    drop(server);
    let outcome = site.run_built(&bundle, &[]);
    let forward = &outcome.expect(0).report()["recording"]["forward"];
    assert_eq!((&forward["status"], &forward["lost"]), (&"unavailable".into(), &3.into()));
    assert!(outcome.stderr.contains("events were not forwarded"), "{}", outcome.stderr);
    let lost =
        lines(&audit(&site, &["query", "--json", "--type", "audit.forward-lost"]).expect(0).stdout);
    assert_eq!(lost[0]["data"]["lost"], 3);
    site.configure("[audit.forward]\nsyslog = \"udp:logs.example.com:514\"\n");
    let refused = site.run_built(&bundle, &[]);
    assert!(refused.expect(125).stderr.contains("an IP address and a port are needed"));
}
