//! Path rules: what may be reached, and that what may not be is recorded with path and access.

use sandboxctl_integration::{Bundle, Need, Outcome, Site, require};
use serde_json::json;

/// Attempts, in Python; each line of `acts` is `name: lambda`.
fn attempts(acts: &str) -> Outcome {
    let site = Site::new();
    site.run(&Bundle::python(&format!("print(json.dumps({{{acts}}}))")))
}

#[test]
fn tripwires_are_refused() {
    require!();
    let outcome = attempts(
        r#"
"root": attempt(lambda: os.listdir("/root")), "home": attempt(lambda: os.listdir("/home")),
"shadow": attempt(lambda: open("/etc/shadow")), "key": attempt(lambda: open("/root/.ssh/id_rsa")),
"docker": attempt(lambda: open("/var/run/docker.sock")), "host": attempt(lambda: os.listdir("/host")),
"sys": attempt(lambda: os.listdir("/sys")), "write": attempt(lambda: open("/etc/shadow", "a")),
"make": attempt(lambda: open("/root/x", "w")),
"#,
    );
    for (name, result) in outcome.expect(0).json().as_object().unwrap() {
        let denied = ["EACCES", "EROFS"].contains(&result.as_str().unwrap());
        assert!(denied, "{name}: {result}");
    }
}

#[test]
fn tripwires_are_recorded_with_path_and_access() {
    require!(Need::LandlockRecords);
    let outcome = attempts(
        r#"
"root": attempt(lambda: os.listdir("/root")), "shadow": attempt(lambda: open("/etc/shadow")),
"again": attempt(lambda: open("/etc/shadow")), "docker": attempt(lambda: open("/var/run/docker.sock")),
"key": attempt(lambda: open("/root/.ssh/id_rsa")),
"#,
    );
    outcome.expect(0);
    let shadow = outcome.recorded("tripwire-touched", "path", "/etc/shadow");
    assert_eq!(shadow["object"]["access"], "fs.read_file");
    assert_eq!(shadow["count"], 2);
    assert_eq!(shadow["layer"], "landlock");
    assert_eq!(shadow["severity"], "CRITICAL");
    let root = outcome.recorded("tripwire-touched", "path", "/root");
    assert_eq!(root["object"]["access"], "fs.read_dir");
    outcome.recorded("tripwire-touched", "path", "/run/docker.sock");
    outcome.recorded("tripwire-touched", "path", "/root/.ssh/id_rsa");
    assert_eq!(outcome.report()["violationTotals"]["byLayer"]["landlock"], 5);
}

/// The kernel's own count of denials, the one that proves Landlock at launch included, is what the report adds up to.
#[test]
fn the_recording_is_complete_and_says_so() {
    require!(Need::LandlockRecords);
    for acts in ["", "\"root\": attempt(lambda: os.listdir(\"/root\")),"] {
        let outcome = attempts(acts);
        let recording = &outcome.expect(0).report()["recording"]["landlock"];
        let recorded = u64::from(!acts.is_empty());
        assert_eq!(*recording, json!({"status": "complete", "recorded": recorded, "lost": 0}));
    }
}

#[test]
fn what_is_granted_is_not_recorded() {
    require!();
    let outcome = attempts(
        r#"
"usr": attempt(lambda: os.listdir("/usr/bin")), "ext": attempt(lambda: os.listdir("/ext")),
"self": attempt(lambda: open("/ext/main.py").read()), "passwd": attempt(lambda: open("/etc/passwd").read()),
"tmp": attempt(lambda: open("/tmp/x", "w").write("x")), "data": attempt(lambda: open("/data/x", "w").write("x")),
"shm": attempt(lambda: open("/dev/shm/x", "w").write("x")), "null": attempt(lambda: open("/dev/null", "w").write("x")),
"proc": attempt(lambda: open("/proc/self/maps").read()), "rename": attempt(lambda: os.rename("/tmp/x", "/tmp/y")),
"remove": attempt(lambda: os.unlink("/tmp/y")), "mkdir": attempt(lambda: os.makedirs("/data/a/b")),
"link": attempt(lambda: os.symlink("x", "/data/l")), "hard": attempt(lambda: os.link("/data/x", "/data/h")),
"#,
    );
    for (name, result) in outcome.expect(0).json().as_object().unwrap() {
        assert_eq!(result, "ok", "{name}");
    }
    // A slow host may have throttled it.
    for violation in outcome.violations() {
        assert_eq!(violation["layer"], "limit", "{violation:#}");
    }
}

/// The links of the sandbox's own tree lead nowhere that a rule does not reach.
#[test]
fn links_and_dots_lead_to_the_same_refusals() {
    require!(Need::LandlockRecords);
    let outcome = attempts(
        r#"
"dots": attempt(lambda: open("/usr/../etc/../etc/shadow")),
"link": attempt(lambda: (os.symlink("/etc/shadow", "/tmp/l"), open("/tmp/l"))),
"proc": attempt(lambda: open("/proc/self/root/etc/shadow")),
"one": attempt(lambda: open("/proc/1/root/etc/shadow")),
"cwd": attempt(lambda: (os.chdir("/usr"), open("../etc/shadow"))),
"#,
    );
    let seen = outcome.expect(0).json();
    for (name, result) in seen.as_object().unwrap() {
        assert_eq!(result, "EACCES", "{name}");
    }
    // All but /proc/1/root, which PID 1 itself keeps closed.
    assert_eq!(outcome.recorded("tripwire-touched", "path", "/etc/shadow")["count"], 4);
}

/// Programs run from where programs are, and from nowhere that the extension can write to: neither as files nor through
/// the loader.
#[test]
fn nothing_writable_is_executed() {
    require!();
    let outcome = attempts(
        r#"
"usr": attempt(lambda: os.spawnv(os.P_WAIT, "/usr/bin/true", ["true"])),
**{folder: (
    __import__("shutil").copy("/usr/bin/true", folder + "/own"), os.chmod(folder + "/own", 0o755),
    attempt(lambda: __import__("subprocess").run([folder + "/own"])),
    __import__("subprocess").run(["/lib64/ld-linux-x86-64.so.2", folder + "/own"], stderr=-3).returncode != 0,
)[2:] for folder in ["/tmp", "/data", "/dev/shm"]}
"#,
    );
    let seen = outcome.expect(0).json();
    assert_eq!(
        seen,
        json!({"usr": "ok", "/tmp": ["EACCES", true], "/data": ["EACCES", true], "/dev/shm": ["EACCES", true]})
    );
}
