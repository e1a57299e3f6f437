//! What the host decides about extensions, through the command line: registration, reviews, vulnerabilities, their record,
//! several processes at once, and processes that are killed while they write.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use sandboxctl_integration::site::binary;
use sandboxctl_integration::{Bundle, Need, Outcome, Site, require};
use serde_json::{Value, json};

const ID: &str = "acme.probe";
const CRITICAL: &str = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H";

/// A bundle of a version, with a bill of materials of one package.
fn bundle(site: &Site, version: &str, purl: &str) -> PathBuf {
    let bill = json!({ "bomFormat": "CycloneDX", "components": [
        { "type": "library", "name": "part", "purl": purl },
    ] });
    let built = Bundle::command(&["true"])
        .id(ID)
        .permission("READ_MATERIALS")
        .file("sbom.cdx.json", bill.to_string())
        .build(site);
    let manifest = built.path.join("extension.toml");
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(manifest, text.replace("1.0.0", version)).unwrap();
    built.path
}

fn advisory(site: &Site, id: &str, package: &str, severity: &str) -> PathBuf {
    let json = json!({
        "id": id, "modified": "2026-01-01T00:00:00Z", "summary": "it is bad",
        "database_specific": { "severity": severity },
        "affected": [{ "package": { "ecosystem": "npm", "name": package },
            "ranges": [{ "type": "SEMVER", "events": [{ "introduced": "0" }, { "fixed": "2.0.0" }] }] }],
    });
    let path = site.fresh_dir("osv").join(format!("{id}.json"));
    fs::write(&path, json.to_string()).unwrap();
    path
}

/// A command that must do what it says.
fn done(site: &Site, arguments: &[&str]) -> Outcome {
    let outcome = site.sandboxctl(arguments);
    outcome.expect(0);
    outcome
}

/// A command that must be refused, with these words.
fn refused(site: &Site, arguments: &[&str], words: &str) {
    let outcome = site.sandboxctl(arguments);
    outcome.expect(1);
    assert!(outcome.stderr.contains(words), "{words}: {}", outcome.stderr);
}

fn state(site: &Site) -> String {
    done(site, &["ext", "show", ID, "--json"]).json()["state"].as_str().unwrap().to_owned()
}

/// The events of the audit log, the oldest first.
fn events(site: &Site) -> Vec<Value> {
    let Ok(entries) = fs::read_dir(site.state().join("audit")) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let mut events = Vec::new();
    for path in paths.iter().filter(|path| path.extension().is_some_and(|it| it == "jsonl")) {
        let text = fs::read_to_string(path).unwrap();
        // A line may be torn: its writer was killed.
        let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        events.extend(lines.filter(|line| line.get("seq").is_some()));
    }
    events
}

#[test]
fn an_extension_from_its_registration_to_its_removal() {
    require!();
    let site = Site::new();
    assert!(done(&site, &["ext", "list"]).stdout.contains("no extension"));
    assert!(!site.state().exists(), "reading made something");
    let first = bundle(&site, "1.0.0", "pkg:npm/part@1.0.0");
    let first = first.to_str().unwrap();
    let registered = done(&site, &["ext", "register", first, "--json", "--actor", "olga"]).json();
    assert_eq!((&registered["state"], &registered["already"]), (&json!("enabled"), &json!(false)));
    let digest = registered["bundle"]["digest"].as_str().unwrap().to_owned();
    done(&site, &["ext", "deny", ID, "READ_MATERIALS", "--reason", "not here", "--actor", "olga"]);
    done(&site, &["ext", "grant", ID, "READ_MATERIALS", "--actor", "olga"]);
    done(&site, &["review", "request", ID]);
    refused(&site, &["review", "approve", ID, "--notes", " "], "no notes");
    refused(
        &site,
        &["review", "approve", ID, "--notes", "x", "--level", "public"],
        "below INTERNAL",
    );
    let approved = done(
        &site,
        &[
            "review",
            "approve",
            &digest,
            "--notes",
            "read it",
            "--reviewer",
            "rita",
            "--level",
            "restricted",
            "--expires",
            "2099-01-01",
            "--json",
        ],
    );
    let approved = approved.json();
    assert_eq!((&approved["level"], &approved["reviewer"]), (&json!("RESTRICTED"), &json!("rita")));
    assert_eq!(approved["expiresAt"], "2099-01-01T00:00:00Z");
    done(&site, &["ext", "disable", ID, "--reason", "maintenance"]);
    assert_eq!(state(&site), "disabled");
    done(&site, &["ext", "enable", ID]);
    done(&site, &["ext", "expire", ID, "--at", "2099-01-01"]);
    // Other bytes of the same version, and a lower version.
    fs::write(Path::new(first).join("more"), "x").unwrap();
    refused(&site, &["ext", "register", first], "other bytes");
    let lower = bundle(&site, "0.9.0", "pkg:npm/part@1.0.0");
    refused(&site, &["ext", "register", lower.to_str().unwrap()], "1.0.0 is approved");
    let shown = done(&site, &["ext", "show", ID]).stdout.clone();
    for part in [&digest, "READ_MATERIALS", "RESTRICTED", "2099-01-01T00:00:00Z", "rita", "olga"] {
        assert!(shown.contains(part), "no {part} in {shown}");
    }
    done(&site, &["ext", "remove", ID]);
    refused(&site, &["ext", "show", ID], "not registered");
    let kinds: Vec<String> =
        events(&site).iter().map(|event| event["type"].as_str().unwrap().to_owned()).collect();
    assert_eq!(
        kinds,
        [
            "registration",
            "vulnerability.check",
            "permission.deny",
            "permission.grant",
            "review",
            "review",
            "extension.disabled",
            "extension.enabled",
            "registration.expiry",
            "registration.removed"
        ]
    );
    let actors: Vec<Value> = events(&site).iter().map(|event| event["actor"].clone()).collect();
    assert_eq!((&actors[0], &actors[4]), (&json!("olga"), &json!("uid:0")));
}

#[test]
fn vulnerabilities_stop_extensions() {
    require!();
    let site = Site::new();
    let first = bundle(&site, "1.0.0", "pkg:npm/part@1.0.0");
    done(&site, &["ext", "register", first.to_str().unwrap()]);
    refused(
        &site,
        &["vuln", "report", ID, "--title", "x", "--affected", "soon", "--cve", "CVE-1"],
        "no CVE id",
    );
    done(
        &site,
        &["vuln", "report", ID, "--title", "leak", "--affected", "<2.0.0", "--severity", "medium"],
    );
    assert_eq!(state(&site), "enabled");
    let critical = done(
        &site,
        &[
            "vuln",
            "report",
            ID,
            "--title",
            "code",
            "--affected",
            "<1.1.0",
            "--cvss",
            CRITICAL,
            "--cve",
            "CVE-2026-1234",
            "--json",
        ],
    );
    assert_eq!(
        (&critical.json()["score"], &critical.json()["severity"]),
        (&json!(96), &json!("CRITICAL"))
    );
    assert_eq!(state(&site), "auto-disabled");
    refused(&site, &["ext", "enable", ID], "CVE-2026-1234");
    refused(&site, &["ext", "remove", ID], "auto-disabled");
    let second = bundle(&site, "1.1.0", "pkg:npm/part@2.0.0");
    done(&site, &["ext", "register", second.to_str().unwrap()]);
    done(&site, &["ext", "enable", ID]);
    done(&site, &["vuln", "resolve", "2", "--fixed-in", "1.1.0"]);
    let open = done(&site, &["vuln", "list", "--json"]).json();
    assert_eq!(open.as_array().unwrap().len(), 1);
    // A component: found in an archive of advisories, offline.
    let third = bundle(&site, "1.2.0", "pkg:npm/part@1.9.9");
    done(&site, &["ext", "register", third.to_str().unwrap()]);
    let found = advisory(&site, "MAL-2026-1", "part", "LOW");
    let imported = done(
        &site,
        &["vuln", "import", found.to_str().unwrap(), "--as-of", "2099-01-01", "--json"],
    )
    .json();
    assert_eq!(imported["advisories"], 1);
    // Never later than now.
    assert!(imported["databases"][0]["asOf"].as_str().unwrap() < "2099");
    let scanned = done(&site, &["vuln", "scan", "--all", "--json"]).json();
    assert_eq!(scanned.as_array().unwrap().len(), 3);
    assert_eq!((&scanned[2]["components"], &scanned[2]["void"]), (&json!(1), &Value::Null));
    assert_eq!(state(&site), "auto-disabled");
    assert!(done(&site, &["vuln", "show", "3"]).stdout.contains("MAL-2026-1"));
}

/// Two processes, each many acts: none is lost, none fails.
#[test]
fn two_processes_write_at_once() {
    require!(Need::Program("python3"));
    let site = Site::new();
    let path = bundle(&site, "1.0.0", "pkg:npm/part@1.0.0");
    done(&site, &["ext", "register", path.to_str().unwrap()]);
    let script = r#"for i in $(seq 40); do
        "$0" vuln report "$1" --title "$2-$i" --affected '*' --severity low >/dev/null || exit 1
        "$0" ext deny "$1" READ_MATERIALS --actor "$2-$i" >/dev/null || exit 1
        "$0" ext list >/dev/null || exit 1
    done"#;
    let children: Vec<_> = ["one", "two"]
        .map(|name| {
            let mut command = site.prepare("sh");
            command.args(["-c", script]).arg(binary()).args([ID, name]);
            command.spawn().unwrap()
        })
        .into();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    let found = done(&site, &["vuln", "list", "--json"]).json();
    let titles: BTreeSet<&str> =
        found.as_array().unwrap().iter().map(|one| one["title"].as_str().unwrap()).collect();
    assert_eq!(titles.len(), 80);
    let seqs: Vec<u64> = events(&site).iter().map(|event| event["seq"].as_u64().unwrap()).collect();
    let expected: Vec<u64> = (1..=162).collect();
    assert_eq!(seqs, expected);
    consistent(&site);
}

/// What holds whenever nobody is writing: the file is whole, references hold, no extension with a critical finding is
/// enabled, and whatever was done is on record.
fn consistent(site: &Site) {
    let database = site.state().join("registry.db");
    if !database.exists() {
        return;
    }
    let extensions = done(site, &["ext", "list", "--json"]).json();
    let findings = done(site, &["vuln", "list", "--all", "--json"]).json();
    let reviews = done(site, &["review", "list", "--json"]).json();
    assert_eq!(damage(&database), "[('ok',)] []");
    for finding in findings.as_array().unwrap() {
        let stands = finding["severity"] == "CRITICAL" && finding["status"] == "open";
        let owner =
            extensions.as_array().unwrap().iter().find(|one| one["id"] == finding["extensionId"]);
        if stands {
            let state = owner.unwrap()["state"].as_str().unwrap();
            assert!(["auto-disabled", "disabled"].contains(&state), "{state}: {finding}");
        }
    }
    let events = events(site);
    let recorded = |kind: &str, key: &str, value: &Value| {
        events.iter().any(|event| event["type"] == kind && event["data"][key] == *value)
    };
    for finding in findings.as_array().unwrap() {
        assert!(recorded("vulnerability", "finding", &finding["id"]), "{finding}");
    }
    for review in reviews.as_array().unwrap() {
        assert!(recorded("review", "review", &review["id"]), "{review}");
    }
    for extension in extensions.as_array().unwrap() {
        assert!(recorded("registration", "digest", &extension["digest"]), "{extension}");
        if extension["stateReason"] != "registered" {
            let kind = match extension["state"].as_str().unwrap() {
                "enabled" => "extension.enabled",
                "review-required" => "extension.review-required",
                _ => "extension.disabled",
            };
            assert!(recorded(kind, "reason", &extension["stateReason"]), "{extension}");
        }
    }
}

/// What SQLite finds wrong with the file and its references; asked by another program than ours.
fn damage(database: &Path) -> String {
    let program = "import sqlite3, sys
database = sqlite3.connect(sys.argv[1])
print(*(database.execute(f'PRAGMA {word}').fetchall() for word in ('integrity_check', 'foreign_key_check')))";
    let output = Command::new("python3").args(["-c", program]).arg(database).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Each command that writes, killed after ever longer delays, as long as three commands that only read; then the same command
/// again, to its end.
#[test]
fn a_command_that_is_killed_leaves_nothing_half_done() {
    require!(Need::Program("python3"));
    let site = Site::new();
    let first = bundle(&site, "1.0.0", "pkg:npm/part@1.0.0");
    let second = bundle(&site, "1.1.0", "pkg:npm/part@1.0.0");
    let advisory = advisory(&site, "GHSA-1", "part", "CRITICAL");
    let (first, second) = (first.to_str().unwrap(), second.to_str().unwrap());
    let advisory = advisory.to_str().unwrap();
    let commands: [&[&str]; 13] = [
        &["ext", "register", first],
        &["ext", "deny", ID, "READ_MATERIALS", "--reason", "x"],
        &["ext", "grant", ID, "READ_MATERIALS"],
        &["review", "request", ID],
        &["review", "approve", ID, "--notes", "x"],
        &["review", "revoke", ID, "--notes", "x"],
        &["vuln", "report", ID, "--title", "x", "--affected", "<1.1.0", "--severity", "high"],
        &["ext", "register", second],
        &["vuln", "import", advisory, "--as-of", "2099-01-01"],
        &["vuln", "scan", ID],
        &["vuln", "report", ID, "--title", "x", "--affected", "*", "--severity", "critical"],
        &["ext", "disable", ID],
        &["ext", "remove", ID, "--force"],
    ];
    let start = Instant::now();
    done(&site, &["ext", "list"]);
    let unit = start.elapsed();
    for arguments in commands {
        for step in 0..10 {
            let mut child = site
                .prepare(binary())
                .args(arguments)
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            std::thread::sleep(unit * step / 3);
            child.kill().unwrap();
            child.wait().unwrap();
            consistent(&site);
        }
        let last = site.sandboxctl(arguments);
        // It was done before it was killed, and cannot be done again.
        let again = ["revoke", "remove"].contains(&arguments[1]);
        assert!(last.code() == 0 || (again && last.code() == 1), "{arguments:?}: {}", last.stderr);
        consistent(&site);
    }
}

/// A state folder on a file system that is mounted read-only: what is registered is known, and nothing can be written.
#[test]
fn a_read_only_state_folder_can_be_read() {
    require!();
    let site = Site::new();
    let path = bundle(&site, "1.0.0", "pkg:npm/part@1.0.0");
    done(&site, &["ext", "register", path.to_str().unwrap()]);
    let script = r#"mount --bind "$SANDBOXCTL_STATE_DIR" "$SANDBOXCTL_STATE_DIR" &&
        mount -o remount,bind,ro "$SANDBOXCTL_STATE_DIR" && "$0" ext list && ! "$0" ext disable acme.probe"#;
    let unshared = |site: &Site| {
        let mut command = site.prepare("unshare");
        command.args(["-m", "--propagation", "private", "sh", "-c", script]).arg(binary());
        let output = command.output().unwrap();
        (
            output.status.code(),
            String::from_utf8(output.stdout).unwrap(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    let (code, stdout, stderr) = unshared(&site);
    assert!(code == Some(0) && stdout.contains(ID), "{stdout}{stderr}");
    // Somebody did not finish: what the file holds is not the latest.
    fs::write(site.state().join("registry.db-wal"), "left").unwrap();
    let (code, _, stderr) = unshared(&site);
    assert!(code == Some(1) && stderr.contains("read-only"), "{stderr}");
    fs::remove_file(site.state().join("registry.db-wal")).unwrap();
}
