//! DER by hand, where a structure is small and has to be kept byte for byte: X.690, sections 8 and 10.

use der::asn1::{AnyRef, ObjectIdentifier};
use der::{Decode, Reader, SliceReader, Tag, TagNumber};

pub(super) const SEQUENCE: u8 = 0x30;
pub(super) const SET: u8 = 0x31;
pub(super) const INTEGER: u8 = 0x02;
pub(super) const OCTET_STRING: u8 = 0x04;
const OBJECT_IDENTIFIER: u8 = 0x06;
/// The parameters of an algorithm that has none.
pub(super) const NULL: &[u8] = &[0x05, 0x00];
/// `[0]` and `[1]`, constructed.
pub(super) const CONTEXT_0: u8 = 0xa0;

/// RFC 8017, appendix C.
pub(super) mod oid {
    use super::ObjectIdentifier;

    const fn oid(text: &str) -> ObjectIdentifier {
        ObjectIdentifier::new_unwrap(text)
    }

    pub(crate) const RSA_ENCRYPTION: ObjectIdentifier = oid("1.2.840.113549.1.1.1");
    pub(crate) const RSA_PSS: ObjectIdentifier = oid("1.2.840.113549.1.1.10");
    pub(crate) const SHA256_WITH_RSA: ObjectIdentifier = oid("1.2.840.113549.1.1.11");
    /// MD5, SHA-1, SHA-384, SHA-512, SHA-224 with RSA.
    pub(crate) const OTHER_WITH_RSA: [ObjectIdentifier; 5] = [
        oid("1.2.840.113549.1.1.4"),
        oid("1.2.840.113549.1.1.5"),
        oid("1.2.840.113549.1.1.12"),
        oid("1.2.840.113549.1.1.13"),
        oid("1.2.840.113549.1.1.14"),
    ];
    pub(crate) const SHA256: ObjectIdentifier = oid("2.16.840.1.101.3.4.2.1");
    /// RFC 5652, sections 4 and 5.
    pub(crate) const DATA: ObjectIdentifier = oid("1.2.840.113549.1.7.1");
    pub(crate) const SIGNED_DATA: ObjectIdentifier = oid("1.2.840.113549.1.7.2");
    /// RFC 5652, section 11.
    pub(crate) const CONTENT_TYPE: ObjectIdentifier = oid("1.2.840.113549.1.9.3");
    pub(crate) const MESSAGE_DIGEST: ObjectIdentifier = oid("1.2.840.113549.1.9.4");
    pub(crate) const SIGNING_TIME: ObjectIdentifier = oid("1.2.840.113549.1.9.5");
    /// RFC 5035, section 3.
    pub(crate) const SIGNING_CERTIFICATE_V2: ObjectIdentifier = oid("1.2.840.113549.1.9.16.2.47");
    /// RFC 3161, appendix A: a time stamp over the signature. Nothing is concluded from one yet.
    pub(crate) const TIME_STAMP: ObjectIdentifier = oid("1.2.840.113549.1.9.16.2.14");
    /// RFC 8018, appendix A and B.
    pub(crate) const PBES2: ObjectIdentifier = oid("1.2.840.113549.1.5.13");
    pub(crate) const PBKDF2: ObjectIdentifier = oid("1.2.840.113549.1.5.12");
    pub(crate) const HMAC_SHA256: ObjectIdentifier = oid("1.2.840.113549.2.9");
    pub(crate) const AES_256_CBC: ObjectIdentifier = oid("2.16.840.1.101.3.4.1.42");
    /// RFC 5280, section 4.2.1.12.
    pub(crate) const CODE_SIGNING: ObjectIdentifier = oid("1.3.6.1.5.5.7.3.3");
    pub(crate) const ANY_EXTENDED_KEY_USAGE: ObjectIdentifier = oid("2.5.29.37.0");
    /// Of a TLS server, of a TLS client, of mail, of time stamps, of OCSP answers.
    pub(crate) const OTHER_PURPOSES: [ObjectIdentifier; 5] = [
        oid("1.3.6.1.5.5.7.3.1"),
        oid("1.3.6.1.5.5.7.3.2"),
        oid("1.3.6.1.5.5.7.3.4"),
        oid("1.3.6.1.5.5.7.3.8"),
        oid("1.3.6.1.5.5.7.3.9"),
    ];
}

/// The one element that `bytes` are; its content.
pub(super) fn only(bytes: &[u8], tag: Tag) -> der::Result<&[u8]> {
    let element = AnyRef::from_der(bytes)?;
    element.header().tag().assert_eq(tag)?;
    Ok(element.value())
}

/// The elements that follow each other in `content`, with their headers.
pub(super) fn members(content: &[u8]) -> der::Result<Vec<&[u8]>> {
    let mut reader = SliceReader::new(content)?;
    let mut members = Vec::new();
    while !reader.is_finished() {
        members.push(reader.tlv_bytes()?);
    }
    Ok(members)
}

/// The constructed element `[number]`, with its header, if it is next.
pub(super) fn context<'a>(
    reader: &mut SliceReader<'a>,
    number: u32,
) -> der::Result<Option<&'a [u8]>> {
    let wanted = Tag::ContextSpecific { constructed: true, number: TagNumber(number) };
    if reader.is_finished() || Tag::peek(reader)? != wanted {
        return Ok(None);
    }
    reader.tlv_bytes().map(Some)
}

/// An element of these parts.
pub(super) fn element(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut bytes = Vec::with_capacity(length + 6);
    bytes.push(tag);
    let digits = length.to_be_bytes();
    let digits = &digits[digits.iter().take_while(|digit| **digit == 0).count()..];
    match (length, u8::try_from(digits.len())) {
        // X.690, section 8.1.3: one byte below 128, else their number first.
        (128.., Ok(count)) => {
            bytes.push(0x80 | count);
            bytes.extend_from_slice(digits);
        }
        _ => bytes.push(digits.first().copied().unwrap_or(0)),
    }
    for part in parts {
        bytes.extend_from_slice(part);
    }
    bytes
}

/// A SET OF: its members in the order of their bytes, X.690, section 11.6.
pub(super) fn set_of(tag: u8, mut members: Vec<Vec<u8>>) -> Vec<u8> {
    members.sort();
    let members: Vec<&[u8]> = members.iter().map(Vec::as_slice).collect();
    element(tag, &members)
}

/// A positive integer, big-endian: no leading zeros but one where the first bit is set.
pub(super) fn integer(bytes: &[u8]) -> Vec<u8> {
    let digits = &bytes[bytes.iter().take_while(|byte| **byte == 0).count()..];
    let sign: &[u8] = if digits.first().is_none_or(|first| first & 0x80 != 0) { &[0] } else { &[] };
    element(INTEGER, &[sign, digits])
}

/// A BIT STRING of whole bytes.
#[cfg(feature = "hsm")]
pub(super) fn bit_string(bytes: &[u8]) -> Vec<u8> {
    const BIT_STRING: u8 = 0x03;
    element(BIT_STRING, &[&[0], bytes])
}

/// An object identifier.
pub(super) fn object_identifier(oid: ObjectIdentifier) -> Vec<u8> {
    element(OBJECT_IDENTIFIER, &[oid.as_bytes()])
}

/// An algorithm with these parameters.
pub(super) fn algorithm(oid: ObjectIdentifier, parameters: &[u8]) -> Vec<u8> {
    element(SEQUENCE, &[&object_identifier(oid), parameters])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_as_short_as_they_can_be() {
        assert_eq!(element(SEQUENCE, &[]), [0x30, 0]);
        assert_eq!(element(SEQUENCE, &[&[7; 127]])[..2], [0x30, 127]);
        assert_eq!(element(SEQUENCE, &[&[7; 128]])[..3], [0x30, 0x81, 128]);
        assert_eq!(element(SEQUENCE, &[&[7; 200], &[7; 100]])[..4], [0x30, 0x82, 1, 44]);
        for length in [0, 1, 127, 128, 255, 256, 65536] {
            let bytes = element(OCTET_STRING, &[&vec![7; length]]);
            assert_eq!(only(&bytes, Tag::OctetString).unwrap().len(), length);
        }
    }
}
