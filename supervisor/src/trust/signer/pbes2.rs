//! Encrypted private keys: PKCS#8 with PBES2, PBKDF2-HMAC-SHA256 and AES-256-CBC (RFC 5958, RFC 8018). The same that
//! `openssl genpkey -aes256` writes.

use std::num::NonZeroU32;

use aws_lc_rs::cipher::{
    AES_256, DecryptionContext, PaddedBlockDecryptingKey, PaddedBlockEncryptingKey,
    UnboundCipherKey,
};
use aws_lc_rs::{iv::FixedLength, pbkdf2, rand};
use der::asn1::{AnyRef, ObjectIdentifier, OctetStringRef};
use der::zeroize::Zeroizing;
use der::{Decode, Reader, SliceReader, Tag};
use x509_cert::spki::AlgorithmIdentifierRef;

use super::super::asn1::{
    INTEGER, NULL, OCTET_STRING, SEQUENCE, algorithm, element, members, oid, only,
};
use super::secret::Passphrase;

/// The OWASP recommendation for PBKDF2 with SHA-256; about 0.15 s.
const ITERATIONS: u32 = 600_000;
/// A file that asks for more would keep a reader busy for minutes.
const MOST_ITERATIONS: u32 = 10_000_000;
const KEY_BYTES: usize = 32;

/// Why a file could not be decrypted.
pub(super) enum Lock {
    /// The form: what it is instead.
    Form(String),
    /// Wrong passphrase, or damage.
    Passphrase,
}

impl From<der::Error> for Lock {
    fn from(error: der::Error) -> Self {
        Self::Form(error.to_string())
    }
}

/// Decrypts an `EncryptedPrivateKeyInfo`.
pub(super) fn decrypt(der: &[u8], passphrase: &Passphrase) -> Result<Zeroizing<Vec<u8>>, Lock> {
    let parts = members(only(der, Tag::Sequence)?)?;
    let [scheme, data] = parts[..] else {
        return Err(Lock::Form("it is no encrypted PKCS#8 key".to_owned()));
    };
    let scheme = AlgorithmIdentifierRef::from_der(scheme)?;
    expect("encryption scheme", scheme.oid, oid::PBES2)?;
    let (derivation, cipher) = parameters(&scheme, |reader| {
        Ok((AlgorithmIdentifierRef::decode(reader)?, AlgorithmIdentifierRef::decode(reader)?))
    })?;
    expect("key derivation", derivation.oid, oid::PBKDF2)?;
    expect("cipher", cipher.oid, oid::AES_256_CBC)?;
    let (salt, iterations, length, prf) = parameters(&derivation, |reader| {
        let salt = <&OctetStringRef>::decode(reader)?.as_bytes();
        let iterations = u32::decode(reader)?;
        let length = Option::<u16>::decode(reader)?;
        Ok((salt, iterations, length, Option::<AlgorithmIdentifierRef<'_>>::decode(reader)?))
    })?;
    match prf {
        Some(prf) => expect("pseudo-random function", prf.oid, oid::HMAC_SHA256)?,
        None => return Err(Lock::Form("its key derivation uses SHA-1".to_owned())),
    }
    let iterations = NonZeroU32::new(iterations).filter(|count| count.get() <= MOST_ITERATIONS);
    let Some(iterations) = iterations.filter(|_| length.is_none_or(|bytes| bytes == 32)) else {
        return Err(Lock::Form("its key derivation has parameters out of range".to_owned()));
    };
    let iv = cipher.parameters.ok_or(der::ErrorKind::Failed).map_err(der::Error::from)?;
    let iv: &OctetStringRef = iv.decode_as()?;
    let iv: [u8; 16] =
        iv.as_bytes().try_into().map_err(|_| Lock::Form("a broken IV".to_owned()))?;

    let mut text = Zeroizing::new(<&OctetStringRef>::from_der(data)?.as_bytes().to_vec());
    let key = derive(salt, iterations, passphrase);
    let mut open = || {
        let key = UnboundCipherKey::new(&AES_256, key.as_ref())?;
        let key = PaddedBlockDecryptingKey::cbc_pkcs7(key)?;
        let context = DecryptionContext::Iv128(FixedLength::from(iv));
        key.decrypt(&mut text, context).map(|plain| Zeroizing::new(plain.to_vec()))
    };
    let plain = open().map_err(|_| Lock::Passphrase)?;
    // A wrong passphrase gets past the padding once in 256 times.
    if only(&plain, Tag::Sequence).is_err() {
        return Err(Lock::Passphrase);
    }
    Ok(plain)
}

fn expect(what: &str, found: ObjectIdentifier, wanted: ObjectIdentifier) -> Result<(), Lock> {
    if found == wanted { Ok(()) } else { Err(Lock::Form(format!("its {what} is {found}"))) }
}

/// The parameters of an algorithm, which are a sequence of exactly what `read` reads.
fn parameters<'a, T>(
    algorithm: &AlgorithmIdentifierRef<'a>,
    read: impl FnOnce(&mut SliceReader<'a>) -> der::Result<T>,
) -> Result<T, Lock> {
    let parameters: AnyRef<'a> =
        algorithm.parameters.ok_or_else(|| Lock::Form("it has no parameters".to_owned()))?;
    parameters.header().tag().assert_eq(Tag::Sequence)?;
    let mut reader = SliceReader::new(parameters.value())?;
    let found = read(&mut reader)?;
    reader.finish()?;
    Ok(found)
}

fn derive(
    salt: &[u8],
    iterations: NonZeroU32,
    passphrase: &Passphrase,
) -> Zeroizing<[u8; KEY_BYTES]> {
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    pbkdf2::derive(
        pbkdf2::PBKDF2_HMAC_SHA256,
        iterations,
        salt,
        passphrase.as_bytes(),
        key.as_mut(),
    );
    key
}

/// Encrypts a `PrivateKeyInfo`. `None` where the library refuses.
pub(super) fn encrypt(pkcs8: &[u8], passphrase: &Passphrase) -> Option<Vec<u8>> {
    let mut salt = [0; 16];
    rand::fill(&mut salt).ok()?;
    let key = derive(&salt, NonZeroU32::new(ITERATIONS)?, passphrase);
    let key = UnboundCipherKey::new(&AES_256, key.as_ref()).ok()?;
    let key = PaddedBlockEncryptingKey::cbc_pkcs7(key).ok()?;
    let mut text = pkcs8.to_vec();
    let DecryptionContext::Iv128(iv) = key.encrypt(&mut text).ok()? else { return None };
    let iterations = ITERATIONS.to_be_bytes();
    let iterations = &iterations[iterations.iter().take_while(|byte| **byte == 0).count()..];
    let derivation = element(
        SEQUENCE,
        &[
            &element(OCTET_STRING, &[&salt]),
            // 0x0927c0: the first bit is not set.
            &element(INTEGER, &[iterations]),
            &algorithm(oid::HMAC_SHA256, NULL),
        ],
    );
    let parameters = element(
        SEQUENCE,
        &[
            &algorithm(oid::PBKDF2, &derivation),
            &algorithm(oid::AES_256_CBC, &element(OCTET_STRING, &[iv.as_ref()])),
        ],
    );
    let scheme = algorithm(oid::PBES2, &parameters);
    Some(element(SEQUENCE, &[&scheme, &element(OCTET_STRING, &[&text])]))
}
