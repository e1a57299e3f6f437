//! The sandbox's network namespace: entered once, before the extension exists, and left again with its sockets.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV4, SocketAddrV6, TcpListener, UdpSocket};
use std::os::fd::{AsRawFd as _, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockProtocol, SockType, SockaddrIn, SockaddrIn6,
    SockaddrLike, bind, listen, setsockopt, socket, sockopt,
};

use super::error::EgressError;
use super::nflog::Nflog;
use super::owner::Owners;
use super::ruleset::{REFUSED, Ruleset, TABLE};
use crate::sys::nlmsg::{Netlink, Request, attributes};

/// Where the resolver listens.
pub const RESOLVER_PORT: u16 = 53;

/// Connections that wait to be accepted; the kernel cuts it to its own limit.
const BACKLOG: i32 = 4096;

/// What is served, all of it bound to the sandbox's namespace.
#[derive(Debug)]
pub struct Sockets {
    /// The resolver.
    pub dns_udp: UdpSocket,
    /// The resolver.
    pub dns_tcp: TcpListener,
    /// The proxy: one for each port and address family.
    pub proxies: Vec<(u16, TcpListener)>,
    /// Refused packets.
    pub log: Nflog,
    /// Their number.
    pub counters: Counters,
    /// Whose connections to the proxy are.
    pub owners: Owners,
}

/// Sets the namespace of a process up.
///
/// # Errors
/// [`EgressError`]. After [`EgressError::Namespace`] with `leave` this thread is in the wrong namespace: the launch
/// fails, and nothing else may be started from here.
pub fn prepare(
    process: BorrowedFd<'_>,
    rules: &Ruleset,
    ports: &BTreeSet<u16>,
) -> Result<Sockets, EgressError> {
    let own = File::open("/proc/thread-self/ns/net")
        .map_err(|source| EgressError::Namespace { action: "leave", source })?;
    enter(process, "enter")?;
    let made = set_up(rules, ports);
    enter(&own, "leave")?;
    made
}

/// Whether this host can do all of that: in a namespace of a thread of its own, which ends with it.
///
/// # Errors
/// [`EgressError`]
pub fn probe() -> Result<(), EgressError> {
    let probe = || {
        unshare(CloneFlags::CLONE_NEWNET)
            .map_err(|errno| EgressError::Namespace { action: "create", source: errno.into() })?;
        let ports = BTreeSet::from([443]);
        set_up(&Ruleset::probe(), &ports).map(drop)
    };
    std::thread::scope(|scope| scope.spawn(probe).join())
        .unwrap_or_else(|_| Err(EgressError::thread(io::Error::other("the probe did not end"))))
}

fn enter(namespace: impl std::os::fd::AsFd, action: &'static str) -> Result<(), EgressError> {
    setns(namespace, CloneFlags::CLONE_NEWNET)
        .map_err(|errno| EgressError::Namespace { action, source: errno.into() })
}

/// In the namespace: rules before routes, so that there is no moment with a way and without rules.
fn set_up(rules: &Ruleset, ports: &BTreeSet<u16>) -> Result<Sockets, EgressError> {
    rules.load()?;
    let log = Nflog::open()?;
    let counters = Counters::open()?;
    let v6 = routes()?;
    let mut proxies = Vec::with_capacity(ports.len() * 2);
    for &port in ports {
        let failed = |source| EgressError::Listen { port, source };
        proxies.push((port, listener_v4(Ipv4Addr::UNSPECIFIED, port).map_err(failed)?));
        if v6 {
            proxies.push((port, listener_v6(port).map_err(failed)?));
        }
    }
    let failed = |source| EgressError::Listen { port: RESOLVER_PORT, source };
    let dns_tcp = listener_v4(Ipv4Addr::LOCALHOST, RESOLVER_PORT).map_err(failed)?;
    Ok(Sockets {
        owners: Owners::open(&dns_tcp)?,
        dns_udp: UdpSocket::bind((Ipv4Addr::LOCALHOST, RESOLVER_PORT)).map_err(failed)?,
        dns_tcp,
        proxies,
        log,
        counters,
    })
}

const RTM_NEWLINK: u16 = 16;
const RTM_NEWROUTE: u16 = 24;
const NLM_F_EXCL: u16 = 0x200;
const NLM_F_CREATE: u16 = 0x400;
/// `lo` is the first interface of every namespace.
const LOOPBACK: u32 = 1;
const IFF_UP: u32 = 1;
const RTA_OIF: u16 = 4;
const RT_TABLE_LOCAL: u8 = 255;
const RTPROT_BOOT: u8 = 3;
const RT_SCOPE_HOST: u8 = 254;
const RTN_LOCAL: u8 = 2;

/// Brings loopback up and makes every address local; whether there is IPv6.
fn routes() -> Result<bool, EgressError> {
    let failed = |action| move |errno: Errno| EgressError::Route { action, source: errno.into() };
    let netlink = Netlink::open(SockProtocol::NetlinkRoute).map_err(failed("open rtnetlink"))?;
    let mut link = [0; 16];
    link[4..8].copy_from_slice(&LOOPBACK.to_ne_bytes());
    link[8..12].copy_from_slice(&IFF_UP.to_ne_bytes());
    link[12..16].copy_from_slice(&IFF_UP.to_ne_bytes());
    netlink.ask(Request::new(RTM_NEWLINK, 0, &link)).map_err(failed("bring loopback up"))?;
    let route = |family: i32| {
        let family = u8::try_from(family).unwrap_or(0);
        // struct rtmsg: family, lengths, tos, table, protocol, scope, type, flags.
        let fixed =
            [family, 0, 0, 0, RT_TABLE_LOCAL, RTPROT_BOOT, RT_SCOPE_HOST, RTN_LOCAL, 0, 0, 0, 0];
        let request = Request::new(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, &fixed);
        netlink.ask(request.attribute(RTA_OIF, &LOOPBACK.to_ne_bytes()))
    };
    route(libc::AF_INET).map_err(failed("add the route to every IPv4 address"))?;
    match route(libc::AF_INET6) {
        Ok(()) => Ok(true),
        // A kernel without IPv6, or one that was told not to use it.
        Err(Errno::EAFNOSUPPORT | Errno::EOPNOTSUPP | Errno::EACCES) => Ok(false),
        Err(errno) => Err(failed("add the route to every IPv6 address")(errno)),
    }
}

fn listener_v4(address: Ipv4Addr, port: u16) -> io::Result<TcpListener> {
    let fd = stream(AddressFamily::Inet)?;
    listening(fd, &SockaddrIn::from(SocketAddrV4::new(address, port)))
}

fn listener_v6(port: u16) -> io::Result<TcpListener> {
    let fd = stream(AddressFamily::Inet6)?;
    // The IPv4 socket has the port for IPv4.
    setsockopt(&fd, sockopt::Ipv6V6Only, &true)?;
    listening(fd, &SockaddrIn6::from(SocketAddrV6::new(Ipv6Addr::UNSPECIFIED, port, 0, 0)))
}

fn stream(family: AddressFamily) -> io::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    Ok(socket(family, SockType::Stream, flags, None)?)
}

fn listening(fd: OwnedFd, address: &dyn SockaddrLike) -> io::Result<TcpListener> {
    bind(fd.as_raw_fd(), address)?;
    listen(&fd, Backlog::new(BACKLOG)?)?;
    Ok(TcpListener::from(fd))
}

/// Reads the counters of the packet filter, from any namespace.
#[derive(Debug)]
pub struct Counters {
    netlink: Netlink,
}

/// What the packet filter counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Packets that were refused.
    pub refused: u64,
}

/// `NFNL_SUBSYS_NFTABLES` and `NFT_MSG_GETOBJ`.
const GET_OBJECT: u16 = (10 << 8) + 19;
/// `struct nfgenmsg`: `NFPROTO_INET`, version 0, no resource.
const INET: [u8; 4] = [1, 0, 0, 0];
const NFTA_OBJ_TABLE: u16 = 1;
const NFTA_OBJ_NAME: u16 = 2;
const NFTA_OBJ_TYPE: u16 = 3;
const NFTA_OBJ_DATA: u16 = 4;
const NFT_OBJECT_COUNTER: u32 = 1;
const NFTA_COUNTER_PACKETS: u16 = 2;

impl Counters {
    fn open() -> Result<Self, EgressError> {
        Netlink::open(SockProtocol::NetlinkNetFilter)
            .map(|netlink| Self { netlink })
            .map_err(failed)
    }

    /// The totals so far.
    ///
    /// # Errors
    /// [`EgressError::Log`].
    pub fn read(&self) -> Result<Totals, EgressError> {
        let name = |text: &str| [text.as_bytes(), b"\0"].concat();
        let request = Request::new(GET_OBJECT, 0, &INET)
            .attribute(NFTA_OBJ_TABLE, &name(TABLE))
            .attribute(NFTA_OBJ_NAME, &name(REFUSED))
            .attribute(NFTA_OBJ_TYPE, &NFT_OBJECT_COUNTER.to_be_bytes());
        let refused = self.netlink.read(request, packets).map_err(failed)?;
        refused.map(|refused| Totals { refused }).ok_or_else(|| failed(Errno::EBADMSG))
    }
}

fn failed(errno: Errno) -> EgressError {
    EgressError::Log { action: "read the packet counters", source: errno.into() }
}

fn packets(body: &[u8]) -> Option<u64> {
    let of = |bytes, wanted| attributes(bytes).find(|(kind, _)| *kind == wanted);
    let (_, data) = of(body.get(INET.len()..)?, NFTA_OBJ_DATA)?;
    let (_, packets) = of(data, NFTA_COUNTER_PACKETS)?;
    packets.first_chunk().map(|bytes| u64::from_be_bytes(*bytes))
}

#[cfg(test)]
mod tests;
