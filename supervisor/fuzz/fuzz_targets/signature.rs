//! `MANIFEST.p7s`: whatever it is, nobody is taken for trusted who is not.
#![no_main]

use std::time::{Duration, SystemTime};

use libfuzzer_sys::fuzz_target;
use policies::decision::{Evaluated, Signer};
use policies::tier::Tier;
use sandboxctl::bundle::digest::{Hashed, sha256};
use sandboxctl::trust::anchors::TrustStore;
use sandboxctl::trust::certificate::Certificate;
use sandboxctl::trust::{Claim, Integrity, cms, verify};

/// What the seeds have signed.
const MANIFEST: &[u8] = include_bytes!("../corpus/file_list/signed");
/// Another bundle of the same name: nobody has signed it.
const OTHER: &[u8] = b"sandboxctl-manifest 1\nid acme.hello\nversion 1.0.0\n\
0644 0 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 x\n";

fuzz_target!(|p7s: &[u8]| {
    let parsed = cms::parse(p7s);
    if let Ok(signed) = &parsed {
        refused_without_its_key(signed);
    }
    // Long after any build of this program.
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(4_000_000_000);
    let (manifest, other_list) = (Hashed::new(MANIFEST.to_vec()), Hashed::new(OTHER.to_vec()));
    let anchors = TrustStore::empty();
    for tier in Tier::ALL {
        let claim = Claim { id: "acme.hello", version: "1.0.0", publisher: "acme", tier };
        let found = verify(&manifest, Some(p7s), &claim, Integrity::Intact, &anchors, now);
        if parsed.is_err() {
            assert!(!found.valid, "an unreadable signature is no missing one");
        }
        match found.kind() {
            Evaluated::NotEvaluated => assert!(!found.valid),
            Evaluated::Found(kind) => {
                assert!(found.valid && tier == Tier::Community && kind <= Signer::SelfSigned);
            }
        }
        let other = verify(&other_list, Some(p7s), &claim, Integrity::Intact, &anchors, now);
        assert!(!other.valid, "a signature of another list");
    }
});

/// The attributes are covered by the signature: what was not signed is refused, whichever certificate came with it.
fn refused_without_its_key(signed: &cms::Signed<'_>) {
    let other = Hashed::new(OTHER.to_vec());
    for certificate in &signed.certificates {
        let Ok(certificate) = Certificate::from_der(certificate) else { continue };
        let found = signed.check(&other, &certificate);
        let digest = found.iter().any(|refusal| refusal.code == "signature-digest");
        assert_eq!(digest, signed.digest() != Some(sha256(OTHER)));
        let invalid = found.iter().any(|refusal| refusal.code == "signature-invalid");
        // The keys of the seeds have signed one list, and nobody here has another key.
        if !invalid && certificate.key().is_ok() {
            assert_eq!(signed.digest(), Some(sha256(MANIFEST)), "nobody has signed this");
        }
    }
}
