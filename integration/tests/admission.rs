//! From a publisher's key to a run: what is signed, registered and reviewed runs from the store, and everything else does not.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::fs;
use std::ops::Deref;

use sandboxctl_integration::{Need, Publisher, require};
use serde_json::Value;

/// A publisher, and questions about what may run.
struct Rig(Publisher);

impl Deref for Rig {
    type Target = Publisher;

    fn deref(&self) -> &Publisher {
        &self.0
    }
}

impl Rig {
    fn new() -> Self {
        Self(Publisher::new())
    }

    fn bundle(&self, name: &str, version: &str, tier: &str, words: &str) {
        let dir = self.dir.join(name);
        fs::create_dir_all(&dir).unwrap();
        let manifest = format!(
            "[extension]\nid = \"acme.hello\"\nname = \"hello\"\nversion = \"{version}\"\n\
             publisher = \"acme\"\ntier = \"{tier}\"\n[run]\ncommand = [\"bash\", \"main.sh\"]\n\
             [permissions]\nrequest = [\"READ_MATERIALS\"]\n"
        );
        fs::write(dir.join("extension.toml"), manifest).unwrap();
        fs::write(dir.join("main.sh"), format!("echo {words}\n")).unwrap();
        let bill = r#"{"bomFormat":"CycloneDX","components":[]}"#;
        fs::write(dir.join("sbom.cdx.json"), bill).unwrap();
    }

    /// The codes of every policy that says no.
    #[track_caller]
    fn violated(&self, what: &str) -> Vec<String> {
        let output = self.run(&["check", what, "--json"]);
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
            panic!("{error}: {}", String::from_utf8_lossy(&output.stderr));
        });
        let violated = answer["violated"].as_array().unwrap();
        let expected = if violated.is_empty() { 0 } else { 126 };
        assert_eq!(output.status.code(), Some(expected), "{answer:#}");
        violated.iter().map(|one| one["code"].as_str().unwrap().to_owned()).collect()
    }

    /// Runs it, and it is refused for this reason.
    #[track_caller]
    fn refused(&self, what: &str, code: &str) {
        let output = self.run(&["run", what]);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(126), "{stderr}");
        assert!(stderr.contains(code), "{code}: {stderr}");
        assert!(output.stdout.is_empty(), "nothing of it ran");
    }

    fn approve(&self, target: &str) {
        let notes = ["--level", "internal", "--notes", "read it"];
        self.ok(&[&["review", "approve", target][..], &notes].concat());
    }
}

#[test]
fn a_professional_extension_runs_once_signed_registered_and_reviewed() {
    require!(Need::Program("openssl"));
    let rig = Rig::new();
    rig.bundle("hello", "1.0.0", "professional", "one");
    assert_eq!(
        rig.violated("hello"),
        ["signature-insufficient", "not-registered", "review-missing"]
    );
    rig.sign("hello");
    assert_eq!(rig.violated("hello"), ["not-registered", "review-missing"]);
    rig.ok(&["ext", "register", "hello"]);
    assert_eq!(rig.violated("acme.hello"), ["review-missing"]);
    rig.refused("acme.hello", "review-missing");
    rig.approve("acme.hello");
    assert!(rig.violated("acme.hello").is_empty());
    // By id from the store, by folder, and packed: the same bytes.
    rig.ok(&["pack", "hello", "-o", "hello.sbx"]);
    let answer = rig.ok(&["verify", "hello.sbx", "--json"]);
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(answer["valid"], true);
    for what in ["acme.hello", "acme.hello@1.0.0", "hello", "hello.sbx"] {
        assert_eq!(rig.ok(&["run", what]), "one\n", "{what}");
    }
    // The folder may change; what was registered does not.
    fs::write(rig.dir.join("hello/main.sh"), "echo other\n").unwrap();
    assert_eq!(rig.ok(&["run", "acme.hello"]), "one\n");
    rig.refused("hello", "main.sh");
    let log = rig.ok(&["audit", "export", "--format", "jsonl"]);
    for kind in
        ["trust.changed", "signature.verified", "registration", "review", "decision", "run.start"]
    {
        assert!(log.contains(&format!("\"type\":\"{kind}\"")), "{kind}");
    }
    rig.ok(&["audit", "verify"]);
    // What is registered stays in the store.
    rig.ok(&["store", "gc"]);
    assert_eq!(rig.ok(&["run", "acme.hello"]), "one\n");
}

#[test]
fn an_update_needs_its_own_signature_registration_and_review() {
    require!(Need::Program("openssl"));
    let rig = Rig::new();
    rig.bundle("one", "1.0.0", "professional", "one");
    rig.sign("one");
    rig.ok(&["ext", "register", "one"]);
    rig.approve("acme.hello");
    rig.bundle("two", "2.0.0", "professional", "two");
    rig.sign("two");
    assert_eq!(rig.violated("two"), ["bundle-not-registered", "review-missing"]);
    rig.ok(&["ext", "register", "two"]);
    rig.approve("acme.hello@2.0.0");
    assert_eq!(rig.ok(&["run", "acme.hello"]), "two\n");
    // Back to what was replaced: no.
    assert!(rig.violated("one").contains(&"bundle-rollback".to_owned()));
    // Other bytes under a registered version: no, however well signed.
    rig.bundle("evil", "2.0.0", "professional", "evil");
    rig.sign("evil");
    rig.refused("evil", "bundle-differs");
    // The same without a signature, as the tier that needs none.
    rig.bundle("stripped", "3.0.0", "community", "stripped");
    let violated = rig.violated("stripped");
    assert!(violated.contains(&"signature-stripped".to_owned()), "{violated:?}");
    assert!(violated.contains(&"tier-below-registered".to_owned()), "{violated:?}");
}

#[test]
fn what_is_wrong_with_a_signature_refuses_in_every_tier_and_with_dev() {
    require!(Need::Program("openssl"));
    let rig = Rig::new();
    for tier in ["community", "professional"] {
        let name = format!("hello-{tier}");
        rig.bundle(&name, "1.0.0", tier, "hello");
        rig.sign(&name);
        let list = rig.dir.join(&name).join("MANIFEST");
        // A list that fits its files, and a signature over another one.
        rig.bundle("other", "1.0.1", tier, "other");
        rig.sign("other");
        let p7s = fs::read(rig.dir.join("other/MANIFEST.p7s")).unwrap();
        fs::write(list.with_extension("p7s"), p7s).unwrap();
        rig.refused(&name, "signature-digest");
        let output = rig.run(&["run", "--dev", &name]);
        assert_eq!(output.status.code(), Some(126), "{tier}: --dev waives what is missing only");
    }
    let log = rig.ok(&["audit", "export", "--format", "jsonl"]);
    assert!(log.contains("\"type\":\"signature.failed\""));
}

#[test]
fn decisions_of_the_host_hold_at_the_next_run() {
    require!(Need::Program("openssl"));
    let rig = Rig::new();
    rig.bundle("hello", "1.0.0", "community", "hello");
    assert_eq!(rig.ok(&["run", "hello"]), "hello\n", "unregistered community extensions may run");
    rig.ok(&["ext", "register", "hello"]);
    assert_eq!(rig.ok(&["run", "hello"]), "hello\n");
    rig.ok(&["ext", "deny", "acme.hello", "READ_MATERIALS", "--reason", "not here"]);
    let answer: Value = serde_json::from_str(&rig.ok(&["check", "acme.hello", "--json"])).unwrap();
    assert_eq!(answer["granted"].as_array().unwrap().len(), 0);
    assert_eq!(answer["denied"][0]["code"], "permission-denied-by-host");
    // Other bytes under the registered version, without a list of their own.
    fs::write(rig.dir.join("hello/main.sh"), "echo changed\n").unwrap();
    rig.refused("hello", "bundle-differs");
    rig.ok(&[
        "vuln",
        "report",
        "acme.hello",
        "--title",
        "overflow",
        "--severity",
        "critical",
        "--affected",
        "<2.0.0",
    ]);
    rig.refused("acme.hello", "extension-auto-disabled");
    let output = rig.run(&["run", "--dev", "acme.hello"]);
    assert_eq!(output.status.code(), Some(126), "--dev loosens nothing that the host decided");
    // A suspended publisher's folder needs no signature to be refused.
    rig.bundle("again", "9.0.0", "community", "again");
    rig.ok(&["trust", "add", "publisher", "acme", "--status", "suspended"]);
    rig.refused("again", "publisher-suspended");
}

#[test]
fn an_enterprise_extension_needs_a_verified_publisher() {
    require!(Need::Program("openssl"));
    let rig = Rig::new();
    rig.bundle("hello", "1.0.0", "enterprise", "hello");
    rig.sign("hello");
    let violated = rig.violated("hello");
    assert!(violated.contains(&"publisher-unknown".to_owned()), "{violated:?}");
    let key = rig.ok(&["ca", "list", "ca", "--json"]);
    let key: Value = serde_json::from_str(&key).unwrap();
    let spki = find(&key, "spkiSha256").expect("the authority lists keys");
    rig.ok(&["trust", "add", "publisher", "acme", "--status", "verified", "--key", &spki]);
    rig.ok(&["ext", "register", "hello"]);
    rig.approve("acme.hello");
    assert_eq!(rig.ok(&["run", "acme.hello"]), "hello\n");
    // A host that cannot read whom it trusts runs nothing.
    fs::write(rig.site.config().join("trust/publishers/acme.toml"), "status = 1\n").unwrap();
    let output = rig.run(&["run", "acme.hello"]);
    assert_eq!(output.status.code(), Some(125), "{}", String::from_utf8_lossy(&output.stderr));
}

/// The value of the last member of that name, anywhere.
fn find(value: &Value, name: &str) -> Option<String> {
    match value {
        Value::Object(members) => members
            .get(name)
            .and_then(Value::as_str)
            .map(str::to_owned)
            .or_else(|| members.values().rev().find_map(|one| find(one, name))),
        Value::Array(all) => all.iter().rev().find_map(|one| find(one, name)),
        _ => None,
    }
}
