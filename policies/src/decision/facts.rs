//! What was found out about an extension, or not.

use schemars::JsonSchema;
use serde::Serialize;

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
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
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

/// What is known about a bundle's bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TrustFacts {
    /// Whose signature it carries. An invalid one is an error before any decision.
    pub signature: Evaluated<Signer>,
}

/// What the host decided about an extension.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RegistryFacts {
    /// Whether it is registered and enabled.
    pub registration: Evaluated<Registration>,
    /// Whether this version is approved.
    pub review: Evaluated<Review>,
    /// Its vulnerability score, of 100.
    pub vulnerability_score: Evaluated<u8>,
}

/// An extension's entry in the registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Registration {
    /// It has none.
    Unknown,
    /// It may run.
    Enabled,
    /// It was switched off.
    Disabled,
}

/// The security review of one version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Review {
    /// There is none, or it is under way.
    Pending,
    /// It may run.
    Approved,
    /// It may not run.
    Rejected,
}
