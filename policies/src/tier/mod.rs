//! What a tier gives at most, as a policy file.

use std::borrow::Cow;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::decision::ReviewLevel;
use crate::limits::Limits;
use crate::permission::Permission;
use crate::plan::egress::NetworkLimits;

mod parse;

pub(crate) use parse::{parse, permission_list};

/// How far an extension is trusted.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Tier {
    /// Experimental; signature optional.
    Community,
    /// Production; signed by a trusted issuer and reviewed.
    Professional,
    /// Certified; signed by a verified publisher and reviewed.
    Enterprise,
}

impl Tier {
    /// Every tier, from the least to the most trusted.
    pub const ALL: [Self; 3] = [Self::Community, Self::Professional, Self::Enterprise];

    pub(crate) const WORDS: [(&'static str, Self); 3] = [
        ("community", Self::Community),
        ("professional", Self::Professional),
        ("enterprise", Self::Enterprise),
    ];

    /// The name in manifests, policy files and records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Community => "community",
            Self::Professional => "professional",
            Self::Enterprise => "enterprise",
        }
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How much of the confinement applies.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Isolation {
    /// Every layer.
    #[default]
    Full,
    /// No new namespaces.
    Partial,
    /// No confinement.
    None,
}

impl Isolation {
    pub(crate) const WORDS: [(&'static str, Self); 3] =
        [("full", Self::Full), ("partial", Self::Partial), ("none", Self::None)];

    /// The name in manifests and records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Partial => "partial",
            Self::None => "none",
        }
    }
}

/// Whose signature a tier asks for.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum SignaturePolicy {
    /// None is needed; a self-signed one is fine.
    Optional,
    /// Of a certificate that a trusted issuer issued.
    TrustedIssuer,
    /// Of a publisher that the host has verified.
    VerifiedPublisher,
}

impl SignaturePolicy {
    pub(crate) const WORDS: [(&'static str, Self); 3] = [
        ("optional", Self::Optional),
        ("trusted-issuer", Self::TrustedIssuer),
        ("verified-publisher", Self::VerifiedPublisher),
    ];

    /// The name in policy files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Optional => "optional",
            Self::TrustedIssuer => "trusted-issuer",
            Self::VerifiedPublisher => "verified-publisher",
        }
    }
}

/// Which security review a tier asks for.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum ReviewPolicy {
    /// None.
    None,
    /// An approval of exactly this version.
    PerVersion,
}

impl ReviewPolicy {
    pub(crate) const WORDS: [(&'static str, Self); 2] =
        [("none", Self::None), ("per-version", Self::PerVersion)];

    /// The name in policy files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::PerVersion => "per-version",
        }
    }
}

/// Whether a tier's extensions must be registered.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum RegistrationPolicy {
    /// What the registry does not know may run; what it says about those that it knows holds.
    Optional,
    /// What the registry does not know does not run.
    Required,
}

impl RegistrationPolicy {
    pub(crate) const WORDS: [(&'static str, Self); 2] =
        [("optional", Self::Optional), ("required", Self::Required)];
}

/// What follows from an overdue check for known vulnerabilities.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum CheckPolicy {
    /// A recommendation.
    Warn,
    /// The extension does not run.
    Enforce,
}

impl CheckPolicy {
    pub(crate) const WORDS: [(&'static str, Self); 2] =
        [("warn", Self::Warn), ("enforce", Self::Enforce)];
}

/// Whether a tier's bundles must have a bill of materials.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum SbomPolicy {
    /// A bundle without one may run.
    Optional,
    /// A bundle without one does not run.
    Required,
}

impl SbomPolicy {
    pub(crate) const WORDS: [(&'static str, Self); 2] =
        [("optional", Self::Optional), ("required", Self::Required)];
}

/// What one tier gives at most and asks for at least.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TierPolicy {
    /// Which tier.
    pub tier: Tier,
    /// The isolation of a manifest that names none.
    pub default_isolation: Isolation,
    /// The highest limits; a manifest may only lower them.
    pub limits: Limits,
    /// Whose signature is needed.
    pub signature: SignaturePolicy,
    /// Which review is needed.
    pub review: ReviewPolicy,
    /// How deep that review must go at least.
    pub review_level: ReviewLevel,
    /// Whether an extension must be registered.
    pub registration: RegistrationPolicy,
    /// The highest vulnerability score, of 100, that may run.
    pub max_vulnerability_score: u8,
    /// How many days a check for known vulnerabilities holds.
    pub vulnerability_check_days: u32,
    /// What follows when it does not hold any more.
    pub vulnerability_check: CheckPolicy,
    /// Whether a bundle must have a bill of materials.
    pub sbom: SbomPolicy,
    /// Whether `"*"` is allowed as a domain.
    pub any_domain: bool,
    /// Whether a host that a manifest names may have a private address.
    pub private_addresses: bool,
    /// The bounds of the network.
    pub network: NetworkLimits,
    /// Whether memory files may be executed (`vm.memfd_noexec` stays off).
    pub memfd_exec: bool,
    /// The groups of system calls that are allowed, by file name without `.toml`.
    pub seccomp: Cow<'static, [Cow<'static, str>]>,
    /// Host folders that files may be asked for beneath, each with a slash at the end; `{id}` is the extension's id.
    pub file_roots: Cow<'static, [Cow<'static, str>]>,
    /// The permissions that may be granted.
    pub permissions: Cow<'static, [Permission]>,
}
