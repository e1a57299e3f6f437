use policies::domain::DomainName;

use super::{MOST, Refused, Requests, begins};

fn name() -> DomainName {
    DomainName::from_ascii("a.example.com").unwrap()
}

/// What may be passed on, and the end; every split into two pieces must give the same.
fn feed(text: &str) -> (Vec<u8>, Result<(), Refused>) {
    let whole = feed_pieces(&[text.as_bytes()]);
    for at in 0..text.len() {
        let (first, second) = text.as_bytes().split_at(at);
        let pieces = feed_pieces(&[first, second]);
        assert_eq!(pieces, whole, "{text:?} split at {at}");
    }
    let bytes: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
    assert_eq!(feed_pieces(&bytes), whole, "{text:?} in bytes");
    whole
}

fn feed_pieces(pieces: &[&[u8]]) -> (Vec<u8>, Result<(), Refused>) {
    let mut requests = Requests::new(name(), 8080);
    let mut checked = Vec::new();
    for piece in pieces {
        if let Err(refused) = requests.feed(piece, &mut checked) {
            return (checked, Err(refused));
        }
    }
    (checked, Ok(()))
}

fn get(headers: &str) -> String {
    format!("GET / HTTP/1.1\r\n{headers}\r\n")
}

fn post(headers: &str, body: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: a.example.com\r\n{headers}\r\n{body}")
}

#[test]
fn requests_for_the_host_pass() {
    let next = get("Host: a.example.com\r\n");
    for text in [
        next.clone(),
        get("Host: A.Example.COM:8080\r\nAccept: */*\r\n"),
        get("Accept: */*\r\nhOST:a.example.com.\r\n"),
        "GET http://a.example.com/x HTTP/1.1\r\nHost: a.example.com\r\n\r\n".to_owned(),
        "GET HTTP://a.example.com:8080?x HTTP/1.1\r\nHost: a.example.com\r\n\r\n".to_owned(),
        "OPTIONS * HTTP/1.1\r\nHost: a.example.com\r\n\r\n".to_owned(),
        "GET / HTTP/1.0\r\nHost: a.example.com\r\n\r\n".to_owned(),
        format!("{next}{next}"),
        post("Content-Length: 4\r\n", "body") + &next,
        post("Content-Length: 0\r\n", &next),
        post("Transfer-Encoding: chunked\r\n", "3\r\nabc\r\n0A;x=y\r\n0123456789\r\n0\r\n\r\n")
            + &next,
        post("Transfer-Encoding: Chunked\r\n", "1\r\na\r\n0\r\nX-Sum: 1\r\nY: 2\r\n\r\n") + &next,
        // A body may hold anything.
        post("Content-Length: 43\r\n", "GET / HTTP/1.1\r\nHost: b.example.com\r\n\r\n1234") + &next,
    ] {
        assert_eq!(feed(&text), (text.clone().into_bytes(), Ok(())), "{text:?}");
    }
}

#[test]
fn nothing_of_an_unfinished_head_passes() {
    let first = get("Host: a.example.com\r\n");
    let text = format!("\r\n{first}\r\n\r\nGET / HTTP/1.1\r\nHost: a.exam");
    assert_eq!(feed(&text), (first.into_bytes(), Ok(())));
}

#[test]
fn another_host_is_refused_in_every_request() {
    let good = get("Host: a.example.com\r\n");
    for (text, host) in [
        (get("Host: b.example.com\r\n"), "b.example.com"),
        (get("Host: a.example.com:80\r\n"), "a.example.com:80"),
        (get("Host: a.example.com:\r\n"), "a.example.com:"),
        (get("Host: a.example.com@b.example.com\r\n"), "a.example.com@b.example.com"),
        (get("Host: a.example.com, b.example.com\r\n"), "a.example.com, b.example.com"),
        (get("Host: 198.18.0.2\r\n"), "198.18.0.2"),
        (get("Host: \r\n"), ""),
        (get("Accept: */*\r\n"), ""),
        (get("Host: a.example.com\r\nHost: a.example.com\r\n"), "twice"),
        ("GET / HTTP/1.0\r\n\r\n".to_owned(), ""),
        (
            "GET http://b.example.com/ HTTP/1.1\r\nHost: a.example.com\r\n\r\n".to_owned(),
            "b.example.com",
        ),
        (
            "GET http://a.example.com\\@b.example.com/ HTTP/1.1\r\nHost: b.example.com\r\n\r\n"
                .to_owned(),
            "b.example.com",
        ),
        (
            "GET http://a.example.com@b.example.com/ HTTP/1.1\r\nHost: a.example.com\r\n\r\n"
                .to_owned(),
            "a.example.com@b.example.com",
        ),
    ] {
        let refused = Err(Refused::Host(host.to_owned()));
        assert_eq!(feed(&text), (vec![], refused.clone()), "{text:?}");
        let second = format!("{good}{text}");
        assert_eq!(feed(&second), (good.clone().into_bytes(), refused.clone()), "{second:?}");
        let body = post("Transfer-Encoding: chunked\r\n", "2\r\nab\r\n0\r\n\r\n");
        let third = format!("{body}{text}");
        assert_eq!(feed(&third), (body.into_bytes(), refused), "{third:?}");
    }
}

#[test]
fn what_two_servers_may_read_in_two_ways_is_refused() {
    for text in [
        post("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", ""),
        post("Content-Length: 4\r\nContent-Length: 5\r\n", ""),
        post("Content-Length: 4\r\nContent-Length: 4\r\n", ""),
        post("Content-Length: 4, 4\r\n", ""),
        post("Content-Length: +4\r\n", ""),
        post("Content-Length: 0x4\r\n", ""),
        post("Content-Length: 99999999999999999999\r\n", ""),
        post("Content-Length:\r\n", ""),
        post("Transfer-Encoding: gzip, chunked\r\n", ""),
        post("Transfer-Encoding: xchunked\r\n", ""),
        post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", ""),
        "POST / HTTP/1.0\r\nHost: a.example.com\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(),
        get("Host: a.example.com\r\n folded: b\r\n"),
        get("Host : a.example.com\r\n"),
        get("Host: a.example.com\n"),
        get("Host: a.example.com\rX: y\r\n"),
        get("Host: a.example.com\0\r\n"),
        "GET / HTTP/1.1\nHost: a.example.com\n\n".to_owned(),
        "GET / HTTP/2.0\r\nHost: a.example.com\r\n\r\n".to_owned(),
        "GET a.example.com HTTP/1.1\r\nHost: a.example.com\r\n\r\n".to_owned(),
        "GET https://a.example.com/ HTTP/1.1\r\nHost: a.example.com\r\n\r\n".to_owned(),
        "GET * HTTP/1.1\r\nHost: a.example.com\r\n\r\n".to_owned(),
        "CONNECT a.example.com:8080 HTTP/1.1\r\nHost: a.example.com\r\n\r\n".to_owned(),
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(),
        "BREW / HTTP/1.1\r\nHost: a.example.com\r\n\r\n".to_owned(),
        get("Host: a.example.com\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"),
    ] {
        let (checked, result) = feed(&text);
        assert!(matches!(result, Err(Refused::Protocol(_))), "{text:?}: {result:?}");
        assert_eq!(checked, b"", "{text:?}");
    }
    for body in
        ["x\r\n", "\r\n", "-1\r\n", "1 \r\n", "1\n", "0123456789abcdef\r\n", "1\r\nab", "1\r\na\n"]
    {
        let text = post("Transfer-Encoding: chunked\r\n", body);
        assert!(matches!(feed(&text).1, Err(Refused::Protocol(_))), "{text:?}");
    }
}

#[test]
fn trailers_hide_no_request() {
    for lines in [
        "GET / HTTP/1.1\r\nHost: b.example.com\r\n\r\n",
        "GET http://b.example.com/ HTTP/1.1\r\nX: y\r\n\r\n",
        "Host: b.example.com\r\n\r\n",
        "X-Sum: 1\r\nhost: a.example.com\r\n\r\n",
        "Content-Length: 9\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n",
        "Upgrade: websocket\r\n\r\n",
        "X-Sum : 1\r\n\r\n",
        " X-Sum: 1\r\n\r\n",
        "nothing\r\n\r\n",
    ] {
        let body = post("Transfer-Encoding: chunked\r\n", "1\r\na\r\n0\r\n");
        let text = format!("{body}{lines}");
        let refused = Err(Refused::Protocol("HTTP trailer"));
        assert_eq!(feed(&text), (body.into_bytes(), refused), "{lines:?}");
    }
}

#[test]
fn a_head_is_bounded() {
    let endless = format!("GET /{} HTTP/1.1", "x".repeat(MOST));
    let (checked, result) = feed_pieces(&[endless.as_bytes()]);
    assert!(checked.is_empty() && matches!(result, Err(Refused::Protocol(_))));
    let many = get(&format!("Host: a.example.com\r\n{}", "X: y\r\n".repeat(200)));
    assert!(matches!(feed_pieces(&[many.as_bytes()]).1, Err(Refused::Protocol(_))));
}

#[test]
fn http_is_known_by_its_method() {
    for (text, expected) in [
        ("", None),
        ("G", None),
        ("GET", None),
        ("GET ", Some(true)),
        ("PROPPATCH /", Some(true)),
        ("PRI * HTTP/2.0", Some(true)),
        ("get ", Some(false)),
        ("GETT", Some(false)),
        ("SSH-2.0-", Some(false)),
        ("\0", Some(false)),
    ] {
        assert_eq!(begins(text.as_bytes()), expected, "{text:?}");
    }
}
