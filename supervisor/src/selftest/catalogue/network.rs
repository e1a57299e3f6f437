//! Ways out of a sandbox that has a network. Nothing leaves the host: what is refused never does, and names that are
//! allowed are refused for what is said to them, before anybody looks them up.

use policies::violation::Code;

use super::{ALLOWED, Act, Action, Aim, Arg, Expected, Sandbox, WILDCARD, Words};
use Arg::Number;

const fn out(name: &'static str, act: Act, code: Code, aim: Aim, why: &'static str) -> Action {
    Action { name, why, sandbox: Sandbox::Network, act, record: Expected::Violation(code, aim) }
}

/// A connection to an address that no lookup gave out.
const fn connect(
    name: &'static str,
    to: &'static str,
    address: &'static str,
    port: u16,
    why: &'static str,
) -> Action {
    let aim = Aim::Address(address, port, "tcp");
    out(name, Act::Connect(to), Code::AddressRefused, aim, why)
}

/// A packet to an address that no lookup gave out.
const fn packet(
    name: &'static str,
    to: &'static str,
    address: &'static str,
    port: u16,
    why: &'static str,
) -> Action {
    let aim = Aim::Address(address, port, "udp");
    out(name, Act::Datagram(to), Code::AddressRefused, aim, why)
}

/// A socket that a sandbox with a network does not get either.
const fn socket(
    name: &'static str,
    arguments: &'static [Arg],
    detail: &'static str,
    why: &'static str,
) -> Action {
    let aim = Aim::Syscall("socket", detail);
    out(name, Act::Call(libc::SYS_socket, arguments), Code::NetworkDenied, aim, why)
}

/// A connection to an allowed host that says something wrong.
const fn say(
    name: &'static str,
    port: u16,
    words: Words,
    code: Code,
    detail: &'static str,
    why: &'static str,
) -> Action {
    out(name, Act::Say(ALLOWED, port, words), code, Aim::Host(ALLOWED, port, "tcp", detail), why)
}

pub(super) const ACTIONS: &[Action] = &[
    connect("tcp-v4", "203.0.113.7:443", "203.0.113.7", 443, "carries data out around the names"),
    connect("tcp-v6", "[2001:db8::7]:443", "2001:db8::7", 443, "carries data out around the names"),
    connect("tcp-ssh", "203.0.113.7:22", "203.0.113.7", 22, "logs in elsewhere"),
    connect("tcp-smtp", "203.0.113.7:25", "203.0.113.7", 25, "sends mail"),
    connect("tcp-private", "10.0.0.5:5432", "10.0.0.5", 5432, "reaches the operator's own network"),
    connect("tcp-private-v6", "[fd00::5]:80", "fd00::5", 80, "reaches the operator's own network"),
    connect(
        "metadata",
        "169.254.169.254:80",
        "169.254.169.254",
        80,
        "reads the cloud's credentials",
    ),
    connect("dns-tcp", "8.8.8.8:53", "8.8.8.8", 53, "asks another name server"),
    connect("dns-tls", "1.1.1.1:853", "1.1.1.1", 853, "asks another name server in secret"),
    packet("udp-v4", "203.0.113.7:9", "203.0.113.7", 9, "carries data out around the names"),
    packet("udp-v6", "[2001:db8::7]:9", "2001:db8::7", 9, "carries data out around the names"),
    packet("quic", "203.0.113.7:443", "203.0.113.7", 443, "QUIC hides the server name"),
    packet("dns-udp", "8.8.8.8:53", "8.8.8.8", 53, "asks another name server"),
    packet("ntp", "203.0.113.7:123", "203.0.113.7", 123, "carries data out in other protocols"),
    packet("multicast-v4", "239.1.2.3:5353", "239.1.2.3", 5353, "speaks to all hosts around"),
    packet("multicast-v6", "[ff02::fb]:5353", "ff02::fb", 5353, "speaks to all hosts around"),
    packet("broadcast", "255.255.255.255:67", "255.255.255.255", 67, "speaks to all hosts around"),
    socket(
        "socket-icmp",
        &[Number(2), Number(2), Number(1)],
        "AF_INET SOCK_DGRAM",
        "ICMP carries data past filters",
    ),
    socket(
        "network-raw",
        &[Number(2), Number(3), Number(255)],
        "AF_INET SOCK_RAW",
        "packets of any make",
    ),
    socket(
        "network-vsock",
        &[Number(40), Number(1)],
        "AF_VSOCK SOCK_STREAM",
        "reaches the hypervisor around the network namespace",
    ),
    socket(
        "network-packet",
        &[Number(17), Number(3), Number(0x300)],
        "AF_PACKET SOCK_RAW",
        "reads and writes raw frames",
    ),
    out(
        "port-tcp",
        Act::ConnectName(ALLOWED, 8443),
        Code::PortRefused,
        Aim::Host(ALLOWED, 8443, "tcp", ""),
        "another service of an allowed host",
    ),
    out(
        "port-quic",
        Act::DatagramName(ALLOWED, 443),
        Code::PortRefused,
        Aim::Host(ALLOWED, 443, "udp", ""),
        "QUIC to an allowed host hides the server name",
    ),
    out(
        "lookup",
        Act::Lookup("attacker.invalid"),
        Code::NameRefused,
        Aim::Name("attacker.invalid"),
        "asks for a name that no rule allows",
    ),
    out(
        "lookup-tunnel",
        Act::Lookup("c2vjcmv0.attacker.invalid"),
        Code::NameRefused,
        Aim::Name("c2vjcmv0.attacker.invalid"),
        "carries data out in a question",
    ),
    out(
        "lookup-metadata",
        Act::Lookup("metadata.google.internal"),
        Code::NameRefused,
        Aim::Name("metadata.google.internal"),
        "reads the cloud's credentials",
    ),
    out(
        "lookup-beneath",
        Act::Lookup("other.allowed.example.invalid"),
        Code::NameRefused,
        Aim::Name("other.allowed.example.invalid"),
        "a name beneath an allowed one is another name",
    ),
    out(
        "lookup-suffix",
        Act::Lookup("allowed.example.invalid.attacker.invalid"),
        Code::NameRefused,
        Aim::Name("allowed.example.invalid.attacker.invalid"),
        "looks like an allowed name",
    ),
    out(
        "no-query",
        Act::NoQuery,
        Code::QueryMalformed,
        Aim::Address("127.0.0.1", 53, "udp"),
        "feeds the resolver what it does not expect",
    ),
    say(
        "server-name",
        443,
        Words::Hello(Some("fronted.example.invalid")),
        Code::TlsNameMismatch,
        "server name fronted.example.invalid",
        "asks a shared server for another site",
    ),
    say(
        "no-server-name",
        443,
        Words::Hello(None),
        Code::TlsNameMissing,
        "",
        "does not say which site it wants",
    ),
    say(
        "host",
        80,
        Words::Plain("GET / HTTP/1.1\r\nHost: fronted.example.invalid\r\n\r\n"),
        Code::HttpHostMismatch,
        "host fronted.example.invalid",
        "asks a shared server for another site",
    ),
    say(
        "no-host",
        80,
        Words::Plain("GET / HTTP/1.1\r\n\r\n"),
        Code::HttpHostMismatch,
        "no host",
        "does not say which site it wants",
    ),
    say(
        "protocol",
        80,
        Words::Plain("SSH-2.0-probe\r\n"),
        Code::ProtocolRefused,
        "neither TLS nor HTTP",
        "a protocol whose destination cannot be checked",
    ),
    out(
        "many-names",
        Act::ManyNames,
        Code::NameLimit,
        Aim::NameBeneath(WILDCARD),
        "carries data out in ever new names beneath a wildcard",
    ),
    out(
        "many-connections",
        Act::ManyConnections,
        Code::ConnectionLimit,
        Aim::Host(ALLOWED, 443, "tcp", ""),
        "takes the host's sockets",
    ),
];
