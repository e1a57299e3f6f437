//! Making a signature.

use std::time::SystemTime;

use der::Encode;
use der::asn1::{GeneralizedTime, UtcTime};
use x509_cert::time::Time;

use super::super::asn1::{
    CONTEXT_0, INTEGER, NULL, OCTET_STRING, SEQUENCE, SET, algorithm, element, integer,
    object_identifier, oid, set_of,
};
use super::super::certificate::Certificate;
use super::super::signer::{SignError, Signer};
use crate::bundle::digest::sha256;

/// Signs `content`, detached.
///
/// `chain` is the signer's certificate, then its intermediates; the root is left out by the caller.
///
/// # Errors
/// [`SignError`] of the key; [`SignError::WrongCertificate`] where the certificate is not for it.
pub fn make(
    content: &[u8],
    signer: &dyn Signer,
    chain: &[Certificate],
    now: SystemTime,
) -> Result<Vec<u8>, SignError> {
    let Some(leaf) = chain.first().filter(|leaf| leaf.spki == signer.spki_der()) else {
        return Err(SignError::WrongCertificate {
            subject: chain.first().map(Certificate::subject).unwrap_or_default(),
        });
    };
    let attribute = |kind, value: &[u8]| {
        element(SEQUENCE, &[&object_identifier(kind), &element(SET, &[value])])
    };
    let hash = |bytes: &[u8]| element(OCTET_STRING, &[sha256(bytes).as_bytes()]);
    // ESSCertIDv2 with the default hash, RFC 5035, section 3.
    let certificate = element(SEQUENCE, &[&element(SEQUENCE, &[&hash(leaf.der())])]);
    let members = vec![
        attribute(oid::CONTENT_TYPE, &object_identifier(oid::DATA)),
        attribute(oid::MESSAGE_DIGEST, &hash(content)),
        attribute(oid::SIGNING_TIME, &time(now)?),
        attribute(oid::SIGNING_CERTIFICATE_V2, &element(SEQUENCE, &[&certificate])),
    ];
    // Signed as a SET OF, sent as [0]: RFC 5652, section 5.4.
    let over = set_of(SET, members.clone());
    let signature = signer.sign_sha256_rsa(&over)?;
    let attributes = set_of(CONTEXT_0, members);

    let sha256 = algorithm(oid::SHA256, &[]);
    let signer_info = element(
        SEQUENCE,
        &[
            &element(INTEGER, &[&[1]]),
            &element(SEQUENCE, &[&leaf.issuer, &integer(&leaf.serial)]),
            &sha256,
            &attributes,
            &algorithm(oid::RSA_ENCRYPTION, NULL),
            &element(OCTET_STRING, &[&signature]),
        ],
    );
    let certificates = chain.iter().map(|certificate| certificate.der().to_vec()).collect();
    let signed_data = element(
        SEQUENCE,
        &[
            &element(INTEGER, &[&[1]]),
            &element(SET, &[&sha256]),
            &element(SEQUENCE, &[&object_identifier(oid::DATA)]),
            &set_of(CONTEXT_0, certificates),
            &element(SET, &[&signer_info]),
        ],
    );
    Ok(element(
        SEQUENCE,
        &[&object_identifier(oid::SIGNED_DATA), &element(CONTEXT_0, &[&signed_data])],
    ))
}

/// `UTCTime` until 2049, RFC 5652, section 11.3.
fn time(now: SystemTime) -> Result<Vec<u8>, SignError> {
    let encode = || {
        let time = match UtcTime::from_system_time(now) {
            Ok(time) => Time::UtcTime(time),
            Err(_) => Time::GeneralTime(GeneralizedTime::from_system_time(now)?),
        };
        time.to_der()
    };
    encode().map_err(|source| SignError::Clock { source })
}
