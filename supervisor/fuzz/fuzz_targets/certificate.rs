//! Certificates, revocation lists, public keys and requests, in DER and in PEM.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sandboxctl::trust::certificate::Certificate;
use sandboxctl::trust::crl::Crl;
use sandboxctl::trust::pem;

fuzz_target!(|input: &[u8]| {
    if let Ok(certificate) = Certificate::from_der(input) {
        // Reading it again gives the same.
        let again = Certificate::from_der(input).expect("it was read once");
        assert_eq!(certificate.fingerprint(), again.fingerprint());
        assert_eq!(certificate.spki_sha256(), again.spki_sha256());
        assert_eq!(certificate.subject(), again.subject());
    }
    drop(Crl::from_der(input));
    drop(pem::certificates(input));
    drop(pem::crl(input));
});
