//! Whether an extension may run, with every policy that says no, and what it is granted.

use schemars::JsonSchema;
use serde::Serialize;

use crate::domain::{AddressPolicy, DomainPattern};
use crate::limits::Limits;
use crate::manifest::Manifest;
use crate::permission::Permission;
use crate::rootfs::within;
use crate::tier::{Isolation, SignaturePolicy, TierPolicy};

mod codes;
mod facts;
mod registry;

use codes::waivable;
pub use codes::{CODES, Effect, PolicyCode, code};
pub use facts::{
    BundleFact, Check, Evaluated, Expiry, FindingFact, HostDenial, Registration, RegistryFacts,
    Review, ReviewLevel, Signer, State, TrustFacts,
};

/// Everything that a decision follows from.
#[derive(Clone, Debug)]
pub struct SecurityContext<'a> {
    /// What the publisher claims and asks for.
    pub manifest: &'a Manifest,
    /// What its tier gives.
    pub tier: &'a TierPolicy,
    /// What is known about its bytes.
    pub trust: TrustFacts,
    /// What the host decided about it.
    pub registry: RegistryFacts,
}

impl SecurityContext<'_> {
    /// Whose signature counts.
    fn signature(&self) -> Evaluated<Signer> {
        match self.trust.accepted_if_expired {
            Some(signer) if self.accepts_expired() => Evaluated::Found(signer),
            _ => self.trust.signature.clone(),
        }
    }

    /// Whether a signature counts although a certificate has expired: these very bytes were registered with it while it was
    /// valid. Nothing else may be wrong with it.
    fn accepts_expired(&self) -> bool {
        match (self.trust.accepted_if_expired, self.registry.accepted) {
            (Some(now), Some(then)) => then >= now,
            _ => false,
        }
    }
}

/// Whether the extension's author runs it (`--dev`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DevMode {
    /// An ordinary run.
    #[default]
    Off,
    /// Signature, review and registration are waived, and nothing else.
    On,
}

/// The answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It may run.
    Allowed,
    /// It may run because its author asked for a development run; an ordinary run would be refused.
    AllowedForDevelopment,
    /// It may not run.
    Refused,
}

impl Verdict {
    /// Whether it may run at all.
    #[must_use]
    pub const fn permits(self) -> bool {
        !matches!(self, Self::Refused)
    }
}

/// One policy that says no.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PolicyViolation {
    /// Stable, kebab-case; one of [`CODES`], or what is wrong with a signature or a file.
    pub code: &'static str,
    /// What is wrong; lower case, no full stop.
    pub reason: String,
    /// What to do about it.
    pub remedy: String,
}

/// A permission that was asked for and not granted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeniedPermission {
    /// Which.
    pub permission: Permission,
    /// `permission-above-tier`, which also refuses the run, or `permission-denied-by-host`, which does not.
    pub code: &'static str,
    /// Why; lower case, no full stop.
    pub reason: String,
}

/// The answer with its reasons.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Decision {
    /// The answer.
    pub verdict: Verdict,
    /// Every policy that says no and was not waived.
    pub violated: Vec<PolicyViolation>,
    /// Every policy that says no and was waived for development.
    pub dev_waived: Vec<PolicyViolation>,
    /// What it may do.
    pub granted: Vec<Permission>,
    /// What it asked for and may not do.
    pub denied: Vec<DeniedPermission>,
    /// The isolation that applies.
    pub isolation: Isolation,
    /// Advice that changes nothing.
    pub recommendations: Vec<String>,
}

/// Decides. Every violated policy is listed, never just the first.
#[must_use]
pub fn decide(context: &SecurityContext<'_>, dev: DevMode) -> Decision {
    let (manifest, tier) = (context.manifest, context.tier);
    let mut granted = manifest.permissions.clone();
    let mut denied = Vec::new();
    granted.retain(|permission| match registry::denial(context, *permission) {
        Some(denial) => {
            denied.push(denial);
            false
        }
        None => true,
    });
    let isolation = manifest.isolation.unwrap_or(tier.default_isolation);
    let mut found = Vec::new();
    signature(context, &mut found);
    registry::judge(context, &mut found);
    for denied in denied.iter().filter(|denied| denied.code == code::PERMISSION_ABOVE_TIER) {
        add(
            &mut found,
            denied.code,
            denied.reason.clone(),
            "drop the permission, or publish for a higher tier",
        );
    }
    if isolation != Isolation::Full {
        add(
            &mut found,
            code::ISOLATION_UNAVAILABLE,
            format!("isolation \"{}\" does not exist in this version", isolation.name()),
            "ask for isolation = \"full\"",
        );
    }
    network(manifest, tier, &granted, &mut found);
    files(manifest, tier, &granted, &mut found);
    limits(manifest, tier, &mut found);
    let (dev_waived, mut violated): (Vec<_>, Vec<_>) =
        found.into_iter().partition(|violation| dev == DevMode::On && waivable(violation.code));
    if !context.accepts_expired() {
        violated.splice(..0, context.trust.refusals.iter().cloned());
    }
    let verdict = match (violated.is_empty(), dev_waived.is_empty()) {
        (false, _) => Verdict::Refused,
        (true, false) => Verdict::AllowedForDevelopment,
        (true, true) => Verdict::Allowed,
    };
    let mut recommendations = recommendations(manifest, &granted);
    if context.accepts_expired() {
        recommendations.push(String::from(
            "a certificate of its signature has expired; it counts because these bytes were registered while it was valid",
        ));
    }
    registry::advise(context, &mut recommendations);
    Decision { verdict, violated, dev_waived, granted, denied, isolation, recommendations }
}

fn add(found: &mut Vec<PolicyViolation>, code: &'static str, reason: String, remedy: &str) {
    found.push(PolicyViolation { code, reason, remedy: remedy.to_owned() });
}

fn signature(context: &SecurityContext<'_>, found: &mut Vec<PolicyViolation>) {
    let tier = context.tier;
    let (needed, remedy) = match tier.signature {
        SignaturePolicy::Optional => return,
        SignaturePolicy::TrustedIssuer => {
            (Signer::TrustedIssuer, "have the bundle signed with a certificate of a trusted issuer")
        }
        SignaturePolicy::VerifiedPublisher => {
            (Signer::VerifiedPublisher, "have the bundle signed by a verified publisher")
        }
    };
    match context.signature() {
        // What is wrong with it stands in the list already.
        Evaluated::NotEvaluated if !context.trust.refusals.is_empty() => {}
        Evaluated::NotEvaluated => add(
            found,
            code::SIGNATURE_NOT_EVALUATED,
            format!(
                "tier {} needs a signature ({}), and nobody looked at one",
                tier.tier,
                tier.signature.name()
            ),
            "its author can run it with --dev",
        ),
        Evaluated::Found(signer) if signer < needed => add(
            found,
            code::SIGNATURE_INSUFFICIENT,
            format!("tier {} needs a signature ({})", tier.tier, tier.signature.name()),
            remedy,
        ),
        Evaluated::Found(_) => {}
    }
}

fn network(
    manifest: &Manifest,
    tier: &TierPolicy,
    granted: &[Permission],
    found: &mut Vec<PolicyViolation>,
) {
    if manifest.network.is_empty() {
        return;
    }
    if !granted.iter().any(|permission| permission.network()) {
        add(
            found,
            code::NETWORK_WITHOUT_PERMISSION,
            String::from(
                "[network] allow needs a permission that gives network, and none is granted",
            ),
            "request EXTERNAL_API_CALLS, EXTERNAL_ERP_ACCESS, WEBHOOK_REGISTRATION or NETWORK_ACCESS",
        );
    }
    for rule in &manifest.network {
        if rule.names == DomainPattern::Any && !tier.any_domain {
            add(
                found,
                code::ANY_DOMAIN_ABOVE_TIER,
                format!("tier {} does not have \"*\" in [network] allow", tier.tier),
                "name the domains, or publish for a higher tier",
            );
        }
        if rule.addresses == AddressPolicy::Private && !tier.private_addresses {
            add(
                found,
                code::PRIVATE_ADDRESSES_ABOVE_TIER,
                format!(
                    "tier {} does not have private addresses, and {rule} asks for them",
                    tier.tier
                ),
                "reach the host by a public address, or publish for a higher tier",
            );
        }
    }
}

fn files(
    manifest: &Manifest,
    tier: &TierPolicy,
    granted: &[Permission],
    found: &mut Vec<PolicyViolation>,
) {
    let roots: Vec<String> =
        tier.file_roots.iter().map(|root| root.replace("{id}", &manifest.id)).collect();
    let wanted = [
        ("read", &manifest.files.read, Permission::FileDownload),
        ("write", &manifest.files.write, Permission::FileUpload),
    ];
    for (key, paths, permission) in wanted {
        if !paths.is_empty() && !granted.contains(&permission) {
            add(
                found,
                code::FILES_WITHOUT_PERMISSION,
                format!("[files] {key} needs {}, which is not granted", permission.name()),
                "request the permission, or leave the list empty",
            );
        }
        for path in paths {
            if !roots.iter().any(|root| within(path, root)) {
                add(
                    found,
                    code::FILES_OUTSIDE_ROOTS,
                    format!("[files] {key} asks for {path}"),
                    &format!("tier {} allows files beneath {}", tier.tier, roots.join(" and ")),
                );
            }
        }
    }
}

fn limits(manifest: &Manifest, tier: &TierPolicy, found: &mut Vec<PolicyViolation>) {
    let (asked, most) = (&manifest.limits, &tier.limits);
    let pairs: [(Option<u64>, u64); 9] = [
        (asked.memory_mb, most.memory_mb),
        (asked.cpu_percent.map(u64::from), most.cpu_percent.into()),
        (asked.disk_mb, most.disk_mb),
        (asked.tmp_mb, most.tmp_mb),
        (asked.timeout_ms, most.timeout_ms),
        (asked.grace_ms, most.grace_ms),
        (asked.tasks.map(u64::from), most.tasks.into()),
        (asked.open_files.map(u64::from), most.open_files.into()),
        (asked.file_mb, most.file_mb),
    ];
    for (key, (asked, most)) in Limits::KEYS.into_iter().zip(pairs) {
        if let Some(asked) = asked.filter(|asked| *asked > most) {
            add(
                found,
                code::TIER_LIMIT_EXCEEDED,
                format!("{key} is {asked}, more than the {most} of tier {}", tier.tier),
                "lower it, or leave it out",
            );
        }
    }
}

fn recommendations(manifest: &Manifest, granted: &[Permission]) -> Vec<String> {
    let mut advice = Vec::new();
    if manifest.network.is_empty() && granted.iter().any(|permission| permission.network()) {
        advice.push(String::from(
            "a permission for the network without [network] allow gives none: drop it until it is needed",
        ));
    }
    let unused = [
        (Permission::FileDownload, manifest.files.read.is_empty(), "read"),
        (Permission::FileUpload, manifest.files.write.is_empty(), "write"),
    ];
    for (permission, unused, key) in unused {
        if unused && granted.contains(&permission) {
            let name = permission.name();
            advice.push(format!(
                "{name} without [files] {key} gives nothing: drop it until it is needed"
            ));
        }
    }
    advice
}

#[cfg(test)]
mod tests;
