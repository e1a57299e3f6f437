//! From the signer's certificate to a root that the host trusts: path, signatures, time, revocation.
//!
//! The path is found here, so that each way to fail has its own code; whether it holds is webpki's to say. Time and
//! revocation lists are judged apart, at the time of the host.

use std::time::{Duration, SystemTime};

use policies::tier::Tier;
use rustls_pki_types::{CertificateDer, SignatureVerificationAlgorithm, TrustAnchor, UnixTime};
use webpki::aws_lc_rs::RSA_PKCS1_2048_8192_SHA256;
use webpki::{
    CertRevocationList, EndEntityCert, Error, ExpirationPolicy, KeyUsage, RevocationCheckDepth,
    RevocationOptionsBuilder, UnknownStatusPolicy, anchor_from_trusted_cert,
};

use super::super::anchors::TrustStore;
use super::super::asn1::oid;
use super::super::certificate::Certificate;
use super::super::code::{self, Refusal};
use super::check::{CheckName, Checks};
use super::time_text;

/// SHA256withRSA, PKCS#1 v1.5, and nothing else.
const ALGORITHMS: &[&dyn SignatureVerificationAlgorithm] = &[RSA_PKCS1_2048_8192_SHA256];
/// id-kp-codeSigning, RFC 5280, section 4.2.1.12.
const CODE_SIGNING: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x03];
/// Signer, intermediate, root.
const LONGEST: usize = 3;
/// How far clocks of an authority and of a host may differ.
const SKEW: Duration = Duration::from_mins(5);

/// What the chain came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Trust {
    /// Nothing.
    None,
    /// The certificate vouches for itself.
    SelfSigned,
    /// A trusted issuer vouches for it; time and revocation are verdicts of their own.
    Issuer,
}

/// Signer, intermediates, root.
struct Path<'a> {
    certificates: Vec<&'a Certificate>,
    root: &'a Certificate,
}

impl<'a> Path<'a> {
    fn all(&self) -> impl Iterator<Item = &'a Certificate> {
        self.certificates.iter().copied().chain(std::iter::once(self.root))
    }

    /// Who issued what: every pair of neighbours.
    fn issuers(&self) -> impl Iterator<Item = &'a Certificate> {
        self.all().skip(1)
    }
}

/// Checks chain, validity and revocation.
pub(in super::super) fn evaluate(
    leaf: &Certificate,
    others: &[Certificate],
    self_signed: bool,
    anchors: &TrustStore,
    tier: Tier,
    now: SystemTime,
    checks: &mut Checks,
) -> Trust {
    if self_signed {
        let reason = format!("the certificate of {} vouches for itself", leaf.subject());
        let refusal = Refusal::new(code::SELF_SIGNED, reason);
        checks.judge(CheckName::Chain, tier == Tier::Community, refusal.clone());
        validity(std::iter::once(leaf), now, checks);
        // Nobody could revoke it.
        checks.judge(CheckName::Revocation, tier == Tier::Community, refusal);
        return if tier == Tier::Community { Trust::SelfSigned } else { Trust::None };
    }
    let path = match walk(leaf, others, anchors) {
        Ok(path) => path,
        Err(refusal) => {
            checks.failed(CheckName::Chain, refusal);
            validity(std::iter::once(leaf), now, checks);
            checks.not_evaluated(CheckName::Revocation, "there is no chain to a trusted issuer");
            return Trust::None;
        }
    };
    validity(path.all(), now, checks);
    let unsuitable = unsuitable(&path);
    if !unsuitable.is_empty() {
        checks.settle(CheckName::Chain, unsuitable);
        checks.not_evaluated(CheckName::Revocation, "there is no chain to a trusted issuer");
        return Trust::None;
    }
    confirm(&path, anchors, tier, now, checks)
}

/// Finds the way from the signer to a root, by names.
fn walk<'a>(
    leaf: &'a Certificate,
    others: &'a [Certificate],
    anchors: &'a TrustStore,
) -> Result<Path<'a>, Refusal> {
    let mut certificates = vec![leaf];
    let mut last = leaf;
    loop {
        let root = anchors.issuers().iter().find(|issuer| last.names(issuer));
        let too_long = certificates.len() + 1 > LONGEST;
        if let Some(root) = root.filter(|_| !too_long) {
            return Ok(Path { certificates, root });
        }
        let next = others.iter().find(|other| last.names(other) && !other.self_issued());
        match next {
            Some(next) if certificates.contains(&next) => {
                let reason = format!("{} comes round again", next.subject());
                return Err(Refusal::new(code::CHAIN_LOOP, reason));
            }
            Some(next) => {
                certificates.push(next);
                last = next;
            }
            None if too_long && root.is_some() => {
                let reason = format!("the chain has {} certificates", certificates.len() + 1);
                return Err(Refusal::new(code::CHAIN_TOO_LONG, reason));
            }
            None => {
                let reason = format!("no trusted issuer is called {}", last.issuer());
                return Err(Refusal::new(code::ISSUER_UNTRUSTED, reason));
            }
        }
    }
}

/// What webpki refuses without a word that would help.
fn unsuitable(path: &Path<'_>) -> Vec<Refusal> {
    let mut found = Vec::new();
    for certificate in &path.certificates {
        let algorithm = certificate.signed_with;
        if algorithm == oid::SHA256_WITH_RSA {
            continue;
        }
        let weak = oid::OTHER_WITH_RSA.contains(&algorithm);
        let code = if weak { code::CERTIFICATE_WEAK_DIGEST } else { code::CERTIFICATE_ALGORITHM };
        let subject = certificate.subject();
        let reason = format!("the certificate of {subject} was signed with {algorithm}");
        found.push(Refusal::new(code, reason));
    }
    for issuer in path.issuers() {
        if let Err(refusal) = issuer.key() {
            let reason = format!("{}: {}", issuer.subject(), refusal.reason);
            found.push(Refusal { reason, ..refusal });
        }
        let signs = |usage: &x509_cert::ext::pkix::KeyUsage| usage.key_cert_sign();
        if !issuer.is_ca || !issuer.key_usage.as_ref().is_some_and(signs) {
            let reason = format!("{} is no authority that may issue", issuer.subject());
            found.push(Refusal::new(code::CHAIN_INVALID, reason));
        }
    }
    found
}

/// The time window of each.
pub(super) fn validity<'a>(
    certificates: impl Iterator<Item = &'a Certificate>,
    now: SystemTime,
    checks: &mut Checks,
) {
    let name = CheckName::Validity;
    for certificate in certificates {
        // Made into text where it is needed only: a name costs as much as a certificate.
        let subject = || certificate.subject();
        if now > certificate.not_after() {
            let reason = format!(
                "the certificate of {} expired at {}",
                subject(),
                time_text(certificate.not_after())
            );
            checks.failed(name, Refusal::new(code::CERTIFICATE_EXPIRED, reason));
        } else if now < certificate.not_before() {
            let at = time_text(certificate.not_before());
            // An authority that the operator trusts exists: it is the clock that is wrong.
            let refusal = if certificate.is_ca {
                let reason = format!(
                    "the clock of this host says {}, and the authority {} was made at {at}",
                    time_text(now),
                    subject()
                );
                Refusal::new(code::CLOCK_WRONG, reason)
            } else {
                let reason = format!("the certificate of {} is valid from {at} on", subject());
                Refusal::new(code::CERTIFICATE_NOT_YET_VALID, reason)
            };
            checks.failed(name, refusal);
        }
    }
    checks.pass_if_silent(name);
}

/// A moment at which every certificate is valid, the nearest to now: so that the chain has a verdict of its own.
fn moment(path: &Path<'_>, now: SystemTime) -> UnixTime {
    let from = path.all().map(Certificate::not_before).max().unwrap_or(now);
    let until = path.all().map(Certificate::not_after).min().unwrap_or(now);
    let at = now.min(until).max(from);
    UnixTime::since_unix_epoch(at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default())
}

fn confirm(
    path: &Path<'_>,
    anchors: &TrustStore,
    tier: Tier,
    now: SystemTime,
    checks: &mut Checks,
) -> Trust {
    let at = moment(path, now);
    let (lists, complete) = lists(path, anchors, tier, now, checks);
    let mut result = build(path, at, &lists, complete);
    let mut revocation = None;
    if let Err(error) = &result
        && let Some(refusal) = of_revocation(error)
    {
        revocation = Some(refusal);
        result = build(path, at, &[], false);
    }
    if let Some(refusal) = revocation {
        checks.failed(CheckName::Revocation, refusal);
    }
    match result {
        Ok(()) => {
            checks.settle(CheckName::Chain, Vec::new());
            checks.pass_if_silent(CheckName::Revocation);
            Trust::Issuer
        }
        // Said already, with a better word.
        Err(
            Error::CaUsedAsEndEntity
            | Error::RequiredEkuNotFoundContext(_)
            | Error::EmptyEkuExtension
            | Error::UnsupportedCriticalExtension,
        ) if !checks.good(CheckName::Profile) => {
            let reason = "the certificate is not one for signing code";
            checks.not_evaluated(CheckName::Chain, reason);
            checks.not_evaluated(CheckName::Revocation, reason);
            Trust::None
        }
        Err(error) => {
            let code = match error {
                Error::UnknownIssuer => code::ISSUER_UNTRUSTED,
                Error::UnsupportedCriticalExtension => code::CERTIFICATE_CRITICAL_EXTENSION,
                _ => code::CHAIN_INVALID,
            };
            checks.failed(CheckName::Chain, Refusal::new(code, describe(&error)));
            checks.not_evaluated(CheckName::Revocation, "there is no chain to a trusted issuer");
            Trust::None
        }
    }
}

/// Asks webpki.
fn build(
    path: &Path<'_>,
    at: UnixTime,
    lists: &[CertRevocationList<'_>],
    complete: bool,
) -> Result<(), Error> {
    let mut ders =
        path.certificates.iter().map(|certificate| CertificateDer::from(certificate.der()));
    let leaf = ders.next().ok_or(Error::BadDer)?;
    let leaf = EndEntityCert::try_from(&leaf)?;
    let intermediates: Vec<CertificateDer<'_>> = ders.collect();
    let root = CertificateDer::from(path.root.der());
    let roots: [TrustAnchor<'_>; 1] = [anchor_from_trusted_cert(&root)?];
    let lists: Vec<&CertRevocationList<'_>> = lists.iter().collect();
    // Without any list there is nothing to ask; that has been said. A list of an issuer that does not cover the certificate
    // leaves its status unknown: allowed only where a missing one has been reported already.
    let policy = if complete { UnknownStatusPolicy::Deny } else { UnknownStatusPolicy::Allow };
    let revocation = RevocationOptionsBuilder::new(&lists).ok().map(|options| {
        options
            .with_depth(RevocationCheckDepth::Chain)
            .with_status_policy(policy)
            // Judged at the time of the host, not at `at`.
            .with_expiration_policy(ExpirationPolicy::Ignore)
            .build()
    });
    // That the signer's certificate has it is the profile's to check; an authority without any may issue for everything.
    let usage = KeyUsage::required_if_present(CODE_SIGNING);
    leaf.verify_for_usage(ALGORITHMS, &roots, &intermediates, at, usage, revocation, None)
        .map(|_| ())
}

/// The newest list of each issuer, and whether there is one of each that can be used.
fn lists<'a>(
    path: &Path<'_>,
    anchors: &'a TrustStore,
    tier: Tier,
    now: SystemTime,
    checks: &mut Checks,
) -> (Vec<CertRevocationList<'a>>, bool) {
    let (name, waived) = (CheckName::Revocation, tier == Tier::Community);
    let mut lists = Vec::new();
    let mut complete = true;
    for issuer in path.issuers() {
        let of_issuer = anchors.crls().iter().filter(|crl| crl.is_of(issuer));
        let newest = of_issuer.reduce(|best, crl| if crl.is_newer_than(best) { crl } else { best });
        let subject = || issuer.subject();
        let Some(crl) = newest else {
            complete = false;
            let reason = format!("there is no revocation list of {}", subject());
            checks.judge(name, waived, Refusal::new(code::CRL_MISSING, reason));
            continue;
        };
        if now > crl.next_update() {
            let at = time_text(crl.next_update());
            let reason = format!("the revocation list of {} was to be replaced at {at}", subject());
            checks.judge(name, waived, Refusal::new(code::CRL_STALE, reason));
        }
        if now + SKEW < crl.this_update() {
            let reason = format!(
                "the clock of this host says {}, and the revocation list of {} was made at {}",
                time_text(now),
                subject(),
                time_text(crl.this_update())
            );
            checks.failed(name, Refusal::new(code::CLOCK_WRONG, reason));
        }
        match crl.for_webpki() {
            Ok(list) => lists.push(list),
            Err(error) => {
                complete = false;
                let reason = format!("the revocation list of {}: {}", subject(), describe(&error));
                checks.failed(name, Refusal::new(code::CRL_INVALID, reason));
            }
        }
    }
    (lists, complete)
}

/// What went wrong with revocation rather than with the chain.
fn of_revocation(error: &Error) -> Option<Refusal> {
    let code = match error {
        Error::CertRevoked => {
            let reason = "a certificate of the chain is on its issuer's revocation list";
            return Some(Refusal::new(code::CERTIFICATE_REVOKED, reason));
        }
        Error::UnknownRevocationStatus => code::CRL_MISSING,
        Error::InvalidCrlSignatureForPublicKey
        | Error::IssuerNotCrlSigner
        | Error::InvalidCrlNumber
        | Error::UnsupportedCrlIssuingDistributionPoint
        | Error::UnsupportedIndirectCrl
        | Error::UnsupportedDeltaCrl
        | Error::UnsupportedCrlVersion
        | Error::UnsupportedRevocationReason
        | Error::UnsupportedRevocationReasonsPartitioning
        | Error::UnsupportedCrlSignatureAlgorithmContext(_)
        | Error::UnsupportedCrlSignatureAlgorithmForPublicKeyContext(_) => code::CRL_INVALID,
        _ => return None,
    };
    Some(Refusal::new(code, format!("the revocation lists: {}", describe(error))))
}

/// webpki's word for it, readable.
fn describe(error: &Error) -> String {
    let what = match error {
        Error::InvalidSignatureForPublicKey => {
            "a certificate was not signed by the authority that it names"
        }
        Error::PathLenConstraintViolated => "an authority issued more levels than it may",
        Error::EndEntityUsedAsCa => "a certificate was issued by one that is no authority",
        Error::NameConstraintViolation => "an authority issued a name that it may not",
        Error::InvalidCrlSignatureForPublicKey => "its signature is not its issuer's",
        Error::IssuerNotCrlSigner => "its issuer may not sign revocation lists",
        Error::UnknownRevocationStatus => "no list covers a certificate of the chain",
        Error::RequiredEkuNotFoundContext(_) => "an authority may not issue for signing code",
        other => return format!("{other:?}"),
    };
    what.to_owned()
}
