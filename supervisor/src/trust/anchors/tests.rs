use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::{Instant, SystemTime};

use policies::decision::Evaluated;
use policies::tier::Tier;

use super::*;
use crate::bundle::digest::{Hashed, sha256};
use crate::trust::testing::{KEYS, Scene, authority, crl, self_signed};
use crate::trust::{Claim, Integrity, verify};

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path =
            std::env::temp_dir().join(format!("sandboxctl-trust-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

#[test]
fn no_folder_is_no_trust() {
    let store = TrustStore::load(Path::new("/no/such/folder")).unwrap();
    assert!(store.issuers().is_empty() && store.crls().is_empty());
    assert_eq!(store.publishers().count(), 0);
}

#[test]
fn what_is_written_is_read() {
    let folder = Folder::new("written");
    let config = &folder.0;
    let scene = Scene::new();
    TrustStore::add_issuer(config, &scene.issuers[0], SystemTime::now()).unwrap();
    for list in &scene.crls {
        TrustStore::add_crl(config, list).unwrap();
    }
    let note = "by \"me\"\nstatus = \"suspended\" \u{7} ü";
    let publisher = Publisher { note: note.to_owned(), ..scene.known.clone().unwrap() };
    TrustStore::add_publisher(config, "acme", &publisher).unwrap();
    TrustStore::deny_key(config, sha256(b"key"), note).unwrap();
    TrustStore::deny_digest(config, sha256(b"digest"), "").unwrap();
    TrustStore::deny_digest(config, sha256(b"digest"), "twice").unwrap();
    let store = TrustStore::load(config).unwrap();
    assert_eq!(store.issuers(), scene.issuers);
    assert_eq!(store.crls().len(), 2);
    assert_eq!(store.publishers().collect::<Vec<_>>(), [("acme", &publisher)]);
    assert_eq!(store.denied().key(sha256(b"key")).unwrap().note, note);
    assert_eq!(store.denied().digest(sha256(b"digest")).unwrap().note, "twice");
    assert_eq!(store.denied().digests.len(), 1);
    // An older list is refused, a newer one replaces.
    let newer = crl(&authority("root", 1), &KEYS.root, 2, (-1, 6), &[]);
    TrustStore::add_crl(config, &newer).unwrap();
    TrustStore::add_crl(config, &scene.crls[0]).unwrap_err();
    assert_eq!(TrustStore::load(config).unwrap().crls().len(), 2);
}

/// Of one publisher, no word on another.
#[test]
fn what_was_not_read_is_not_evaluated() {
    let folder = Folder::new("scope");
    let scene = Scene::new();
    TrustStore::add_issuer(&folder.0, &scene.issuers[0], SystemTime::now()).unwrap();
    let store = TrustStore::load_for(&folder.0, "beta").unwrap();
    let claim =
        Claim { id: "acme.hello", version: "1.2.3", publisher: "acme", tier: Tier::Community };
    let p7s = scene.p7s.as_deref();
    let found = verify(
        &Hashed::new(scene.manifest.clone()),
        p7s,
        &claim,
        Integrity::Intact,
        &store,
        scene.now,
    );
    assert!(!found.valid);
    assert_eq!(found.kind(), Evaluated::NotEvaluated);
    assert_eq!(found.failures().count(), 0);
}

#[test]
fn what_is_no_root_is_not_trusted() {
    let folder = Folder::new("root");
    let now = SystemTime::now();
    let refused = |certificate: &Certificate| {
        TrustStore::add_issuer(&folder.0, certificate, now).unwrap_err().to_string()
    };
    assert!(refused(&Scene::intermediate()).contains("no root"));
    assert!(refused(&Scene::leaf(&crate::trust::testing::leaf())).contains("CA:TRUE"));
    let mut old = authority("old", 1);
    old.not_after = (now - std::time::Duration::from_secs(5)).into();
    assert!(refused(&self_signed(&old, &KEYS.root)).contains("expired"));
    let mut unsigning = authority("unsigning", 1);
    unsigning.key_usages = vec![rcgen::KeyUsagePurpose::DigitalSignature];
    assert!(refused(&self_signed(&unsigning, &KEYS.root)).contains("keyCertSign"));
    for id in ["", "Acme", "../x", "a.b", "-a"] {
        let publisher = Publisher::default();
        TrustStore::add_publisher(&folder.0, id, &publisher).unwrap_err();
    }
}

/// Not a test of a time: prints what reading costs.
#[test]
#[ignore = "prints figures"]
fn cost() {
    let folder = Folder::new("cost");
    let scene = Scene::new();
    TrustStore::add_issuer(&folder.0, &scene.issuers[0], SystemTime::now()).unwrap();
    for list in &scene.crls {
        TrustStore::add_crl(&folder.0, list).unwrap();
    }
    TrustStore::add_publisher(&folder.0, "acme", &scene.known.clone().unwrap()).unwrap();
    let mut times: Vec<_> = (0..2000)
        .map(|_| {
            let began = Instant::now();
            TrustStore::load_for(&folder.0, "acme").unwrap();
            began.elapsed()
        })
        .collect();
    times.sort();
    println!("load for one publisher: min {:?}, median {:?}", times[0], times[times.len() / 2]);
}
