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
    REVIEW_NOT_EVALUATED = "review-not-evaluated", true, "The tier needs a review, and none was looked at.";
    REVIEW_MISSING = "review-missing", true, "This version has no approved review.";
    REVIEW_REJECTED = "review-rejected", false, "The review of this version rejected it.";
    NOT_REGISTERED = "not-registered", true, "The registry does not know the extension.";
    EXTENSION_DISABLED = "extension-disabled", false, "The extension was switched off.";
    VULNERABILITY_SCORE = "vulnerability-score", false, "Its vulnerability score is higher than the tier allows.";
    PERMISSION_ABOVE_TIER = "permission-above-tier", false, "It asks for a permission that its tier does not have.";
    ISOLATION_UNAVAILABLE = "isolation-unavailable", false, "It asks for an isolation level that does not exist yet.";
    ANY_DOMAIN_ABOVE_TIER = "any-domain-above-tier", false, "It asks for every domain, which its tier does not have.";
    PRIVATE_ADDRESSES_ABOVE_TIER = "private-addresses-above-tier", false, "It asks for hosts with private addresses, which its tier does not have.";
    NETWORK_WITHOUT_PERMISSION = "network-without-permission", false, "It asks for domains without a permission that gives any network.";
    FILES_WITHOUT_PERMISSION = "files-without-permission", false, "It asks for host files without `FILE_DOWNLOAD` or `FILE_UPLOAD`.";
    FILES_OUTSIDE_ROOTS = "files-outside-roots", false, "It asks for host files outside the folders of its tier.";
    TIER_LIMIT_EXCEEDED = "tier-limit-exceeded", false, "It asks for a higher limit than its tier gives.";
}
