//! Revocation lists: RFC 5280, section 5. What is read here says whose list it is and how old; the entries and the
//! signature are webpki's to check.

use std::time::SystemTime;

use der::asn1::UintRef;
use der::oid::AssociatedOid;
use der::{Decode, Reader, SliceReader, Tag, TagMode, TagNumber};
use policies::digest::Digest;
use webpki::{BorrowedCertRevocationList, CertRevocationList};
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::{AuthorityKeyIdentifier, CrlNumber};
use x509_cert::name::Name;
use x509_cert::spki::AlgorithmIdentifierRef;
use x509_cert::time::Time;

use super::asn1::{members, only};
use super::certificate::{Certificate, hex};
use super::code::{self, Refusal};
use crate::bundle::digest::sha256;

/// About two hundred thousand entries.
const MOST_BYTES: usize = 8 * 1024 * 1024;

/// A revocation list.
#[derive(Clone, Debug)]
pub struct Crl {
    der: Vec<u8>,
    issuer: Vec<u8>,
    authority_key_id: Option<Vec<u8>>,
    /// Big-endian, no leading zeros; at most 20 bytes.
    number: Vec<u8>,
    this_update: SystemTime,
    next_update: SystemTime,
}

impl Crl {
    /// Takes DER apart.
    ///
    /// # Errors
    /// [`code::CRL_INVALID`] with the reason.
    pub fn from_der(der: &[u8]) -> Result<Self, Refusal> {
        if der.len() > MOST_BYTES {
            let reason = format!("the list has {} bytes, and {MOST_BYTES} are the most", der.len());
            return Err(Refusal::new(code::CRL_INVALID, reason));
        }
        let crl = read(der).map_err(|error| Refusal::new(code::CRL_INVALID, error.to_string()))?;
        // What webpki will not read would be found out at a launch otherwise.
        match BorrowedCertRevocationList::from_der(der) {
            Ok(_) => Ok(crl),
            Err(error) => Err(Refusal::new(code::CRL_INVALID, error.to_string())),
        }
    }

    /// The encoding.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// Issuer, as text of RFC 4514.
    #[must_use]
    pub fn issuer(&self) -> String {
        Name::from_der(&self.issuer).map_or_else(|_| hex(&self.issuer), |name| name.to_string())
    }

    /// What it is told apart by: the issuer's name and key.
    #[must_use]
    pub fn scope(&self) -> Digest {
        let mut bytes = self.issuer.clone();
        bytes.extend_from_slice(self.authority_key_id.as_deref().unwrap_or_default());
        sha256(&bytes)
    }

    /// Its number, hexadecimal.
    #[must_use]
    pub fn number(&self) -> String {
        hex(&self.number)
    }

    /// When it was made.
    #[must_use]
    pub const fn this_update(&self) -> SystemTime {
        self.this_update
    }

    /// When it is to be replaced.
    #[must_use]
    pub const fn next_update(&self) -> SystemTime {
        self.next_update
    }

    /// Whether it is of a later number than the other.
    #[must_use]
    pub fn is_newer_than(&self, other: &Self) -> bool {
        (self.number.len(), &self.number) > (other.number.len(), &other.number)
    }

    /// Whether it is the list of this issuer.
    pub(super) fn is_of(&self, issuer: &Certificate) -> bool {
        self.issuer == issuer.subject
            && match (&self.authority_key_id, &issuer.subject_key_id) {
                (Some(authority), Some(subject)) => authority == subject,
                _ => true,
            }
    }

    /// For webpki.
    pub(super) fn for_webpki(&self) -> Result<CertRevocationList<'_>, webpki::Error> {
        BorrowedCertRevocationList::from_der(&self.der).map(CertRevocationList::Borrowed)
    }
}

fn read(der: &[u8]) -> der::Result<Crl> {
    let parts = members(only(der, Tag::Sequence)?)?;
    let [tbs, _, _] = parts[..] else { return Err(der::ErrorKind::Failed.into()) };
    let mut reader = SliceReader::new(tbs)?;
    let crl = reader.sequence(|tbs| {
        // v2: extensions, of which the number is one.
        if u8::decode(tbs)? != 1 {
            return Err(der::ErrorKind::Failed.into());
        }
        AlgorithmIdentifierRef::decode(tbs)?;
        let issuer = tbs.tlv_bytes()?;
        let this_update = Time::decode(tbs)?;
        let next_update = Time::decode(tbs)?;
        if !tbs.is_finished() && Tag::peek(tbs)? == Tag::Sequence {
            tbs.tlv_bytes()?;
        }
        let extensions = tbs.context_specific::<Vec<Extension>>(TagNumber(0), TagMode::Explicit)?;
        let extensions = extensions.unwrap_or_default();
        let find = |id| extensions.iter().find(|extension| extension.extn_id == id);
        let number = find(CrlNumber::OID).ok_or(der::ErrorKind::Failed)?;
        let number = UintRef::from_der(number.extn_value.as_bytes())?.as_bytes().to_vec();
        let key_id = match find(AuthorityKeyIdentifier::OID) {
            Some(id) => AuthorityKeyIdentifier::from_der(id.extn_value.as_bytes())?.key_identifier,
            None => None,
        };
        Ok::<_, der::Error>(Crl {
            der: der.to_vec(),
            issuer: issuer.to_vec(),
            authority_key_id: key_id.map(|id| id.as_bytes().to_vec()),
            number,
            this_update: this_update.to_system_time(),
            next_update: next_update.to_system_time(),
        })
    })?;
    reader.finish()?;
    Ok(crl)
}
