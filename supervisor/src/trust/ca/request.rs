//! What a publisher hands in: a request that proves that they have the key, or the public key alone.

use der::asn1::BitStringRef;
use der::{Decode, Reader, SliceReader, Tag};
use x509_cert::spki::AlgorithmIdentifierRef;

use super::super::asn1::{members, oid, only};
use super::super::key::RsaPublicKey;
use super::super::pem;
use super::error::CaError;

fn refused(what: &str, reason: impl Into<String>) -> CaError {
    CaError::Refused { what: what.to_owned(), reason: reason.into() }
}

/// The key of a PKCS#10 request in PEM, RFC 2986, whose signature it has made. Nothing else of the request is taken over.
///
/// # Errors
/// [`CaError::Refused`].
pub fn signing_request(pem: &[u8]) -> Result<Vec<u8>, CaError> {
    let what = "the request";
    let der = pem::block(pem, pem::REQUEST).map_err(|reason| refused(what, reason))?;
    let (info, algorithm, signature, spki) =
        read(&der).map_err(|error| refused(what, error.to_string()))?;
    if algorithm != oid::SHA256_WITH_RSA {
        return Err(refused(what, format!("it was signed with {algorithm}, not SHA256withRSA")));
    }
    let key = RsaPublicKey::from_spki(spki).map_err(|refusal| refused(what, refusal.reason))?;
    if !key.verifies(info, signature) {
        return Err(refused(what, "its key has not signed it"));
    }
    Ok(spki.to_vec())
}

type Parts<'a> = (&'a [u8], der::asn1::ObjectIdentifier, &'a [u8], &'a [u8]);

fn read(der: &[u8]) -> der::Result<Parts<'_>> {
    let parts = members(only(der, Tag::Sequence)?)?;
    let [info, algorithm, signature] = parts[..] else {
        return Err(der::ErrorKind::Failed.into());
    };
    let algorithm = AlgorithmIdentifierRef::from_der(algorithm)?.oid;
    let signature = BitStringRef::from_der(signature)?.as_bytes().ok_or(der::ErrorKind::Failed)?;
    let mut reader = SliceReader::new(only(info, Tag::Sequence)?)?;
    let _version = u8::decode(&mut reader)?;
    let _subject = reader.tlv_bytes()?;
    Ok((info, algorithm, signature, reader.tlv_bytes()?))
}

/// A public key in PEM, as `sandboxctl keygen` and `openssl pkey -pubout` print it.
///
/// # Errors
/// [`CaError::Refused`].
pub fn public_key(pem: &[u8]) -> Result<Vec<u8>, CaError> {
    let what = "the public key";
    let spki = pem::block(pem, pem::PUBLIC_KEY).map_err(|reason| refused(what, reason))?;
    RsaPublicKey::from_spki(&spki).map_err(|refusal| refused(what, refusal.reason))?;
    Ok(spki)
}
