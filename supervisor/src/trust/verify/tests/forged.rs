//! Signatures and certificates that no tool here would make, put together from their parts.

use rcgen::{PKCS_RSA_SHA256, PKCS_RSA_SHA512, PublicKeyData};

use super::*;
use crate::trust::asn1::{
    CONTEXT_0, OCTET_STRING, SEQUENCE, SET, element, integer, members, object_identifier, oid,
    only, set_of,
};
use crate::trust::signer::SignError;

/// What is refused, how it comes about, and all the codes that it is refused with.
pub(super) fn refusals() -> Vec<(&'static str, Scene, &'static [&'static str])> {
    let mut table = signed_data();
    table.extend(signer_info());
    table.extend(certificates());
    table.extend(keys());
    table
}

/// The members of `SignedData`, RFC 5652, section 5.1, by position.
const CONTENT: usize = 2;
const CERTIFICATES: usize = 3;
const SIGNERS: usize = 4;

/// The scene, its `SignedData` changed.
fn changed(mut scene: Scene, change: impl FnOnce(&mut Vec<Vec<u8>>)) -> Scene {
    let p7s = scene.p7s.take().unwrap();
    let explicit = der::Tag::ContextSpecific { constructed: true, number: der::TagNumber(0) };
    let info = members(only(&p7s, der::Tag::Sequence).unwrap()).unwrap();
    let data = only(only(info[1], explicit).unwrap(), der::Tag::Sequence).unwrap();
    let mut parts: Vec<Vec<u8>> = members(data).unwrap().into_iter().map(<[u8]>::to_vec).collect();
    change(&mut parts);
    let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
    let data = element(SEQUENCE, &parts);
    scene.p7s = Some(element(SEQUENCE, &[info[0], &element(CONTEXT_0, &[&data])]));
    scene
}

/// The scene with other certificates in its signature.
fn with_certificates(scene: Scene, certificates: Vec<Vec<u8>>) -> Scene {
    changed(scene, |parts| parts[CERTIFICATES] = set_of(CONTEXT_0, certificates))
}

/// The last occurrence of some bytes, replaced by others of the same number.
fn replaced(mut bytes: Vec<u8>, from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let at = bytes.windows(from.len()).rposition(|window| window == from).unwrap();
    bytes[at..at + to.len()].copy_from_slice(to);
    bytes
}

/// The scene, an identifier of its signer replaced by one as long.
fn renamed(from: der::asn1::ObjectIdentifier, to: &str) -> Scene {
    let to = object_identifier(der::asn1::ObjectIdentifier::new_unwrap(to));
    changed(Scene::new(), |parts| {
        parts[SIGNERS] = replaced(parts[SIGNERS].clone(), &object_identifier(from), &to);
    })
}

fn signed_data() -> Vec<(&'static str, Scene, &'static [&'static str])> {
    let with_content = changed(Scene::new(), |parts| {
        let content = element(CONTEXT_0, &[&element(OCTET_STRING, &[b"content"])]);
        parts[CONTENT] = element(SEQUENCE, &[&object_identifier(oid::DATA), &content]);
    });
    let of_content = |kind: &str| {
        let kind = der::asn1::ObjectIdentifier::new_unwrap(kind);
        changed(Scene::new(), |parts| {
            parts[CONTENT] = element(SEQUENCE, &[&object_identifier(kind)]);
        })
    };
    let of_signers = |count: usize| {
        changed(Scene::new(), |parts| {
            let one = only(&parts[SIGNERS], der::Tag::Set).unwrap().to_vec();
            parts[SIGNERS] = element(SET, &vec![&one[..]; count]);
        })
    };
    let intermediate = Scene::intermediate().der().to_vec();
    vec![
        ("with its content", with_content, &["signature-not-detached"]),
        ("of signed data", of_content("1.2.840.113549.1.7.2"), &["signature-content-type"]),
        ("without a signer", of_signers(0), &["signature-signers"]),
        ("with two signers", of_signers(2), &["signature-signers"]),
        (
            "without the signer's certificate",
            with_certificates(Scene::new(), vec![intermediate]),
            &["signer-certificate-missing"],
        ),
        (
            "without certificates",
            changed(Scene::new(), |parts| drop(parts.remove(CERTIFICATES))),
            &["signer-certificate-missing"],
        ),
    ]
}

fn signer_info() -> Vec<(&'static str, Scene, &'static [&'static str])> {
    let contradicted = renamed(oid::DATA, "1.2.840.113549.1.7.2");
    let twice = renamed(oid::MESSAGE_DIGEST, "1.2.840.113549.1.9.5");
    let without_digest = renamed(oid::MESSAGE_DIGEST, "1.2.840.113549.1.9.6");
    vec![
        ("signed as signed data", contradicted, &["signature-content-type"]),
        ("two signing times", twice, &["signature-attributes"]),
        ("no message digest", without_digest, &["signature-attributes"]),
        ("SHA-512", renamed(oid::SHA256, "2.16.840.1.101.3.4.2.3"), &["signature-weak-digest"]),
        (
            "RSA with SHA-1",
            renamed(oid::RSA_ENCRYPTION, "1.2.840.113549.1.1.5"),
            &["signature-weak-digest"],
        ),
        ("PSS", renamed(oid::RSA_ENCRYPTION, "1.2.840.113549.1.1.10"), &["signature-rsa-pss"]),
        (
            "no signature algorithm",
            renamed(oid::RSA_ENCRYPTION, "1.2.840.113549.1.1.7"),
            &["signature-algorithm"],
        ),
    ]
}

fn certificates() -> Vec<(&'static str, Scene, &'static [&'static str])> {
    let good = || Scene::leaf(&leaf()).der().to_vec();
    let chain = |first| vec![first, Scene::intermediate().der().to_vec()];
    // Version 3 is written as 2.
    let (third, first) = ([0xa0, 3, 2, 1, 2], [0xa0, 3, 2, 1, 0]);
    let old = with_certificates(Scene::new(), chain(replaced(good(), &third, &first)));
    let large = element(SEQUENCE, &[&vec![0; 17 * 1024]]);
    let large = with_certificates(Scene::new(), vec![good(), large]);
    // Two certificates of one issuer, serial number and key: the signature says which of them it was made for.
    let mut params = leaf();
    params.serial_number = Some(7_u64.into());
    let mut other = Scene::new();
    other.sign(&KEYS.leaf, &[Scene::leaf(&params), Scene::intermediate()]);
    params.not_after += DAY;
    let other = with_certificates(other, chain(Scene::leaf(&params).der().to_vec()));

    let root = authority("root", 1);
    let root = rcgen::Issuer::from_params(&root, &KEYS.root.pair);
    let (intermediate, curve) = (authority("intermediate", 0), rcgen::KeyPair::generate().unwrap());
    let issued = |by: &rcgen::KeyPair| {
        let issuer = rcgen::Issuer::from_params(&intermediate, by);
        Certificate::from_der(leaf().signed_by(&KEYS.leaf.pair, &issuer).unwrap().der()).unwrap()
    };
    let of_curve = intermediate.signed_by(&curve, &root).unwrap();
    let of_curve = Certificate::from_der(of_curve.der()).unwrap();
    let pkcs8 = KEYS.intermediate.pair.serialize_der().into();
    let sha512 = rcgen::KeyPair::from_pkcs8_der_and_sign_algo(&pkcs8, &PKCS_RSA_SHA512).unwrap();
    vec![
        ("a certificate of version 1", old, &["certificate-malformed"]),
        ("a certificate of 17 KiB", large, &["certificate-malformed"]),
        ("another certificate of the same serial number", other, &["signer-certificate-other"]),
        (
            "issued by a key on a curve",
            chained(&[issued(&curve), of_curve]),
            &["certificate-algorithm", "key-not-rsa"],
        ),
        (
            "issued with SHA-512",
            chained(&[issued(&sha512), Scene::intermediate()]),
            &["certificate-weak-digest"],
        ),
    ]
}

/// A key that a certificate can be issued for, and nothing else: that it is refused is found before its signature counts.
struct Odd(Vec<u8>);

impl Odd {
    fn rsa(bits: usize, exponent: u64) -> Self {
        let modulus = integer(&vec![0xff; bits / 8]);
        Self(element(SEQUENCE, &[&modulus, &integer(&exponent.to_be_bytes())]))
    }
}

impl PublicKeyData for Odd {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        &PKCS_RSA_SHA256
    }
}

/// Signs with another key, which nobody finds out: the certificate's is refused.
#[derive(Debug)]
struct Claimed(Vec<u8>);

impl crate::trust::signer::Signer for Claimed {
    fn spki_der(&self) -> &[u8] {
        &self.0
    }

    fn sign_sha256_rsa(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        KEYS.leaf.signer.sign_sha256_rsa(message)
    }
}

/// The leaf's certificate is for this key.
fn keyed(key: &impl PublicKeyData) -> Scene {
    let (issuer, spki) = (authority("intermediate", 0), key.subject_public_key_info());
    let issuer = rcgen::Issuer::from_params(&issuer, &KEYS.intermediate.pair);
    let certificate = leaf().signed_by(key, &issuer).unwrap();
    let chain = [Certificate::from_der(certificate.der()).unwrap(), Scene::intermediate()];
    let mut scene = Scene::new();
    scene.known.as_mut().unwrap().keys = vec![sha256(&spki)];
    scene.p7s = Some(cms::make(&scene.manifest, &Claimed(spki), &chain, scene.now).unwrap());
    scene
}

fn keys() -> Vec<(&'static str, Scene, &'static [&'static str])> {
    let rsa = |bits, exponent| keyed(&Odd::rsa(bits, exponent));
    vec![
        ("1024 bits", rsa(1024, 65537), &["key-too-short"]),
        ("2040 bits", rsa(2040, 65537), &["key-too-short"]),
        ("8200 bits", rsa(8200, 65537), &["key-too-long"]),
        ("16384 bits", rsa(16384, 65537), &["key-too-long"]),
        ("exponent 3", rsa(2048, 3), &["key-exponent"]),
        ("an even exponent", rsa(2048, 65538), &["key-exponent"]),
        ("an exponent of 34 bits", rsa(2048, (1 << 33) + 1), &["key-exponent"]),
        ("a key on a curve", keyed(&rcgen::KeyPair::generate().unwrap()), &["key-not-rsa"]),
    ]
}
