//! Every violation code is emitted by some real action, and every record keeps to the schema.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::collections::BTreeSet;
use std::fs;

use policies::violation::Code;
use sandboxctl_integration::{Bundle, Internet, Need, Outcome, Site, require};
use serde_json::Value;

/// Compiled in, so that this runs on machines without the sources.
const SCHEMA: &str = include_str!("../../supervisor/violation.schema.json");

fn assert_valid<'a>(violations: impl IntoIterator<Item = &'a Value>) {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    for violation in violations {
        let errors: Vec<String> =
            validator.iter_errors(violation).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{errors:#?}\n{violation:#}");
    }
}

/// The codes of the actions that the selftest has seen blocked and recorded.
fn of_selftest(site: &Site) -> BTreeSet<String> {
    let result = site.sandboxctl(&["selftest", "--json"]).expect(0).json();
    let rows = result["actions"].as_array().unwrap().iter();
    rows.filter(|row| row["recorded"]["status"] == "yes")
        .map(|row| row["code"].as_str().unwrap().to_owned())
        .collect()
}

/// What needs somebody on the other side: an allowed name that stands for a private address, and traffic beyond a cap,
/// which an operator has set to 1 MB here.
fn with_a_peer(site: &Site) -> Outcome {
    let tiers = site.config().join("policies/tiers");
    fs::create_dir_all(&tiers).unwrap();
    let tier = include_str!("../../policies/tiers/community.toml");
    fs::write(tiers.join("community.toml"), tier.replace("traffic_mb = 1_024", "traffic_mb = 1"))
        .unwrap();
    let internet = Internet::new(site);
    let program = r#"
import socket
def post(host, size):
    with socket.create_connection((host, 80), 20) as s:
        s.sendall(f"POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: {size}\r\n\r\n".encode())
        s.sendall(b"x" * size)
        if not s.recv(10):
            raise ConnectionResetError(errno.ECONNRESET, "")
print(json.dumps([attempt(lambda: post("private.example.com", 1)), attempt(lambda: post("a.example.com", 8 << 20))]))
"#;
    let bundle = Bundle::python(program)
        .permission("EXTERNAL_API_CALLS")
        .manifest("[network]\nallow = [\"a.example.com:80\", \"private.example.com:80\"]\n");
    internet.run(site, &bundle)
}

#[test]
fn every_code_is_emitted_by_a_real_action() {
    require!(
        Need::LandlockRecords,
        Need::Internet,
        Need::Controller("cpu"),
        Need::Controller("memory")
    );
    let site = Site::alone();
    let mut emitted = of_selftest(&site);
    let outcome = with_a_peer(&site);
    outcome.expect(0);
    emitted.extend(outcome.violations().iter().map(|one| one["code"].as_str().unwrap().to_owned()));
    let missing: Vec<&str> =
        Code::ALL.iter().map(|code| code.text()).filter(|code| !emitted.contains(*code)).collect();
    assert!(missing.is_empty(), "no action emits {missing:?}; {:#?}", outcome.violations());
    assert_valid(outcome.violations());
}

/// In the report and in the audit log: who, with the program; what, with the arguments in words.
#[test]
fn a_record_says_who_and_what() {
    require!(Need::LandlockRecords);
    let site = Site::new();
    let outcome = site.run(&Bundle::python(
        r#"
import ctypes
libc = ctypes.CDLL(None)
libc.mount(b"tmpfs", b"/tmp/here", b"tmpfs", 3, None)
libc.unshare(0x10020000)
libc.socket(2, 3, 255)
libc.syscall(134, b"\x1b[2J" + b"x" * 5000)
attempt(lambda: open("/etc/shadow"))
libc.syscall(0x40000027)
"#,
    ));
    outcome.expect(0);
    assert_valid(outcome.violations());
    let words = |code: &str, name: &str| {
        let violation = outcome.recorded(code, "name", name);
        let process = &violation["process"];
        assert!(process["exe"].as_str().unwrap().starts_with("/usr/bin/python3"), "{process}");
        assert_eq!(process["comm"], "python3");
        let arguments = violation["arguments"].as_array().unwrap().iter();
        arguments
            .map(|one| {
                let mark = if one["advisory"] == true { "?" } else { "" };
                let text = |key: &str| one[key].as_str().unwrap();
                format!("{}{mark}={}", text("name"), text("value"))
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(
        words("mount-attempt", "mount"),
        [
            "source?=tmpfs",
            "target?=/tmp/here",
            "filesystemtype?=tmpfs",
            "mountflags=MS_RDONLY|MS_NOSUID"
        ]
    );
    assert_eq!(words("namespace-attempt", "unshare"), ["flags=CLONE_NEWNS|CLONE_NEWUSER"]);
    assert_eq!(
        words("network-denied", "socket"),
        ["domain=AF_INET", "type=SOCK_RAW", "protocol=IPPROTO_RAW"]
    );
    // Bounded, and harmless on a terminal.
    assert_eq!(words("kernel-tampering", "uselib")[0].chars().count(), "path?=".len() + 128);
    assert!(!outcome.stderr.contains('\x1b'), "{:?}", outcome.stderr);
    assert!(
        outcome.stderr.contains(r#"mount(source="tmpfs", target="/tmp/here""#),
        "{}",
        outcome.stderr
    );
    // Not decoded: numbers mean other calls there.
    let foreign = outcome.recorded("foreign-architecture", "arch", "x32");
    assert!(foreign.get("arguments").is_none(), "{foreign}");
    // What a consumer of the log reads is the same record.
    let logged = logged(&site);
    assert_eq!(logged.len(), outcome.violations().len());
    assert_valid(&logged);
    let of = |violation: &Value| {
        violation["object"] == outcome.recorded("mount-attempt", "name", "mount")["object"]
    };
    let mount = logged.iter().find(|one| of(one)).unwrap();
    assert_eq!(mount["arguments"], outcome.recorded("mount-attempt", "name", "mount")["arguments"]);
}

/// The violations in the audit log of a site.
fn logged(site: &Site) -> Vec<Value> {
    let mut violations = Vec::new();
    for entry in fs::read_dir(site.state().join("audit")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|end| end == "jsonl") {
            let text = fs::read_to_string(path).unwrap();
            let events = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
            violations.extend(
                events
                    .filter(|event| event["type"] == "violation")
                    .map(|event| event["data"].clone()),
            );
        }
    }
    violations
}
