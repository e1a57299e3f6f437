//! The stable codes of everything that verification can find wrong, each with its meaning and its remedy.

use serde::Serialize;

/// A code, what it means and what to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Code {
    /// Stable, kebab-case.
    pub name: &'static str,
    /// What it means, one sentence.
    pub meaning: &'static str,
    /// What to do about it; lower case, no full stop.
    pub remedy: &'static str,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Refusal {
    /// One of [`CODES`], or a code of the file check that was handed in.
    pub code: &'static str,
    /// What was found; lower case, no full stop.
    pub reason: String,
    /// What to do about it.
    pub remedy: &'static str,
}

impl Refusal {
    /// With the remedy that the code has.
    pub(super) fn new(code: Code, reason: impl Into<String>) -> Self {
        Self { code: code.name, reason: reason.into(), remedy: code.remedy }
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.code, self.reason)
    }
}

macro_rules! codes {
    ($($name:ident = $text:literal, $meaning:literal, $remedy:literal;)+) => {
        $(
            #[doc = $meaning]
            pub const $name: Code = Code { name: $text, meaning: $meaning, remedy: $remedy };
        )+

        /// Every code.
        pub const CODES: &[Code] = &[$($name,)+];
    };
}

codes! {
    SIGNATURE_ABSENT = "signature-absent", "There is no MANIFEST.p7s, and the tier needs one.",
        "have its publisher sign it: sandboxctl sign DIR --key KEY --cert CHAIN";
    SIGNATURE_MALFORMED = "signature-malformed", "MANIFEST.p7s is not a DER encoded CMS SignedData of the profile.",
        "sign again with sandboxctl sign, or with openssl cms -sign -binary -outform DER -md sha256";
    SIGNATURE_NOT_DETACHED = "signature-not-detached", "The signature carries a content of its own beside MANIFEST.",
        "sign again without the content: openssl cms -sign without -nodetach";
    SIGNATURE_SIGNERS = "signature-signers", "There is not exactly one signer.",
        "sign again with one key";
    SIGNATURE_CONTENT_TYPE = "signature-content-type", "What was signed says that it is something else than plain data.",
        "sign again with sandboxctl sign";
    SIGNATURE_ATTRIBUTES = "signature-attributes", "The signed attributes content type and message digest are missing, or stand twice.",
        "sign again without openssl's -noattr";
    SIGNATURE_WEAK_DIGEST = "signature-weak-digest", "The signature uses another hash than SHA-256.",
        "sign again with -md sha256";
    SIGNATURE_RSA_PSS = "signature-rsa-pss", "The signature is RSASSA-PSS; the profile is SHA256withRSA (PKCS#1 v1.5).",
        "sign again without rsa_padding_mode:pss";
    SIGNATURE_ALGORITHM = "signature-algorithm", "The signature is of an algorithm that is not SHA256withRSA.",
        "sign again with an RSA key and SHA-256";
    SIGNATURE_DIGEST = "signature-digest", "MANIFEST is not the one that was signed.",
        "fetch the bundle again; its publisher: sign again after every change";
    SIGNATURE_INVALID = "signature-invalid", "The signature was not made by the key of the signer's certificate.",
        "fetch the bundle again; its publisher: sign with the key that the certificate is for";
    SIGNER_CERTIFICATE_MISSING = "signer-certificate-missing", "The signature does not contain its signer's certificate.",
        "sign again without openssl's -nocerts";
    SIGNER_CERTIFICATE_OTHER = "signer-certificate-other", "The signature was made for another certificate (signing-certificate-v2 attribute).",
        "sign again with sandboxctl sign";
    CERTIFICATE_MALFORMED = "certificate-malformed", "A certificate is not one of X.509 v3 in DER.",
        "ask the issuer for a well-formed certificate";
    KEY_NOT_RSA = "key-not-rsa", "The key of a certificate is not an RSA key.",
        "use an RSA key of 2048 to 8192 bits: sandboxctl keygen";
    KEY_TOO_SHORT = "key-too-short", "The RSA key is shorter than 2048 bits.",
        "use a key of 3072 bits: sandboxctl keygen";
    KEY_TOO_LONG = "key-too-long", "The RSA key is longer than 8192 bits.",
        "use a key of 3072 bits: sandboxctl keygen";
    KEY_EXPONENT = "key-exponent", "The public exponent is even, below 65537 or above 33 bits.",
        "use a key with the exponent 65537: sandboxctl keygen";
    KEY_DENIED = "key-denied", "The host's deny list has the signer's key.",
        "do not run it: the operator has reasons against this key; sandboxctl trust list";
    DIGEST_DENIED = "digest-denied", "The host's deny list has this bundle.",
        "do not run it: the operator has reasons against this bundle; sandboxctl trust list";
    CERTIFICATE_WEAK_DIGEST = "certificate-weak-digest", "A certificate was signed with another hash than SHA-256.",
        "have the certificate issued with SHA-256";
    CERTIFICATE_ALGORITHM = "certificate-algorithm", "A certificate was signed with something else than SHA256withRSA.",
        "have the certificate issued by an RSA key with PKCS#1 v1.5";
    CERTIFICATE_CRITICAL_EXTENSION = "certificate-critical-extension", "A certificate has a critical extension that nobody here understands.",
        "have the certificate issued without it";
    CERTIFICATE_IS_CA = "certificate-is-ca", "The signer's certificate is one of an authority.",
        "sign with a certificate that says CA:FALSE";
    CERTIFICATE_LIFETIME = "certificate-lifetime", "The certificate is valid for less than 90 days in all.",
        "have a certificate issued for 90 days or more: sandboxctl ca issue --days 365";
    KEY_USAGE_MISSING = "key-usage-missing", "The certificate does not say what its key is for.",
        "have a certificate issued with the critical key usage digitalSignature";
    KEY_USAGE_WRONG = "key-usage-wrong", "The key usage is not digitalSignature alone.",
        "have a certificate issued with the critical key usage digitalSignature and no other";
    EXTENDED_KEY_USAGE_MISSING = "extended-key-usage-missing", "The certificate has no extended key usage.",
        "have a certificate issued with the extended key usage codeSigning";
    EXTENDED_KEY_USAGE_WRONG = "extended-key-usage-wrong", "The extended key usage is not codeSigning, or is also one of TLS, mail or time stamps.",
        "have a certificate issued with the extended key usage codeSigning";
    EXTENDED_KEY_USAGE_ANY = "extended-key-usage-any", "The extended key usage allows everything.",
        "have a certificate issued with the extended key usage codeSigning";
    SELF_SIGNED = "self-signed", "The certificate vouches for itself.",
        "sign with a certificate of a trusted issuer; self-signed is enough for tier community only";
    ISSUER_UNTRUSTED = "issuer-untrusted", "The chain ends at no issuer that this host trusts.",
        "add the root if it deserves it: sandboxctl trust add issuer ROOT.pem; or sign with a certificate of a trusted issuer";
    CHAIN_TOO_LONG = "chain-too-long", "There are more than three certificates from the signer to the root.",
        "have the certificate issued by an intermediate directly below the root";
    CHAIN_LOOP = "chain-loop", "The certificates issue each other in a circle.",
        "put the signer's certificate and its one intermediate into the signature";
    CHAIN_INVALID = "chain-invalid", "A certificate was not issued by the one that it names, or by one that may not issue it.",
        "have the certificate issued again, and put its own intermediate into the signature";
    CERTIFICATE_NOT_YET_VALID = "certificate-not-yet-valid", "A certificate of the chain is not valid yet.",
        "wait, or check the clock of this host";
    CERTIFICATE_EXPIRED = "certificate-expired", "A certificate of the chain is not valid any more.",
        "its publisher: have a new certificate issued and sign again";
    CERTIFICATE_REVOKED = "certificate-revoked", "The issuer has revoked a certificate of the chain.",
        "do not run it; its publisher: have a new certificate issued for a new key and sign again";
    CRL_MISSING = "crl-missing", "There is no revocation list of an issuer of the chain.",
        "get it from the issuer: sandboxctl trust add crl FILE";
    CRL_STALE = "crl-stale", "The revocation list of an issuer is past its next update.",
        "get a fresh one from the issuer: sandboxctl trust add crl FILE";
    CRL_INVALID = "crl-invalid", "A revocation list is not signed by its issuer, or of a kind that cannot be used.",
        "get it again from the issuer, and remove this one: sandboxctl trust remove crl ID";
    CLOCK_WRONG = "clock-wrong", "The clock of this host is before a moment that has certainly passed.",
        "set the clock, and keep it right with NTP";
    PUBLISHER_UNKNOWN = "publisher-unknown", "The host knows no such publisher, and the tier needs a verified one.",
        "after checking who they are: sandboxctl trust add publisher ID --status verified --key SHA256";
    PUBLISHER_UNVERIFIED = "publisher-unverified", "The host has not verified the publisher, and the tier needs a verified one.",
        "after checking who they are: sandboxctl trust add publisher ID --status verified --key SHA256";
    PUBLISHER_SUSPENDED = "publisher-suspended", "The operator has suspended the publisher.",
        "ask the operator why";
    PUBLISHER_KEY = "publisher-key", "The publisher has pinned keys, and the signer's is none of them.",
        "ask the publisher; if it is their new key: sandboxctl trust add publisher ID --key SHA256";
    PUBLISHER_OTHER = "publisher-other", "The certificate was issued to another organisation than the publisher.",
        "pin the key if it is the publisher's: sandboxctl trust add publisher ID --key SHA256";
    MANIFEST_MALFORMED = "manifest-malformed", "MANIFEST does not begin as such a file does.",
        "write it again: sandboxctl sign DIR";
    ID_OTHER = "id-other", "What was signed is another extension than extension.toml says.",
        "fetch the bundle again; its publisher: sign again after changing the id";
    VERSION_OTHER = "version-other", "What was signed is another version than extension.toml says.",
        "fetch the bundle again; its publisher: sign again after changing the version";
    PUBLISHER_NOT_OF_ID = "publisher-not-of-id", "The id does not begin with the publisher.",
        "the id is publisher.name";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_distinct_and_read_like_the_others() {
        let mut names: Vec<_> = CODES.iter().map(|code| code.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), CODES.len());
        for code in CODES {
            assert!(code.name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-')));
            assert!(code.meaning.ends_with('.') && !code.remedy.ends_with('.'), "{}", code.name);
        }
    }
}
