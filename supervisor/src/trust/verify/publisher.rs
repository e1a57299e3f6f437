//! The signer may sign for the publisher whom the bundle names.

use policies::tier::Tier;

use super::super::anchors::{PublisherStatus, TrustStore};
use super::super::certificate::Certificate;
use super::super::code::{self, Refusal};
use super::check::{CheckName, Checks};
use super::{Claim, Trust};

/// Whether the host knows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// Not so that a tier could depend on it.
    Not,
    /// They were verified, and the key is theirs.
    Verified,
}

const NAME: CheckName = CheckName::Publisher;

/// Checks it.
///
/// A pinned key is theirs. Without pins, a trusted issuer has to say that the certificate is theirs, by the organisation in
/// its subject: every other publisher with a certificate of that issuer could sign for them otherwise.
pub(super) fn check(
    leaf: &Certificate,
    trust: Trust,
    claim: &Claim<'_>,
    anchors: &TrustStore,
    checks: &mut Checks,
) -> Known {
    let Ok(publisher) = anchors.publisher(claim.publisher) else {
        checks.not_evaluated(NAME, "nobody has looked for the publisher");
        return Known::Not;
    };
    let status = publisher.map(|publisher| publisher.status);
    let pins = publisher.map_or(&[][..], |publisher| &publisher.keys);
    let pinned = pins.contains(&leaf.spki_sha256());
    let needed = claim.tier == Tier::Enterprise;
    let id = claim.publisher;
    match status {
        Some(PublisherStatus::Suspended) => checks.failed(NAME, suspension(id)),
        Some(PublisherStatus::Unverified) => {
            let reason = format!("nobody has verified the publisher {id:?}");
            checks.judge(NAME, !needed, Refusal::new(code::PUBLISHER_UNVERIFIED, reason));
        }
        None => {
            let reason = format!("the host knows no publisher {id:?}");
            checks.judge(NAME, !needed, Refusal::new(code::PUBLISHER_UNKNOWN, reason));
        }
        Some(PublisherStatus::Verified) => {}
    }
    if !pins.is_empty() && !pinned {
        let reason = format!("the key {} is not pinned to {id:?}", leaf.spki_sha256());
        checks.failed(NAME, Refusal::new(code::PUBLISHER_KEY, reason));
    }
    if pins.is_empty() && trust != Trust::SelfSigned {
        let organisations = leaf.organisations();
        if !organisations.iter().any(|organisation| organisation == id) {
            let of = if organisations.is_empty() {
                "nobody".to_owned()
            } else {
                organisations.join(", ")
            };
            let reason =
                format!("the certificate was issued to {of:?}, and the publisher is {id:?}");
            checks.failed(NAME, Refusal::new(code::PUBLISHER_OTHER, reason));
        }
    }
    checks.pass_if_silent(NAME);
    if status == Some(PublisherStatus::Verified) && pinned { Known::Verified } else { Known::Not }
}

/// Of an unsigned bundle: a suspended publisher stays suspended.
pub(super) fn suspended(claim: &Claim<'_>, anchors: &TrustStore, checks: &mut Checks) {
    match anchors.publisher(claim.publisher) {
        Err(()) => checks.not_evaluated(NAME, "nobody has looked for the publisher"),
        Ok(Some(publisher)) if publisher.status == PublisherStatus::Suspended => {
            checks.failed(NAME, suspension(claim.publisher));
        }
        Ok(_) => {}
    }
}

fn suspension(id: &str) -> Refusal {
    Refusal::new(code::PUBLISHER_SUSPENDED, format!("the publisher {id:?} is suspended"))
}
