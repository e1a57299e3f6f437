//! Certificates, revocation lists, public keys and requests, in DER and in PEM.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sandboxctl::bundle::digest::sha256;
use sandboxctl::trust::certificate::Certificate;
use sandboxctl::trust::crl::Crl;
use sandboxctl::trust::pem;

fuzz_target!(|input: &[u8]| {
    if let Ok(certificate) = Certificate::from_der(input) {
        assert_eq!(certificate.der(), input);
        compare(&certificate, input);
        // It is all of it, and nothing else.
        assert!(Certificate::from_der(&input[..input.len() - 1]).is_err());
        assert!(Certificate::from_der(&[input, &[0]].concat()).is_err());
    }
    if let Ok(list) = Crl::from_der(input) {
        drop(list);
        assert!(Crl::from_der(&input[..input.len() - 1]).is_err());
        assert!(Crl::from_der(&[input, &[0]].concat()).is_err());
    }
    for certificate in pem::certificates(input).into_iter().flatten() {
        compare(&certificate, certificate.der());
    }
    drop(pem::crl(input));
});

/// With what a simple reader finds, which knows where the fields of RFC 5280, section 4.1, are and nothing of their meaning.
fn compare(certificate: &Certificate, der: &[u8]) {
    let outer = members(content(der));
    let [tbs, algorithm, _signature] = outer[..] else { panic!("{} members", outer.len()) };
    let fields = members(content(tbs));
    let [version, serial, inner, issuer, _validity, subject, spki, ref rest @ ..] = fields[..]
    else {
        panic!("{} fields", fields.len())
    };
    assert_eq!(version, [0xa0, 3, 2, 1, 2], "version 3");
    // Else it could be signed in one way and say another.
    assert_eq!(inner, algorithm);
    let digits = content(serial).iter().skip_while(|byte| **byte == 0);
    let digits: String = digits.map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(certificate.serial().trim_start_matches("00"), digits);
    assert_eq!(certificate.spki_sha256(), sha256(spki));
    if issuer == subject {
        assert_eq!(certificate.issuer(), certificate.subject());
    }
    let extensions = match rest {
        [] => Vec::new(),
        [extensions] => {
            assert_eq!(extensions[0], 0xa3, "nothing but extensions");
            members(content(content(extensions)))
        }
        more => panic!("{more:?} after the key"),
    };
    let mut kinds: Vec<&[u8]> = extensions.iter().map(|one| members(content(one))[0]).collect();
    kinds.sort_unstable();
    assert!(kinds.is_sorted_by(|a, b| a < b), "an extension is there twice");
}

/// The header's length, and the content's: X.690, section 8.1.3, of up to two bytes.
fn lengths(der: &[u8]) -> (usize, usize) {
    match der[1] {
        0x81 => (3, usize::from(der[2])),
        0x82 => (4, usize::from(u16::from_be_bytes([der[2], der[3]]))),
        short => (2, usize::from(short)),
    }
}

fn content(der: &[u8]) -> &[u8] {
    let (header, content) = lengths(der);
    &der[header..header + content]
}

fn members(mut content: &[u8]) -> Vec<&[u8]> {
    let mut members = Vec::new();
    while !content.is_empty() {
        let (header, length) = lengths(content);
        let (member, rest) = content.split_at(header + length);
        members.push(member);
        content = rest;
    }
    members
}
