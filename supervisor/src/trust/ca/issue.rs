//! Certificates and revocation lists, encoded by rcgen and signed by a [`Signer`].

use std::cell::RefCell;
use std::time::{Duration, SystemTime};

use aws_lc_rs::rand;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DistinguishedName,
    DnType, ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyUsagePurpose, PKCS_RSA_SHA256,
    PublicKeyData, RevocationReason, RevokedCertParams, SerialNumber, SignatureAlgorithm,
    SigningKey,
};
use x509_cert::der::Decode;
use x509_cert::name::Name;

use super::super::anchors::is_publisher_id;
use super::super::certificate::Certificate;
use super::super::key::RsaPublicKey;
use super::super::signer::{SignError, Signer};
use super::error::CaError;
use super::index::{Reason, Revocation, time};

/// Clocks of hosts differ: a certificate is valid a while before it was made.
pub(super) const BACKDATED: Duration = Duration::from_hours(1);
/// ub-common-name, RFC 5280, appendix A.1.
const LONGEST_NAME: usize = 64;

/// A name with its organisation.
#[derive(Clone, Debug)]
pub(super) struct Subject {
    common_name: String,
    organisation: String,
}

impl Subject {
    pub(super) fn authority(common_name: &str, organisation: &str) -> Self {
        Self { common_name: common_name.to_owned(), organisation: organisation.to_owned() }
    }

    pub(super) fn leaf(common_name: &str, publisher: &str) -> Self {
        Self::authority(common_name, publisher)
    }

    fn name(&self) -> DistinguishedName {
        let mut name = DistinguishedName::new();
        name.push(DnType::OrganizationName, self.organisation.as_str());
        name.push(DnType::CommonName, self.common_name.as_str());
        name
    }
}

/// Who signs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Issuer<'a> {
    pub(super) certificate: &'a Certificate,
    pub(super) signer: &'a dyn Signer,
}

/// A name for people.
pub(super) fn check_name(name: &str) -> Result<(), CaError> {
    let fits = !name.trim().is_empty()
        && name.chars().count() + 16 <= LONGEST_NAME
        && !name.chars().any(char::is_control);
    if fits {
        return Ok(());
    }
    let reason = format!("names have 1 to {} characters, without controls", LONGEST_NAME - 16);
    Err(CaError::Refused { what: format!("the name {name:?}"), reason })
}

pub(super) fn check_publisher(publisher: &str) -> Result<(), CaError> {
    if is_publisher_id(publisher) {
        return Ok(());
    }
    Err(CaError::Refused {
        what: format!("the publisher {publisher:?}"),
        reason: "publishers have the characters a-z, 0-9 and - only".to_owned(),
    })
}

/// A key that signs somewhere else; keeps what went wrong, which rcgen has no place for.
struct Remote<'a> {
    signer: &'a dyn Signer,
    public: &'a [u8],
    error: &'a RefCell<Option<SignError>>,
}

impl PublicKeyData for Remote<'_> {
    fn der_bytes(&self) -> &[u8] {
        self.public
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_RSA_SHA256
    }
}

impl SigningKey for Remote<'_> {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        self.signer.sign_sha256_rsa(message).map_err(|error| {
            *self.error.borrow_mut() = Some(error);
            rcgen::Error::RemoteKeyError
        })
    }
}

/// A key that is certified.
struct Public<'a>(&'a [u8]);

impl PublicKeyData for Public<'_> {
    fn der_bytes(&self) -> &[u8] {
        self.0
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_RSA_SHA256
    }
}

fn public(spki: &[u8]) -> Result<&[u8], CaError> {
    RsaPublicKey::from_spki(spki)
        .map(|key| key.der())
        .map_err(|refusal| CaError::Refused { what: "the key".to_owned(), reason: refusal.reason })
}

/// Runs `encode` with a remote key, and prefers the key's own error.
fn signed<T>(
    signer: &dyn Signer,
    encode: impl FnOnce(Remote<'_>) -> Result<T, rcgen::Error>,
) -> Result<T, CaError> {
    let error = RefCell::new(None);
    let public = public(signer.spki_der())?;
    let result = encode(Remote { signer, public, error: &error });
    result.map_err(|encoding| match error.into_inner() {
        Some(error) => CaError::Key(error),
        None => CaError::Encode { reason: encoding.to_string() },
    })
}

fn params(
    subject: &Subject,
    from: SystemTime,
    until: SystemTime,
) -> Result<CertificateParams, CaError> {
    // RFC 5280, section 4.1.2.2: positive and unpredictable; at most 20 bytes.
    let mut serial = [0; 16];
    rand::fill(&mut serial).map_err(|_| SignError::Backend { action: "draw a number" })?;
    serial[0] = serial[0] & 0x3f | 0x40;
    let mut params = CertificateParams::default();
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    params.distinguished_name = subject.name();
    params.not_before = from.into();
    params.not_after = until.into();
    params.key_identifier_method = KeyIdMethod::Sha256;
    Ok(params)
}

fn parsed(certificate: &rcgen::Certificate) -> Result<Certificate, CaError> {
    Certificate::from_der(certificate.der())
        .map_err(|refusal| CaError::Encode { reason: refusal.reason })
}

fn authority(mut params: CertificateParams, path_length: u8) -> CertificateParams {
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(path_length));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

/// A root: signs itself, may have one level of authorities below.
pub(super) fn root(
    signer: &dyn Signer,
    subject: &Subject,
    now: SystemTime,
    until: SystemTime,
) -> Result<Certificate, CaError> {
    let params = authority(params(subject, now - BACKDATED, until)?, 1);
    parsed(&signed(signer, |key| params.self_signed(&key))?)
}

/// An intermediate: issues for signing code, and no authorities.
pub(super) fn intermediate(
    root: &Issuer<'_>,
    subject: &Subject,
    spki: &[u8],
    now: SystemTime,
    until: SystemTime,
) -> Result<Certificate, CaError> {
    let mut params = authority(params(subject, now - BACKDATED, until)?, 0);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning];
    certify(root, params, spki)
}

/// A certificate for signing code.
pub(super) fn leaf(
    issuer: &Issuer<'_>,
    subject: &Subject,
    spki: &[u8],
    from: SystemTime,
    until: SystemTime,
) -> Result<Certificate, CaError> {
    let mut params = params(subject, from, until)?;
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning];
    certify(issuer, params, spki)
}

fn certify(
    issuer: &Issuer<'_>,
    mut params: CertificateParams,
    spki: &[u8],
) -> Result<Certificate, CaError> {
    params.use_authority_key_identifier_extension = true;
    let subject = Public(public(spki)?);
    let of_issuer = issuer_params(issuer.certificate)?;
    let certificate = signed(issuer.signer, |key| {
        params.signed_by(&subject, &rcgen::Issuer::from_params(&of_issuer, key))
    })?;
    parsed(&certificate)
}

/// What rcgen has to know of the issuer: its name, to the byte, and its key's id.
fn issuer_params(certificate: &Certificate) -> Result<CertificateParams, CaError> {
    let refuse = |reason: &str| CaError::Encode { reason: reason.to_owned() };
    let name = Name::from_der(&certificate.subject)
        .map_err(|error| CaError::Encode { reason: error.to_string() })?;
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    for attribute in name.iter() {
        let value = std::str::from_utf8(attribute.value.value())
            .map_err(|_| refuse("the issuer's name is no UTF-8"))?;
        let kind = match attribute.oid.to_string().as_str() {
            "2.5.4.3" => DnType::CommonName,
            "2.5.4.10" => DnType::OrganizationName,
            _ => return Err(refuse("the issuer's name has other parts than this program gives")),
        };
        params.distinguished_name.push(kind, value);
    }
    let id = certificate.subject_key_id.clone();
    let id = id.ok_or_else(|| refuse("the issuer's certificate has no key id"))?;
    params.key_identifier_method = KeyIdMethod::PreSpecified(id);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

/// A revocation list, DER.
pub(super) fn crl(
    issuer: &Issuer<'_>,
    number: u64,
    revoked: &[(&str, Revocation)],
    now: SystemTime,
    next: SystemTime,
) -> Result<Vec<u8>, CaError> {
    let of_issuer = issuer_params(issuer.certificate)?;
    let entry = |(serial, revocation): &(&str, Revocation)| {
        let serial = bytes(serial).ok_or_else(|| CaError::Encode {
            reason: format!("the serial number {serial:?} is not hexadecimal"),
        })?;
        Ok(RevokedCertParams {
            serial_number: SerialNumber::from_slice(&serial),
            revocation_time: time(revocation.at).into(),
            // RFC 5280, section 5.3.1: "unspecified" is said by saying nothing.
            reason_code: reason(revocation.reason),
            invalidity_date: None,
        })
    };
    let revoked_certs = revoked.iter().map(entry).collect::<Result<_, CaError>>()?;
    let params = CertificateRevocationListParams {
        this_update: now.into(),
        next_update: next.into(),
        crl_number: SerialNumber::from(number),
        issuing_distribution_point: None,
        revoked_certs,
        key_identifier_method: of_issuer.key_identifier_method.clone(),
    };
    let list = signed(issuer.signer, |key| {
        params.signed_by(&rcgen::Issuer::from_params(&of_issuer, key))
    })?;
    Ok(list.der().to_vec())
}

const fn reason(reason: Reason) -> Option<RevocationReason> {
    match reason {
        Reason::Unspecified => None,
        Reason::KeyCompromise => Some(RevocationReason::KeyCompromise),
        Reason::CaCompromise => Some(RevocationReason::CaCompromise),
        Reason::AffiliationChanged => Some(RevocationReason::AffiliationChanged),
        Reason::Superseded => Some(RevocationReason::Superseded),
        Reason::CessationOfOperation => Some(RevocationReason::CessationOfOperation),
        Reason::PrivilegeWithdrawn => Some(RevocationReason::PrivilegeWithdrawn),
    }
}

/// From hexadecimal.
fn bytes(hex: &str) -> Option<Vec<u8>> {
    if !hex.len().is_multiple_of(2) || !hex.is_ascii() {
        return None;
    }
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).ok()).collect()
}
