//! Manifests and the decision: what is refused before anything starts, with every reason.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::fs;

use sandboxctl_integration::{Bundle, Outcome, Site, require};

/// A bundle whose manifest is this text; running it must not start anything.
fn refused(text: impl AsRef<[u8]>) -> Outcome {
    let site = Site::new();
    let built = Bundle::command(&["touch", "/data/ran"]).build(&site);
    fs::write(built.path.join("extension.toml"), text).unwrap();
    let outcome = site.run_built(&built, &["--dev"]);
    outcome.expect(126);
    assert_eq!(outcome.stdout, "");
    outcome
}

fn good() -> String {
    Bundle::command(&["true"]).toml()
}

#[test]
fn every_problem_is_listed_with_its_place() {
    require!();
    let text = good()
        .replace("version = \"1.0.0\"", "version = \"one\"")
        .replace("tier = \"community\"", "tier = \"platinum\"")
        .replace("[limits]", "[limits]\nmemory_mb = 99999\nspeed = 3");
    let outcome = refused(text);
    let stderr = &outcome.stderr;
    for part in ["extension.toml:4:", "extension.toml:6:", "speed", "hint"] {
        assert!(stderr.contains(part), "no {part} in {stderr}");
    }
}

#[test]
fn numbers_outside_their_range_are_refused() {
    require!();
    for value in
        ["257", "0", "-1", "1e3", "nan", "inf", "1.5", "99999999999999999999", "\"12\"", "true"]
    {
        refused(good().replace("[limits]", &format!("[limits]\nmemory_mb = {value}")));
    }
}

#[test]
fn what_is_no_manifest_is_refused() {
    require!();
    refused("");
    refused("[extension");
    refused(b"\xff\xfe\x00");
    refused(good() + "\n[extension]\n");
    refused(good().replace("publisher =", "name = \"Twice\"\npublisher ="));
    refused("a".repeat(10 << 20));
    refused(format!("x = {}1{}", "[".repeat(5000), "]".repeat(5000)));
    refused(good().replace("id = \"test", "id = \"../test"));
    refused(good().replace("request = [", "request = [\"BECOME_ROOT\""));
}

#[test]
fn a_manifest_is_a_plain_file_of_the_bundle() {
    require!();
    let site = Site::new();
    let built = Bundle::command(&["true"]).build(&site);
    let manifest = built.path.join("extension.toml");
    let outside = site.dir().join("outside.toml");
    fs::rename(&manifest, &outside).unwrap();
    std::os::unix::fs::symlink(&outside, &manifest).unwrap();
    site.run_built(&built, &[]).expect(126);
    fs::remove_file(&manifest).unwrap();
    fs::create_dir(&manifest).unwrap();
    site.run_built(&built, &[]).expect(126);
    fs::remove_dir(&manifest).unwrap();
    nix::unistd::mkfifo(&manifest, nix::sys::stat::Mode::S_IRWXU).unwrap();
    site.run_built(&built, &[]).expect(126);
}

#[test]
fn higher_tiers_run_for_their_authors_only() {
    require!();
    let site = Site::new();
    for (tier, memory) in [("professional", 512), ("enterprise", 2048)] {
        let built = Bundle::probe(&["true"]).tier(tier).build(&site);
        let outcome = site.run_built(&built, &[]);
        outcome.expect(126).ended("refused", None);
        assert!(outcome.stderr.contains("hint:"), "{}", outcome.stderr);
        let outcome = site.run_built(&built, &["--dev"]);
        outcome.expect(0);
        assert_eq!(outcome.report()["dev"], true);
        assert_eq!(outcome.limit("memory")["limit"], memory);
        assert!(outcome.stderr.contains("dev"), "not said: {}", outcome.stderr);
    }
}

#[test]
fn the_operator_can_forbid_that() {
    require!();
    let site = Site::new();
    site.configure("[dev]\nmode = \"forbid\"\n");
    let built = Bundle::probe(&["true"]).tier("professional").build(&site);
    site.run_built(&built, &["--dev"]).expect(126);
    site.configure("[dev]\nmode = \"sometimes\"\n");
    site.run_built(&built, &["--dev"]).expect(125);
}

/// What does not exist yet is refused with that reason, whoever asks.
#[test]
fn what_does_not_exist_or_is_above_the_tier_is_refused() {
    require!();
    let site = Site::new();
    let bundles = [
        (Bundle::probe(&["true"]).isolation("partial"), "partial"),
        (Bundle::probe(&["true"]).tier("enterprise").isolation("none"), "none"),
        // Exists, and not in this tier.
        (
            Bundle::probe(&["true"])
                .permission("EXTERNAL_API_CALLS")
                .manifest("[network]\nallow = [\"*\"]\n"),
            "any-domain-above-tier",
        ),
    ];
    for (bundle, word) in bundles {
        let built = bundle.build(&site);
        let outcome = site.run_built(&built, &["--dev"]);
        outcome.expect(126);
        assert!(outcome.stderr.contains(word), "{word}: {}", outcome.stderr);
        let check = site.sandboxctl(&["check", "--dev", built.path.to_str().unwrap()]);
        check.expect(126);
    }
}

/// The tier caps what is asked for: a denied permission is not granted, and said.
#[test]
fn a_tier_caps_permissions() {
    require!();
    let site = Site::new();
    let built = Bundle::probe(&["true"]).permission("READ_PERSONNEL_DATA").build(&site);
    let check = site.sandboxctl(&["check", "--json", built.path.to_str().unwrap()]);
    let answer = check.json();
    let granted = answer["granted"].to_string();
    assert!(!granted.contains("READ_PERSONNEL_DATA"), "{answer}");
    assert!(answer.to_string().contains("READ_PERSONNEL_DATA"), "{answer}");
}
