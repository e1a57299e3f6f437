use std::fs;
use std::path::PathBuf;
use std::time::SystemTime;

use super::*;
use crate::trust::testing::KEYS;

struct Rig {
    dir: PathBuf,
    passphrase: Passphrase,
}

impl Rig {
    fn new(name: &str, intermediate_days: u32) -> Self {
        let dir = std::env::temp_dir().join(format!("sandboxctl-ca-{name}-{}", std::process::id()));
        let settings =
            Settings { bits: KeyBits::Rsa2048, intermediate_days, ..Settings::default() };
        let passphrase = Passphrase::new("secret");
        Authority::init(&dir, &settings, &passphrase, SystemTime::now()).unwrap();
        Self { dir, passphrase }
    }

    fn issue(&self, days: u32, now: SystemTime) -> Result<Vec<Certificate>, CaError> {
        let spki = KEYS.leaf.signer.spki_der();
        let order = Order { spki, publisher: "acme", name: "acme", days };
        Authority::open(&self.dir)?.issue(&order, &self.passphrase, now)
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.dir).unwrap();
    }
}

#[test]
fn nothing_outlives_its_issuer_or_lives_too_short() {
    let rig = Rig::new("lifetime", 120);
    let now = SystemTime::now();
    let chain = rig.issue(3650, now).unwrap();
    assert_eq!(chain[0].not_after(), chain[1].not_after());
    assert!(chain[0].not_before() < now && chain[0].lifetime() >= SHORTEST_LIFETIME);
    assert!(chain[0].not_before() > now - 2 * issue::BACKDATED);
    let other = rig.issue(90, now).unwrap();
    assert!(other[0].not_after() < chain[0].not_after());
    assert_ne!(other[0].serial(), chain[0].serial());
    assert!(matches!(rig.issue(89, now), Err(CaError::Lifetime { .. })));
    // The intermediate has less than 90 days left.
    let error = rig.issue(365, now + 31 * DAY).unwrap_err();
    assert!(error.hint().unwrap().contains("rotate"), "{error}");
}

/// As if a command had been killed between any two of its steps.
#[test]
fn what_was_interrupted_is_finished_or_forgotten() {
    let rig = Rig::new("interrupted", 1825);
    let now = SystemTime::now();
    let serial = rig.issue(365, now).unwrap()[0].serial();
    let list = rig.dir.join("intermediate-1.crl.pem");
    let before = fs::read(&list).unwrap();
    let mut authority = Authority::open(&rig.dir).unwrap();
    authority.revoke(&serial, Reason::Superseded, &rig.passphrase, now).unwrap();
    drop(authority);
    // Killed after the index and before the list.
    fs::write(&list, before).unwrap();
    let mut authority = Authority::open(&rig.dir).unwrap();
    assert_eq!(authority.behind(), ["intermediate-1"]);
    authority.revoke(&serial, Reason::Superseded, &rig.passphrase, now).unwrap();
    assert!(authority.behind().is_empty());
    let again = authority.revoke(&serial, Reason::Superseded, &rig.passphrase, now);
    assert!(matches!(again, Err(CaError::AlreadyRevoked { .. })));
    drop(authority);
    // Killed before the index: files that it does not name.
    for name in ["intermediate-2.key", "intermediate-2.pem", ".index.json.1", "certs/ab.pem"] {
        fs::write(rig.dir.join(name), "x").unwrap();
    }
    let mut authority = Authority::open(&rig.dir).unwrap();
    authority.rotate(KeyBits::Rsa2048, &rig.passphrase, now).unwrap();
    assert!(!rig.dir.join("certs/ab.pem").exists());
    assert!(!rig.dir.join(".index.json.1").exists());
    assert_eq!(authority.index().current().file, "intermediate-2");
    assert_eq!(authority.read_crls().unwrap().len(), 3);
}

#[test]
fn a_damaged_index_is_refused() {
    let rig = Rig::new("damaged", 1825);
    let path = rig.dir.join("index.json");
    let text = fs::read_to_string(&path).unwrap();
    for (from, to) in [
        ("\"format\": 1", "\"format\": 2"),
        ("\"file\": \"root\"", "\"file\": \"../root\""),
        ("\"issuers\"", "\"issers\""),
        ("{", "["),
    ] {
        fs::write(&path, text.replacen(from, to, 1)).unwrap();
        assert!(matches!(Authority::open(&rig.dir), Err(CaError::Content { .. })), "{from}");
    }
    fs::write(&path, text).unwrap();
    Authority::open(&rig.dir).unwrap();
    let wrong = Passphrase::new("wrong");
    let mut authority = Authority::open(&rig.dir).unwrap();
    assert!(matches!(authority.publish(None, &wrong, SystemTime::now()), Err(CaError::Key(_))));
}

#[test]
fn unfit_orders_are_refused() {
    let rig = Rig::new("orders", 1825);
    let spki = KEYS.leaf.signer.spki_der();
    let refused = |order: &Order<'_>| {
        let mut authority = Authority::open(&rig.dir).unwrap();
        let result = authority.issue(order, &rig.passphrase, SystemTime::now());
        assert!(matches!(result, Err(CaError::Refused { .. })), "{order:?}");
    };
    let good = Order { spki, publisher: "acme", name: "acme", days: 365 };
    refused(&Order { spki: &spki[1..], ..good });
    refused(&Order { publisher: "Acme", ..good });
    refused(&Order { name: "a\nb", ..good });
    refused(&Order { name: "", ..good });
}
