//! `selftest`: that it passes for every tier, that it fails when a layer or a recorder is taken away, that it leaves
//! nothing behind; and what its floods say.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::fs;

use sandboxctl_integration::site::binary;
use sandboxctl_integration::{Need, Outcome, Site, require};
use serde_json::Value;

fn selftest(site: &Site, arguments: &[&str]) -> Outcome {
    let mut all = vec!["selftest", "--json"];
    all.extend(arguments);
    site.sandboxctl(&all)
}

fn row<'a>(result: &'a Value, name: &str) -> &'a Value {
    let rows = result["actions"].as_array().unwrap();
    rows.iter().find(|row| row["name"] == name).unwrap_or_else(|| panic!("no action {name}"))
}

/// The actions that did not pass.
fn failed(result: &Value) -> Vec<&str> {
    let rows = result["actions"].as_array().unwrap().iter();
    rows.filter(|row| row["verdict"] != "passed").map(|row| row["name"].as_str().unwrap()).collect()
}

#[test]
fn everything_is_blocked_and_recorded_in_every_tier() {
    require!(Need::LandlockRecords, Need::Controller("cpu"), Need::Controller("memory"));
    let site = Site::alone();
    for tier in ["community", "professional", "enterprise"] {
        let outcome = selftest(&site, &["--tier", tier]);
        let result = outcome.json();
        let rows: Vec<&Value> = failed(&result).iter().map(|name| row(&result, name)).collect();
        assert!(rows.is_empty(), "{tier}: {rows:#?}");
        outcome.expect(0);
        assert_eq!(
            (result["verdict"].as_str(), result["tier"].as_str()),
            (Some("passed"), Some(tier))
        );
        let totals = &result["totals"];
        assert!(totals["actions"].as_u64().unwrap() >= 60, "{totals}");
        assert_eq!(totals["blocked"], totals["actions"]);
        assert_eq!(totals["recorded"], totals["actions"]);
        assert_eq!(totals["byDesignBlocked"], totals["byDesign"]);
        for none in ["unexplained", "lost", "unavailable"] {
            assert_eq!(totals[none], 0, "{none}");
        }
        // Every layer that records has its part.
        for layer in ["seccomp", "landlock", "egress", "dns", "limit"] {
            let of = |row: &&Value| row["blockedBy"] == layer;
            assert!(result["actions"].as_array().unwrap().iter().any(|row| of(&row)), "{layer}");
        }
    }
    // Records of attacks that were none stay out of the host's log, and nothing else stays either.
    let left: Vec<_> =
        fs::read_dir(site.state()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(left.is_empty(), "{left:?}");
}

/// Without the kernel's records path denials are refused all the same, and that is not enough.
#[test]
fn a_recorder_that_is_switched_off_fails_it() {
    require!();
    let site = Site::alone();
    site.configure("[audit]\nlandlock = \"off\"\n[dev]\nmode = \"forbid\"\n");
    let outcome = selftest(&site, &[]);
    outcome.expect(1);
    let result = outcome.json();
    assert_eq!(result["verdict"], "failed");
    let shadow = row(&result, "read-shadow");
    assert_eq!((&shadow["blocked"], &shadow["recorded"]["status"]), (&true.into(), &"no".into()));
    assert!(shadow["recorded"]["reason"].as_str().unwrap().contains("turned off"), "{shadow}");
    // The other recorders are not affected, and a forbidden --dev does not keep an operator from testing.
    assert_eq!(row(&result, "mount")["verdict"], "passed");
    assert_eq!(row(&result, "tcp-v4")["verdict"], "passed");
    assert!(failed(&result).iter().all(|name| {
        ["tripwire-touched", "path-denied", "port-denied", "scope-denied"]
            .contains(&row(&result, name)["code"].as_str().unwrap())
    }));
}

/// A host that cannot record is told apart from a recorder that fails, and is no pass either.
#[test]
fn a_host_without_the_kernels_records_is_incomplete() {
    require!(Need::Program("setpriv"));
    let site = Site::alone();
    let mut command = site.prepare("setpriv");
    let without = "-audit_control,-audit_read";
    command.args(["--bounding-set", without, "--inh-caps", without]);
    command.arg(binary()).args(["selftest", "--json"]);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", String::from_utf8_lossy(&output.stderr));
    let result: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(result["verdict"], "incomplete");
    let totals = &result["totals"];
    let figure = |key: &str| totals[key].as_u64().unwrap();
    assert_eq!(figure("blocked"), figure("actions"));
    assert_eq!(figure("recorded") + figure("unavailable"), figure("actions"), "{totals}");
    let shadow = row(&result, "read-shadow");
    assert_eq!(shadow["recorded"]["status"], "unavailable");
    assert!(shadow["recorded"]["reason"].as_str().unwrap().contains("not permitted"), "{shadow}");
    assert_eq!(row(&result, "mount")["verdict"], "passed");
}

/// A policy that lets calls through: one is harmless and succeeds, one the kernel refuses by itself, unrecorded.
#[test]
fn a_filter_with_a_hole_fails_it() {
    require!();
    let site = Site::alone();
    let policies = site.config().join("policies/seccomp");
    fs::create_dir_all(&policies).unwrap();
    let group = include_str!("../../policies/seccomp/time.toml");
    let hole =
        "\n[[allow]]\nsyscalls = [\"unshare\", \"mount\"]\nreason = \"a test of the selftest\"\n";
    fs::write(policies.join("time.toml"), format!("{group}{hole}")).unwrap();
    // What is allowed must not be listed as denied.
    let denied = include_str!("../../policies/seccomp/denied.toml")
        .replace("[\"mount\", ", "[")
        .replace("[\"unshare\", ", "[");
    fs::write(policies.join("denied.toml"), denied).unwrap();
    let outcome = selftest(&site, &[]);
    outcome.expect(1);
    let result = outcome.json();
    let unshare = row(&result, "unshare-user");
    assert_eq!((&unshare["blocked"], &unshare["verdict"]), (&false.into(), &"failed".into()));
    let mount = row(&result, "mount");
    assert_eq!((&mount["blocked"], &mount["blockedBy"]), (&true.into(), &Value::Null), "{mount}");
    assert_eq!(mount["recorded"]["status"], "no");
    assert!(failed(&result).iter().all(|name| name.starts_with("unshare") || *name == "mount"));
}

/// Each recorder's total is what the program counted; what is lost is said and explained.
#[test]
fn floods_are_counted_exactly() {
    require!(Need::LandlockRecords);
    let site = Site::alone();
    let outcome = selftest(&site, &["--flood"]);
    let result = outcome.json();
    let floods = result["floods"].as_array().unwrap();
    assert_eq!(floods.len(), 4);
    for flood in floods {
        let figure = |key: &str| flood[key].as_u64().unwrap();
        assert!(figure("attempts") > 1000, "{flood}");
        assert_eq!(figure("recorded") + figure("lost"), figure("attempts"), "{flood}");
        assert_eq!(figure("lost") > 0, flood["reason"].is_string(), "{flood}");
        assert_eq!(flood["verdict"], "passed");
        // Only the kernel's queue of audit records can overflow.
        assert!(figure("lost") == 0 || flood["name"] == "flood-paths", "{flood}");
    }
}

#[test]
fn the_catalogue_is_listed_and_the_probe_refuses_the_host() {
    let site = Site::new();
    let list = site.sandboxctl(&["selftest", "--list", "--json"]).expect(0).json();
    let list = list.as_array().unwrap();
    let recorded = list.iter().filter(|action| action["code"].is_string()).count();
    assert!(recorded >= 60, "{recorded}");
    assert!(list.iter().all(|action| !action["why"].as_str().unwrap().is_empty()));
    site.sandboxctl(&["selftest-probe", "closed"]).expect(99);
    let mut command = site.prepare(binary());
    let own = sandboxctl_integration::bundle::host_namespace().to_string();
    command.args(["selftest-probe", "closed"]).env("SELFTEST_HOST_NAMESPACE", own);
    assert_eq!(command.status().unwrap().code(), Some(99));
}
