//! The packet log: what the packet filter refused, by destination.

use std::cell::Cell;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::AsFd as _;
use std::rc::Rc;

use nix::errno::Errno;
use nix::sys::socket::SockProtocol;
use policies::violation::{Code, Object};
use tokio::io::Interest;
use tokio::net::UnixDatagram;

use super::context::Context;
use super::error::EgressError;
use super::refusals::Refusal;
use crate::sys::nlmsg::{Netlink, Request, attributes, messages};

/// The rule of a refused packet.
pub const RULE: &str = "egress: no rule";

/// The group of the log; each namespace has its own.
pub const LOG_GROUP: u16 = 1;
/// Bytes of a packet that are logged: both headers, with room for IPv6 extension headers.
pub(super) const SNAP: u32 = 128;

/// `NFNL_SUBSYS_ULOG`.
const ULOG: u16 = 4 << 8;
const NFULNL_MSG_PACKET: u16 = 0;
const NFULNL_MSG_CONFIG: u16 = 1;
const NFULA_CFG_CMD: u16 = 1;
const NFULA_CFG_MODE: u16 = 2;
const NFULA_CFG_QTHRESH: u16 = 5;
const NFULNL_CFG_CMD_BIND: u8 = 1;
const NFULNL_COPY_PACKET: u8 = 2;
const NFULA_PAYLOAD: u16 = 9;
const NFULA_UID: u16 = 11;

/// What may wait to be read, in bytes.
const RECEIVE_BUFFER: usize = 1 << 20;
/// Packets that are read before others get their turn.
const TURN: usize = 256;

/// The log of one namespace.
#[derive(Debug)]
pub struct Nflog {
    netlink: Netlink,
    recorded: Cell<Recorded>,
}

/// What was read from a log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recorded {
    /// Packets.
    pub events: u64,
    /// How often the kernel dropped some, because they were read too late. The packet filter has counted them.
    pub overruns: u64,
}

/// A refused packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Where to.
    pub to: IpAddr,
    /// Destination port; 0 in protocols without ports.
    pub port: u16,
    /// Number of the protocol above IP.
    pub protocol: u8,
    /// User id of the sender in the initial user namespace, where the packet has a socket.
    pub uid: Option<u32>,
}

impl Nflog {
    /// Opens the log of the calling thread's network namespace.
    ///
    /// # Errors
    /// [`EgressError::Log`].
    pub fn open() -> Result<Self, EgressError> {
        let failed =
            |errno: Errno| EgressError::Log { action: "open the packet log", source: errno.into() };
        let netlink = Netlink::open(SockProtocol::NetlinkNetFilter).map_err(failed)?;
        let [high, low] = LOG_GROUP.to_be_bytes();
        let config = || Request::new(ULOG | NFULNL_MSG_CONFIG, 0, &[0, 0, high, low]);
        netlink.ask(config().attribute(NFULA_CFG_CMD, &[NFULNL_CFG_CMD_BIND])).map_err(failed)?;
        let [a, b, c, d] = SNAP.to_be_bytes();
        let mode = config()
            .attribute(NFULA_CFG_MODE, &[a, b, c, d, NFULNL_COPY_PACKET, 0])
            // Each packet at once.
            .attribute(NFULA_CFG_QTHRESH, &1_u32.to_be_bytes());
        netlink.ask(mode).map_err(failed)?;
        netlink.listen(RECEIVE_BUFFER).map_err(failed)?;
        Ok(Self { netlink, recorded: Cell::default() })
    }

    #[cfg(test)]
    pub(super) const fn netlink(&self) -> &Netlink {
        &self.netlink
    }

    /// Reads what waits, up to about `most` packets; whether nothing is left.
    fn read(&self, most: usize, mut with: impl FnMut(Packet)) -> Result<bool, Errno> {
        let mut buffer = [0; 16 * 1024];
        let mut seen = 0;
        while seen < most {
            let datagram = match self.netlink.receive(&mut buffer) {
                Ok(datagram) => datagram,
                Err(Errno::EAGAIN) => return Ok(true),
                Err(Errno::EINTR) => continue,
                Err(Errno::ENOBUFS) => {
                    let mut recorded = self.recorded.get();
                    recorded.overruns += 1;
                    self.recorded.set(recorded);
                    continue;
                }
                Err(errno) => return Err(errno),
            };
            for packet in decode(datagram) {
                seen += 1;
                let mut recorded = self.recorded.get();
                recorded.events += 1;
                self.recorded.set(recorded);
                with(packet);
            }
        }
        Ok(false)
    }
}

/// Hands what is refused to the record, for ever.
///
/// # Errors
/// The errno of waiting for the log or of reading it; what is refused after that is counted only.
pub async fn serve(log: Rc<Nflog>, context: Rc<Context>) -> io::Result<()> {
    // Only waited for: to the event loop a socket is a socket, and this type takes one of any family safely.
    let socket = std::os::unix::net::UnixDatagram::from(log.netlink.as_fd().try_clone_to_owned()?);
    let socket = UnixDatagram::from_std(socket)?;
    loop {
        socket.readable().await?;
        let read = socket.try_io(Interest::READABLE, || {
            if log.read(TURN, |packet| record(&packet, &context))? {
                Err(io::ErrorKind::WouldBlock.into())
            } else {
                Ok(())
            }
        });
        match read {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
            Ok(()) | Err(_) => tokio::task::yield_now().await,
        }
    }
}

/// Reads what still waits.
///
/// # Errors
/// [`EgressError::Log`].
pub fn finish(log: &Nflog, context: &Context) -> Result<Recorded, EgressError> {
    log.read(usize::MAX, |packet| record(&packet, context)).map_err(|errno| EgressError::Log {
        action: "read the packet log",
        source: errno.into(),
    })?;
    Ok(log.recorded.get())
}

/// A packet to a synthetic address was meant for a domain: then the port or the protocol is what is not allowed.
fn record(packet: &Packet, context: &Context) {
    let names = context.names.borrow();
    let name = names.name_of(packet.to);
    let code = if name.is_some() { Code::PortRefused } else { Code::AddressRefused };
    let detail = match (packet.port, name) {
        (53 | 853, None) => "another name server",
        _ => "",
    };
    let object = Object::Endpoint {
        host: name.map(ToString::to_string).unwrap_or_default(),
        address: if name.is_some() { String::new() } else { packet.to.to_string() },
        port: packet.port,
        protocol: protocol(packet.protocol),
        detail: detail.to_owned(),
    };
    context.refusals.add(Refusal { code, rule: RULE.to_owned(), object, uid: packet.uid }, 1);
}

fn protocol(number: u8) -> String {
    match i32::from(number) {
        libc::IPPROTO_TCP => "tcp".to_owned(),
        libc::IPPROTO_UDP => "udp".to_owned(),
        libc::IPPROTO_ICMP => "icmp".to_owned(),
        libc::IPPROTO_ICMPV6 => "icmpv6".to_owned(),
        libc::IPPROTO_SCTP => "sctp".to_owned(),
        other => format!("ip-{other}"),
    }
}

/// The packets of a datagram. What cannot be read is left out; the packet filter has counted it.
pub fn decode(datagram: &[u8]) -> impl Iterator<Item = Packet> {
    messages(datagram)
        .filter(|message| message.kind == ULOG | NFULNL_MSG_PACKET)
        .filter_map(|message| packet(message.body))
}

fn packet(body: &[u8]) -> Option<Packet> {
    let (mut payload, mut uid) = (None, None);
    // After struct nfgenmsg.
    for (kind, value) in attributes(body.get(4..)?) {
        match kind {
            NFULA_PAYLOAD => payload = Some(value),
            NFULA_UID => uid = value.first_chunk().map(|bytes| u32::from_be_bytes(*bytes)),
            _ => {}
        }
    }
    let payload = payload?;
    let (to, protocol, rest) = match payload.first()? >> 4 {
        4 => {
            let header = usize::from(payload[0] & 0xf) * 4;
            let to: [u8; 4] = payload.get(16..20)?.try_into().ok()?;
            (IpAddr::V4(Ipv4Addr::from(to)), *payload.get(9)?, payload.get(header..)?)
        }
        6 => {
            let to: [u8; 16] = payload.get(24..40)?.try_into().ok()?;
            let (protocol, rest) = skip_extensions(*payload.get(6)?, payload.get(40..)?);
            (IpAddr::V6(Ipv6Addr::from(to)), protocol, rest)
        }
        _ => return None,
    };
    let with_ports =
        [libc::IPPROTO_TCP, libc::IPPROTO_UDP, libc::IPPROTO_UDPLITE, libc::IPPROTO_SCTP];
    let port = match rest.get(2..4) {
        Some(&[high, low]) if with_ports.contains(&i32::from(protocol)) => {
            u16::from_be_bytes([high, low])
        }
        _ => 0,
    };
    Some(Packet { to, port, protocol, uid })
}

/// Hop-by-hop options, routing and destination options of IPv6: RFC 8200, section 4.
fn skip_extensions(mut next: u8, mut rest: &[u8]) -> (u8, &[u8]) {
    while matches!(next, 0 | 43 | 60) {
        let Some(&[following, length]) = rest.first_chunk() else { break };
        let Some(after) = rest.get((usize::from(length) + 1) * 8..) else { break };
        (next, rest) = (following, after);
    }
    (next, rest)
}
