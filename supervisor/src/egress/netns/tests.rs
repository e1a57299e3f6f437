//! A namespace as a sandbox gets it, with clients inside.

use std::io::{ErrorKind, Read as _};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::fd::AsFd as _;
use std::time::Duration;

use super::super::nflog::{Packet, decode};
use super::super::ranges::Ranges;
use super::super::ruleset::compile;
use super::super::ruleset::tests::{egress, in_namespace};
use super::*;

/// Far above what an answer takes; who waits for a time-out fails by it.
const STUCK: Duration = Duration::from_secs(20);

/// A set-up namespace with this thread in it.
fn namespace(ports: &[u16]) -> Sockets {
    let egress = egress(ports);
    set_up(&compile(&egress, &Ranges::default()), &egress.ports()).unwrap()
}

fn logged(sockets: &Sockets) -> Vec<Packet> {
    let mut packets = Vec::new();
    let mut buffer = vec![0; 1 << 16];
    let netlink = sockets.log.netlink();
    while let Ok(datagram) = netlink.receive(&mut buffer) {
        packets.extend(decode(datagram));
    }
    packets
}

fn connect(to: &str) -> io::Result<TcpStream> {
    let to: SocketAddr = to.parse().unwrap();
    TcpStream::connect_timeout(&to, STUCK)
}

fn seen(packets: &[Packet], to: &str, port: u16, protocol: i32) -> bool {
    let to: IpAddr = to.parse().unwrap();
    let uid = nix::unistd::getuid().as_raw();
    let matches = |packet: &Packet| {
        packet.to == to && packet.port == port && i32::from(packet.protocol) == protocol
    };
    packets.iter().any(|packet| matches(packet) && packet.uid == Some(uid))
}

#[test]
fn a_connection_to_a_synthetic_address_arrives_with_it() {
    in_namespace(|| {
        let sockets = namespace(&[443]);
        for to in ["198.18.0.2:443", "[fd73:616e:6462:6f78::2]:443"] {
            let mut client = connect(to).unwrap();
            let listener = sockets.proxies.iter().find_map(|(_, listener)| {
                let v6 = listener.local_addr().unwrap().is_ipv6();
                (v6 == to.starts_with('[')).then_some(listener)
            });
            let (server, _) = listener.unwrap().accept().unwrap();
            assert_eq!(server.local_addr().unwrap().to_string(), to);
            drop(server);
            assert_eq!(client.read(&mut [0]).unwrap(), 0);
        }
        assert_eq!(sockets.counters.read().unwrap().refused, 0);
        assert_eq!(logged(&sockets), []);
    });
}

#[test]
fn everything_else_is_refused_at_once_counted_and_logged() {
    in_namespace(|| {
        let sockets = namespace(&[443]);
        for to in ["203.0.113.7:443", "198.18.0.2:80", "[2001:db8::1]:443"] {
            let error = connect(to).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "{to}");
        }
        for (from, to) in [("0.0.0.0:0", "8.8.8.8:53"), ("[::]:0", "[2001:db8::1]:443")] {
            let error = UdpSocket::bind(from).unwrap().send_to(b"x", to).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{to}");
        }
        let raw = socket(AddressFamily::Inet, SockType::Raw, SockFlag::empty(), SockProtocol::Icmp);
        let echo = [8, 0, 0xf7, 0xff, 0, 0, 0, 0];
        let to = SockaddrIn::new(192, 0, 2, 9, 0);
        let flags = nix::sys::socket::MsgFlags::empty();
        let sent = nix::sys::socket::sendto(raw.unwrap().as_raw_fd(), &echo, &to, flags);
        assert_eq!(sent, Err(Errno::EPERM));
        let packets = logged(&sockets);
        assert!(seen(&packets, "203.0.113.7", 443, libc::IPPROTO_TCP), "{packets:?}");
        assert!(seen(&packets, "198.18.0.2", 80, libc::IPPROTO_TCP), "{packets:?}");
        assert!(seen(&packets, "2001:db8::1", 443, libc::IPPROTO_TCP), "{packets:?}");
        assert!(seen(&packets, "8.8.8.8", 53, libc::IPPROTO_UDP), "{packets:?}");
        assert!(seen(&packets, "2001:db8::1", 443, libc::IPPROTO_UDP), "{packets:?}");
        assert!(seen(&packets, "192.0.2.9", 0, libc::IPPROTO_ICMP), "{packets:?}");
        assert_eq!(packets.len(), 6, "{packets:?}");
        assert_eq!(sockets.counters.read().unwrap().refused, 6);
    });
}

#[test]
fn an_allowed_port_as_the_source_opens_nothing() {
    in_namespace(|| {
        let mut sockets = namespace(&[8443]);
        // The proxy's listeners have the port; without them, an extension could bind it.
        sockets.proxies.clear();
        for to in ["203.0.113.7:9", "198.18.0.9:9"] {
            let fd = stream(AddressFamily::Inet).unwrap();
            setsockopt(&fd, sockopt::ReuseAddr, &true).unwrap();
            setsockopt(&fd, sockopt::IpFreebind, &true).unwrap();
            bind(fd.as_raw_fd(), &SockaddrIn::new(198, 18, 0, 5, 8443)).unwrap();
            let to: std::net::SocketAddrV4 = to.parse().unwrap();
            // The socket does not wait; what became of the attempt is in the log.
            assert!(nix::sys::socket::connect(fd.as_raw_fd(), &SockaddrIn::from(to)).is_err());
        }
        let packets = logged(&sockets);
        assert!(seen(&packets, "203.0.113.7", 9, libc::IPPROTO_TCP), "{packets:?}");
        assert!(seen(&packets, "198.18.0.9", 9, libc::IPPROTO_TCP), "{packets:?}");
    });
}

#[test]
fn a_flood_is_sampled_and_counted_exactly_and_hides_nothing() {
    in_namespace(|| {
        let sockets = namespace(&[443]);
        let client = UdpSocket::bind("0.0.0.0:0").unwrap();
        for _ in 0..5000 {
            client.send_to(b"x", "203.0.113.7:9").unwrap_err();
        }
        client.send_to(b"x", "203.0.113.8:9").unwrap_err();
        let packets = logged(&sockets);
        assert!(packets.len() < 5000, "{}", packets.len());
        assert!(seen(&packets, "203.0.113.8", 9, libc::IPPROTO_UDP), "{packets:?}");
        assert_eq!(sockets.counters.read().unwrap().refused, 5001);
    });
}

#[test]
fn loopback_is_the_sandboxs_own() {
    in_namespace(|| {
        let sockets = namespace(&[443]);
        let own = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(own.local_addr().unwrap()).unwrap();
        own.accept().unwrap();
        drop(client);
        assert!(UdpSocket::bind("127.0.0.1:53").is_err());
        assert_eq!(sockets.counters.read().unwrap().refused, 0);
    });
}

/// What the kernel sends for a socket that joins a group is nobody's attempt.
#[test]
fn joining_a_multicast_group_is_no_attempt() {
    in_namespace(|| {
        let sockets = namespace(&[443]);
        let group = Ipv4Addr::new(224, 0, 0, 251);
        let v4 = UdpSocket::bind("0.0.0.0:0").unwrap();
        v4.join_multicast_v4(&group, &Ipv4Addr::LOCALHOST).unwrap();
        let v6 = UdpSocket::bind("[::]:0").unwrap();
        v6.join_multicast_v6(&"ff02::fb".parse().unwrap(), LOOPBACK).unwrap();
        // The kernel reports a membership up to a second later, and repeats it.
        std::thread::sleep(Duration::from_millis(2500));
        assert_eq!(logged(&sockets), []);
        assert_eq!(sockets.counters.read().unwrap().refused, 0);
        // What the program itself sends to the group is.
        assert!(v4.send_to(b"x", (group, 5353)).is_err());
        assert!(seen(&logged(&sockets), "224.0.0.251", 5353, libc::IPPROTO_UDP));
    });
}

#[test]
fn the_calling_thread_comes_back() {
    let here = || std::fs::read_link("/proc/thread-self/ns/net").unwrap();
    let before = here();
    let mut child = std::process::Command::new("unshare");
    let child = child.args(["-n", "--", "sh", "-c", "echo ready; exec sleep 60"]);
    let mut child = child.stdout(std::process::Stdio::piped()).spawn().unwrap();
    child.stdout.as_mut().unwrap().read_exact(&mut [0; 6]).unwrap();
    let pid = i32::try_from(child.id()).unwrap();
    let namespace = File::open(format!("/proc/{pid}/ns/net")).unwrap();
    let egress = egress(&[443]);
    let rules = compile(&egress, &Ranges::default());
    let made = prepare(namespace.as_fd(), &rules, &egress.ports());
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(made.unwrap().proxies.len(), 2);
    assert_eq!(here(), before);
}

#[test]
fn a_foreign_source_address_is_refused_and_waits_for_nothing() {
    in_namespace(|| {
        let sockets = namespace(&[443]);
        let fd =
            socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).unwrap();
        setsockopt(&fd, sockopt::IpFreebind, &true).unwrap();
        bind(fd.as_raw_fd(), &SockaddrIn::new(9, 9, 9, 9, 0)).unwrap();
        let to = SockaddrIn::new(198, 18, 0, 2, 443);
        assert_eq!(nix::sys::socket::connect(fd.as_raw_fd(), &to), Err(Errno::ECONNREFUSED));
        let client = UdpSocket::bind("9.9.9.9:0").unwrap();
        let error = client.send_to(b"x", "127.0.0.1:53").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
        let packets = logged(&sockets);
        assert!(seen(&packets, "198.18.0.2", 443, libc::IPPROTO_TCP), "{packets:?}");
        assert!(seen(&packets, "127.0.0.1", 53, libc::IPPROTO_UDP), "{packets:?}");
    });
}

#[test]
fn a_scan_does_not_fill_the_log_for_what_comes_after_it() {
    in_namespace(|| {
        let sockets = namespace(&[443]);
        let client = UdpSocket::bind("0.0.0.0:0").unwrap();
        for host in 0..4096_u32 {
            let to = Ipv4Addr::from(0xcb00_0000 + host);
            client.send_to(b"x", (to, 9)).unwrap_err();
        }
        let scanned = logged(&sockets).len();
        assert!(scanned < 2000, "{scanned}");
        std::thread::sleep(Duration::from_millis(1500));
        client.send_to(b"x", "169.254.169.254:80").unwrap_err();
        let packets = logged(&sockets);
        assert!(seen(&packets, "169.254.169.254", 80, libc::IPPROTO_UDP), "{packets:?}");
        assert_eq!(sockets.counters.read().unwrap().refused, 4097);
    });
}
