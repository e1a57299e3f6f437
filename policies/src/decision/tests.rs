use super::{
    CODES, Decision, DevMode, Evaluated, PolicyCode, RegistryFacts, SecurityContext, Signer,
    TrustFacts, Verdict, code, decide,
};
use crate::manifest::Manifest;
use crate::permission::Permission;
use crate::set::PolicySet;
use crate::tier::Tier;

mod registry;

fn manifest(tier: &str, rest: &str) -> Manifest {
    let text = format!(
        "[extension]\nid = \"acme.probe\"\nname = \"Probe\"\nversion = \"1.2.3\"\npublisher = \"acme\"\n\
         tier = \"{tier}\"\n{rest}\n[run]\ncommand = [\"./probe\"]\n"
    );
    Manifest::parse("extension.toml", text.as_bytes()).unwrap_or_else(|all| panic!("{all}"))
}

fn decided(
    manifest: &Manifest,
    trust: TrustFacts,
    registry: RegistryFacts,
    dev: DevMode,
) -> Decision {
    let policies = PolicySet::embedded();
    let tier = policies.tier(manifest.tier);
    decide(&SecurityContext { manifest, tier, trust, registry }, dev)
}

fn plain(manifest: &Manifest, dev: DevMode) -> Decision {
    decided(manifest, TrustFacts::default(), RegistryFacts::unregistered(), dev)
}

fn violated(decision: &Decision) -> Vec<&str> {
    decision.violated.iter().map(|violation| violation.code).collect()
}

#[test]
fn community_runs_without_signature() {
    let decision = plain(&manifest("community", ""), DevMode::Off);
    assert_eq!((decision.verdict, decision.violated.len()), (Verdict::Allowed, 0));
    // A development run of what may run anyway is an ordinary run.
    assert_eq!(plain(&manifest("community", ""), DevMode::On).verdict, Verdict::Allowed);
}

#[test]
fn higher_tiers_need_trust_or_a_development_run() {
    for tier in ["professional", "enterprise"] {
        let manifest = manifest(tier, "");
        let wanted = [code::SIGNATURE_NOT_EVALUATED, code::NOT_REGISTERED, code::REVIEW_MISSING];
        let decision = plain(&manifest, DevMode::Off);
        assert_eq!(decision.verdict, Verdict::Refused);
        assert_eq!(violated(&decision), wanted);
        let decision = plain(&manifest, DevMode::On);
        assert_eq!(decision.verdict, Verdict::AllowedForDevelopment);
        assert!(decision.verdict.permits() && decision.violated.is_empty());
        let waived: Vec<&str> = decision.dev_waived.iter().map(|waived| waived.code).collect();
        assert_eq!(waived, wanted);
    }
}

#[test]
fn signatures_that_were_looked_at_decide() {
    let signed =
        |signer| TrustFacts { signature: Evaluated::Found(signer), ..TrustFacts::default() };
    for (tier, signer, expected) in [
        ("professional", Signer::TrustedIssuer, vec![]),
        ("professional", Signer::SelfSigned, vec![code::SIGNATURE_INSUFFICIENT]),
        ("professional", Signer::VerifiedPublisher, vec![]),
        ("enterprise", Signer::TrustedIssuer, vec![code::SIGNATURE_INSUFFICIENT]),
        ("enterprise", Signer::VerifiedPublisher, vec![]),
        ("community", Signer::Unsigned, vec![]),
    ] {
        let decision = decided(&manifest(tier, ""), signed(signer), registry::good(), DevMode::Off);
        assert_eq!(violated(&decision), expected, "{tier} {signer:?}");
    }
}

#[test]
fn every_violated_policy_is_listed() {
    let rest = "isolation = \"partial\"\n[permissions]\nrequest = [\"READ_MATERIALS\", \"FILE_DOWNLOAD\", \"NETWORK_ACCESS\"]\n\
                [network]\nallow = [\"api.example.com\"]\n[files]\nread = [\"/etc/shadow\"]\nwrite = [\"/extensions/acme.other/x\"]";
    let decision = plain(&manifest("community", rest), DevMode::On);
    let expected = [
        code::PERMISSION_ABOVE_TIER,
        code::PERMISSION_ABOVE_TIER,
        code::ISOLATION_UNAVAILABLE,
        code::NETWORK_WITHOUT_PERMISSION,
        code::FILES_WITHOUT_PERMISSION,
        code::FILES_OUTSIDE_ROOTS,
        code::FILES_WITHOUT_PERMISSION,
        code::FILES_OUTSIDE_ROOTS,
    ];
    assert_eq!(violated(&decision), expected);
    assert_eq!(decision.granted, [Permission::ReadMaterials]);
    let denied: Vec<_> = decision.denied.iter().map(|one| (one.permission, one.code)).collect();
    let code = code::PERMISSION_ABOVE_TIER;
    assert_eq!(denied, [(Permission::FileDownload, code), (Permission::NetworkAccess, code)]);
    for violation in &decision.violated {
        assert!(!violation.reason.is_empty() && !violation.remedy.is_empty());
    }
}

#[test]
fn a_network_permission_without_domains_is_fine() {
    let rest = "[permissions]\nrequest = [\"EXTERNAL_API_CALLS\"]";
    let decision = plain(&manifest("community", rest), DevMode::Off);
    assert_eq!((decision.verdict, decision.recommendations.len()), (Verdict::Allowed, 1));
}

#[test]
fn files_lie_beneath_the_roots_of_the_own_id() {
    let rest = |path: &str| {
        format!("[permissions]\nrequest = [\"FILE_DOWNLOAD\"]\n[files]\nread = [\"{path}\"]")
    };
    for (path, allowed) in [
        ("/extensions/acme.probe/data/*", true),
        ("/extensions/acme.probe", true),
        ("/srv/extensions/acme.probe/x", true),
        ("/extensions/acme.probe2/x", false),
        ("/extensions/*", false),
        ("/extensions/acme.other/x", false),
    ] {
        let decision = plain(&manifest("professional", &rest(path)), DevMode::On);
        assert_eq!(decision.verdict.permits(), allowed, "{path}");
    }
}

#[test]
fn limits_are_checked_against_the_tier_that_applies() {
    let rest = "[limits]\nmemory_mb = 256\ntasks = 64";
    let manifest = manifest("community", rest);
    let mut tier = PolicySet::embedded().tier(Tier::Community).clone();
    tier.limits.memory_mb = 128;
    let context = SecurityContext {
        manifest: &manifest,
        tier: &tier,
        trust: TrustFacts::default(),
        registry: RegistryFacts::unregistered(),
    };
    let decision = decide(&context, DevMode::On);
    assert_eq!(violated(&decision), [code::TIER_LIMIT_EXCEEDED]);
    assert!(decision.violated[0].reason.starts_with("memory_mb is 256, more than the 128"));
}

#[test]
fn codes_are_unique_and_differ_from_those_of_diagnostics() {
    for (index, PolicyCode { code, meaning, advice, .. }) in CODES.iter().enumerate() {
        assert!(advice.ends_with('.'), "{code}: {advice}");
        assert!(!meaning.is_empty());
        assert!(CODES[..index].iter().all(|other| other.code != *code), "{code} twice");
        assert!(crate::diag::CODES.iter().all(|(other, _)| other != code), "{code} twice");
    }
}
