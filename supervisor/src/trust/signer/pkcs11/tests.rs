//! Addresses, and a real token of SoftHSM.

use std::path::PathBuf;
use std::process::Command;

use super::*;
use crate::trust::key::RsaPublicKey;

#[test]
fn addresses_are_taken_apart() {
    let uri = Uri::parse("pkcs11:token=my%20token;object=k;id=%01%ff?module-path=/x.so").unwrap();
    assert_eq!(uri.token.as_deref(), Some("my token"));
    assert_eq!(uri.id.as_deref(), Some(&[1, 0xff][..]));
    assert_eq!(uri.module_path, PathBuf::from("/x.so"));
    for wrong in [
        "token=t",
        "pkcs11:token=t?module-path=/x.so",
        "pkcs11:object=k",
        "pkcs11:object=k?module-path=x.so",
        "pkcs11:object=k;colour=red?module-path=/x.so",
        "pkcs11:object=k?module-path=/x.so&pin-value=1234",
        "pkcs11:object=%0?module-path=/x.so",
        "pkcs11:object=k;type=public?module-path=/x.so",
    ] {
        assert!(Uri::parse(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_key_in_a_token_signs() {
    let Some(token) = testing::token() else { return };
    let signer = Pkcs11Signer::open(&token.address("release"), &token.pin()).unwrap();
    let signature = signer.sign_sha256_rsa(b"message").unwrap();
    let public = RsaPublicKey::from_spki(signer.spki_der()).unwrap();
    assert!(public.verifies(b"message", &signature));
    assert!(!public.verifies(b"massage", &signature));
    let mut openssl = Command::new("openssl");
    let key = token.folder().join("release.pem");
    let spki = openssl.arg("pkey").arg("-in").arg(key).args(["-pubout", "-outform", "DER"]);
    assert_eq!(signer.spki_der(), spki.output().unwrap().stdout);
}
