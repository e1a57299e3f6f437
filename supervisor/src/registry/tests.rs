//! The registry on a real file system.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use policies::decision::{
    BundleFact, Check, Evaluated, Expiry, Registration, RegistryFacts, Review, ReviewLevel, State,
};
use policies::digest::Digest;
use policies::permission::Permission;
use policies::vulnerability::{Certainty, Severity, Status};
use rusqlite::Connection;
use semver::Version;
use serde_json::{Value, json};

use super::*;
use crate::state::Dirs;
use crate::state::disabled::{self, Disabled};

mod damage;

const DAY: Duration = Duration::from_hours(24);
const CRITICAL: &str = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H";

/// A state folder and bundles.
struct Place(PathBuf);

impl Drop for Place {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

impl Place {
    fn new(name: &str) -> Self {
        let path =
            std::env::temp_dir().join(format!("sandboxctl-registry-{name}-{}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn state(&self) -> PathBuf {
        self.0.join("state")
    }

    fn editor(&self) -> Editor {
        Editor::open(&self.state(), "tester").unwrap()
    }

    fn register(&self, bundle: &Path) -> Result<Registered, RegistryError> {
        let dirs = Dirs::from_environment(|name| match name {
            "SANDBOXCTL_STATE_DIR" => Some(self.state().into()),
            "SANDBOXCTL_CONFIG_DIR" => Some(self.0.join("config").into()),
            _ => None,
        });
        self.editor().register(bundle, &dirs, None)
    }

    fn registry(&self) -> Registry {
        Registry::open(&self.state()).unwrap()
    }

    fn bundle(&self, id: &str, version: &str, tier: &str) -> PathBuf {
        let dir = self.0.join(format!("{id}-{version}-{tier}"));
        fs::create_dir_all(&dir).unwrap();
        let publisher = id.split('.').next().unwrap();
        let text = format!(
            "[extension]\nid = \"{id}\"\nname = \"Probe\"\nversion = \"{version}\"\npublisher = \"{publisher}\"\n\
             tier = \"{tier}\"\n[run]\ncommand = [\"true\"]\n[permissions]\nrequest = [\"READ_MATERIALS\"]\n"
        );
        fs::write(dir.join("extension.toml"), text).unwrap();
        dir
    }

    fn with_sbom(&self, id: &str, version: &str, purls: &[&str]) -> PathBuf {
        let dir = self.bundle(id, version, "community");
        let components: Vec<Value> = purls
            .iter()
            .map(|purl| serde_json::json!({ "type": "library", "name": "x", "purl": purl }))
            .collect();
        let bill = serde_json::json!({ "bomFormat": "CycloneDX", "components": components });
        fs::write(dir.join("sbom.cdx.json"), bill.to_string()).unwrap();
        dir
    }

    /// Registers a community extension of version 1.0.0.
    fn registered(&self, id: &str) -> Digest {
        self.register(&self.bundle(id, "1.0.0", "community")).unwrap().bundle.digest
    }

    fn facts(&self, id: &str, digest: &Digest, version: &str) -> RegistryFacts {
        self.facts_at(id, digest, version, SystemTime::now())
    }

    fn facts_at(&self, id: &str, digest: &Digest, version: &str, now: SystemTime) -> RegistryFacts {
        let version = Version::parse(version).unwrap();
        self.registry().facts(id, Some(digest), &version, now).unwrap()
    }

    fn state_of(&self, id: &str) -> State {
        self.registry().extension(id).unwrap().state
    }

    /// Type and data of each event about an extension.
    fn events(&self) -> Vec<(String, Value)> {
        let mut events = Vec::new();
        for entry in fs::read_dir(self.state().join("audit")).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "jsonl") {
                let text = fs::read_to_string(path).unwrap();
                let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
                events.extend(
                    lines
                        .filter(|line| line.get("seq").is_some())
                        .map(|line| (line["type"].as_str().unwrap().to_owned(), line)),
                );
            }
        }
        events
    }

    fn kinds(&self) -> Vec<String> {
        self.events().into_iter().map(|(kind, _)| kind).collect()
    }

    fn advisory(&self, name: &str, json: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, json).unwrap();
        path
    }
}

fn report(affected: &str, severity: Severity) -> Report {
    Report {
        title: "it is bad".to_owned(),
        affected: affected.to_owned(),
        severity: Some(severity),
        ..Report::default()
    }
}

fn approve(level: ReviewLevel, expires: Option<SystemTime>) -> Decision {
    Decision {
        reviewer: "rita".to_owned(),
        verdict: Verdict::Approve { level, expires },
        notes: "read every line".to_owned(),
    }
}

fn current(id: &str) -> Target {
    Target::Current(id.to_owned())
}

fn reason(error: &RegistryError) -> String {
    error.to_string()
}

#[test]
fn reading_makes_nothing_and_nothing_is_registered() {
    let place = Place::new("absent");
    fs::create_dir(place.state()).unwrap();
    let facts = place.facts("acme.x", &Digest::from_bytes([1; 32]), "1.0.0");
    assert_eq!(facts, RegistryFacts::unregistered());
    assert!(place.registry().extensions().unwrap().is_empty());
    assert!(matches!(
        place.registry().extension("acme.x"),
        Err(RegistryError::NotRegistered { .. })
    ));
    assert_eq!(fs::read_dir(place.state()).unwrap().count(), 0);
    // Not even the state folder is needed.
    Registry::open(&place.0.join("nowhere")).unwrap();
}

/// Who comes first makes the database; nobody fails, and nobody makes a second one.
#[test]
fn many_make_the_database_at_once() {
    let place = Place::new("first");
    std::thread::scope(|scope| {
        for n in 0..8 {
            let place = &place;
            scope.spawn(move || place.registered(&format!("acme.x{n}")));
        }
    });
    assert_eq!(place.registry().extensions().unwrap().len(), 8);
    assert_eq!(place.kinds().len(), 16);
}

#[test]
fn a_registered_bundle_is_known_by_its_bytes() {
    let place = Place::new("bytes");
    let one = place.registered("acme.x");
    let mode = fs::metadata(place.state().join("registry.db")).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o640);
    let facts = place.facts("acme.x", &one, "1.0.0");
    assert_eq!(facts.bundle, Evaluated::Found(BundleFact::Registered { sbom: false }));
    assert_eq!(facts.review, Evaluated::Found(Review::Pending));
    assert!(matches!(
        facts.registration,
        Evaluated::Found(Registration::Known { state: State::Enabled, .. })
    ));
    // The same again is no act.
    let bundle = place.bundle("acme.x", "1.0.0", "community");
    assert!(place.register(&bundle).unwrap().already);
    assert_eq!(place.kinds(), ["registration", "vulnerability.check"]);
    // Other bytes under the same version, and these bytes under another.
    let other = Digest::from_bytes([9; 32]);
    let differs = |registered| Evaluated::Found(BundleFact::Differs { registered });
    assert_eq!(place.facts("acme.x", &other, "1.0.0").bundle, differs(Some(one)));
    assert_eq!(place.facts("acme.x", &one, "2.0.0").bundle, differs(None));
    assert_eq!(
        place.facts("acme.x", &other, "2.0.0").bundle,
        Evaluated::Found(BundleFact::Unknown)
    );
    fs::write(bundle.join("main.sh"), "changed").unwrap();
    let error = place.register(&bundle).unwrap_err();
    assert!(reason(&error).contains("other bytes"), "{error}");
    // Without a digest nothing is said about bytes.
    let version = Version::new(1, 0, 0);
    let facts = place.registry().facts("acme.x", None, &version, SystemTime::now()).unwrap();
    assert_eq!(
        (facts.bundle, facts.review, facts.vulnerability_score),
        (Evaluated::NotEvaluated, Evaluated::NotEvaluated, Evaluated::NotEvaluated)
    );
}

#[test]
fn what_is_no_bundle_is_refused() {
    let place = Place::new("bad");
    for (name, break_it, says) in [
        (
            "link",
            (|dir| std::os::unix::fs::symlink("/etc/passwd", dir.join("x")).unwrap()) as fn(&Path),
            "file-symlink",
        ),
        ("name", |dir| fs::write(dir.join("a b"), "").unwrap(), "path-"),
        (
            "hard link",
            |dir| fs::hard_link(dir.join("extension.toml"), dir.join("y")).unwrap(),
            "file-hard-link",
        ),
        ("list", |dir| fs::write(dir.join("MANIFEST"), "sandboxctl-manifest 1\n").unwrap(), "list"),
        ("bill", |dir| fs::write(dir.join("bom.json"), "{}").unwrap(), "CycloneDX"),
        ("manifest", |dir| fs::write(dir.join("extension.toml"), "x = 1").unwrap(), "unknown"),
    ] {
        let dir = place.bundle("acme.x", "1.0.0", "community");
        break_it(&dir);
        let error = place.register(&dir).unwrap_err();
        assert!(reason(&error).contains(says), "{name}: {error}");
        fs::remove_dir_all(dir).unwrap();
    }
    assert!(place.registry().extensions().unwrap().is_empty());
}

#[test]
fn permissions_are_taken_away_and_given_back() {
    let place = Place::new("permissions");
    let digest = place.registered("acme.x");
    let permission = Permission::ReadMaterials;
    place.editor().deny("acme.x", &[permission], "").unwrap();
    let Evaluated::Found(denied) = place.facts("acme.x", &digest, "1.0.0").denied else { panic!() };
    assert_eq!((denied[0].permission, denied[0].reason.as_str()), (permission, "denied by tester"));
    place.editor().grant("acme.x", &[permission]).unwrap();
    assert_eq!(place.facts("acme.x", &digest, "1.0.0").denied, Evaluated::Found(Vec::new()));
    let rows = place.registry().permissions("acme.x").unwrap();
    assert_eq!((rows[0].granted, rows[0].actor.as_str()), (true, "tester"));
    assert_eq!(place.kinds()[2..], ["permission.deny", "permission.grant"]);
    assert_eq!(place.events()[2].1["actor"], "tester");
}

#[test]
fn what_a_rule_switched_off_an_operator_switches_on() {
    let place = Place::new("rule");
    place.registered("acme.x");
    let entry = Disabled {
        extension_id: "acme.x".to_owned(),
        at: "2026-11-23T20:00:00.000000Z".to_owned(),
        run_id: "r".to_owned(),
        rule: "escape".to_owned(),
        reason: "test".to_owned(),
    };
    disabled::disable(&place.state(), &entry).unwrap();
    assert!(place.editor().enable("acme.unknown").is_err());
    place.editor().enable("acme.x").unwrap();
    assert_eq!(disabled::find(&place.state(), "acme.x").unwrap(), None);
    let (kind, event) = place.events().pop().unwrap();
    assert_eq!((kind.as_str(), &event["data"]["cleared"]["rule"]), ("reaction", &json!("escape")));
}

#[test]
fn a_review_is_about_bytes_and_an_update_needs_its_own() {
    let place = Place::new("review");
    let first = place.registered("acme.x");
    place.editor().request_review(&current("acme.x"), "please").unwrap();
    let review = |digest: &Digest, version: &str| place.facts("acme.x", digest, version).review;
    assert_eq!(review(&first, "1.0.0"), Evaluated::Found(Review::Requested));
    let approval = approve(ReviewLevel::Restricted, None);
    place.editor().decide_review(&current("acme.x"), &approval).unwrap();
    let approved =
        Evaluated::Found(Review::Approved { level: ReviewLevel::Restricted, expires: None });
    assert_eq!(review(&first, "1.0.0"), approved);
    // Asking again takes nothing away.
    place.editor().request_review(&Target::Digest(first), "").unwrap();
    assert_eq!(review(&first, "1.0.0"), approved);
    let second = place.bundle("acme.x", "1.1.0", "community");
    let second = place.register(&second).unwrap().bundle.digest;
    assert_eq!(review(&second, "1.1.0"), Evaluated::Found(Review::Pending));
    let rejection = Decision { verdict: Verdict::Reject, ..approval.clone() };
    place.editor().decide_review(&Target::Digest(second), &rejection).unwrap();
    let notes = "read every line".to_owned();
    assert_eq!(
        review(&second, "1.1.0"),
        Evaluated::Found(Review::Rejected { notes: notes.clone() })
    );
    let revocation = Decision { verdict: Verdict::Revoke, ..approval.clone() };
    let version = Target::Version("acme.x".to_owned(), Version::new(1, 0, 0));
    place.editor().decide_review(&version, &revocation).unwrap();
    assert_eq!(review(&first, "1.0.0"), Evaluated::Found(Review::Revoked { notes }));
    for (verdict, notes, says) in [
        (Verdict::Revoke, "x", "no approval"),
        (Verdict::Reject, "  ", "no notes"),
        (Verdict::Approve { level: ReviewLevel::Public, expires: None }, "x", "below INTERNAL"),
        (
            Verdict::Approve { level: ReviewLevel::Internal, expires: Some(SystemTime::now()) },
            "x",
            "ended already",
        ),
    ] {
        let decision = Decision { reviewer: "rita".to_owned(), verdict, notes: notes.to_owned() };
        let error = place.editor().decide_review(&version, &decision).unwrap_err();
        assert!(reason(&error).contains(says), "{error}");
    }
}

#[test]
fn approvals_and_registrations_end() {
    let place = Place::new("expiry");
    let now = SystemTime::now();
    let digest = place.registered("acme.x");
    let approval = approve(ReviewLevel::Internal, Some(now + 10 * DAY));
    place.editor().decide_review(&current("acme.x"), &approval).unwrap();
    place.editor().expire("acme.x", Some(now + 20 * DAY)).unwrap();
    for (days, approval_past, registration_past) in
        [(0, false, false), (11, true, false), (21, true, true)]
    {
        let facts = place.facts_at("acme.x", &digest, "1.0.0", now + days * DAY);
        let Evaluated::Found(Review::Approved { expires: Some(approval), .. }) = facts.review
        else {
            panic!()
        };
        let Evaluated::Found(Registration::Known { expires: Some(registration), .. }) =
            facts.registration
        else {
            panic!()
        };
        let past = |expiry: &Expiry| matches!(expiry, Expiry::Past { .. });
        assert_eq!(
            (past(&approval), past(&registration)),
            (approval_past, registration_past),
            "{days}"
        );
    }
    place.editor().expire("acme.x", None).unwrap();
    assert!(place.registry().extension("acme.x").unwrap().expires_at.is_none());
}

#[test]
fn nobody_goes_back_below_what_was_approved() {
    let place = Place::new("rollback");
    let old = place.registered("acme.x");
    let new = place.bundle("acme.x", "1.2.0", "community");
    place.register(&new).unwrap();
    assert_eq!(
        place.facts("acme.x", &old, "1.0.0").bundle,
        Evaluated::Found(BundleFact::Registered { sbom: false })
    );
    let approval = approve(ReviewLevel::Internal, None);
    place.editor().decide_review(&current("acme.x"), &approval).unwrap();
    let older = Evaluated::Found(BundleFact::OlderThanApproved { approved: Version::new(1, 2, 0) });
    assert_eq!(place.facts("acme.x", &old, "1.0.0").bundle, older);
    let between = place.bundle("acme.x", "1.1.0", "community");
    let error = place.register(&between).unwrap_err();
    assert!(reason(&error).contains("1.2.0 is approved"), "{error}");
    // Unless the later one is given up.
    let revocation = Decision { verdict: Verdict::Revoke, ..approval };
    place.editor().decide_review(&current("acme.x"), &revocation).unwrap();
    assert_eq!(
        place.facts("acme.x", &old, "1.0.0").bundle,
        Evaluated::Found(BundleFact::Registered { sbom: false })
    );
}

#[test]
fn critical_disables_in_the_same_transaction() {
    let place = Place::new("critical");
    let digest = place.registered("acme.x");
    let critical = Report {
        severity: None,
        cvss: Some(CRITICAL.to_owned()),
        cve: Some("CVE-2026-4711".to_owned()),
        ..report("<1.1.0", Severity::Critical)
    };
    let row = place.editor().report("acme.x", &critical).unwrap();
    assert_eq!((row.severity, row.score), (Severity::Critical, 96));
    let week = row.reported_at + 7 * 86_400;
    assert_eq!((row.due_at, row.disclosure_at), (Some(week), row.reported_at + 90 * 86_400));
    assert_eq!(place.state_of("acme.x"), State::AutoDisabled);
    assert_eq!(place.kinds()[2..], ["vulnerability", "extension.disabled"]);
    assert_eq!(place.events()[3].1["sev"], "CRITICAL");
    let facts = place.facts("acme.x", &digest, "1.0.0");
    assert_eq!(facts.vulnerability_score, Evaluated::Found(96));
    let error = place.editor().enable("acme.x").unwrap_err();
    assert!(reason(&error).contains("#1 CVE-2026-4711"), "{error}");
    // A fixed version does not enable by itself, but may be enabled; the old one keeps its score.
    let fixed = place.bundle("acme.x", "1.1.0", "community");
    let fixed = place.register(&fixed).unwrap();
    assert_eq!(fixed.state, State::AutoDisabled);
    place.editor().enable("acme.x").unwrap();
    let resolved = Change {
        status: Some(Status::Fixed),
        fixed_in: Some(Version::new(1, 1, 0)),
        ..Change::default()
    };
    place.editor().change(row.id, &resolved).unwrap();
    assert_eq!(place.state_of("acme.x"), State::Enabled);
    let score = |digest, version| place.facts("acme.x", digest, version).vulnerability_score;
    assert_eq!(score(&digest, "1.0.0"), Evaluated::Found(96));
    assert_eq!(score(&fixed.bundle.digest, "1.1.0"), Evaluated::Found(0));
}

#[test]
fn high_waits_for_a_review_medium_and_low_do_not() {
    let place = Place::new("high");
    let digest = place.registered("acme.x");
    for severity in [Severity::Low, Severity::Medium] {
        place.editor().report("acme.x", &report("*", severity)).unwrap();
        assert_eq!(place.state_of("acme.x"), State::Enabled);
    }
    assert_eq!(place.facts("acme.x", &digest, "1.0.0").vulnerability_score, Evaluated::Found(50));
    // About versions that are not there.
    place.editor().report("acme.x", &report(">=2.0.0", Severity::High)).unwrap();
    assert_eq!(place.state_of("acme.x"), State::Enabled);
    let high = place.editor().report("acme.x", &report("*", Severity::High)).unwrap();
    assert_eq!(place.state_of("acme.x"), State::ReviewRequired);
    assert!(place.editor().enable("acme.x").is_err());
    let approval = approve(ReviewLevel::Internal, None);
    place.editor().decide_review(&current("acme.x"), &approval).unwrap();
    assert_eq!(place.state_of("acme.x"), State::Enabled);
    // What was seen does not ask again; what came back, or got worse, does.
    place.editor().report("acme.x", &report("*", Severity::Low)).unwrap();
    assert_eq!(place.state_of("acme.x"), State::Enabled);
    let set = |status| Change { status: Some(status), notes: "x".to_owned(), ..Change::default() };
    place.editor().change(high.id, &set(Status::NotAffected)).unwrap();
    assert_eq!(place.state_of("acme.x"), State::Enabled);
    place.editor().change(high.id, &set(Status::Open)).unwrap();
    assert_eq!(place.state_of("acme.x"), State::ReviewRequired);
    let worse = Change { severity: Some(Severity::Critical), ..Change::default() };
    place.editor().change(high.id, &worse).unwrap();
    assert_eq!(place.state_of("acme.x"), State::AutoDisabled);
    // An operator's own word stays.
    place.editor().disable("acme.x", "mine").unwrap();
    place.editor().report("acme.x", &report("*", Severity::Critical)).unwrap();
    assert_eq!(place.state_of("acme.x"), State::Disabled);
}

#[test]
fn an_accepted_finding_counts_again_when_its_day_is_over() {
    let place = Place::new("waiver");
    let digest = place.registered("acme.x");
    let row = place.editor().report("acme.x", &report("*", Severity::Critical)).unwrap();
    let accepted = Change {
        status: Some(Status::Accepted),
        until: Some(SystemTime::now() + 5 * DAY),
        notes: "not reachable here".to_owned(),
        ..Change::default()
    };
    place.editor().change(row.id, &accepted).unwrap();
    place.editor().enable("acme.x").unwrap();
    let score = |days: u32| {
        let now = SystemTime::now() + days * DAY;
        place.facts_at("acme.x", &digest, "1.0.0", now).vulnerability_score
    };
    assert_eq!((score(0), score(6)), (Evaluated::Found(0), Evaluated::Found(100)));
    let connection = Connection::open(place.state().join("registry.db")).unwrap();
    let waivers: i64 =
        connection.query_row("SELECT count(*) FROM waivers", [], |row| row.get(0)).unwrap();
    assert_eq!(waivers, 1);
    for (change, says) in [
        (Change { until: None, ..accepted.clone() }, "needs the day"),
        (Change { notes: String::new(), ..accepted.clone() }, "needs notes"),
        (Change { until: Some(SystemTime::now() - DAY), ..accepted.clone() }, "in the past"),
        (Change { status: Some(Status::Fixed), until: None, ..accepted.clone() }, "first version"),
        (Change { cve: Some("CVE-1".to_owned()), ..Change::default() }, "no CVE id"),
        (Change { cvss: Some("9.8".to_owned()), ..Change::default() }, "CVSS"),
    ] {
        let error = place.editor().change(row.id, &change).unwrap_err();
        assert!(reason(&error).contains(says), "{error}");
    }
}

#[test]
fn a_report_is_refused_with_every_problem() {
    let place = Place::new("report");
    place.registered("acme.x");
    let bad = Report {
        title: " ".to_owned(),
        affected: "new".to_owned(),
        cve: Some("CVE-26-1".to_owned()),
        ..Report::default()
    };
    let text = reason(&place.editor().report("acme.x", &bad).unwrap_err());
    for part in ["no title", "version range", "no CVE id", "neither a severity"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let unknown = place.editor().report("acme.y", &report("*", Severity::Low)).unwrap_err();
    assert!(matches!(unknown, RegistryError::NotRegistered { .. }), "{unknown}");
    assert!(place.registry().findings(None).unwrap().is_empty());
}

#[test]
fn removing_what_is_disabled_needs_force() {
    let place = Place::new("remove");
    place.registered("acme.x");
    place.editor().disable("acme.x", "evil").unwrap();
    let error = place.editor().remove("acme.x", false).unwrap_err();
    assert!(reason(&error).contains("evil"), "{error}");
    place.editor().remove("acme.x", true).unwrap();
    assert!(place.registry().extension("acme.x").is_err());
    assert!(place.kinds().contains(&"registration.removed".to_owned()));
    let connection = Connection::open(place.state().join("registry.db")).unwrap();
    for table in ["bundles", "reviews", "permissions", "findings", "checks", "components"] {
        let sql = format!("SELECT count(*) FROM {table}");
        let rows: i64 = connection.query_row(&sql, [], |row| row.get(0)).unwrap();
        assert_eq!(rows, 0, "{table}");
    }
}

/// A version that is registered after a later one is checked as well, and both are checked again.
#[test]
fn every_bundle_that_may_run_is_checked() {
    let place = Place::new("older");
    let today = moment::text(moment::seconds(SystemTime::now()));
    let json = format!(
        r#"{{"id":"MAL-1","modified":"{today}","affected":[{{"package":{{"ecosystem":"npm","name":"bad"}},"versions":["1.0.0"]}}]}}"#
    );
    place.editor().import(&[place.advisory("a.json", &json)], None).unwrap();
    let new = place.with_sbom("acme.x", "2.0.0", &["pkg:npm/good@1.0.0"]);
    place.register(&new).unwrap();
    let old = place.with_sbom("acme.x", "1.0.0", &["pkg:npm/bad@1.0.0"]);
    let old = place.register(&old).unwrap().bundle.digest;
    // What it has disables the latest version as little as it is in it.
    assert_eq!(place.state_of("acme.x"), State::Enabled);
    let score = place.facts("acme.x", &old, "1.0.0").vulnerability_score;
    assert_eq!(score, Evaluated::Found(100));
    assert_eq!(place.editor().scan("acme.x").unwrap().len(), 2);
    place
        .editor()
        .decide_review(&current("acme.x"), &approve(ReviewLevel::Internal, None))
        .unwrap();
    assert_eq!(place.editor().scan("acme.x").unwrap().len(), 1);
}

/// Components against advisories: affected, not affected, cannot be told, malicious, withdrawn.
#[test]
fn components_are_looked_up_offline() {
    let place = Place::new("scan");
    let bundle = place.with_sbom(
        "acme.x",
        "1.0.0",
        &["pkg:npm/bad@1.0.0", "pkg:npm/good@9.0.0", "pkg:npm/odd@latest", "pkg:generic/zlib@1"],
    );
    let digest = place.register(&bundle).unwrap().bundle.digest;
    let check = |now| place.facts_at("acme.x", &digest, "1.0.0", now).vulnerability_check;
    let Evaluated::Found(Check::Due { checked: false, void: Some(void), .. }) =
        check(SystemTime::now())
    else {
        panic!("{:?}", check(SystemTime::now()))
    };
    assert!(void.contains("no database of npm"), "{void}");
    let today = moment::text(moment::seconds(SystemTime::now()));
    let advisory = |id: &str, package: &str, more: &str| {
        let json = format!(
            r#"{{"id":"{id}","modified":"{today}","summary":"s","database_specific":{{"severity":"MODERATE"}},
            "affected":[{{"package":{{"ecosystem":"npm","name":"{package}"}},"ranges":[{{"type":"SEMVER",
            "events":[{{"introduced":"0"}},{{"fixed":"2.0.0"}}]}}]}}]{more}}}"#
        );
        place.advisory(&format!("{id}.json"), &json)
    };
    let paths = [
        advisory("GHSA-bad", "bad", ""),
        advisory("GHSA-good", "good", ""),
        advisory("GHSA-odd", "odd", ""),
        advisory("GHSA-gone", "bad", &format!(r#","withdrawn":"{today}""#)),
    ];
    let imported = place.editor().import(&paths, None).unwrap();
    assert_eq!((imported.advisories, imported.withdrawn), (3, 1));
    assert_eq!(imported.databases[0].ecosystem, "npm");
    let row = place.editor().scan("acme.x").unwrap().remove(0);
    assert_eq!((row.components, row.unidentified, row.findings, row.void), (4, 1, 2, None));
    let found = place.registry().findings(Some("acme.x")).unwrap();
    let found: Vec<_> = found
        .iter()
        .map(|row| (row.advisory.as_deref().unwrap(), row.certainty, row.score))
        .collect();
    assert_eq!(
        found,
        [("GHSA-bad", Certainty::Affected, 50), ("GHSA-odd", Certainty::Unknown, 50)]
    );
    // Twice is once.
    assert_eq!(place.editor().scan("acme.x").unwrap()[0].findings, 2);
    assert_eq!(place.registry().findings(None).unwrap().len(), 2);
    assert_eq!(place.state_of("acme.x"), State::Enabled);
    // A malicious package disables.
    place.editor().import(&[advisory("MAL-2026-1", "bad", "")], None).unwrap();
    place.editor().scan("acme.x").unwrap();
    assert_eq!(place.state_of("acme.x"), State::AutoDisabled);
    // Ages.
    let Evaluated::Found(Check::Due { age_seconds, checked: true, void: None }) =
        check(SystemTime::now() + 3 * DAY)
    else {
        panic!()
    };
    assert_eq!(age_seconds / 86_400, 3);
    let old = SystemTime::now() - 31 * DAY;
    place.editor().import(&paths, Some(old)).unwrap();
    let void = place.editor().scan("acme.x").unwrap().remove(0).void.unwrap();
    assert!(void.contains("more than 30 days old"), "{void}");
}

#[test]
fn an_import_of_half_a_database_is_none() {
    let place = Place::new("import");
    let good = r#"{"id":"A-1","modified":"2026-01-01T00:00:00Z","affected":[{"package":{"ecosystem":"npm","name":"a"}}]}"#;
    let good = place.advisory("good.json", good);
    for (name, json) in [
        ("a.json", "{"),
        ("b.json", r#"{"id":"","modified":"2026-01-01T00:00:00Z"}"#),
        ("c.json", r#"{"id":"A-2","modified":"yesterday"}"#),
        ("d.zip", "no archive"),
    ] {
        let bad = place.advisory(name, json);
        let error = place.editor().import(&[good.clone(), bad], None).unwrap_err();
        assert!(reason(&error).contains(name), "{error}");
    }
    let connection = Connection::open(place.state().join("registry.db")).unwrap();
    let databases: i64 =
        connection.query_row("SELECT count(*) FROM databases", [], |row| row.get(0)).unwrap();
    assert_eq!(databases, 0);
}

#[test]
fn an_act_that_cannot_be_recorded_is_not_done() {
    let place = Place::new("unrecorded");
    place.registered("acme.x");
    fs::remove_dir_all(place.state().join("audit")).unwrap();
    fs::write(place.state().join("audit"), "in the way").unwrap();
    let error = place.editor().disable("acme.x", "").unwrap_err();
    assert!(matches!(error, RegistryError::Audit(_)), "{error}");
    assert_eq!(place.state_of("acme.x"), State::Enabled);
}
