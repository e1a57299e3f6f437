//! The way to a server: only to addresses that were checked.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use policies::address::{classify, permits};
use policies::domain::AddressPolicy;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// How long all addresses together may take until one has answered.
const ANSWER: Duration = Duration::from_secs(10);
/// The next address is tried beside the earlier ones when they have not answered for so long: RFC 8305, section 5.
const NEXT: Duration = Duration::from_millis(250);
/// Of so many addresses one must answer.
const MOST: usize = 8;
/// Any port: nothing is sent to it.
const DISCARD: u16 = 9;

/// Addresses of a name, in the resolver's order.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Checked {
    /// Those that may be connected to.
    pub(super) allowed: Vec<IpAddr>,
    /// Those that may not, and what they are.
    pub(super) refused: Vec<(IpAddr, &'static str)>,
}

/// Why there is no connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoServer {
    /// No address may be connected to.
    Refused,
    /// There is no address, or none answered.
    Failed,
}

/// Sorts out what a rule does not allow.
pub(super) fn check(addresses: &[IpAddr], policy: AddressPolicy) -> Checked {
    let mut checked = Checked::default();
    for address in addresses {
        let class = classify(*address);
        if !permits(class, policy) {
            checked.refused.push((*address, class.text()));
        } else if policy == AddressPolicy::Public && is_own(*address) {
            // The host's own public address: its services may trust what comes from itself.
            checked.refused.push((*address, "address of this host"));
        } else {
            checked.allowed.push(*address);
        }
    }
    checked
}

/// Connects to the address that answers first. The next is tried when one fails, or is slow: none waits for another's
/// time-out.
pub(super) async fn connect(checked: &Checked, port: u16) -> Result<TcpStream, NoServer> {
    if checked.allowed.is_empty() && !checked.refused.is_empty() {
        return Err(NoServer::Refused);
    }
    let addresses = alternating(&checked.allowed).into_iter().take(MOST);
    let servers = addresses.map(|address| SocketAddr::new(address, port));
    timeout(ANSWER, first_of(servers)).await.ok().flatten().ok_or(NoServer::Failed)
}

/// The first connection that is made; those that are under way then are given up.
async fn first_of(mut servers: impl Iterator<Item = SocketAddr>) -> Option<TcpStream> {
    let mut attempts = JoinSet::new();
    loop {
        let next = servers.next();
        let is_last = next.is_none();
        if let Some(server) = next {
            attempts.spawn(TcpStream::connect(server));
        }
        let ended = if is_last {
            attempts.join_next().await
        } else {
            match timeout(NEXT, attempts.join_next()).await {
                Ok(ended) => ended,
                Err(_) => continue,
            }
        };
        match ended {
            Some(Ok(Ok(stream))) => return Some(stream),
            Some(_) => {}
            // All have failed, and there is no other.
            None => return None,
        }
    }
}

/// One of each family in turn, beginning with the first's, so that a family without a way costs one delay and not many.
fn alternating(addresses: &[IpAddr]) -> Vec<IpAddr> {
    let first_is_v6 = addresses.first().is_some_and(IpAddr::is_ipv6);
    let (first, other): (Vec<IpAddr>, Vec<IpAddr>) =
        addresses.iter().partition(|address| address.is_ipv6() == first_is_v6);
    let mut turns: Vec<(usize, bool, IpAddr)> = Vec::with_capacity(addresses.len());
    turns.extend(first.into_iter().enumerate().map(|(turn, address)| (turn, false, address)));
    turns.extend(other.into_iter().enumerate().map(|(turn, address)| (turn, true, address)));
    turns.sort_by_key(|(turn, is_other, _)| (*turn, *is_other));
    turns.into_iter().map(|(.., address)| address).collect()
}

/// Whether the kernel would deliver to this host: then it sends from the address itself.
fn is_own(address: IpAddr) -> bool {
    source_to(address).is_ok_and(|source| source == address)
}

/// The address that packets to `address` are sent from. Connecting a UDP socket sends nothing: udp(7).
fn source_to(address: IpAddr) -> io::Result<IpAddr> {
    let any: IpAddr = match address {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect((address, DISCARD))?;
    Ok(socket.local_addr()?.ip())
}

#[cfg(test)]
mod tests;
