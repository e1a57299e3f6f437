//! Reading a signature.

use std::time::SystemTime;

use der::asn1::{AnyRef, ObjectIdentifier, OctetStringRef, UintRef};
use der::{Decode, Reader, SliceReader, Tag, TagNumber};
use policies::digest::Digest;
use x509_cert::spki::AlgorithmIdentifierRef;
use x509_cert::time::Time;

use super::super::asn1::{SET, context, members, oid, only};
use super::super::certificate::Certificate;
use super::super::code::{self, Refusal};
use super::{MOST_BYTES, MOST_CERTIFICATES};
use crate::bundle::digest::Hashed;

/// A signature, taken apart; nothing in it is verified.
#[derive(Clone, Debug)]
pub struct Signed<'a> {
    /// Everything that came with it, in the order of the file.
    pub certificates: Vec<&'a [u8]>,
    /// The signer's issuer, DER.
    issuer: &'a [u8],
    /// The signer's serial number, without leading zeros.
    serial: &'a [u8],
    /// What the signature is over: the attributes as a SET OF, RFC 5652, section 5.4.
    attributes: Vec<u8>,
    digest: &'a [u8],
    /// What the signer claims.
    pub signing_time: Option<SystemTime>,
    /// Of the certificate that the signature was made for, if it says.
    made_for: Option<Vec<u8>>,
    signature: &'a [u8],
}

impl Signed<'_> {
    /// Whether this certificate is the signer's by issuer and serial number.
    #[must_use]
    pub fn is_of(&self, certificate: &Certificate) -> bool {
        certificate.issuer == self.issuer && certificate.serial == self.serial
    }

    /// Checks it over `content` with the signer's certificate; everything that is wrong.
    #[must_use]
    pub fn check(&self, content: &Hashed, signer: &Certificate) -> Vec<Refusal> {
        let mut found = Vec::new();
        let digest = content.digest();
        if self.digest != digest.as_bytes() {
            found.push(Refusal::new(
                code::SIGNATURE_DIGEST,
                format!("MANIFEST has the digest {digest}, and another one was signed"),
            ));
        }
        if self.made_for.as_ref().is_some_and(|hash| hash != signer.fingerprint().as_bytes()) {
            found.push(Refusal::new(
                code::SIGNER_CERTIFICATE_OTHER,
                "the signature names another certificate with the same issuer and serial number",
            ));
        }
        // A key that is refused is a refusal of its own.
        if let Ok(key) = signer.key()
            && !key.verifies(&self.attributes, self.signature)
        {
            found.push(Refusal::new(
                code::SIGNATURE_INVALID,
                format!("the key of {} did not make the signature", signer.subject()),
            ));
        }
        found
    }

    /// The digest that was signed, if it is one.
    #[must_use]
    pub fn digest(&self) -> Option<Digest> {
        self.digest.try_into().ok().map(Digest::from_bytes)
    }
}

/// Why reading stopped: the encoding, or the profile.
enum Stop {
    Der(der::Error),
    Refused(Refusal),
}

impl From<der::Error> for Stop {
    fn from(error: der::Error) -> Self {
        Self::Der(error)
    }
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// Takes a signature apart.
///
/// # Errors
/// What the profile does not allow, each with its own code.
pub fn parse(p7s: &[u8]) -> Result<Signed<'_>, Refusal> {
    if p7s.len() > MOST_BYTES {
        let reason =
            format!("the signature has {} bytes, and {MOST_BYTES} are the most", p7s.len());
        return Err(Refusal::new(code::SIGNATURE_MALFORMED, reason));
    }
    match read(p7s) {
        Ok(signed) => Ok(signed),
        Err(Stop::Refused(refusal)) => Err(refusal),
        Err(Stop::Der(error)) => Err(malformed(error.to_string())),
    }
}

fn malformed(reason: impl Into<String>) -> Refusal {
    Refusal::new(code::SIGNATURE_MALFORMED, reason)
}

fn read(p7s: &[u8]) -> Result<Signed<'_>, Stop> {
    // ContentInfo, RFC 5652, section 3.
    let parts = members(only(p7s, Tag::Sequence)?)?;
    let [kind, content] = parts[..] else {
        return Err(malformed("it is no CMS content info").into());
    };
    if ObjectIdentifier::from_der(kind)? != oid::SIGNED_DATA {
        return Err(malformed("it is another CMS type than signed data").into());
    }
    let explicit = Tag::ContextSpecific { constructed: true, number: TagNumber(0) };
    let signed_data = only(only(content, explicit)?, Tag::Sequence)?;

    // SignedData, section 5.1.
    let mut reader = SliceReader::new(signed_data)?;
    let version = u8::decode(&mut reader)?;
    let digests = members(AnyRef::decode(&mut reader).and_then(set)?)?;
    encapsulated(reader.tlv_bytes()?)?;
    let certificates = match context(&mut reader, 0)? {
        Some(element) => members(AnyRef::from_der(element)?.value())?,
        None => Vec::new(),
    };
    if context(&mut reader, 1)?.is_some() {
        return Err(malformed("it carries revocation lists, which come from the host").into());
    }
    let signers = members(AnyRef::decode(&mut reader).and_then(set)?)?;
    reader.finish()?;
    if certificates.len() > MOST_CERTIFICATES {
        return Err(malformed(format!("it carries {} certificates", certificates.len())).into());
    }
    let [signer] = signers[..] else {
        let reason = format!("the signature has {} signers", signers.len());
        return Err(Refusal::new(code::SIGNATURE_SIGNERS, reason).into());
    };
    for digest in digests {
        is_sha256(AlgorithmIdentifierRef::from_der(digest)?)?;
    }
    if version != 1 {
        return Err(malformed(format!("version {version} is not of the profile")).into());
    }
    signer_info(signer, certificates)
}

fn set(element: AnyRef<'_>) -> der::Result<&[u8]> {
    element.header().tag().assert_eq(Tag::Set)?;
    Ok(element.value())
}

/// `EncapsulatedContentInfo`, section 5.2.
fn encapsulated(element: &[u8]) -> Result<(), Stop> {
    let parts = members(only(element, Tag::Sequence)?)?;
    let Some((kind, content)) = parts.split_first() else {
        return Err(malformed("it says no content type").into());
    };
    let kind = ObjectIdentifier::from_der(kind)?;
    if kind != oid::DATA {
        let reason = format!("the content type is {kind}");
        return Err(Refusal::new(code::SIGNATURE_CONTENT_TYPE, reason).into());
    }
    if !content.is_empty() {
        let reason = "the signature carries its content";
        return Err(Refusal::new(code::SIGNATURE_NOT_DETACHED, reason).into());
    }
    Ok(())
}

fn is_sha256(algorithm: AlgorithmIdentifierRef<'_>) -> Result<(), Refusal> {
    // RFC 5754, section 2: without parameters, or with NULL.
    let plain = algorithm.parameters.is_none_or(AnyRef::is_null);
    if algorithm.oid == oid::SHA256 && plain {
        return Ok(());
    }
    Err(Refusal::new(
        code::SIGNATURE_WEAK_DIGEST,
        format!("the signature uses the hash {}, not SHA-256", algorithm.oid),
    ))
}

/// `SignerInfo`, section 5.3.
fn signer_info<'a>(element: &'a [u8], certificates: Vec<&'a [u8]>) -> Result<Signed<'a>, Stop> {
    let mut reader = SliceReader::new(only(element, Tag::Sequence)?)?;
    let version = u8::decode(&mut reader)?;
    if version != 1 {
        return Err(malformed("the signer is not named by issuer and serial number").into());
    }
    let (issuer, serial) =
        reader.sequence(|id| Ok::<_, der::Error>((id.tlv_bytes()?, UintRef::decode(id)?)))?;
    is_sha256(AlgorithmIdentifierRef::decode(&mut reader)?)?;
    let Some(attributes) = context(&mut reader, 0)? else {
        let reason = "the signature has no signed attributes";
        return Err(Refusal::new(code::SIGNATURE_ATTRIBUTES, reason).into());
    };
    signature_algorithm(AlgorithmIdentifierRef::decode(&mut reader)?)?;
    let signature = <&OctetStringRef>::decode(&mut reader)?.as_bytes();
    if let Some(unsigned) = context(&mut reader, 1)? {
        for attribute in members(AnyRef::from_der(unsigned)?.value())? {
            let (kind, _) = one_attribute(attribute)?;
            if kind != oid::TIME_STAMP {
                return Err(malformed(format!("it has the unsigned attribute {kind}")).into());
            }
        }
    }
    reader.finish()?;

    let found = signed_attributes(attributes)?;
    let mut over = attributes.to_vec();
    if let Some(tag) = over.first_mut() {
        *tag = SET;
    }
    Ok(Signed {
        certificates,
        issuer,
        serial: serial.as_bytes(),
        attributes: over,
        digest: found.digest,
        signing_time: found.signing_time,
        made_for: found.made_for,
        signature,
    })
}

fn signature_algorithm(algorithm: AlgorithmIdentifierRef<'_>) -> Result<(), Refusal> {
    let (code, what) = match algorithm.oid {
        oid::RSA_ENCRYPTION | oid::SHA256_WITH_RSA => {
            return if algorithm.parameters.is_none_or(AnyRef::is_null) {
                Ok(())
            } else {
                Err(malformed("the signature algorithm has parameters"))
            };
        }
        oid::RSA_PSS => (code::SIGNATURE_RSA_PSS, "RSASSA-PSS".to_owned()),
        other if oid::OTHER_WITH_RSA.contains(&other) => {
            (code::SIGNATURE_WEAK_DIGEST, format!("{other}, RSA with another hash than SHA-256"))
        }
        other => (code::SIGNATURE_ALGORITHM, other.to_string()),
    };
    Err(Refusal::new(code, format!("the signature algorithm is {what}")))
}

struct Attributes<'a> {
    digest: &'a [u8],
    signing_time: Option<SystemTime>,
    made_for: Option<Vec<u8>>,
}

/// The content of an attribute's values.
fn one_attribute(element: &[u8]) -> Result<(ObjectIdentifier, &[u8]), Stop> {
    let parts = members(only(element, Tag::Sequence)?)?;
    let [kind, values] = parts[..] else { return Err(malformed("a broken attribute").into()) };
    Ok((ObjectIdentifier::from_der(kind)?, only(values, Tag::Set)?))
}

fn signed_attributes(element: &[u8]) -> Result<Attributes<'_>, Stop> {
    let mut seen = Vec::new();
    let (mut content_type, mut digest, mut signing_time, mut made_for) = (None, None, None, None);
    for attribute in members(AnyRef::from_der(element)?.value())? {
        let (kind, value) = one_attribute(attribute)?;
        // Section 11.1 to 11.3: each of these once, with one value. Of the rest nothing is concluded.
        if seen.contains(&kind) {
            let reason = format!("the signed attribute {kind} stands twice");
            return Err(Refusal::new(code::SIGNATURE_ATTRIBUTES, reason).into());
        }
        seen.push(kind);
        match kind {
            oid::CONTENT_TYPE => content_type = Some(ObjectIdentifier::from_der(value)?),
            oid::MESSAGE_DIGEST => digest = Some(<&OctetStringRef>::from_der(value)?.as_bytes()),
            oid::SIGNING_TIME => signing_time = Some(Time::from_der(value)?.to_system_time()),
            oid::SIGNING_CERTIFICATE_V2 => made_for = certificate_hash(value)?,
            _ => {}
        }
    }
    let (Some(content_type), Some(digest)) = (content_type, digest) else {
        let reason = "the signed attributes do not have content type and message digest";
        return Err(Refusal::new(code::SIGNATURE_ATTRIBUTES, reason).into());
    };
    if content_type != oid::DATA {
        let reason = format!("the signed content type is {content_type}");
        return Err(Refusal::new(code::SIGNATURE_CONTENT_TYPE, reason).into());
    }
    Ok(Attributes { digest, signing_time, made_for })
}

/// `SigningCertificateV2`, RFC 5035, section 3: the hash of the first certificate, which is the signer's. `None` where
/// it is of another hash function than SHA-256, which is the default and then not written.
fn certificate_hash(value: &[u8]) -> der::Result<Option<Vec<u8>>> {
    let parts = members(only(value, Tag::Sequence)?)?;
    let ids = members(only(parts.first().ok_or(der::ErrorKind::Failed)?, Tag::Sequence)?)?;
    let first = members(only(ids.first().ok_or(der::ErrorKind::Failed)?, Tag::Sequence)?)?;
    let first = first.first().ok_or(der::ErrorKind::Failed)?;
    if AnyRef::from_der(first)?.header().tag() != Tag::OctetString {
        return Ok(None);
    }
    Ok(Some(<&OctetStringRef>::from_der(first)?.as_bytes().to_vec()))
}
