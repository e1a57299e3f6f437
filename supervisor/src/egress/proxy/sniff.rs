//! What a connection says about its destination before anything is passed on.

use std::io;
use std::time::Duration;

use policies::domain::{DomainName, TlsMode};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::http::{self, Requests};
use super::tls::{HANDSHAKE, Hello, Progress};

/// How long a client may take to say it.
const DEADLINE: Duration = Duration::from_secs(10);
/// Bytes that are read at once.
const READ: usize = 4096;

/// The beginning of a connection.
#[derive(Debug)]
pub(super) enum Opening {
    /// Not looked at.
    Opaque,
    /// A TLS client hello.
    Tls {
        /// The server name in it.
        name: Option<String>,
        /// Everything that was read.
        read: Vec<u8>,
    },
    /// An HTTP request for the right host.
    Http {
        /// What may be passed on.
        checked: Vec<u8>,
        /// What follows must go through it.
        requests: Requests,
    },
    /// An HTTP request that must not be passed on.
    HttpRefused(http::Refused),
    /// Neither, and why.
    Unknown(&'static str),
    /// The client closed it before it said anything whole.
    Gone,
}

/// Reads as much as it takes to tell.
pub(super) async fn opening(
    client: &TcpStream,
    mode: TlsMode,
    name: &DomainName,
    port: u16,
) -> Opening {
    if mode == TlsMode::Opaque {
        return Opening::Opaque;
    }
    timeout(DEADLINE, read_opening(client, name, port))
        .await
        .unwrap_or(Opening::Unknown("no request in time"))
}

async fn read_opening(client: &TcpStream, name: &DomainName, port: u16) -> Opening {
    let mut sniffer = Sniffer::new(name, port);
    let mut buffer = [0; READ];
    loop {
        let length = match read(client, &mut buffer).await {
            Ok(length) if length > 0 => length,
            Ok(_) | Err(_) => return Opening::Gone,
        };
        sniffer = match sniffer.feed(&buffer[..length]) {
            Ok(sniffer) => sniffer,
            Err(opening) => return opening,
        };
    }
}

/// Reads what is there, or waits until something is.
pub(super) async fn read(stream: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        stream.readable().await?;
        match stream.try_read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            result => return result,
        }
    }
}

/// Tells TLS, HTTP and everything else apart, whatever the pieces in which bytes come.
#[derive(Debug)]
pub(super) enum Sniffer {
    /// Nothing came yet, or not enough to tell.
    Start { requests: Requests, read: Vec<u8> },
    /// TLS.
    Tls { hello: Hello, read: Vec<u8> },
    /// HTTP; nothing is whole yet.
    Http { requests: Requests },
}

impl Sniffer {
    /// For a connection to a name.
    pub(super) fn new(name: &DomainName, port: u16) -> Self {
        Self::Start { requests: Requests::new(name.clone(), port), read: Vec::new() }
    }

    /// Takes more bytes; the error is what the connection turned out to be.
    pub(super) fn feed(self, bytes: &[u8]) -> Result<Self, Opening> {
        match self {
            Self::Start { requests, mut read } => {
                read.extend_from_slice(bytes);
                if read.first() == Some(&HANDSHAKE) {
                    return Self::Tls { hello: Hello::default(), read: Vec::new() }.feed(&read);
                }
                match http::begins(&read) {
                    Some(true) => Self::Http { requests }.feed(&read),
                    Some(false) => Err(Opening::Unknown("neither TLS nor HTTP")),
                    None => Ok(Self::Start { requests, read }),
                }
            }
            Self::Tls { mut hello, mut read } => {
                read.extend_from_slice(bytes);
                match hello.feed(bytes) {
                    Progress::More => Ok(Self::Tls { hello, read }),
                    Progress::Name(name) => Err(Opening::Tls { name: Some(name), read }),
                    Progress::NoName => Err(Opening::Tls { name: None, read }),
                    Progress::Refused(reason) => Err(Opening::Unknown(reason)),
                }
            }
            Self::Http { mut requests } => {
                let mut checked = Vec::new();
                match requests.feed(bytes, &mut checked) {
                    Err(refused) => Err(Opening::HttpRefused(refused)),
                    Ok(()) if checked.is_empty() => Ok(Self::Http { requests }),
                    Ok(()) => Err(Opening::Http { checked, requests }),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
