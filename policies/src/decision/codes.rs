//! The stable codes of violated policies.

use serde::Serialize;

/// A code of a violated policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PolicyCode {
    /// Kebab-case, stable.
    pub code: &'static str,
    /// What it means, in one sentence.
    pub meaning: &'static str,
    /// What it does to a run.
    pub effect: Effect,
    /// What the extension's author should do.
    pub advice: &'static str,
}

/// What a violated policy does to a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// It is refused.
    Refuses,
    /// It is refused, but for a development run (`--dev`).
    WaivedByDev,
    /// It goes on without what the policy denies.
    Withholds,
}

macro_rules! policy_codes {
    ($($name:ident = $text:literal, $effect:ident, $doc:literal, $advice:literal;)+) => {
        /// The codes of violated policies, by name.
        pub mod code {
            $(#[doc = $doc] pub const $name: &str = $text;)+
        }

        /// Every code of a violated policy.
        pub const CODES: &[PolicyCode] = &[
            $(PolicyCode { code: $text, meaning: $doc, effect: Effect::$effect, advice: $advice },)+
        ];

        /// Whether a development run waives the code.
        pub(super) fn waivable(code: &str) -> bool {
            let effect = match code { $($text => Effect::$effect,)+ _ => Effect::Refuses };
            effect == Effect::WaivedByDev
        }
    };
}

policy_codes! {
    SIGNATURE_NOT_EVALUATED = "signature-not-evaluated", WaivedByDev, "The tier needs a signature, and none was looked at.",
        "Sign the bundle; with `--dev` it runs unsigned on an author's machine.";
    SIGNATURE_INSUFFICIENT = "signature-insufficient", WaivedByDev, "The signature is of a lower kind than the tier needs.",
        "Have the bundle signed by a publisher or issuer of the kind that the tier needs.";
    SIGNATURE_STRIPPED = "signature-stripped", Refuses, "The extension was registered with a better signature than this bundle has.",
        "Deliver the bundle as it was signed; a new release must be signed as well as the registered one.";
    REVIEW_NOT_EVALUATED = "review-not-evaluated", WaivedByDev, "The tier needs a review, and none was looked at.",
        "Have this version reviewed; with `--dev` it runs unreviewed on an author's machine.";
    REVIEW_MISSING = "review-missing", WaivedByDev, "This version has no approved review.",
        "Ask for a review of exactly this version: each version needs its own.";
    REVIEW_REJECTED = "review-rejected", Refuses, "The review of this version rejected it.",
        "Read the review, correct what it names, and release a new version.";
    REVIEW_REVOKED = "review-revoked", Refuses, "The approval of this version was taken back.",
        "Read why, correct it, and release a new version.";
    REVIEW_EXPIRED = "review-expired", WaivedByDev, "The approval of this version has ended.",
        "Ask for a new review of this version.";
    REVIEW_LEVEL = "review-level", WaivedByDev, "The review of this version did not go as deep as the tier asks.",
        "Ask for a review at the level that the tier names.";
    REGISTRY_NOT_EVALUATED = "registry-not-evaluated", WaivedByDev, "Nobody looked whether the host has decided about the extension.",
        "Ask the operator to register the extension; with `--dev` it runs without.";
    NOT_REGISTERED = "not-registered", WaivedByDev, "The registry does not know the extension.",
        "Ask the operator to register the extension; with `--dev` it runs without.";
    BUNDLE_NOT_EVALUATED = "bundle-not-evaluated", WaivedByDev, "Nobody looked whether it is the bundle that was registered.",
        "Pack the bundle with `sandboxctl pack`, so that it has a list of its files; with `--dev` it runs without.";
    BUNDLE_NOT_REGISTERED = "bundle-not-registered", WaivedByDev, "The registry knows the extension, but not this version.",
        "Ask the operator to register this version.";
    BUNDLE_DIFFERS = "bundle-differs", Refuses, "Another bundle was registered under this name and version.",
        "Publish changed bytes under a new version, always.";
    BUNDLE_ROLLBACK = "bundle-rollback", Refuses, "A later version was approved before.",
        "Release the old code under a higher version.";
    TIER_BELOW_REGISTERED = "tier-below-registered", Refuses, "It claims a lower tier than the extension was registered for.",
        "Claim the registered tier, or ask the operator to register this version.";
    EXTENSION_DISABLED = "extension-disabled", Refuses, "The extension was switched off.",
        "Ask the operator why, and to enable it again.";
    EXTENSION_AUTO_DISABLED = "extension-auto-disabled", Refuses, "A critical vulnerability switched the extension off.",
        "Release a version without the critical vulnerability and have it registered.";
    EXTENSION_REVIEW_REQUIRED = "extension-review-required", Refuses, "A vulnerability must be reviewed before the extension may run.",
        "Release a version without the vulnerability, or ask for the review.";
    REGISTRATION_EXPIRED = "registration-expired", Refuses, "The registration has ended.",
        "Ask the operator to prolong the registration.";
    VULNERABILITY_NOT_EVALUATED = "vulnerability-not-evaluated", WaivedByDev, "Nobody looked for known vulnerabilities.",
        "Ask the operator to check this version for known vulnerabilities; with `--dev` it runs unchecked.";
    VULNERABILITY_SCORE = "vulnerability-score", Refuses, "Its vulnerability score is higher than the tier allows.",
        "Update the dependencies that carry known vulnerabilities and have the new version scanned.";
    VULNERABILITY_CHECK_OVERDUE = "vulnerability-check-overdue", WaivedByDev, "The check for known vulnerabilities is overdue.",
        "Ask the operator to import fresh advisories and to check again.";
    SBOM_MISSING = "sbom-missing", WaivedByDev, "The tier asks for a bill of materials, and the bundle has none.",
        "Put `sbom.cdx.json` (CycloneDX) into the bundle.";
    PERMISSION_DENIED_BY_HOST = "permission-denied-by-host", Withholds, "The host denies a permission.",
        "Work without the permission, or ask the operator to grant it.";
    PERMISSION_ABOVE_TIER = "permission-above-tier", Refuses, "It asks for a permission that its tier does not have.",
        "Take the permission out of `[permissions] request`, or move to a tier that has it.";
    ISOLATION_UNAVAILABLE = "isolation-unavailable", Refuses, "It asks for an isolation level that does not exist yet.",
        "Write `isolation = \"full\"`, or leave the key out.";
    ANY_DOMAIN_ABOVE_TIER = "any-domain-above-tier", Refuses, "It asks for every domain, which its tier does not have.",
        "Name the domains one by one in `[network] allow`.";
    PRIVATE_ADDRESSES_ABOVE_TIER = "private-addresses-above-tier", Refuses, "It asks for hosts with private addresses, which its tier does not have.",
        "Take `addresses = \"private\"` out of the rule, or move to a tier that has it.";
    NETWORK_WITHOUT_PERMISSION = "network-without-permission", Refuses, "It asks for domains without a permission that gives any network.",
        "Request a permission that gives a network, `EXTERNAL_API_CALLS` for example, or take the domains out.";
    FILES_WITHOUT_PERMISSION = "files-without-permission", Refuses, "It asks for host files without `FILE_DOWNLOAD` or `FILE_UPLOAD`.",
        "Request `FILE_DOWNLOAD` to read or `FILE_UPLOAD` to write, or take the files out.";
    FILES_OUTSIDE_ROOTS = "files-outside-roots", Refuses, "It asks for host files outside the folders of its tier.",
        "Ask only for files beneath the folders that `explain` names.";
    TIER_LIMIT_EXCEEDED = "tier-limit-exceeded", Refuses, "It asks for a higher limit than its tier gives.",
        "Lower the value in `[limits]`, or leave it out to get the tier's.";
}
