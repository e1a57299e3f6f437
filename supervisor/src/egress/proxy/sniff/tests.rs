use policies::domain::DomainName;

use super::{Opening, Sniffer};

fn sniff(pieces: &[&[u8]]) -> Result<Sniffer, Opening> {
    let name = DomainName::from_ascii("a.example.com").unwrap();
    pieces.iter().try_fold(Sniffer::new(&name, 80), |sniffer, piece| sniffer.feed(piece))
}

#[test]
fn every_byte_of_a_request_is_kept() {
    let text = b"GET / HTTP/1.1\r\nHost: a.example.com\r\n\r\n";
    for at in 1..text.len() {
        let (first, second) = text.split_at(at);
        let Err(Opening::Http { checked, .. }) = sniff(&[first, second]) else {
            panic!("split at {at}");
        };
        assert_eq!(checked, text);
    }
    assert!(matches!(sniff(&[&text[..20]]), Ok(Sniffer::Http { .. })));
}

#[test]
fn every_byte_of_a_hello_is_kept() {
    // A hello without extensions.
    let mut text = vec![22, 3, 1, 0, 45, 1, 0, 0, 41, 3, 3];
    text.extend_from_slice(&[7; 32]);
    text.extend_from_slice(&[0, 0, 2, 0x13, 1, 1, 0]);
    for at in 1..text.len() {
        let (first, second) = text.split_at(at);
        let Err(Opening::Tls { name: None, read }) = sniff(&[first, second]) else {
            panic!("split at {at}");
        };
        assert_eq!(read, text);
    }
}

#[test]
fn others_are_unknown_at_once() {
    for text in [&b"SSH-2.0-x"[..], b"\0", b"EHLO a", b"GETTER", &[22, 3, 1, 0, 1, 2], &[22, 9]] {
        assert!(matches!(sniff(&[text]), Err(Opening::Unknown(_))), "{text:?}");
    }
    assert!(matches!(sniff(&[b"GE"]), Ok(Sniffer::Start { .. })));
}
