//! HTTP requests, and what a server makes of those that are passed on.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sandboxctl::egress::proxy::fuzzing::{Passed, Sniffed, connection, requests};
use sandboxctl_fuzz::{NAME, PORT, name, splits};

fuzz_target!(|input: &[u8]| {
    let whole = requests(&name(), PORT, [input]);
    let sniffed = connection(&name(), PORT, [input]);
    for pieces in splits(input) {
        assert_eq!(requests(&name(), PORT, pieces.iter().copied()), whole, "the pieces decide");
        match (connection(&name(), PORT, pieces), &sniffed) {
            // In one piece with a refused request the good ones before it are not passed on.
            (Sniffed::Http(Passed { refused, .. }), Sniffed::Refused(reason)) => {
                assert_eq!(refused.as_ref(), Some(reason));
            }
            (Sniffed::Tls(in_pieces, _), Sniffed::Tls(whole, _)) => assert_eq!(&in_pieces, whole),
            (in_pieces, whole) => assert_eq!(&in_pieces, whole, "the pieces decide"),
        }
    }
    if let Sniffed::Http(passed) = sniffed {
        assert_eq!(passed, whole);
    }
    let starts = server(&whole.bytes);
    same_bytes(input, &whole.bytes, &starts);
});

/// Nothing is added, and nothing left out but empty lines before a request.
fn same_bytes(mut input: &[u8], passed: &[u8], starts: &[usize]) {
    for (at, byte) in passed.iter().enumerate() {
        if starts.contains(&at) {
            while let Some(rest) = input.strip_prefix(b"\r\n") {
                input = rest;
            }
        }
        assert_eq!(input.split_first(), input.first().map(|_| (byte, &input[1..])));
        assert!(!input.is_empty(), "more is passed on than came");
        input = &input[1..];
    }
}

/// Reads requests as a server does, one that takes what it can get; returns where each begins. All must be for the host.
fn server(bytes: &[u8]) -> Vec<usize> {
    let mut starts = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        starts.push(bytes.len() - rest.len());
        let (head, after) = head(rest);
        strict(head);
        let fields = lenient(head);
        let of = |name: &str| -> Vec<&str> {
            let named = fields.iter().filter(|(field, _)| field.eq_ignore_ascii_case(name));
            named.map(|(_, value)| value.as_str()).collect()
        };
        let hosts = of("host");
        assert!(matches!(hosts.as_slice(), [host] if is_ours(host)), "{hosts:?}");
        rest = match (of("content-length").as_slice(), of("transfer-encoding").as_slice()) {
            ([], []) => after,
            ([length], []) => {
                let length: u64 = length.parse().unwrap_or_else(|_| panic!("{length:?}"));
                let most = usize::try_from(length).unwrap_or(usize::MAX).min(after.len());
                &after[most..]
            }
            ([], [coding]) if coding.eq_ignore_ascii_case("chunked") => chunks(after),
            both => panic!("a body of two lengths: {both:?}"),
        };
    }
    starts
}

/// A head, which is passed on whole or not at all.
fn head(bytes: &[u8]) -> (&[u8], &[u8]) {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
    bytes.split_at(end.unwrap_or_else(|| panic!("a part of a head is passed on")) + 4)
}

/// As a parser reads it that keeps to the rules.
fn strict(head: &[u8]) {
    let mut headers = [httparse::EMPTY_HEADER; 256];
    let mut request = httparse::Request::new(&mut headers);
    let status = request.parse(head);
    assert_eq!(status, Ok(httparse::Status::Complete(head.len())));
    let hosts: Vec<&[u8]> = request
        .headers
        .iter()
        .filter(|header| header.name.eq_ignore_ascii_case("host"))
        .map(|header| header.value)
        .collect();
    let ours = |host: &[u8]| std::str::from_utf8(host).is_ok_and(is_ours);
    assert!(matches!(hosts.as_slice(), [host] if ours(host)), "{hosts:?}");
    let target = request.path.unwrap_or_default();
    if let Some((_, rest)) = target.split_once("://")
        && !target.starts_with('/')
    {
        let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
        assert!(is_ours(host), "{target:?}");
    }
    assert_ne!(request.method, Some("CONNECT"));
}

/// As a parser reads it that takes any line end, and any blanks around a name.
fn lenient(head: &[u8]) -> Vec<(String, String)> {
    let text = String::from_utf8_lossy(head);
    text.split(['\r', '\n', '\0'])
        .skip(1)
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
        .collect()
}

fn is_ours(authority: &str) -> bool {
    let (host, port) = authority.split_once(':').unwrap_or((authority, "8080"));
    port == PORT.to_string() && host.strip_suffix('.').unwrap_or(host).eq_ignore_ascii_case(NAME)
}

/// What follows a body in chunks.
fn chunks(mut bytes: &[u8]) -> &[u8] {
    loop {
        let (at, size) = match httparse::parse_chunk_size(bytes) {
            Ok(httparse::Status::Complete(found)) => found,
            Ok(httparse::Status::Partial) => {
                assert!(bytes.is_empty(), "a part of a chunk's size is passed on");
                return bytes;
            }
            Err(error) => panic!("{error:?}"),
        };
        bytes = &bytes[at..];
        if size == 0 {
            return trailer(bytes);
        }
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        let Some(after) = bytes.get(size..) else { return &[] };
        if after.len() < 2 {
            // The line end is passed on whole.
            assert!(after.is_empty());
            return after;
        }
        bytes = after.strip_prefix(b"\r\n").unwrap_or_else(|| panic!("a chunk without its end"));
    }
}

/// What follows the lines after the last chunk: fields, and none that says where a request goes or ends.
fn trailer(bytes: &[u8]) -> &[u8] {
    if bytes.is_empty() {
        return bytes;
    }
    if let Some(rest) = bytes.strip_prefix(b"\r\n") {
        return rest;
    }
    let (lines, rest) = head(bytes);
    let mut headers = [httparse::EMPTY_HEADER; 256];
    let status = httparse::parse_headers(lines, &mut headers);
    assert!(matches!(status, Ok(httparse::Status::Complete((length, _))) if length == lines.len()));
    for line in String::from_utf8_lossy(lines).split(['\r', '\n']) {
        let name = line.split(':').next().unwrap_or_default().trim();
        for forbidden in ["host", "content-length", "transfer-encoding"] {
            assert!(!name.eq_ignore_ascii_case(forbidden), "{line:?} in a trailer");
        }
    }
    rest
}
