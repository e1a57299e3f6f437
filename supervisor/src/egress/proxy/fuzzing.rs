//! What the fuzz targets of `supervisor/fuzz` see of the parsers here; compiled for them only.

use policies::domain::DomainName;

use super::http::{Refused, Requests};
use super::sniff::{Opening, Sniffer};
use super::tls::{Hello, Progress};

/// What a client hello says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientHello {
    /// It is not whole.
    More,
    /// Whole, with a server name.
    Name(String),
    /// Whole, without one.
    NoName,
    /// Refused, and why.
    Refused(&'static str),
}

/// Reads a client hello that comes in these pieces.
pub fn client_hello<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> ClientHello {
    let mut hello = Hello::default();
    for piece in pieces {
        match hello.feed(piece) {
            Progress::More => {}
            Progress::Name(name) => return ClientHello::Name(name),
            Progress::NoName => return ClientHello::NoName,
            Progress::Refused(reason) => return ClientHello::Refused(reason),
        }
    }
    ClientHello::More
}

/// What was passed on of a connection, and why no more of it, if it was refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Passed {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// The reason.
    pub refused: Option<String>,
}

/// Reads requests that come in these pieces.
pub fn requests<'a>(
    name: &DomainName,
    port: u16,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Passed {
    let mut passed = Passed::default();
    feed(Requests::new(name.clone(), port), pieces, &mut passed);
    passed
}

fn feed<'a>(
    mut requests: Requests,
    pieces: impl IntoIterator<Item = &'a [u8]>,
    passed: &mut Passed,
) {
    for piece in pieces {
        if let Err(refused) = requests.feed(piece, &mut passed.bytes) {
            passed.refused = Some(reason(refused));
            return;
        }
    }
}

fn reason(refused: Refused) -> String {
    match refused {
        Refused::Host(host) => format!("host {host}"),
        Refused::Protocol(reason) => reason.to_owned(),
    }
}

/// What a connection turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sniffed {
    /// Not known yet; nothing is passed on.
    Undecided,
    /// TLS with this server name, and what was read until that was known.
    Tls(Option<String>, Vec<u8>),
    /// HTTP, and what was passed on in the end.
    Http(Passed),
    /// Refused, and why; nothing was passed on.
    Refused(String),
}

/// Reads the beginning of a connection that comes in these pieces, and the requests that follow it.
pub fn connection<'a>(
    name: &DomainName,
    port: u16,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Sniffed {
    let mut pieces = pieces.into_iter();
    let mut sniffer = Sniffer::new(name, port);
    while let Some(piece) = pieces.next() {
        sniffer = match sniffer.feed(piece) {
            Ok(sniffer) => sniffer,
            Err(Opening::Tls { name, read }) => return Sniffed::Tls(name, read),
            Err(Opening::Http { checked, requests }) => {
                let mut passed = Passed { bytes: checked, refused: None };
                feed(requests, pieces, &mut passed);
                return Sniffed::Http(passed);
            }
            Err(Opening::HttpRefused(refused)) => return Sniffed::Refused(reason(refused)),
            Err(Opening::Unknown(reason)) => return Sniffed::Refused(reason.to_owned()),
            Err(Opening::Opaque | Opening::Gone) => return Sniffed::Undecided,
        };
    }
    Sniffed::Undecided
}
