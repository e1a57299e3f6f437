//! The way to a server: only to addresses that were checked.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use policies::address::{classify, permits};
use policies::domain::AddressPolicy;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long one address may take to answer.
const ANSWER: Duration = Duration::from_secs(5);
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

/// Connects to the first address that answers.
pub(super) async fn connect(checked: &Checked, port: u16) -> Result<TcpStream, NoServer> {
    if checked.allowed.is_empty() && !checked.refused.is_empty() {
        return Err(NoServer::Refused);
    }
    for address in checked.allowed.iter().take(MOST) {
        let server = SocketAddr::new(*address, port);
        if let Ok(Ok(stream)) = timeout(ANSWER, TcpStream::connect(server)).await {
            return Ok(stream);
        }
    }
    Err(NoServer::Failed)
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
