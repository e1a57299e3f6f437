//! Keys that sign and verify.

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RsaKeyPair};

use super::super::note::Signed;
use super::super::tests::TempDir;
use super::*;

struct Rsa {
    pair: RsaKeyPair,
    public: VerifyKey,
}

impl CheckpointSigner for Rsa {
    fn verify_key(&self) -> &VerifyKey {
        &self.public
    }

    fn sign(&self, text: &[u8]) -> Result<Vec<u8>, KeyError> {
        let mut signature = vec![0; self.pair.public_modulus_len()];
        self.pair
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text, &mut signature)
            .map_err(|_| KeyError::Sign { reason: "refused".to_owned() })?;
        Ok(signature)
    }
}

fn assert_signs(signer: &dyn CheckpointSigner) {
    let key = signer.verify_key().clone();
    assert_eq!(VerifyKey::parse(&key.text()).expect("key"), key);
    let note = sign_note(signer, "text\n".to_owned()).expect("note");
    let note = Note::parse(note.render().as_bytes()).expect("note");
    assert_eq!(note.signed_by(std::slice::from_ref(&key)), Signed::Rightly);
    assert_eq!(note.signed_by(&[]), Signed::ByNobodyKnown);
    let other = Note { text: "texT\n".to_owned(), ..note };
    assert_eq!(other.signed_by(&[key]), Signed::Wrongly);
}

#[test]
fn a_key_is_made_once_and_for_its_owner_alone() {
    let dir = TempDir::new("key");
    let key = FileKey::open(&dir.0).expect("made");
    assert_signs(&key);
    let again = FileKey::open(&dir.0).expect("read");
    assert_eq!(again.public, key.public);
    assert_eq!(published(&dir.0).expect("public"), std::slice::from_ref(&key.public));
    let mode = |name| fs::metadata(dir.0.join(name)).expect("metadata").mode() & 0o777;
    assert_eq!(mode(PRIVATE), 0o600);
    // Lost: a new one, and what the old one signed can still be verified.
    fs::remove_file(dir.0.join(PRIVATE)).expect("remove");
    let new = FileKey::open(&dir.0).expect("made");
    assert_eq!(published(&dir.0).expect("public"), [key.public, new.public]);
}

#[test]
fn a_key_that_others_can_read_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let dir = TempDir::new("key-mode");
    FileKey::open(&dir.0).expect("made");
    let path = dir.0.join(PRIVATE);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("chmod");
    assert!(matches!(FileKey::open(&dir.0), Err(KeyError::Mode { mode: 0o640, .. })));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("chmod");
    fs::write(&path, "something else").expect("write");
    assert!(matches!(FileKey::open(&dir.0), Err(KeyError::Form { .. })));
}

#[test]
fn rsa_keys_of_another_signer_work_too() {
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).expect("key");
    let spki = pair.public_key().as_der().expect("der").as_ref().to_vec();
    assert_signs(&Rsa { pair, public: VerifyKey::new(PublicKey::Rsa(spki)) });
}
