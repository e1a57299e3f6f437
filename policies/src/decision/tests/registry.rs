//! What the registry says, one fact at a time.

use semver::Version;

use super::{decided, manifest, violated};
use crate::decision::{
    BundleFact, CODES, Check, DevMode, Effect, Evaluated, Expiry, FindingFact, HostDenial,
    PolicyViolation, Registration, RegistryFacts, Review, ReviewLevel, Signer, State, TrustFacts,
    Verdict, code,
};
use crate::permission::Permission;
use crate::tier::Tier;
use crate::vulnerability::Severity;

const DAY: u64 = 86_400;

fn known(state: State) -> Registration {
    Registration::Known { tier: Tier::Community, state, reason: "why".to_owned(), expires: None }
}

fn past() -> Expiry {
    Expiry::Past { at: "2026-01-01T00:00:00Z".to_owned() }
}

fn later(days: u32) -> Expiry {
    Expiry::Later { at: "2027-01-01T00:00:00Z".to_owned(), days }
}

fn checked(age_seconds: u64) -> Check {
    Check::Due { age_seconds, checked: true, void: None }
}

/// Registered, approved, checked, nothing found.
pub(super) fn good() -> RegistryFacts {
    RegistryFacts {
        registration: Evaluated::Found(known(State::Enabled)),
        bundle: Evaluated::Found(BundleFact::Registered { sbom: true }),
        accepted: None,
        signed_before: Evaluated::Found(None),
        review: Evaluated::Found(Review::Approved { level: ReviewLevel::Internal, expires: None }),
        vulnerability_score: Evaluated::Found(50),
        vulnerability_check: Evaluated::Found(checked(30 * DAY)),
        denied: Evaluated::Found(Vec::new()),
        findings: Vec::new(),
    }
}

fn signed() -> TrustFacts {
    TrustFacts { signature: Evaluated::Found(Signer::TrustedIssuer), ..TrustFacts::default() }
}

/// Every fact, with what it costs in community, in professional, and in a development run of professional.
#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn one_fact_at_a_time() {
    type Row = (
        &'static str,
        fn(&mut RegistryFacts),
        &'static [&'static str],
        &'static [&'static str],
        bool,
    );
    let rows: &[Row] = &[
        ("good", |_| {}, &[], &[], true),
        (
            "registration not evaluated",
            |facts| facts.registration = Evaluated::NotEvaluated,
            &[code::REGISTRY_NOT_EVALUATED],
            &[code::REGISTRY_NOT_EVALUATED],
            true,
        ),
        (
            "unknown",
            |facts| *facts = RegistryFacts::unregistered(),
            &[],
            &[code::NOT_REGISTERED, code::REVIEW_MISSING],
            true,
        ),
        (
            "disabled",
            |facts| facts.registration = Evaluated::Found(known(State::Disabled)),
            &[code::EXTENSION_DISABLED],
            &[code::EXTENSION_DISABLED],
            false,
        ),
        (
            "auto-disabled",
            |facts| facts.registration = Evaluated::Found(known(State::AutoDisabled)),
            &[code::EXTENSION_AUTO_DISABLED],
            &[code::EXTENSION_AUTO_DISABLED],
            false,
        ),
        (
            "review required",
            |facts| facts.registration = Evaluated::Found(known(State::ReviewRequired)),
            &[code::EXTENSION_REVIEW_REQUIRED],
            &[code::EXTENSION_REVIEW_REQUIRED],
            false,
        ),
        (
            "expired",
            |facts| {
                facts.registration = Evaluated::Found(Registration::Known {
                    tier: Tier::Community,
                    state: State::Enabled,
                    reason: String::new(),
                    expires: Some(past()),
                });
            },
            &[code::REGISTRATION_EXPIRED],
            &[code::REGISTRATION_EXPIRED],
            false,
        ),
        (
            "registered for a higher tier",
            |facts| {
                facts.registration = Evaluated::Found(Registration::Known {
                    tier: Tier::Enterprise,
                    state: State::Enabled,
                    reason: String::new(),
                    expires: None,
                });
            },
            &[code::TIER_BELOW_REGISTERED],
            &[code::TIER_BELOW_REGISTERED],
            false,
        ),
        (
            "bundle not evaluated",
            |facts| facts.bundle = Evaluated::NotEvaluated,
            &[code::BUNDLE_NOT_EVALUATED],
            &[code::BUNDLE_NOT_EVALUATED],
            true,
        ),
        (
            "bundle unknown",
            |facts| facts.bundle = Evaluated::Found(BundleFact::Unknown),
            &[],
            &[code::BUNDLE_NOT_REGISTERED],
            true,
        ),
        (
            "bundle differs",
            |facts| facts.bundle = Evaluated::Found(BundleFact::Differs { registered: None }),
            &[code::BUNDLE_DIFFERS],
            &[code::BUNDLE_DIFFERS],
            false,
        ),
        (
            "rollback",
            |facts| {
                let approved = Version::new(1, 3, 0);
                facts.bundle = Evaluated::Found(BundleFact::OlderThanApproved { approved });
            },
            &[code::BUNDLE_ROLLBACK],
            &[code::BUNDLE_ROLLBACK],
            false,
        ),
        (
            "signed before",
            |facts| facts.signed_before = Evaluated::Found(Some(Signer::VerifiedPublisher)),
            &[code::SIGNATURE_STRIPPED],
            &[code::SIGNATURE_STRIPPED],
            false,
        ),
        (
            "signed before as now",
            |facts| facts.signed_before = Evaluated::Found(Some(Signer::TrustedIssuer)),
            &[],
            &[],
            true,
        ),
        (
            "signed before not evaluated",
            |facts| facts.signed_before = Evaluated::NotEvaluated,
            &[code::SIGNATURE_STRIPPED],
            &[code::SIGNATURE_STRIPPED],
            false,
        ),
        (
            "review not evaluated",
            |facts| facts.review = Evaluated::NotEvaluated,
            &[],
            &[code::REVIEW_NOT_EVALUATED],
            true,
        ),
        (
            "review pending",
            |facts| facts.review = Evaluated::Found(Review::Pending),
            &[],
            &[code::REVIEW_MISSING],
            true,
        ),
        (
            "review requested",
            |facts| facts.review = Evaluated::Found(Review::Requested),
            &[],
            &[code::REVIEW_MISSING],
            true,
        ),
        (
            "review rejected",
            |facts| facts.review = Evaluated::Found(Review::Rejected { notes: String::new() }),
            &[code::REVIEW_REJECTED],
            &[code::REVIEW_REJECTED],
            false,
        ),
        (
            "review revoked",
            |facts| facts.review = Evaluated::Found(Review::Revoked { notes: String::new() }),
            &[code::REVIEW_REVOKED],
            &[code::REVIEW_REVOKED],
            false,
        ),
        (
            "review expired",
            |facts| {
                let level = ReviewLevel::Internal;
                facts.review = Evaluated::Found(Review::Approved { level, expires: Some(past()) });
            },
            &[],
            &[code::REVIEW_EXPIRED],
            true,
        ),
        (
            "review not deep enough",
            |facts| {
                let level = ReviewLevel::Public;
                facts.review = Evaluated::Found(Review::Approved { level, expires: None });
            },
            &[],
            &[code::REVIEW_LEVEL],
            true,
        ),
        (
            "score above",
            |facts| facts.vulnerability_score = Evaluated::Found(51),
            &[code::VULNERABILITY_SCORE],
            &[code::VULNERABILITY_SCORE],
            false,
        ),
        (
            "score not evaluated",
            |facts| facts.vulnerability_score = Evaluated::NotEvaluated,
            &[code::VULNERABILITY_NOT_EVALUATED],
            &[code::VULNERABILITY_NOT_EVALUATED],
            true,
        ),
        (
            "check not evaluated",
            |facts| facts.vulnerability_check = Evaluated::NotEvaluated,
            &[],
            &[code::VULNERABILITY_NOT_EVALUATED],
            true,
        ),
        (
            "check overdue",
            |facts| facts.vulnerability_check = Evaluated::Found(checked(30 * DAY + 1)),
            &[],
            &[code::VULNERABILITY_CHECK_OVERDUE],
            true,
        ),
        (
            "denials not evaluated",
            |facts| facts.denied = Evaluated::NotEvaluated,
            &[code::REGISTRY_NOT_EVALUATED],
            &[code::REGISTRY_NOT_EVALUATED],
            true,
        ),
    ];
    for (name, change, community, professional, dev) in rows {
        let mut facts = good();
        change(&mut facts);
        let of = |tier: &str, dev| decided(&manifest(tier, ""), signed(), facts.clone(), dev);
        assert_eq!(violated(&of("community", DevMode::Off)), *community, "community: {name}");
        let decision = of("professional", DevMode::Off);
        assert_eq!(violated(&decision), *professional, "professional: {name}");
        for violation in &decision.violated {
            assert!(!violation.reason.is_empty() && !violation.remedy.is_empty(), "{name}");
        }
        assert_eq!(of("professional", DevMode::On).verdict.permits(), *dev, "--dev: {name}");
    }
}

#[test]
fn an_unverified_signature_is_none() {
    let mut facts = good();
    facts.signed_before = Evaluated::Found(Some(Signer::SelfSigned));
    for (signature, expected) in [
        (Evaluated::NotEvaluated, &[code::SIGNATURE_STRIPPED][..]),
        (Evaluated::Found(Signer::Unsigned), &[code::SIGNATURE_STRIPPED]),
        (Evaluated::Found(Signer::SelfSigned), &[]),
    ] {
        let trust = TrustFacts { signature, ..TrustFacts::default() };
        let decision = decided(&manifest("community", ""), trust, facts.clone(), DevMode::On);
        assert_eq!(violated(&decision), expected);
    }
    let refusal = PolicyViolation {
        code: "certificate-revoked",
        reason: "it is revoked".to_owned(),
        remedy: "do not run it".to_owned(),
    };
    let trust = TrustFacts { refusals: vec![refusal], ..TrustFacts::default() };
    let decision = decided(&manifest("community", ""), trust, facts, DevMode::On);
    assert_eq!(violated(&decision), ["certificate-revoked"]);
}

#[test]
fn nothing_evaluated_refuses_every_tier() {
    for tier in ["community", "professional", "enterprise"] {
        let manifest = manifest(tier, "");
        let decision =
            decided(&manifest, TrustFacts::default(), RegistryFacts::default(), DevMode::Off);
        assert_eq!(decision.verdict, Verdict::Refused, "{tier}");
    }
}

#[test]
fn the_host_takes_permissions_away_and_the_rest_runs() {
    let rest = "[permissions]\nrequest = [\"READ_MATERIALS\", \"EXTERNAL_API_CALLS\"]\n";
    let network = "[network]\nallow = [\"api.example.com\"]";
    let mut facts = good();
    facts.denied = Evaluated::Found(
        [Permission::ExternalApiCalls, Permission::ReadWorkOrders]
            .map(|permission| HostDenial { permission, reason: "not here".to_owned() })
            .into(),
    );
    let decision = decided(&manifest("community", rest), signed(), facts.clone(), DevMode::Off);
    assert_eq!(decision.verdict, Verdict::Allowed);
    assert_eq!(decision.granted, [Permission::ReadMaterials]);
    let denied: Vec<_> =
        decision.denied.iter().map(|one| (one.permission, one.code, one.reason.as_str())).collect();
    let code = code::PERMISSION_DENIED_BY_HOST;
    assert_eq!(denied, [(Permission::ExternalApiCalls, code, "not here")]);
    // As `codes` says.
    let withheld = CODES.iter().filter(|policy| policy.effect == Effect::Withholds);
    assert_eq!(withheld.map(|policy| policy.code).collect::<Vec<_>>(), [code]);
    // What it cannot do without is refused.
    let manifest = manifest("community", &format!("{rest}{network}"));
    let decision = decided(&manifest, signed(), facts, DevMode::Off);
    assert_eq!(violated(&decision), [code::NETWORK_WITHOUT_PERMISSION]);
}

#[test]
fn advice() {
    let mut facts = good();
    facts.vulnerability_check = Evaluated::Found(checked(20 * DAY));
    facts.review = Evaluated::Found(Review::Approved {
        level: ReviewLevel::Internal,
        expires: Some(later(14)),
    });
    let finding = |severity, due| FindingFact {
        id: 7,
        name: "CVE-2026-1234".to_owned(),
        severity,
        score: 40,
        due,
    };
    facts.findings = vec![
        finding(Severity::Medium, Some(later(3))),
        finding(Severity::Low, Some(past())),
        finding(Severity::Low, None),
    ];
    let decision = decided(&manifest("professional", ""), signed(), facts.clone(), DevMode::Off);
    assert_eq!(decision.verdict, Verdict::Allowed);
    let [medium, late, review, check] = &decision.recommendations[..] else {
        panic!("{:?}", decision.recommendations)
    };
    assert!(medium.contains("#7") && medium.contains("medium"), "{medium}");
    assert!(late.contains("remedied by"), "{late}");
    assert!(review.contains("approval") && review.contains("14 days"), "{review}");
    assert!(check.contains("due in 10 days"), "{check}");
    facts = good();
    facts.review = Evaluated::Found(Review::Approved {
        level: ReviewLevel::Internal,
        expires: Some(later(15)),
    });
    facts.vulnerability_check = Evaluated::Found(checked(0));
    let decision = decided(&manifest("professional", ""), signed(), facts.clone(), DevMode::Off);
    assert!(decision.recommendations.is_empty(), "{:?}", decision.recommendations);
    // Overdue is a word in community, and a violation above.
    let void = Some("the database was too old".to_owned());
    facts.vulnerability_check =
        Evaluated::Found(Check::Due { age_seconds: 40 * DAY, checked: false, void });
    let decision = decided(&manifest("community", ""), signed(), facts.clone(), DevMode::Off);
    assert!(decision.recommendations[0].contains("40 days ago and never checked"));
    let decision = decided(&manifest("professional", ""), signed(), facts, DevMode::Off);
    assert!(decision.violated[0].reason.contains("too old"), "{:?}", decision.violated);
}

#[test]
fn what_is_wrong_with_a_signature_is_never_waived() {
    let refusals = vec![PolicyViolation {
        code: "signature-digest",
        reason: "MANIFEST is not the one that was signed".to_owned(),
        remedy: "fetch the bundle again".to_owned(),
    }];
    let trust = TrustFacts { refusals, ..TrustFacts::default() };
    for tier in ["community", "professional"] {
        let manifest = manifest(tier, "");
        for dev in [DevMode::Off, DevMode::On] {
            let decision = decided(&manifest, trust.clone(), RegistryFacts::unregistered(), dev);
            assert_eq!(decision.verdict, Verdict::Refused, "{tier} {dev:?}");
            assert_eq!(decision.violated[0].code, "signature-digest");
            assert!(decision.violated.iter().all(|one| one.code != code::SIGNATURE_NOT_EVALUATED));
        }
    }
}

#[test]
fn an_expired_certificate_counts_for_bytes_that_were_registered_with_it() {
    let refusals = vec![PolicyViolation {
        code: "certificate-expired",
        reason: "it was valid until yesterday".to_owned(),
        remedy: "sign again".to_owned(),
    }];
    let trust = TrustFacts {
        refusals,
        accepted_if_expired: Some(Signer::TrustedIssuer),
        ..TrustFacts::default()
    };
    let manifest = manifest("community", "");
    for (accepted, allowed) in [
        (None, false),
        (Some(Signer::SelfSigned), false),
        (Some(Signer::TrustedIssuer), true),
        (Some(Signer::VerifiedPublisher), true),
    ] {
        let registry = RegistryFacts { accepted, ..RegistryFacts::unregistered() };
        let decision = decided(&manifest, trust.clone(), registry, DevMode::Off);
        assert_eq!(decision.verdict.permits(), allowed, "{accepted:?}");
        let said = decision.recommendations.iter().any(|advice| advice.contains("has expired"));
        assert_eq!(said, allowed, "{accepted:?}");
    }
}
