//! `landlock_processes = true`: a path that was denied is recorded with the process that was denied it.

use std::path::Path;

use sandboxctl_integration::{Bundle, Need, Outcome, Site, require};
use serde_json::Value;

/// The same path by the extension itself, by a child of it that runs another program, and by a thread.
const ACTS: &str = r#"
import subprocess, threading
attempt(lambda: open("/etc/shadow"))
child = subprocess.Popen(["/usr/bin/cat", "/etc/shadow", "/root/x"], stderr=-3)
child.wait()
thread = threading.Thread(target=lambda: attempt(lambda: open("/etc/shadow")))
thread.start(); thread.join()
print(json.dumps([os.getpid(), child.pid]))
"#;

fn run(site: &Site, config: &str) -> Outcome {
    site.configure(config);
    site.run(&Bundle::python(ACTS))
}

fn of<'a>(outcome: &'a Outcome, path: &str) -> Vec<&'a Value> {
    let violations = outcome.violations().iter();
    violations.filter(|violation| violation["object"]["path"] == path).collect()
}

#[test]
fn each_process_has_its_own_record() {
    require!(Need::LandlockRecords);
    let site = Site::new();
    let outcome = run(&site, "[audit]\nlandlock_processes = true\n");
    outcome.expect(0);
    let shadow = of(&outcome, "/etc/shadow");
    assert_eq!(shadow.len(), 2, "{shadow:#?}");
    let (own, child) = (&shadow[0]["process"], &shadow[1]["process"]);
    // A thread is its process.
    assert_eq!((&shadow[0]["count"], &shadow[1]["count"]), (&2.into(), &1.into()));
    assert!(own["exe"].as_str().unwrap().starts_with("/usr/bin/python3"), "{own}");
    assert!(own["comm"].as_str().unwrap().starts_with("python3"), "{own}");
    assert_eq!((&child["exe"], &child["comm"]), (&"/usr/bin/cat".into(), &"cat".into()));
    // Numbers of this host, where nothing else tells them: the child's is the later one, and has the same user.
    assert!(own["pid"].as_u64() < child["pid"].as_u64(), "{own} {child}");
    assert_eq!(own["uid"], child["uid"]);
    assert!((0x7000_0000..0x7001_0000).contains(&own["uid"].as_u64().unwrap()), "{own}");
    let beneath = of(&outcome, "/root");
    let beneath = if beneath.is_empty() { of(&outcome, "/root/x") } else { beneath };
    for violation in beneath {
        assert_eq!(violation["process"], *child);
    }
    let recording = &outcome.report()["recording"];
    assert_eq!(recording["landlock"]["status"], "complete", "{recording}");
    let named = &recording["landlockProcesses"];
    assert_eq!((&named["status"], &named["lost"]), (&"complete".into(), &0.into()), "{named}");
    assert_eq!(named["recorded"], recording["landlock"]["recorded"]);
    // The audit log has the same.
    let log = site.sandboxctl(&["audit", "query", "--json", "--type", "violation"]);
    let log: Vec<Value> =
        log.expect(0).stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(log.iter().any(|event| event["data"]["process"] == *child), "{log:#?}");
    assert!(log.iter().any(|event| event["data"]["process"] == *own), "{log:#?}");
}

/// Without the setting nothing of it is there: no process in the record, no context for a process of the sandbox.
#[test]
fn without_the_setting_nothing_changes() {
    require!(Need::LandlockRecords);
    let site = Site::new();
    let outcome = run(&site, "[audit]\nlandlock_processes = false\n");
    outcome.expect(0);
    let shadow = of(&outcome, "/etc/shadow");
    assert_eq!(shadow.len(), 1, "{shadow:#?}");
    assert_eq!((&shadow[0]["count"], &shadow[0]["process"]), (&3.into(), &serde_json::json!({})));
    assert!(outcome.report()["recording"].get("landlockProcesses").is_none());
}

/// A flood: what the kernel dropped of the records of calls leaves denials without a process, counted, and no denial twice.
#[test]
fn a_flood_is_exact_and_says_what_has_no_name() {
    require!(Need::LandlockRecords);
    let site = Site::new();
    site.configure("[audit]\nlandlock_processes = true\n");
    let bundle = Bundle::python(
        r#"
import ctypes
libc = ctypes.CDLL(None)
for _ in range(20000):
    libc.open(b"/etc/shadow", 0)
"#,
    );
    let outcome = site.run(&bundle);
    let recording = &outcome.expect(0).report()["recording"];
    let number = |of: &str, key: &str| recording[of][key].as_u64().unwrap();
    assert_eq!(number("landlock", "recorded") + number("landlock", "lost"), 20_000, "{recording}");
    let named = number("landlockProcesses", "recorded") + number("landlockProcesses", "lost");
    assert_eq!(named, number("landlock", "recorded"), "{recording}");
    assert!(number("landlockProcesses", "recorded") > 0, "{recording}");
}

/// Which of the two sets of rules is in place follows the latest run that found audit off.
#[test]
fn a_contradiction_is_refused_and_the_rules_follow_the_setting() {
    require!(Need::LandlockRecords);
    // Nobody else runs meanwhile: the rules are the host's.
    let site = Site::alone();
    let refused = run(&site, "[audit]\nlandlock = \"off\"\nlandlock_processes = true\n");
    assert!(refused.expect(125).stderr.contains("landlock_processes"), "{}", refused.stderr);
    let marker = Path::new("/run/sandboxctl/audit-processes");
    for on in [true, false, true, true] {
        let outcome = run(&site, &format!("[audit]\nlandlock_processes = {on}\n"));
        outcome.expect(0);
        assert_eq!(of(&outcome, "/etc/shadow").len(), if on { 2 } else { 1 });
        assert_eq!(marker.exists(), on);
        assert!(!Path::new("/run/sandboxctl/audit.json").exists(), "audit stays on");
    }
    site.sandboxctl(&["gc", "--audit-rule"]).expect(0);
    assert!(!marker.exists());
}
