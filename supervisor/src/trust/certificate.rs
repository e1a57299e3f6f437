//! Certificates: RFC 5280, as far as signing code needs them. The chain itself is webpki's to check, with a parser of its
//! own: what only one of the two accepts is refused.

use std::time::{Duration, SystemTime};

use der::asn1::{BitStringRef, ObjectIdentifier, UintRef};
use der::oid::AssociatedOid;
use der::{Decode, Reader, SliceReader, TagMode, TagNumber};
use policies::digest::Digest;
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::{
    AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, KeyUsage, SubjectKeyIdentifier,
};
use x509_cert::name::Name;
use x509_cert::spki::AlgorithmIdentifierRef;
use x509_cert::time::Validity;

use super::asn1::{members, oid, only};
use super::code::{self, Refusal};
use super::key::RsaPublicKey;
use crate::bundle::digest::sha256;

/// Far above any real one; bounds what hostile ones can cost.
const MOST_BYTES: usize = 16 * 1024;
/// Far above any real one.
const MOST_EXTENSIONS: usize = 64;

/// A certificate, taken apart.
#[derive(Clone, Debug)]
pub struct Certificate {
    der: Vec<u8>,
    /// Name of the issuer, DER.
    pub(super) issuer: Vec<u8>,
    /// Name of the subject, DER.
    pub(super) subject: Vec<u8>,
    /// Big-endian, no leading zeros.
    pub(super) serial: Vec<u8>,
    pub(super) not_before: SystemTime,
    pub(super) not_after: SystemTime,
    pub(super) spki: Vec<u8>,
    spki_sha256: Digest,
    pub(super) signed_with: ObjectIdentifier,
    pub(super) is_ca: bool,
    pub(super) path_length: Option<u8>,
    pub(super) key_usage: Option<KeyUsage>,
    pub(super) purposes: Option<Vec<ObjectIdentifier>>,
    pub(super) subject_key_id: Option<Vec<u8>>,
    pub(super) authority_key_id: Option<Vec<u8>>,
    pub(super) unknown_critical: Option<ObjectIdentifier>,
    /// The whole of what was signed, and where the signature is, in `der`.
    tbs: std::ops::Range<usize>,
    signature: Vec<u8>,
}

impl Certificate {
    /// Takes DER apart.
    ///
    /// # Errors
    /// [`code::CERTIFICATE_MALFORMED`] with the reason.
    pub fn from_der(der: &[u8]) -> Result<Self, Refusal> {
        if der.len() > MOST_BYTES {
            return Err(Refusal::new(
                code::CERTIFICATE_MALFORMED,
                format!("a certificate has {} bytes, and {MOST_BYTES} are the most", der.len()),
            ));
        }
        read(der).map_err(|error| {
            Refusal::new(code::CERTIFICATE_MALFORMED, format!("a certificate: {error}"))
        })
    }

    /// The encoding.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// SHA-256 of the public key info: what keys are pinned and denied by.
    #[must_use]
    pub const fn spki_sha256(&self) -> Digest {
        self.spki_sha256
    }

    /// SHA-256 of the whole: the fingerprint that other tools show.
    #[must_use]
    pub fn fingerprint(&self) -> Digest {
        sha256(&self.der)
    }

    /// Subject, as text of RFC 4514.
    #[must_use]
    pub fn subject(&self) -> String {
        name(&self.subject)
    }

    /// Issuer, as text of RFC 4514.
    #[must_use]
    pub fn issuer(&self) -> String {
        name(&self.issuer)
    }

    /// Serial number, hexadecimal.
    #[must_use]
    pub fn serial(&self) -> String {
        hex(&self.serial)
    }

    /// Valid from.
    #[must_use]
    pub const fn not_before(&self) -> SystemTime {
        self.not_before
    }

    /// Valid until.
    #[must_use]
    pub const fn not_after(&self) -> SystemTime {
        self.not_after
    }

    /// Whether it is one of an authority.
    #[must_use]
    pub const fn is_ca(&self) -> bool {
        self.is_ca
    }

    /// How long it is valid in all.
    #[must_use]
    pub fn lifetime(&self) -> Duration {
        self.not_after.duration_since(self.not_before).unwrap_or_default()
    }

    /// Its key.
    ///
    /// # Errors
    /// Why it is no key that could sign a bundle.
    pub fn key(&self) -> Result<RsaPublicKey<'_>, Refusal> {
        RsaPublicKey::from_spki(&self.spki)
    }

    /// Whether subject and issuer are the same name.
    pub(super) fn self_issued(&self) -> bool {
        self.subject == self.issuer
    }

    /// Whether its own key made its signature.
    pub(super) fn self_signed(&self) -> bool {
        self.self_issued()
            && self.signed_with == oid::SHA256_WITH_RSA
            && self
                .key()
                .is_ok_and(|key| key.verifies(&self.der[self.tbs.clone()], &self.signature))
    }

    /// Whether `issuer` is named as the issuer of this one, by name and, where both say, by key.
    pub(super) fn names(&self, issuer: &Self) -> bool {
        self.issuer == issuer.subject
            && match (&self.authority_key_id, &issuer.subject_key_id) {
                (Some(authority), Some(subject)) => authority == subject,
                _ => true,
            }
    }

    /// The organisations in the subject.
    pub(super) fn organisations(&self) -> Vec<String> {
        let Ok(name) = Name::from_der(&self.subject) else { return Vec::new() };
        let organisation = ObjectIdentifier::new_unwrap("2.5.4.10");
        name.iter()
            .filter(|attribute| attribute.oid == organisation)
            .filter_map(|attribute| std::str::from_utf8(attribute.value.value()).ok())
            .map(str::to_owned)
            .collect()
    }
}

/// Two certificates are one if their bytes are.
impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        self.der == other.der
    }
}

impl Eq for Certificate {}

fn name(der: &[u8]) -> String {
    Name::from_der(der).map_or_else(|_| hex(der), |name| name.to_string())
}

/// Lower-case hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing to a String cannot fail.
        write!(text, "{byte:02x}").unwrap_or_default();
    }
    text
}

fn read(der: &[u8]) -> der::Result<Certificate> {
    let parts = members(only(der, der::Tag::Sequence)?)?;
    let [tbs, algorithm, signature] = parts[..] else {
        return Err(der::ErrorKind::Failed.into());
    };
    let algorithm = AlgorithmIdentifierRef::from_der(algorithm)?;
    let signature = BitStringRef::from_der(signature)?;
    let signature = signature.as_bytes().ok_or(der::ErrorKind::Failed)?.to_vec();
    // The first member begins where the header of the outer sequence ends.
    let header = der.len() - parts.iter().map(|part| part.len()).sum::<usize>();
    let range = header..header + tbs.len();

    let mut reader = SliceReader::new(tbs)?;
    let certificate = reader.sequence(|tbs| {
        let version = tbs.context_specific::<u8>(TagNumber(0), TagMode::Explicit)?;
        let serial = UintRef::decode(tbs)?;
        if AlgorithmIdentifierRef::decode(tbs)? != algorithm || version != Some(2) {
            return Err(der::ErrorKind::Failed.into());
        }
        let issuer = tbs.tlv_bytes()?;
        let validity = <Validity>::decode(tbs)?;
        let subject = tbs.tlv_bytes()?;
        let spki = tbs.tlv_bytes()?;
        // Not without unique ids, which RFC 5280 forbids to issue: they are not read, and so not accepted.
        let extensions = tbs.context_specific::<Vec<Extension>>(TagNumber(3), TagMode::Explicit)?;
        let mut certificate = Certificate {
            der: der.to_vec(),
            issuer: issuer.to_vec(),
            subject: subject.to_vec(),
            serial: serial.as_bytes().to_vec(),
            not_before: validity.not_before.to_system_time(),
            not_after: validity.not_after.to_system_time(),
            spki: spki.to_vec(),
            spki_sha256: sha256(spki),
            signed_with: algorithm.oid,
            is_ca: false,
            path_length: None,
            key_usage: None,
            purposes: None,
            subject_key_id: None,
            authority_key_id: None,
            unknown_critical: None,
            tbs: range,
            signature,
        };
        extend(&mut certificate, &extensions.unwrap_or_default())?;
        Ok::<_, der::Error>(certificate)
    })?;
    reader.finish()?;
    Ok(certificate)
}

fn extend(certificate: &mut Certificate, extensions: &[Extension]) -> der::Result<()> {
    if extensions.len() > MOST_EXTENSIONS {
        return Err(der::ErrorKind::Failed.into());
    }
    for (index, extension) in extensions.iter().enumerate() {
        let id = extension.extn_id;
        // RFC 5280, section 4.2: at most one of a kind.
        if extensions[..index].iter().any(|earlier| earlier.extn_id == id) {
            return Err(der::ErrorKind::Failed.into());
        }
        let value = extension.extn_value.as_bytes();
        if id == BasicConstraints::OID {
            let constraints = BasicConstraints::from_der(value)?;
            certificate.is_ca = constraints.ca;
            certificate.path_length = constraints.path_len_constraint;
        } else if id == KeyUsage::OID {
            certificate.key_usage = Some(KeyUsage::from_der(value)?);
        } else if id == ExtendedKeyUsage::OID {
            certificate.purposes = Some(ExtendedKeyUsage::from_der(value)?.0);
        } else if id == SubjectKeyIdentifier::OID {
            let id = SubjectKeyIdentifier::from_der(value)?;
            certificate.subject_key_id = Some(id.0.as_bytes().to_vec());
        } else if id == AuthorityKeyIdentifier::OID {
            let id = AuthorityKeyIdentifier::from_der(value)?.key_identifier;
            certificate.authority_key_id = id.map(|id| id.as_bytes().to_vec());
        } else if extension.critical && certificate.unknown_critical.is_none() {
            certificate.unknown_critical = Some(id);
        }
    }
    Ok(())
}
