//! The stable codes of violated policies.

macro_rules! policy_codes {
    ($($name:ident = $text:literal, $dev:literal, $doc:literal;)+) => {
        /// The codes of violated policies, by name.
        pub mod code {
            $(#[doc = $doc] pub const $name: &str = $text;)+
        }

        /// Every code of a violated policy with what it means.
        pub const CODES: &[(&str, &str)] = &[$(($text, $doc),)+];

        /// Whether a development run waives the code.
        pub(super) fn waivable(code: &str) -> bool {
            match code { $($text => $dev,)+ _ => false }
        }
    };
}

policy_codes! {
    SIGNATURE_NOT_EVALUATED = "signature-not-evaluated", true, "The tier needs a signature, and none was looked at.";
    SIGNATURE_INSUFFICIENT = "signature-insufficient", true, "The signature is of a lower kind than the tier needs.";
    SIGNATURE_STRIPPED = "signature-stripped", false, "The extension was registered with a better signature than this bundle has.";
    REVIEW_NOT_EVALUATED = "review-not-evaluated", true, "The tier needs a review, and none was looked at.";
    REVIEW_MISSING = "review-missing", true, "This version has no approved review.";
    REVIEW_REJECTED = "review-rejected", false, "The review of this version rejected it.";
    REVIEW_REVOKED = "review-revoked", false, "The approval of this version was taken back.";
    REVIEW_EXPIRED = "review-expired", true, "The approval of this version has ended.";
    REVIEW_LEVEL = "review-level", true, "The review of this version did not go as deep as the tier asks.";
    REGISTRY_NOT_EVALUATED = "registry-not-evaluated", true, "Nobody looked whether the host has decided about the extension.";
    NOT_REGISTERED = "not-registered", true, "The registry does not know the extension.";
    BUNDLE_NOT_EVALUATED = "bundle-not-evaluated", true, "Nobody looked whether it is the bundle that was registered.";
    BUNDLE_NOT_REGISTERED = "bundle-not-registered", true, "The registry knows the extension, but not this version.";
    BUNDLE_DIFFERS = "bundle-differs", false, "Another bundle was registered under this name and version.";
    BUNDLE_ROLLBACK = "bundle-rollback", false, "A later version was approved before.";
    TIER_BELOW_REGISTERED = "tier-below-registered", false, "It claims a lower tier than the extension was registered for.";
    EXTENSION_DISABLED = "extension-disabled", false, "The extension was switched off.";
    EXTENSION_AUTO_DISABLED = "extension-auto-disabled", false, "A critical vulnerability switched the extension off.";
    EXTENSION_REVIEW_REQUIRED = "extension-review-required", false, "A vulnerability must be reviewed before the extension may run.";
    REGISTRATION_EXPIRED = "registration-expired", false, "The registration has ended.";
    VULNERABILITY_NOT_EVALUATED = "vulnerability-not-evaluated", true, "Nobody looked for known vulnerabilities.";
    VULNERABILITY_SCORE = "vulnerability-score", false, "Its vulnerability score is higher than the tier allows.";
    VULNERABILITY_CHECK_OVERDUE = "vulnerability-check-overdue", true, "The check for known vulnerabilities is overdue.";
    SBOM_MISSING = "sbom-missing", true, "The tier asks for a bill of materials, and the bundle has none.";
    PERMISSION_DENIED_BY_HOST = "permission-denied-by-host", false, "The host denies a permission; it does not refuse the run.";
    PERMISSION_ABOVE_TIER = "permission-above-tier", false, "It asks for a permission that its tier does not have.";
    ISOLATION_UNAVAILABLE = "isolation-unavailable", false, "It asks for an isolation level that does not exist yet.";
    ANY_DOMAIN_ABOVE_TIER = "any-domain-above-tier", false, "It asks for every domain, which its tier does not have.";
    PRIVATE_ADDRESSES_ABOVE_TIER = "private-addresses-above-tier", false, "It asks for hosts with private addresses, which its tier does not have.";
    NETWORK_WITHOUT_PERMISSION = "network-without-permission", false, "It asks for domains without a permission that gives any network.";
    FILES_WITHOUT_PERMISSION = "files-without-permission", false, "It asks for host files without `FILE_DOWNLOAD` or `FILE_UPLOAD`.";
    FILES_OUTSIDE_ROOTS = "files-outside-roots", false, "It asks for host files outside the folders of its tier.";
    TIER_LIMIT_EXCEEDED = "tier-limit-exceeded", false, "It asks for a higher limit than its tier gives.";
}
