//! What the host's registry says for and against an extension.

use super::{
    BundleFact, Check, DeniedPermission, Evaluated, Expiry, PolicyViolation, Registration, Review,
    SecurityContext, Signer, State, add, code,
};
use crate::permission::Permission;
use crate::tier::{CheckPolicy, RegistrationPolicy, ReviewPolicy, SbomPolicy};
use crate::vulnerability::{DAY_SECONDS, Severity};

/// Days before an end that it is worth a word.
const SOON: u32 = 14;

/// The permission's denial, if it is not granted: the tier does not have it, or the host took it away.
pub(super) fn denial(
    context: &SecurityContext<'_>,
    permission: Permission,
) -> Option<DeniedPermission> {
    let tier = context.tier;
    if !tier.permissions.contains(&permission) {
        let reason = format!("tier {} does not have {}", tier.tier, permission.name());
        return Some(DeniedPermission { permission, code: code::PERMISSION_ABOVE_TIER, reason });
    }
    // Not evaluated: `judge` refuses the run, whatever is granted.
    let Evaluated::Found(denied) = &context.registry.denied else {
        return None;
    };
    let denial = denied.iter().find(|denial| denial.permission == permission)?;
    let code = code::PERMISSION_DENIED_BY_HOST;
    Some(DeniedPermission { permission, code, reason: denial.reason.clone() })
}

/// Every reason against it.
pub(super) fn judge(context: &SecurityContext<'_>, found: &mut Vec<PolicyViolation>) {
    let registry = &context.registry;
    let known = match &registry.registration {
        Evaluated::NotEvaluated => {
            add(
                found,
                code::REGISTRY_NOT_EVALUATED,
                String::from("nobody looked whether the host has decided about this extension"),
                "its author can run it with --dev",
            );
            false
        }
        Evaluated::Found(Registration::Unknown) => {
            if context.tier.registration == RegistrationPolicy::Required {
                add(
                    found,
                    code::NOT_REGISTERED,
                    format!("tier {} needs a registration, and there is none", context.tier.tier),
                    "register it: sandboxctl ext register BUNDLE",
                );
            }
            false
        }
        Evaluated::Found(entry @ Registration::Known { .. }) => {
            registration(context, entry, found);
            true
        }
    };
    if registry.registration != Evaluated::NotEvaluated
        && registry.denied == Evaluated::NotEvaluated
    {
        add(
            found,
            code::REGISTRY_NOT_EVALUATED,
            String::from("nobody looked which permissions the host denies"),
            "its author can run it with --dev",
        );
    }
    if known {
        bundle(context, found);
        stripped(context, found);
    }
    review(context, found);
    vulnerabilities(context, known, found);
}

fn registration(
    context: &SecurityContext<'_>,
    entry: &Registration,
    found: &mut Vec<PolicyViolation>,
) {
    let Registration::Known { tier, state, reason, expires } = entry else { return };
    match state {
        State::Enabled => {}
        State::Disabled => add(
            found,
            code::EXTENSION_DISABLED,
            format!("the extension is disabled: {reason}"),
            "ask the operator why it was switched off",
        ),
        State::AutoDisabled => add(
            found,
            code::EXTENSION_AUTO_DISABLED,
            format!("the extension is disabled: {reason}"),
            "register a version without the vulnerability, then: sandboxctl ext enable ID",
        ),
        State::ReviewRequired => add(
            found,
            code::EXTENSION_REVIEW_REQUIRED,
            format!("the extension needs a review: {reason}"),
            "review it: sandboxctl review approve ID, or settle the finding: sandboxctl vuln set",
        ),
    }
    if let Some(Expiry::Past { at }) = expires {
        add(
            found,
            code::REGISTRATION_EXPIRED,
            format!("the registration ended at {at}"),
            "prolong it: sandboxctl ext expire ID --at DATE, or --never",
        );
    }
    if context.manifest.tier < *tier {
        add(
            found,
            code::TIER_BELOW_REGISTERED,
            format!("it claims tier {}, and was registered for {tier}", context.manifest.tier),
            "register this version first: the lower tier asks for less proof",
        );
    }
}

fn bundle(context: &SecurityContext<'_>, found: &mut Vec<PolicyViolation>) {
    let version = &context.manifest.version;
    match &context.registry.bundle {
        Evaluated::NotEvaluated => add(
            found,
            code::BUNDLE_NOT_EVALUATED,
            String::from("nobody looked whether it is the bundle that was registered"),
            "its author can run it with --dev",
        ),
        Evaluated::Found(BundleFact::Unknown) => {
            if context.tier.registration == RegistrationPolicy::Required {
                add(
                    found,
                    code::BUNDLE_NOT_REGISTERED,
                    format!("version {version} is not registered"),
                    "register it: sandboxctl ext register BUNDLE",
                );
            }
        }
        Evaluated::Found(BundleFact::Registered { sbom }) => {
            if !sbom && context.tier.sbom == SbomPolicy::Required {
                add(
                    found,
                    code::SBOM_MISSING,
                    format!("tier {} needs a bill of materials", context.tier.tier),
                    "put sbom.cdx.json (CycloneDX) into the bundle",
                );
            }
        }
        Evaluated::Found(BundleFact::Differs { registered }) => add(
            found,
            code::BUNDLE_DIFFERS,
            registered.map_or_else(
                || String::from("these bytes are registered under another extension or version"),
                |digest| format!("version {version} is registered with the digest {digest}"),
            ),
            "get the registered bundle, or publish these bytes under a new version",
        ),
        Evaluated::Found(BundleFact::OlderThanApproved { approved }) => add(
            found,
            code::BUNDLE_ROLLBACK,
            format!("version {approved} was approved, and {version} is older"),
            "run the later version, or publish the old code under a new version",
        ),
    }
}

/// An attacker who cannot sign takes the signature away: where one is optional, that would be enough.
fn stripped(context: &SecurityContext<'_>, found: &mut Vec<PolicyViolation>) {
    let remedy = "get the bundle as its publisher signed it";
    let before = match context.registry.signed_before {
        Evaluated::Found(Some(before)) if before > Signer::Unsigned => before,
        Evaluated::Found(_) => return,
        Evaluated::NotEvaluated => {
            add(
                found,
                code::SIGNATURE_STRIPPED,
                String::from(
                    "nobody looked whether the extension was signed when it was registered",
                ),
                remedy,
            );
            return;
        }
    };
    let now = match context.signature() {
        Evaluated::Found(now) if now >= before => return,
        Evaluated::Found(now) => now.name(),
        // It is there and refused, which has been said with the reason.
        Evaluated::NotEvaluated if !context.trust.refusals.is_empty() => return,
        Evaluated::NotEvaluated => "not verified",
    };
    add(
        found,
        code::SIGNATURE_STRIPPED,
        format!(
            "the extension was registered with a signature ({}), now it is {now}",
            before.name()
        ),
        remedy,
    );
}

fn review(context: &SecurityContext<'_>, found: &mut Vec<PolicyViolation>) {
    let (tier, version) = (context.tier, &context.manifest.version);
    let needed = tier.review == ReviewPolicy::PerVersion;
    match &context.registry.review {
        Evaluated::NotEvaluated if needed => add(
            found,
            code::REVIEW_NOT_EVALUATED,
            format!("tier {} needs a security review, and nobody looked for one", tier.tier),
            "its author can run it with --dev",
        ),
        Evaluated::Found(Review::Pending | Review::Requested) if needed => add(
            found,
            code::REVIEW_MISSING,
            format!("version {version} has no approved security review"),
            "submit this version for review: sandboxctl review request ID",
        ),
        Evaluated::Found(Review::Rejected { notes }) => add(
            found,
            code::REVIEW_REJECTED,
            format!("the security review rejected version {version}: {notes}"),
            "publish a version that answers the review",
        ),
        Evaluated::Found(Review::Revoked { notes }) => add(
            found,
            code::REVIEW_REVOKED,
            format!("the approval of version {version} was revoked: {notes}"),
            "publish a version that answers the review",
        ),
        Evaluated::Found(Review::Approved { level, expires }) if needed => {
            if let Some(Expiry::Past { at }) = expires {
                add(
                    found,
                    code::REVIEW_EXPIRED,
                    format!("the approval of version {version} ended at {at}"),
                    "review it again: sandboxctl review approve ID",
                );
            }
            if *level < tier.review_level {
                add(
                    found,
                    code::REVIEW_LEVEL,
                    format!(
                        "the review was {}, less than {}",
                        level.name(),
                        tier.review_level.name()
                    ),
                    "review it again at the level that the tier asks for",
                );
            }
        }
        _ => {}
    }
}

fn vulnerabilities(context: &SecurityContext<'_>, known: bool, found: &mut Vec<PolicyViolation>) {
    let (tier, registry) = (context.tier, &context.registry);
    let enforced = tier.vulnerability_check == CheckPolicy::Enforce;
    match registry.vulnerability_score {
        Evaluated::Found(score) if score > tier.max_vulnerability_score => add(
            found,
            code::VULNERABILITY_SCORE,
            format!(
                "vulnerability score {score} is above {}{}",
                tier.max_vulnerability_score,
                worst(context)
            ),
            "publish a version without the known vulnerabilities",
        ),
        Evaluated::NotEvaluated if known || enforced => add(
            found,
            code::VULNERABILITY_NOT_EVALUATED,
            String::from("nobody looked for known vulnerabilities"),
            "its author can run it with --dev",
        ),
        // Without a registration `judge` has said so already.
        Evaluated::Found(_) | Evaluated::NotEvaluated => {}
    }
    if !enforced {
        return;
    }
    match &registry.vulnerability_check {
        // Without a score, that nobody looked is said above.
        Evaluated::NotEvaluated if registry.vulnerability_score != Evaluated::NotEvaluated => add(
            found,
            code::VULNERABILITY_NOT_EVALUATED,
            String::from("nobody looked when known vulnerabilities were checked"),
            "its author can run it with --dev",
        ),
        Evaluated::NotEvaluated => {}
        Evaluated::Found(check) => {
            if let Some(reason) = overdue(check, tier.vulnerability_check_days) {
                add(
                    found,
                    code::VULNERABILITY_CHECK_OVERDUE,
                    reason,
                    "import a fresh database and check: sandboxctl vuln import FILE, sandboxctl vuln scan ID",
                );
            }
        }
    }
}

/// The findings behind a score, the worst first, a few of them.
fn worst(context: &SecurityContext<'_>) -> String {
    let mut findings: Vec<_> = context.registry.findings.iter().collect();
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.score));
    let names: Vec<String> = findings
        .iter()
        .take(3)
        .map(|finding| format!("#{} {}", finding.id, finding.name))
        .collect();
    match (names.is_empty(), findings.len().saturating_sub(3)) {
        (true, _) => String::new(),
        (false, 0) => format!(": {}", names.join(", ")),
        (false, more) => format!(": {} and {more} more", names.join(", ")),
    }
}

/// Why a check is overdue, if it is.
fn overdue(check: &Check, interval_days: u32) -> Option<String> {
    match check {
        // `judge` says that it is not registered.
        Check::Never => None,
        Check::Due { age_seconds, checked, void } => {
            let interval = u64::from(interval_days) * DAY_SECONDS.unsigned_abs();
            if *age_seconds <= interval {
                return None;
            }
            let days = age_seconds / DAY_SECONDS.unsigned_abs();
            let mut reason = if *checked {
                format!("the last check for known vulnerabilities was {days} days ago")
            } else {
                format!("registered {days} days ago and never checked for known vulnerabilities")
            };
            if let Some(void) = void {
                reason.push_str("; a later one does not count: ");
                reason.push_str(void);
            }
            Some(reason)
        }
    }
}

/// Advice that changes nothing.
pub(super) fn advise(context: &SecurityContext<'_>, advice: &mut Vec<String>) {
    let (registry, tier) = (&context.registry, context.tier);
    for finding in &registry.findings {
        let what = format!("finding #{} ({}, score {})", finding.id, finding.name, finding.score);
        if finding.severity >= Severity::Medium {
            advice
                .push(format!("{what}: {} vulnerability", finding.severity.name().to_lowercase()));
        }
        if let Some(Expiry::Past { at }) = &finding.due {
            advice.push(format!("{what} should have been remedied by {at}"));
        }
    }
    if let Evaluated::Found(Registration::Known { expires: Some(expiry), .. }) =
        &registry.registration
    {
        soon(expiry, "the registration", advice);
    }
    if let Evaluated::Found(Review::Approved { expires: Some(expiry), .. }) = &registry.review {
        soon(expiry, "the approval of this version", advice);
    }
    if registry.bundle == Evaluated::Found(BundleFact::Registered { sbom: false })
        && tier.sbom == SbomPolicy::Optional
    {
        advice.push(String::from(
            "the bundle has no bill of materials (sbom.cdx.json): its components are not checked for vulnerabilities",
        ));
    }
    if registry.bundle == Evaluated::Found(BundleFact::Unknown)
        && matches!(registry.registration, Evaluated::Found(Registration::Known { .. }))
        && tier.registration == RegistrationPolicy::Optional
    {
        advice.push(String::from("this version is not registered: sandboxctl ext register BUNDLE"));
    }
    if let Evaluated::Found(check @ Check::Due { age_seconds, .. }) = &registry.vulnerability_check
    {
        let days = age_seconds / DAY_SECONDS.unsigned_abs();
        let left = u64::from(tier.vulnerability_check_days).saturating_sub(days);
        match overdue(check, tier.vulnerability_check_days) {
            Some(reason) if tier.vulnerability_check == CheckPolicy::Warn => advice.push(reason),
            None if left <= SOON.into() => {
                advice.push(format!(
                    "the next check for known vulnerabilities is due in {left} days"
                ));
            }
            _ => {}
        }
    }
}

fn soon(expiry: &Expiry, what: &str, advice: &mut Vec<String>) {
    if let Expiry::Later { at, days } = expiry
        && *days <= SOON
    {
        advice.push(format!("{what} ends at {at}, in {days} days"));
    }
}
