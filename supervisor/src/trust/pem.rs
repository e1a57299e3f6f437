//! PEM, RFC 7468: blocks of one label, and nothing else but text between them.

use der::pem::LineEnding;

use super::certificate::Certificate;
use super::code::{self, Refusal};
use super::crl::Crl;

/// The label of certificates.
pub(super) const CERTIFICATE: &str = "CERTIFICATE";
/// The label of revocation lists.
pub(super) const CRL: &str = "X509 CRL";
/// The label of requests for a certificate.
pub(super) const REQUEST: &str = "CERTIFICATE REQUEST";
/// The label of public keys.
pub(super) const PUBLIC_KEY: &str = "PUBLIC KEY";
/// More than any chain has.
const MOST_BLOCKS: usize = 16;

/// Every block, which must have this label. Text before, between and after blocks is skipped, as OpenSSL writes some.
pub(super) fn blocks(bytes: &[u8], label: &str) -> Result<Vec<Vec<u8>>, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "it is no text".to_owned())?;
    let mut blocks = Vec::new();
    let mut rest = text;
    while let Some(begin) = rest.find("-----BEGIN ") {
        let end = rest[begin..].find("-----END ").ok_or("a block has no end")? + begin;
        let line = rest[end..].find('\n').map_or(rest.len(), |at| end + at + 1);
        let (found, der) = der::pem::decode_vec(rest.as_bytes()[begin..line].trim_ascii())
            .map_err(|error| format!("a block is no PEM: {error}"))?;
        if found != label {
            return Err(format!("it has a block {found:?}, and {label:?} is wanted"));
        }
        blocks.push(der);
        if blocks.len() > MOST_BLOCKS {
            return Err(format!("it has more than {MOST_BLOCKS} blocks"));
        }
        rest = &rest[line..];
    }
    if blocks.is_empty() {
        return Err(format!("it has no PEM block {label:?}"));
    }
    Ok(blocks)
}

/// The one block of this label.
pub(super) fn block(bytes: &[u8], label: &str) -> Result<Vec<u8>, String> {
    let mut blocks = blocks(bytes, label)?;
    match (blocks.pop(), blocks.len()) {
        (Some(der), 0) => Ok(der),
        _ => Err("it has more than one block".to_owned()),
    }
}

/// A block of text.
pub(super) fn encode(label: &str, der: &[u8]) -> String {
    // Fails for labels that are no labels, and ours are constants.
    der::pem::encode_string(label, LineEnding::LF, der).unwrap_or_default()
}

/// Every certificate of a PEM file, in its order.
///
/// # Errors
/// [`code::CERTIFICATE_MALFORMED`] with the reason.
pub fn certificates(pem: &[u8]) -> Result<Vec<Certificate>, Refusal> {
    let blocks = blocks(pem, CERTIFICATE)
        .map_err(|reason| Refusal::new(code::CERTIFICATE_MALFORMED, reason))?;
    blocks.iter().map(|der| Certificate::from_der(der)).collect()
}

/// The revocation list of a PEM file.
///
/// # Errors
/// [`code::CRL_INVALID`] with the reason.
pub fn crl(pem: &[u8]) -> Result<Crl, Refusal> {
    let der = block(pem, CRL).map_err(|reason| Refusal::new(code::CRL_INVALID, reason))?;
    Crl::from_der(&der)
}

/// Certificates as PEM.
#[must_use]
pub fn encode_certificates(certificates: &[Certificate]) -> String {
    certificates.iter().map(|certificate| encode(CERTIFICATE, certificate.der())).collect()
}
