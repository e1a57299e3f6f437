//! Public keys: what they must be like, and what they signed.

use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use der::asn1::{BitStringRef, UintRef};
use der::{Decode, Reader, SliceReader};
use x509_cert::spki::AlgorithmIdentifierRef;

use super::asn1::oid;
use super::code::{self, Refusal};

/// NIST SP 800-131A, and the customer's minimum.
const FEWEST_BITS: usize = 2048;
/// What the backend verifies.
const MOST_BITS: usize = 8192;
/// F4: smaller ones invite forgeries of sloppy verifiers, FIPS 186-5 forbids them.
const SMALLEST_EXPONENT: u64 = 65537;
/// What the backend verifies.
const LARGEST_EXPONENT: u64 = (1 << 33) - 1;

/// An RSA public key of an acceptable size.
#[derive(Clone, Copy, Debug)]
pub struct RsaPublicKey<'a> {
    /// `RSAPublicKey`, RFC 8017, appendix A.1.1.
    der: &'a [u8],
    /// Of the modulus.
    bits: usize,
}

impl<'a> RsaPublicKey<'a> {
    /// From a DER encoded `SubjectPublicKeyInfo`.
    ///
    /// # Errors
    /// Why it is no key that could sign a bundle.
    pub fn from_spki(spki: &'a [u8]) -> Result<Self, Refusal> {
        let malformed = |error: der::Error| {
            Refusal::new(code::CERTIFICATE_MALFORMED, format!("the public key: {error}"))
        };
        let (algorithm, bits) = read_spki(spki).map_err(malformed)?;
        if algorithm != oid::RSA_ENCRYPTION {
            return Err(Refusal::new(
                code::KEY_NOT_RSA,
                format!("the key's algorithm is {algorithm}"),
            ));
        }
        let (modulus, exponent) = read_rsa(bits).map_err(malformed)?;
        let leading = modulus.first().map_or(0, |first| first.leading_zeros());
        let bits_of_modulus = modulus.len() * 8 - usize::try_from(leading).unwrap_or(0);
        if bits_of_modulus < FEWEST_BITS {
            return Err(Refusal::new(
                code::KEY_TOO_SHORT,
                format!("the key has {bits_of_modulus} bits, and {FEWEST_BITS} are the fewest"),
            ));
        }
        if bits_of_modulus > MOST_BITS {
            return Err(Refusal::new(
                code::KEY_TOO_LONG,
                format!("the key has {bits_of_modulus} bits, and {MOST_BITS} are the most"),
            ));
        }
        let fits = |exponent: u64| {
            exponent % 2 == 1 && (SMALLEST_EXPONENT..=LARGEST_EXPONENT).contains(&exponent)
        };
        if !exponent.is_some_and(fits) {
            let shown = exponent.map_or("of more than 64 bits".to_owned(), |e| e.to_string());
            return Err(Refusal::new(
                code::KEY_EXPONENT,
                format!("the public exponent is {shown}"),
            ));
        }
        Ok(Self { der: bits, bits: bits_of_modulus })
    }

    /// Bits of the modulus.
    #[must_use]
    pub const fn bits(&self) -> usize {
        self.bits
    }

    /// `RSAPublicKey` in DER.
    pub(super) const fn der(&self) -> &'a [u8] {
        self.der
    }

    /// Whether this key made the signature: SHA256withRSA, PKCS#1 v1.5.
    #[must_use]
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, self.der)
            .verify(message, signature)
            .is_ok()
    }
}

fn read_spki(spki: &[u8]) -> der::Result<(der::asn1::ObjectIdentifier, &[u8])> {
    let mut reader = SliceReader::new(spki)?;
    let found = reader.sequence(|spki| {
        let algorithm = AlgorithmIdentifierRef::decode(spki)?;
        let key = BitStringRef::decode(spki)?;
        let key = key.as_bytes().ok_or_else(|| spki.error(der::ErrorKind::Failed))?;
        Ok::<_, der::Error>((algorithm.oid, key))
    })?;
    reader.finish()?;
    Ok(found)
}

/// Modulus without leading zeros, and the exponent; `None` if it is absurdly large.
fn read_rsa(key: &[u8]) -> der::Result<(&[u8], Option<u64>)> {
    let mut reader = SliceReader::new(key)?;
    let (modulus, exponent) = reader
        .sequence(|key| Ok::<_, der::Error>((UintRef::decode(key)?, UintRef::decode(key)?)))?;
    reader.finish()?;
    let digits = exponent.as_bytes();
    let value = (digits.len() <= 8)
        .then(|| digits.iter().fold(0_u64, |value, digit| value << 8 | u64::from(*digit)));
    Ok((modulus.as_bytes(), value))
}
