//! TLS client hellos, alone and as the beginning of a connection.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sandboxctl::egress::proxy::fuzzing::{ClientHello, Sniffed, client_hello, connection};
use sandboxctl_fuzz::{PORT, name, splits};
use tls_parser::{TlsExtension, TlsMessage, TlsMessageHandshake};

fuzz_target!(|input: &[u8]| {
    let whole = client_hello([input]);
    let sniffed = connection(&name(), PORT, [input]);
    for pieces in splits(input) {
        assert_eq!(client_hello(pieces.iter().copied()), whole, "the pieces decide");
        let read = match (connection(&name(), PORT, pieces), &sniffed) {
            (Sniffed::Tls(found, read), Sniffed::Tls(name, _)) => {
                assert_eq!(&found, name, "the pieces decide");
                read
            }
            // The http target compares requests.
            (Sniffed::Http(_) | Sniffed::Refused(_), Sniffed::Http(_) | Sniffed::Refused(_))
            | (Sniffed::Undecided, Sniffed::Undecided) => continue,
            (in_pieces, whole) => panic!("{in_pieces:?}, and in one piece {whole:?}"),
        };
        assert!(input.starts_with(&read), "what is passed on is not what came");
        // What is passed on must say what was checked, whatever comes next.
        assert_eq!(client_hello([&*read]), whole, "the server is told something else");
    }
    match &sniffed {
        Sniffed::Tls(Some(name), read) => {
            assert_eq!(whole, ClientHello::Name(name.clone()));
            assert_eq!(read, input);
        }
        Sniffed::Tls(None, read) => {
            assert_eq!(whole, ClientHello::NoName);
            assert_eq!(read, input);
        }
        Sniffed::Undecided | Sniffed::Http(_) | Sniffed::Refused(_) => {
            let decided = matches!(whole, ClientHello::Name(_) | ClientHello::NoName);
            assert!(!decided, "a client hello that the proxy does not see");
        }
    }
    match whole {
        ClientHello::Name(name) => {
            let names = other_parser(input);
            let [other] = names.as_slice() else { panic!("{name:?}, and elsewhere {names:?}") };
            assert_eq!(String::from_utf8_lossy(other), name, "two parsers, two names");
        }
        ClientHello::NoName => assert!(other_parser(input).is_empty(), "a name was missed"),
        ClientHello::More | ClientHello::Refused(_) => {}
    }
});

/// Every server name that another parser finds in the first message of these records.
fn other_parser(mut records: &[u8]) -> Vec<Vec<u8>> {
    let mut message = Vec::new();
    loop {
        let length = usize::from(u16::from_be_bytes([records[3], records[4]]));
        message.extend_from_slice(&records[5..5 + length]);
        records = &records[5 + length..];
        match tls_parser::parse_tls_message_handshake(&message) {
            Ok((_, TlsMessage::Handshake(TlsMessageHandshake::ClientHello(hello)))) => {
                return hello.ext.map(server_names).unwrap_or_default();
            }
            Err(tls_parser::nom::Err::Incomplete(_)) => {}
            other => panic!("accepted, and elsewhere {other:?}"),
        }
    }
}

fn server_names(mut extensions: &[u8]) -> Vec<Vec<u8>> {
    let mut names = Vec::new();
    while let Some([kind_high, kind_low, high, low]) = extensions.first_chunk() {
        let length = 4 + usize::from(u16::from_be_bytes([*high, *low]));
        let (extension, rest) = extensions.split_at(length);
        extensions = rest;
        match tls_parser::parse_tls_client_hello_extension(extension) {
            Ok(([], TlsExtension::SNI(found))) => {
                names.extend(found.into_iter().map(|(_, name)| name.to_vec()));
            }
            // It looks into others, too, and ours does not.
            read => assert_ne!([*kind_high, *kind_low], [0, 0], "accepted, and elsewhere {read:?}"),
        }
    }
    assert!(extensions.is_empty(), "accepted, and elsewhere no extensions");
    names
}
