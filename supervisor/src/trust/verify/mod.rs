//! Whether a bundle is what its publisher signed, and whether this host trusts that publisher: every check with its
//! verdict. What was not evaluated denies; what a tier does not ask for is waived, with the reason, and shown.

mod chain;
mod check;
mod claim;
mod profile;
mod publisher;

use std::time::{Duration, SystemTime};

use policies::decision::{Evaluated, Signer as Kind};
use policies::digest::Digest;
use policies::tier::Tier;
use serde::Serialize;

pub(super) use check::Checks;
pub use check::{Check, CheckName, Integrity, Verdict};

use super::anchors::TrustStore;
use super::certificate::Certificate;
use super::cms::{self, Signed};
use super::code::{self, Refusal};
use crate::bundle::digest::Hashed;

pub(super) use chain::{Trust, evaluate as evaluate_chain};
pub(super) use profile::{SHORTEST_LIFETIME, key, profile};

/// When this binary was built: a clock that is before it is wrong. Seconds of the epoch, from `build.rs`.
const BUILT: &str = env!("SANDBOXCTL_BUILT");

/// What a bundle's `extension.toml` says of itself.
#[derive(Clone, Copy, Debug)]
pub struct Claim<'a> {
    /// `publisher.name`.
    pub id: &'a str,
    /// A semantic version.
    pub version: &'a str,
    /// Who made it.
    pub publisher: &'a str,
    /// Which checks may be waived.
    pub tier: Tier,
}

/// Who signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SignerInfo {
    /// Subject of the certificate, RFC 4514.
    pub subject: String,
    /// SHA-256 of the public key info.
    pub spki_sha256: Digest,
    /// Issuer of the certificate, RFC 4514.
    pub issuer: String,
    /// Serial number, hexadecimal.
    pub serial: String,
    /// Valid from, RFC 3339.
    #[serde(serialize_with = "rfc3339")]
    pub not_before: SystemTime,
    /// Valid until, RFC 3339.
    #[serde(serialize_with = "rfc3339")]
    pub not_after: SystemTime,
    /// When the signer says that they signed; nobody vouches for it.
    #[serde(serialize_with = "maybe_rfc3339")]
    pub signing_time: Option<SystemTime>,
    /// What was proven of them. [`Kind::Unsigned`] unless every check of the signature passed.
    pub kind: Kind,
}

/// Every check with its verdict, and what follows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Verification {
    /// Whether every check passed or is waived by the tier.
    pub valid: bool,
    /// Who signed, as far as the signature could be read.
    pub signer: Option<SignerInfo>,
    /// In the order of [`CheckName`]; one that fails for several reasons stands several times.
    pub checks: Vec<Check>,
    /// See [`Verification::but_for_expiry`].
    #[serde(skip)]
    but_for_expiry: Option<Kind>,
}

impl Verification {
    /// Whose signature it is, for the decision; not evaluated unless [`Verification::valid`].
    #[must_use]
    pub fn kind(&self) -> Evaluated<Kind> {
        if self.valid {
            Evaluated::Found(self.signer.as_ref().map_or(Kind::Unsigned, |signer| signer.kind))
        } else {
            Evaluated::NotEvaluated
        }
    }

    /// Whose signature it would be, where nothing is wrong but that a certificate has expired: what was accepted while it
    /// was valid may be accepted further, and that is for the registry to decide.
    #[must_use]
    pub const fn but_for_expiry(&self) -> Option<Kind> {
        self.but_for_expiry
    }

    /// Whether there is a signature, valid or not.
    #[must_use]
    pub fn is_signed(&self) -> bool {
        let absent = |refusal: &Refusal| refusal.code == code::SIGNATURE_ABSENT.name;
        !self.checks.iter().any(|check| match &check.verdict {
            Verdict::Failed(refusal) | Verdict::Waived(refusal) => absent(refusal),
            _ => false,
        })
    }

    /// Everything that is wrong.
    pub fn failures(&self) -> impl Iterator<Item = &Refusal> {
        self.checks.iter().filter_map(|check| match &check.verdict {
            Verdict::Failed(refusal) => Some(refusal),
            _ => None,
        })
    }
}

/// Verifies a bundle's `MANIFEST` against its signature, what it claims, and what the host trusts, at the time `now`.
///
/// `integrity` is what was found out about the files that `MANIFEST` lists.
#[must_use]
pub fn verify(
    manifest: &Hashed,
    p7s: Option<&[u8]>,
    claim: &Claim<'_>,
    integrity: Integrity,
    anchors: &TrustStore,
    now: SystemTime,
) -> Verification {
    let mut checks = Checks::default();
    checks.settle(CheckName::Clock, clock(now));
    checks.integrity(integrity);
    checks.settle(CheckName::Claim, claim::check(manifest.bytes(), claim));
    let mut denied = denied_digest(*manifest.digest(), anchors);
    let Some(p7s) = p7s else {
        checks.settle(CheckName::Denied, denied);
        return unsigned(checks, claim, anchors);
    };
    let parsed = cms::parse(p7s).and_then(|signed| signer_of(&signed).map(|found| (signed, found)));
    let (signed, (leaf, others)) = match parsed {
        Ok(parsed) => parsed,
        Err(refusal) => {
            checks.settle(CheckName::Denied, denied);
            checks.failed(CheckName::Signature, refusal);
            for name in CheckName::OF_SIGNER {
                checks.not_evaluated(name, "the signature could not be read");
            }
            return checks.into_verification(None, Kind::Unsigned);
        }
    };
    denied.extend(denied_keys(std::iter::once(&leaf).chain(&others), anchors));
    checks.settle(CheckName::Denied, denied);
    checks.settle(CheckName::Signature, signed.check(manifest, &leaf));
    let self_signed = leaf.self_signed();
    checks.settle(CheckName::Key, key(&leaf));
    profile(&leaf, self_signed && claim.tier == Tier::Community, &mut checks);
    let trust = evaluate_chain(&leaf, &others, self_signed, anchors, claim.tier, now, &mut checks);
    let known = publisher::check(&leaf, trust, claim, anchors, &mut checks);
    let kind = match (trust, known) {
        (Trust::None, _) => Kind::Unsigned,
        (Trust::SelfSigned, _) => Kind::SelfSigned,
        (Trust::Issuer, publisher::Known::Verified) => Kind::VerifiedPublisher,
        (Trust::Issuer, publisher::Known::Not) => Kind::TrustedIssuer,
    };
    let info = SignerInfo {
        subject: leaf.subject(),
        spki_sha256: leaf.spki_sha256(),
        issuer: leaf.issuer(),
        serial: leaf.serial(),
        not_before: leaf.not_before(),
        not_after: leaf.not_after(),
        signing_time: signed.signing_time,
        kind: Kind::Unsigned,
    };
    checks.into_verification(Some(info), kind)
}

fn unsigned(mut checks: Checks, claim: &Claim<'_>, anchors: &TrustStore) -> Verification {
    let refusal = || Refusal::new(code::SIGNATURE_ABSENT, "there is no MANIFEST.p7s");
    if claim.tier == Tier::Community {
        checks.waived(CheckName::Signature, refusal());
        for name in CheckName::OF_SIGNER {
            checks.waived(name, refusal());
        }
        // Whoever is suspended does not come back without a signature.
        publisher::suspended(claim, anchors, &mut checks);
    } else {
        checks.failed(CheckName::Signature, refusal());
        for name in CheckName::OF_SIGNER {
            checks.not_evaluated(name, "there is no signature");
        }
    }
    checks.into_verification(None, Kind::Unsigned)
}

/// What is wrong with a bundle that has no list, and so nothing that could be verified: its publisher may be suspended.
#[must_use]
pub(super) fn suspended(claim: &Claim<'_>, anchors: &TrustStore) -> Vec<Refusal> {
    let mut checks = Checks::default();
    publisher::suspended(claim, anchors, &mut checks);
    checks.failures().cloned().collect()
}

/// The signer's certificate, and the others that came with it.
fn signer_of(signed: &Signed<'_>) -> Result<(Certificate, Vec<Certificate>), Refusal> {
    let mut leaf = None;
    let mut others = Vec::with_capacity(signed.certificates.len());
    for der in &signed.certificates {
        let certificate = Certificate::from_der(der)?;
        if leaf.is_none() && signed.is_of(&certificate) {
            leaf = Some(certificate);
        } else {
            others.push(certificate);
        }
    }
    let missing = || {
        let reason = format!("none of its {} certificates is the signer's", others.len());
        Refusal::new(code::SIGNER_CERTIFICATE_MISSING, reason)
    };
    leaf.ok_or_else(missing).map(|leaf| (leaf, others))
}

/// What is wrong with a signer's certificate wherever it is verified: key, profile, time. One that vouches for itself is
/// judged as tier community does.
pub(super) fn leaf_checks(leaf: &Certificate, now: SystemTime) -> Vec<Refusal> {
    let mut checks = Checks::default();
    checks.settle(CheckName::Clock, clock(now));
    checks.settle(CheckName::Key, key(leaf));
    profile(leaf, leaf.self_signed(), &mut checks);
    chain::validity(std::iter::once(leaf), now, &mut checks);
    checks.failures().cloned().collect()
}

pub(super) fn clock(now: SystemTime) -> Vec<Refusal> {
    let built = BUILT.parse().map_or(SystemTime::UNIX_EPOCH, |seconds| {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    });
    if now >= built {
        return Vec::new();
    }
    let reason = format!(
        "the clock of this host says {}, and this program was built at {}",
        time_text(now),
        time_text(built)
    );
    vec![Refusal::new(code::CLOCK_WRONG, reason)]
}

fn denied_digest(digest: Digest, anchors: &TrustStore) -> Vec<Refusal> {
    let denial = anchors.denied().digest(digest);
    let reason = |note: &str| format!("the bundle {digest} is denied{}", because(note));
    denial
        .map(|denial| Refusal::new(code::DIGEST_DENIED, reason(&denial.note)))
        .into_iter()
        .collect()
}

/// Of the signer and of the authorities that came along: an intermediate whose key leaked is denied the same way.
pub(super) fn denied_keys<'a>(
    certificates: impl Iterator<Item = &'a Certificate>,
    anchors: &TrustStore,
) -> Vec<Refusal> {
    certificates
        .filter_map(|certificate| {
            let denial = anchors.denied().key(certificate.spki_sha256())?;
            let (subject, note) = (certificate.subject(), because(&denial.note));
            let reason = format!("the key {} of {subject} is denied{note}", denial.sha256);
            Some(Refusal::new(code::KEY_DENIED, reason))
        })
        .collect()
}

fn because(note: &str) -> String {
    if note.is_empty() { String::new() } else { format!(": {note}") }
}

/// RFC 3339, UTC.
pub(super) fn time_text(time: SystemTime) -> String {
    jiff::Timestamp::try_from(time)
        .map_or_else(|_| "a time that no calendar has".to_owned(), |time| format!("{time:.0}"))
}

fn rfc3339<S: serde::Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&time_text(*time))
}

#[expect(clippy::ref_option, reason = "serde hands the field over by reference")]
fn maybe_rfc3339<S: serde::Serializer>(
    time: &Option<SystemTime>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => rfc3339(time, serializer),
        None => serializer.serialize_none(),
    }
}

#[cfg(test)]
mod tests;
