//! Acts that need a network, on plain sockets. Each wait is bounded.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use nix::errno::Errno;

use super::{CONNECTIONS, Came, NAMES, number};
use crate::selftest::catalogue::{ALLOWED, Act, WILDCARD, Words};

const PATIENCE: Duration = Duration::from_secs(5);
const RESOLVER: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 53);
/// RFC 1035, section 4.1.1: recursion desired, one question.
const HEADER: [u8; 12] = [0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
const NXDOMAIN: u8 = 3;

/// Does it.
pub(super) fn act(act: Act) -> Came {
    match act {
        Act::Connect(to) => connect(to).into(),
        Act::Datagram(to) => datagram(to).into(),
        Act::ConnectName(host, port) => address(host)
            .and_then(|address| TcpStream::connect_timeout(&(address, port).into(), PATIENCE))
            .into(),
        Act::DatagramName(host, port) => {
            address(host).and_then(|address| send(SocketAddr::from((address, port)), b"x")).into()
        }
        Act::Lookup(name) => refused(name),
        Act::ManyNames => many_names(),
        Act::NoQuery => no_query().into(),
        Act::Say(host, port, words) => say(host, port, words).into(),
        Act::ManyConnections => many_connections().into(),
        _ => Came::Through,
    }
}

fn parse(to: &str) -> io::Result<SocketAddr> {
    to.parse().map_err(|_| Errno::EINVAL.into())
}

fn connect(to: &str) -> io::Result<TcpStream> {
    TcpStream::connect_timeout(&parse(to)?, PATIENCE)
}

fn datagram(to: &str) -> io::Result<()> {
    send(parse(to)?, b"x")
}

fn send(to: SocketAddr, bytes: &[u8]) -> io::Result<()> {
    let any = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any)?;
    socket.set_broadcast(true)?;
    socket.send_to(bytes, to).map(drop)
}

/// A query for the IPv4 addresses of a name: RFC 1035, section 4.1.
pub(super) fn query(name: &str) -> Vec<u8> {
    let mut query = HEADER.to_vec();
    for label in name.split('.') {
        query.push(u8::try_from(label.len()).unwrap_or(u8::MAX));
        query.extend_from_slice(label.as_bytes());
    }
    query.extend_from_slice(&[0, 0, 1, 0, 1]);
    query
}

/// A socket for questions to the resolver.
pub(super) fn resolver() -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.connect(RESOLVER)?;
    Ok(socket)
}

/// The resolver's reply: its code, and the last four bytes, which are the address where there is one.
pub(super) fn ask(socket: &UdpSocket, query: &[u8]) -> io::Result<(u8, Ipv4Addr)> {
    socket.send(query)?;
    let mut reply = [0; 512];
    let length = socket.recv(&mut reply)?;
    let reply = reply.get(..length).unwrap_or_default();
    let code = reply.get(3).map_or(u8::MAX, |flags| flags & 0xf);
    let last = reply.last_chunk::<4>().copied().unwrap_or_default();
    Ok((code, Ipv4Addr::from(last)))
}

fn address(name: &str) -> io::Result<Ipv4Addr> {
    match ask(&resolver()?, &query(name))? {
        (0, address) => Ok(address),
        _ => Err(Errno::ENOENT.into()),
    }
}

/// A name that does not exist is what a refusal looks like.
fn refused(name: &str) -> Came {
    match resolver().and_then(|socket| ask(&socket, &query(name))) {
        Ok((NXDOMAIN, _)) => Came::Refused("NXDOMAIN".to_owned()),
        Ok((0, _)) => Came::Through,
        Ok((code, _)) => Came::Refused(format!("DNS code {code}")),
        Err(error) => Came::from(Err::<(), _>(error)),
    }
}

/// One name more than the tier has; only that one may be refused.
fn many_names() -> Came {
    let most = number(NAMES);
    for number in 0..most {
        if !matches!(refused(&format!("n{number}.{WILDCARD}")), Came::Through) {
            // Too early: the record of it will not be the one that is expected.
            return Came::Through;
        }
    }
    refused(&format!("n{most}.{WILDCARD}"))
}

/// A header that promises a question, and no question.
fn no_query() -> io::Result<()> {
    let (code, _) = ask(&resolver()?, &HEADER)?;
    if code == 0 { Ok(()) } else { Err(Errno::EBADMSG.into()) }
}

fn say(host: &str, port: u16, words: Words) -> io::Result<()> {
    let mut stream = TcpStream::connect_timeout(&(address(host)?, port).into(), PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let bytes = match words {
        Words::Hello(name) => hello(name),
        Words::Plain(text) => text.as_bytes().to_vec(),
    };
    stream.write_all(&bytes)?;
    stream.read_exact(&mut [0])
}

/// The last one must be cut; what is said on none of them leaves each waiting, so nothing is looked up.
fn many_connections() -> io::Result<()> {
    let to = SocketAddr::from((address(ALLOWED)?, 443));
    let mut held = Vec::new();
    for _ in 0..number(CONNECTIONS) {
        held.push(TcpStream::connect_timeout(&to, PATIENCE)?);
    }
    let mut last = TcpStream::connect_timeout(&to, PATIENCE)?;
    last.set_read_timeout(Some(PATIENCE))?;
    let cut = last.read_exact(&mut [0]);
    drop(held);
    cut
}

/// A TLS 1.2 client hello: RFC 5246, section 7.4.1.2, and RFC 6066, section 3.
fn hello(name: Option<&str>) -> Vec<u8> {
    let mut extensions = Vec::new();
    if let Some(name) = name {
        let host = [&[0][..], &sized(name.as_bytes())].concat();
        extensions = [&[0, 0][..], &sized(&sized(&host))].concat();
    }
    // Version, random, no session, one cipher suite, no compression.
    let body =
        [&[3, 3][..], &[7; 32], &[0], &[0, 2, 0xc0, 0x2f], &[1, 0], &sized(&extensions)].concat();
    let message = [&[1, 0][..], &sized(&body)].concat();
    [&[22, 3, 1][..], &sized(&message)].concat()
}

/// With its length before it, in two bytes.
fn sized(bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX).to_be_bytes();
    [&length[..], bytes].concat()
}
