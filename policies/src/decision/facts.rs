//! What was found out about an extension, or not.

use schemars::JsonSchema;
use semver::Version;
use serde::{Deserialize, Serialize};

use super::PolicyViolation;
use crate::digest::Digest;
use crate::permission::Permission;
use crate::tier::Tier;
use crate::vulnerability::Severity;

/// A fact about an extension that somebody had to look up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Evaluated<T> {
    /// Nobody looked: nothing may be concluded from it.
    #[default]
    NotEvaluated,
    /// What was found.
    Found(T),
}

/// Whose signature a bundle carries, verified.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Signer {
    /// Nobody's.
    Unsigned,
    /// Of a certificate that vouches for itself.
    SelfSigned,
    /// Of a certificate of a trusted issuer.
    TrustedIssuer,
    /// Of a publisher that the host has verified.
    VerifiedPublisher,
}

impl Signer {
    /// Every kind, from the least.
    pub const ALL: [Self; 4] =
        [Self::Unsigned, Self::SelfSigned, Self::TrustedIssuer, Self::VerifiedPublisher];

    /// The name in records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unsigned => "unsigned",
            Self::SelfSigned => "self-signed",
            Self::TrustedIssuer => "trusted-issuer",
            Self::VerifiedPublisher => "verified-publisher",
        }
    }

    /// The kind of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|signer| signer.name() == name)
    }
}

/// What is known about a bundle's bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TrustFacts {
    /// Whose signature it carries; not evaluated where one is there that is not valid.
    pub signature: Evaluated<Signer>,
    /// What is wrong with the signature, or with whom it is of. Nothing waives it.
    pub refusals: Vec<PolicyViolation>,
    /// Whose signature it would be, where nothing is wrong with it but that a certificate has expired.
    pub accepted_if_expired: Option<Signer>,
}

/// What the host decided about an extension. Times are RFC 3339, UTC.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RegistryFacts {
    /// Whether it is registered and enabled.
    pub registration: Evaluated<Registration>,
    /// Whether it is this bundle that was registered.
    pub bundle: Evaluated<BundleFact>,
    /// Whose signature these very bytes carried when they were registered; none where they were not.
    pub accepted: Option<Signer>,
    /// The best signature that a registered bundle of the extension carried; `None` where there is no such bundle.
    pub signed_before: Evaluated<Option<Signer>>,
    /// Whether this bundle is approved.
    pub review: Evaluated<Review>,
    /// The vulnerability score of this version, of 100.
    pub vulnerability_score: Evaluated<u8>,
    /// Whether this bundle was checked for vulnerabilities, and when.
    pub vulnerability_check: Evaluated<Check>,
    /// Permissions that the host denies, with the reasons.
    pub denied: Evaluated<Vec<HostDenial>>,
    /// Findings that count against this version.
    pub findings: Vec<FindingFact>,
}

impl RegistryFacts {
    /// Of a registry that was read and knows nothing of the extension.
    #[must_use]
    pub const fn unregistered() -> Self {
        Self {
            registration: Evaluated::Found(Registration::Unknown),
            bundle: Evaluated::Found(BundleFact::Unknown),
            accepted: None,
            signed_before: Evaluated::Found(None),
            review: Evaluated::Found(Review::Pending),
            vulnerability_score: Evaluated::Found(0),
            vulnerability_check: Evaluated::Found(Check::Never),
            denied: Evaluated::Found(Vec::new()),
            findings: Vec::new(),
        }
    }
}

/// An extension's entry in the registry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Registration {
    /// It has none.
    Unknown,
    /// It has one.
    #[serde(rename_all = "camelCase")]
    Known {
        /// The tier that it was registered for.
        tier: Tier,
        /// Whether it may run.
        state: State,
        /// Why it is in this state.
        reason: String,
        /// When the registration ends or ended.
        expires: Option<Expiry>,
    },
}

/// Whether a registered extension may run.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It may.
    Enabled,
    /// Somebody switched it off.
    Disabled,
    /// A critical vulnerability switched it off.
    AutoDisabled,
    /// A vulnerability must be looked at first.
    ReviewRequired,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 4] =
        [Self::Enabled, Self::Disabled, Self::AutoDisabled, Self::ReviewRequired];

    /// The name in records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Enabled => "enabled",
            Self::Disabled => "disabled",
            Self::AutoDisabled => "auto-disabled",
            Self::ReviewRequired => "review-required",
        }
    }

    /// The state of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }
}

/// The end of something that holds for a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Expiry {
    /// It holds.
    Later {
        /// Until then.
        at: String,
        /// Whole days from now.
        days: u32,
    },
    /// It is over.
    Past {
        /// Since then.
        at: String,
    },
}

/// How a bundle relates to those that were registered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BundleFact {
    /// The registry knows no bundle of this version.
    Unknown,
    /// It is the registered one.
    Registered {
        /// Whether it has a bill of materials.
        sbom: bool,
    },
    /// Another bundle was registered under this version, or this one under another extension or version.
    Differs {
        /// The digest that was registered under this version.
        registered: Option<Digest>,
    },
    /// A later version was approved before.
    OlderThanApproved {
        /// Which.
        approved: Version,
    },
}

/// How deep a security review went.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ReviewLevel {
    /// By anybody.
    Public,
    /// By the host's own people.
    Internal,
    /// By people who may see restricted data.
    Restricted,
    /// As for critical systems.
    Critical,
}

impl ReviewLevel {
    /// Every level, from the least.
    pub const ALL: [Self; 4] = [Self::Public, Self::Internal, Self::Restricted, Self::Critical];

    pub(crate) const WORDS: [(&'static str, Self); 4] = [
        ("public", Self::Public),
        ("internal", Self::Internal),
        ("restricted", Self::Restricted),
        ("critical", Self::Critical),
    ];

    /// The name in records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Public => "PUBLIC",
            Self::Internal => "INTERNAL",
            Self::Restricted => "RESTRICTED",
            Self::Critical => "CRITICAL",
        }
    }

    /// The level of that name, in any case.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.name().eq_ignore_ascii_case(name))
    }
}

/// The security review of one bundle: the latest word of its reviewers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Review {
    /// There is none.
    Pending,
    /// One was asked for.
    Requested,
    /// It may run.
    Approved {
        /// How deep the review went.
        level: ReviewLevel,
        /// When the approval ends or ended.
        expires: Option<Expiry>,
    },
    /// It may not run.
    Rejected {
        /// The reviewer's notes.
        notes: String,
    },
    /// It was approved once and is not any more.
    Revoked {
        /// The reviewer's notes.
        notes: String,
    },
}

/// The check of one bundle against known vulnerabilities.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Check {
    /// There was none that counts, and the bundle is not registered.
    Never,
    /// The next one is due.
    #[serde(rename_all = "camelCase")]
    Due {
        /// Seconds from the last one that counts, or from the registration, to now.
        age_seconds: u64,
        /// Whether there was one that counts.
        checked: bool,
        /// Why a later one does not count: the database was too old, or there was none.
        void: Option<String>,
    },
}

/// A permission that the host denies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HostDenial {
    /// Which.
    pub permission: Permission,
    /// Why.
    pub reason: String,
}

/// A finding that counts against a version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FindingFact {
    /// Number in the registry.
    pub id: i64,
    /// A CVE id, the advisory's, or the title.
    pub name: String,
    /// How bad it is.
    pub severity: Severity,
    /// Of 100.
    pub score: u8,
    /// By when it must be remedied.
    pub due: Option<Expiry>,
}
