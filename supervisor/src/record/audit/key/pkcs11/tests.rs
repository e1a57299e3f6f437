//! A log whose checkpoints a real token of SoftHSM signs; scripts/test runs it, in a dynamic build.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::super::super::note::{Note, Signed};
use super::super::super::tests::{TempDir, assert_whole, event, subject};
use super::super::super::verify::{Options, ProblemCode, verify};
use super::super::super::{AuditLog, Settings, checkpoint, seal};
use super::super::{PRIVATE, published};
use super::*;
use crate::trust::signer::pkcs11::testing::{Token, token};

fn key(token: &Token, object: &str) -> ModuleKey {
    ModuleKey { pkcs11: token.address(object), pin_file: token.pin_file() }
}

/// Two events of one day, and with it a new segment.
fn write(dir: &Path, key: &ModuleKey, day: u64) -> AuditLog {
    let settings = Settings { key: Some(key.clone()), ..Settings::default() };
    let mut log = AuditLog::open_with(dir, &subject("one"), &settings).expect("open");
    log.append_at(&[event(1), event(2)], || at(day)).expect("append");
    log
}

fn at(day: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_hours(24 * (19_000 + day))
}

#[test]
fn a_token_signs_the_checkpoints_and_its_keys_change() {
    let Some(token) = token() else { return };
    let dir = TempDir::new("token");
    let (one, two) = (key(&token, "log-1"), key(&token, "log-2"));
    assert_eq!(one.problem(), None);
    drop(write(&dir.0, &one, 0));
    let mut log = write(&dir.0, &one, 1);
    assert_eq!(seal::seal(&mut log, || at(1)).expect("seal").len(), 1);
    let kept = dir.0.join("kept");
    fs::write(&kept, checkpoint::make(&dir.0, Some(&one), at(1)).expect("made")).expect("write");
    // Another key from now on: what the first has signed still verifies, here and elsewhere.
    let mut log = write(&dir.0, &two, 2);
    assert_eq!(seal::seal(&mut log, || at(2)).expect("seal").len(), 1);
    checkpoint::make(&dir.0, Some(&two), at(2)).expect("made");
    let verified = assert_whole(&dir.0);
    assert_eq!((verified.checkpoints, verified.unsealed), (3, 0));
    let keys = published(&dir.0).expect("keys");
    assert_eq!(keys.len(), 2, "{keys:?}");
    assert!(!dir.0.join(PRIVATE).exists(), "no file beside a token");
    let against = |keys: &[VerifyKey]| {
        let options = Options { against: Some(kept.clone()), keys: Some(keys.to_vec()) };
        verify(&dir.0, &options).expect("verify")
    };
    assert!(against(&keys).ok);
    let unknown = against(&keys[1..]);
    assert!(
        unknown.problems.iter().all(|problem| problem.code == ProblemCode::CheckpointSignature),
        "{unknown:?}"
    );
    assert!(!unknown.ok);
    // And by the public halves that openssl reads.
    let note = Note::parse(&fs::read(&kept).expect("kept")).expect("note");
    assert_eq!(note.signed_by(&keys[..1]), Signed::Rightly);
    let spki = std::process::Command::new("openssl")
        .arg("pkey")
        .arg("-in")
        .arg(token.folder().join("log-1.pem"))
        .args(["-pubout", "-outform", "DER"])
        .output()
        .expect("openssl");
    assert_eq!(keys[0], VerifyKey::new(PublicKey::Rsa(spki.stdout)));
}

/// A module that cannot be used is an error, and never the file's key instead.
#[test]
fn a_token_that_does_not_open_signs_nothing() {
    let Some(token) = token() else { return };
    let dir = TempDir::new("token-closed");
    let pin = dir.0.join("pin");
    fs::write(&pin, "4321\n").expect("write");
    let mode = |mode| fs::set_permissions(&pin, fs::Permissions::from_mode(mode)).expect("chmod");
    mode(0o644);
    let wrong = ModuleKey { pin_file: pin.clone(), ..key(&token, "log-1") };
    drop(write(&dir.0, &wrong, 0));
    let mut log = write(&dir.0, &wrong, 1);
    let mut fails = |with: &str| {
        let error = seal::seal(&mut log, || at(1)).expect_err("no seal");
        assert!(error.to_string().contains(with), "{error}");
        assert!(!dir.0.join(PRIVATE).exists());
        assert_eq!(published(&dir.0).expect("keys"), []);
    };
    fails("others than its owner");
    mode(0o600);
    fails("log into");
    fs::remove_file(&pin).expect("remove");
    fails("pin");
    let absent = key(&token, "nobody");
    let error = checkpoint::make(&dir.0, Some(&absent), at(1)).expect_err("no checkpoint");
    assert!(error.to_string().contains("0 private RSA keys"), "{error}");
    assert_eq!(assert_whole(&dir.0).unsealed, 1);
    // Repaired: what waited is signed.
    let mut log = write(&dir.0, &key(&token, "log-1"), 1);
    assert_eq!(seal::seal(&mut log, || at(1)).expect("seal").len(), 1);
    assert_eq!(assert_whole(&dir.0).unsealed, 0);
}
