//! Whose a connection is: sock_diag(7), asked in the sandbox's network namespace.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};

use nix::errno::Errno;
use nix::sys::socket::SockProtocol;

use super::error::EgressError;
use crate::sys::nlmsg::{Netlink, Request};

/// `SOCK_DIAG_BY_FAMILY`; without the dump flag it finds exactly one socket, or none.
const BY_FAMILY: u16 = 20;
const TCP: u8 = 6;
/// Every state: `struct inet_diag_req_v2`.
const STATES: [u8; 4] = [0xff; 4];
/// `INET_DIAG_NOCOOKIE`, twice.
const ANY_COOKIE: [u8; 8] = [0xff; 8];
/// Offsets in `struct inet_diag_msg`, behind four bytes, the socket's identity of 48 and three numbers.
const UID: usize = 64;
const INODE: usize = 68;

/// Finds out whose the client's end of a connection is.
#[derive(Debug)]
pub struct Owners {
    /// None where the kernel cannot say it: each question would make it look for a module.
    netlink: Option<Netlink>,
}

impl Owners {
    /// For connections in the network namespace of the calling thread, in which `known` listens.
    ///
    /// # Errors
    /// [`EgressError::Log`] with the errno of socket(2) or of the listener's address.
    pub fn open(known: &TcpListener) -> Result<Self, EgressError> {
        let failed = |source| EgressError::Log { action: "ask for owners of connections", source };
        let known = known.local_addr().map_err(failed)?;
        let netlink = match Netlink::open(SockProtocol::NetlinkSockDiag) {
            // Tells a kernel that does not know the protocol from one that does not know a socket: both are ENOENT.
            Ok(netlink) => {
                let nobody = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
                ask(&netlink, known, nobody).is_ok().then_some(netlink)
            }
            Err(Errno::EPROTONOSUPPORT) => None,
            Err(errno) => return Err(failed(errno.into())),
        };
        Ok(Self { netlink })
    }

    /// The user id of the process that opened the socket `local`, connected to `peer`, in the supervisor's user namespace.
    /// Unknown where the kernel cannot say it, and where no process has the socket any more.
    #[must_use]
    pub fn uid(&self, local: SocketAddr, peer: SocketAddr) -> Option<u32> {
        ask(self.netlink.as_ref()?, local, peer).ok().flatten()
    }
}

fn ask(netlink: &Netlink, local: SocketAddr, peer: SocketAddr) -> Result<Option<u32>, Errno> {
    let (family, source, destination) = match (local.ip(), peer.ip()) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            (libc::AF_INET, padded(source), padded(destination))
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            (libc::AF_INET6, source.octets(), destination.octets())
        }
        _ => return Err(Errno::EAFNOSUPPORT),
    };
    let fixed = [
        &[u8::try_from(family).unwrap_or(0), TCP, 0, 0][..],
        &STATES,
        &local.port().to_be_bytes(),
        &peer.port().to_be_bytes(),
        &source,
        &destination,
        // Any interface.
        &[0; 4],
        &ANY_COOKIE,
    ]
    .concat();
    netlink.read(Request::new(BY_FAMILY, 0, &fixed), owner)
}

/// The owner in an answer. A socket without an inode has lost its process, and with it its user.
fn owner(message: &[u8]) -> Option<u32> {
    let number =
        |at: usize| message.get(at..)?.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes));
    (number(INODE)? != 0).then(|| number(UID)).flatten()
}

fn padded(address: Ipv4Addr) -> [u8; 16] {
    let mut all = [0; 16];
    all[..4].copy_from_slice(&address.octets());
    all
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use super::*;

    #[test]
    fn the_owner_of_a_socket_while_it_has_one() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let listener = TcpListener::bind(address).unwrap();
            let known = TcpListener::bind("127.0.0.1:0").unwrap();
            let owners = Owners::open(&known).unwrap();
            let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let (server, _) = listener.accept().unwrap();
            let (local, peer) = (server.peer_addr().unwrap(), server.local_addr().unwrap());
            let own = nix::unistd::getuid().as_raw();
            assert_eq!(owners.uid(local, peer), Some(own), "{address}");
            drop(client);
            assert_eq!(owners.uid(local, peer), None, "{address}: nobody has it any more");
            let mut elsewhere = local;
            elsewhere.set_port(local.port() ^ 1);
            assert_eq!(owners.uid(elsewhere, peer), None, "{address}: no such socket");
        }
    }
}
