//! The signer's certificate is one for signing code: what webpki does not check.

use std::time::Duration;

use x509_cert::ext::pkix::{KeyUsage, KeyUsages};

use super::super::asn1::oid;
use super::super::certificate::Certificate;
use super::super::code::{self, Refusal};
use super::check::{CheckName, Checks};

/// The customer's minimum, in all: not_after - not_before.
pub(in super::super) const SHORTEST_LIFETIME: Duration = Duration::from_hours(90 * 24);

/// What is wrong with the key.
pub(in super::super) fn key(leaf: &Certificate) -> Vec<Refusal> {
    leaf.key().err().into_iter().collect()
}

/// What is wrong with the certificate. One that vouches for itself may be what `openssl req -x509` makes: of an authority,
/// and without key usage.
pub(in super::super) fn profile(leaf: &Certificate, lenient: bool, checks: &mut Checks) {
    let name = CheckName::Profile;
    if leaf.is_ca {
        let reason = format!("the certificate of {} says CA:TRUE", leaf.subject());
        checks.judge(name, lenient, Refusal::new(code::CERTIFICATE_IS_CA, reason));
    }
    if leaf.lifetime() < SHORTEST_LIFETIME {
        let days = leaf.lifetime().as_secs() / 86_400;
        let reason = format!("the certificate is valid for {days} days in all");
        checks.failed(name, Refusal::new(code::CERTIFICATE_LIFETIME, reason));
    }
    match &leaf.key_usage {
        None => {
            let reason = "the certificate has no key usage";
            checks.judge(name, lenient, Refusal::new(code::KEY_USAGE_MISSING, reason));
        }
        Some(KeyUsage(usages)) if *usages != KeyUsages::DigitalSignature => {
            let reason = format!("the key usage is {usages:?}");
            checks.failed(name, Refusal::new(code::KEY_USAGE_WRONG, reason));
        }
        Some(_) => {}
    }
    match leaf.purposes.as_deref() {
        None | Some([]) => {
            let reason = "the certificate has no extended key usage";
            checks.judge(name, lenient, Refusal::new(code::EXTENDED_KEY_USAGE_MISSING, reason));
        }
        Some(purposes) if purposes.contains(&oid::ANY_EXTENDED_KEY_USAGE) => {
            let reason = "the extended key usage is anyExtendedKeyUsage";
            checks.failed(name, Refusal::new(code::EXTENDED_KEY_USAGE_ANY, reason));
        }
        Some(purposes)
            if !purposes.contains(&oid::CODE_SIGNING)
                || purposes.iter().any(|purpose| oid::OTHER_PURPOSES.contains(purpose)) =>
        {
            let shown: Vec<String> = purposes.iter().map(ToString::to_string).collect();
            let reason = format!("the extended key usage is {}", shown.join(" and "));
            checks.failed(name, Refusal::new(code::EXTENDED_KEY_USAGE_WRONG, reason));
        }
        Some(_) => {}
    }
    if let Some(extension) = leaf.unknown_critical {
        let reason = format!("the certificate has the critical extension {extension}");
        checks.failed(name, Refusal::new(code::CERTIFICATE_CRITICAL_EXTENSION, reason));
    }
    checks.pass_if_silent(name);
}
