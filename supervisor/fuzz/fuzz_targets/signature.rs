//! `MANIFEST.p7s`: whatever it is, nobody is taken for trusted who is not.
#![no_main]

use std::time::{Duration, SystemTime};

use libfuzzer_sys::fuzz_target;
use policies::decision::{Evaluated, Signer};
use policies::tier::Tier;
use sandboxctl::trust::anchors::TrustStore;
use sandboxctl::trust::{Claim, Integrity, cms, verify};

const MANIFEST: &[u8] = b"sandboxctl-manifest 1\nid acme.hello\nversion 1.0.0\n";

fuzz_target!(|p7s: &[u8]| {
    let parsed = cms::parse(p7s);
    // Long after any build of this program.
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(4_000_000_000);
    let anchors = TrustStore::empty();
    for tier in Tier::ALL {
        let claim = Claim { id: "acme.hello", version: "1.0.0", publisher: "acme", tier };
        let found = verify(MANIFEST, Some(p7s), &claim, Integrity::Intact, &anchors, now);
        if parsed.is_err() {
            assert!(!found.valid, "an unreadable signature is no missing one");
        }
        match found.kind() {
            Evaluated::NotEvaluated => assert!(!found.valid),
            Evaluated::Found(kind) => {
                assert!(found.valid && tier == Tier::Community && kind <= Signer::SelfSigned);
            }
        }
    }
});
