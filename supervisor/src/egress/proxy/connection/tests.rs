//! Refusals, over real connections to synthetic addresses. None of them may look a name up, so no server is needed.

use std::cell::RefCell;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use policies::domain::{AddressPolicy, DomainName, DomainPattern, DomainRule, TlsMode};
use policies::plan::egress::{Egress, NetworkLimits};
use policies::violation::{Code, Object};

use super::handle;
use crate::egress::context::Context;
use crate::egress::names::Names;
use crate::egress::owner::Owners;
use crate::egress::proxy::Usage;
use crate::egress::ranges::Ranges;
use crate::egress::refusals::{Refusal, Refusals};
use crate::egress::resolver::Queries;
use crate::egress::traffic::Traffic;
use crate::egress::upstream::Upstream;

const PORT: u16 = 443;
const RULE: &str = "[network] allow: a.example.com:443";

fn name() -> DomainName {
    DomainName::from_ascii("a.example.com").unwrap()
}

/// A context whose synthetic addresses this host has: a part of 127.0.0.0/8.
fn context(limits: NetworkLimits) -> Context {
    let rule = DomainRule {
        names: DomainPattern::Exact(name()),
        ports: vec![PORT],
        tls: TlsMode::Checked,
        addresses: AddressPolicy::Public,
    };
    let egress = Egress { rules: vec![rule], limits };
    let ranges = Ranges { synthetic_v4: "127.77.0.0/16".parse().unwrap(), ..Ranges::default() };
    Context {
        names: RefCell::new(Names::new(&egress, ranges)),
        egress,
        refusals: Refusals::new().unwrap(),
        traffic: Traffic::default(),
        upstream: Upstream::default(),
        owners: Owners::open(&TcpListener::bind("127.0.0.1:0").unwrap()).unwrap(),
        queries: Queries::default(),
        usage: Usage::default(),
    }
}

const LIMITS: NetworkLimits = NetworkLimits {
    connections: 8,
    connections_total: 8,
    traffic_mb: 8,
    names_per_wildcard: 8,
    idle_ms: 60_000,
};

/// Sends `text` to `to` as the extension would, to be taken for a connection to `port`; the client must be reset.
fn send(context: &Rc<Context>, to: [u8; 4], port: u16, text: &[u8]) -> Vec<(Refusal, u64)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let text = text.to_vec();
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(SocketAddr::from((to, 0))).await.unwrap();
        let address = listener.local_addr().unwrap();
        let client = thread::spawn(move || {
            let mut client = TcpStream::connect(address).unwrap();
            client.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
            // It may have been reset before.
            client.write_all(&text).unwrap_or_default();
            let error = client.read(&mut [0; 16]).unwrap_err();
            assert!(!matches!(error.kind(), std::io::ErrorKind::WouldBlock), "{error}");
        });
        let (stream, _) = listener.accept().await.unwrap();
        handle(stream, port, context).await;
        client.join().unwrap();
    });
    context.refusals.take()
}

fn refusal(
    code: Code,
    rule: &str,
    (host, address): (&str, &str),
    port: u16,
    detail: &str,
) -> Refusal {
    let object = Object::Endpoint {
        host: host.to_owned(),
        address: address.to_owned(),
        port,
        protocol: "tcp".to_owned(),
        detail: detail.to_owned(),
    };
    let uid = Some(nix::unistd::getuid().as_raw());
    Refusal { code, rule: rule.to_owned(), object, uid }
}

/// A client hello for `server`.
fn hello(server: Option<&str>) -> Vec<u8> {
    fn vector(content: &[u8]) -> Vec<u8> {
        [&u16::try_from(content.len()).unwrap().to_be_bytes(), content].concat()
    }
    let name = server.map(|server| {
        let list = [vec![0], vector(server.as_bytes())].concat();
        [vec![0, 0], vector(&vector(&list))].concat()
    });
    let fixed = [&[3, 3][..], &[7; 32], &[0, 0, 2, 0x13, 1, 1, 0]].concat();
    let body = [fixed, vector(&name.unwrap_or_default())].concat();
    let message = [vec![1, 0], vector(&body)].concat();
    [vec![22, 3, 1], vector(&message)].concat()
}

#[test]
fn what_a_connection_says_decides() {
    for (text, code, detail) in [
        (hello(Some("b.example.com")), Code::TlsNameMismatch, "server name b.example.com"),
        (hello(Some("198.18.0.2")), Code::TlsNameMismatch, "server name 198.18.0.2"),
        (hello(None), Code::TlsNameMissing, ""),
        (
            b"GET / HTTP/1.1\r\nHost: b.example.com\r\n\r\n".to_vec(),
            Code::HttpHostMismatch,
            "host b.example.com",
        ),
        (b"GET / HTTP/1.1\r\n\r\n".to_vec(), Code::HttpHostMismatch, "no host"),
        (b"CONNECT a.example.com:443 HTTP/1.1\r\n\r\n".to_vec(), Code::ProtocolRefused, "CONNECT"),
        (b"SSH-2.0-x\r\n".to_vec(), Code::ProtocolRefused, "neither TLS nor HTTP"),
    ] {
        let context = Rc::new(context(LIMITS));
        context.names.borrow_mut().resolve(&name(), &context.egress).unwrap();
        let expected = refusal(code, RULE, ("a.example.com", ""), PORT, detail);
        assert_eq!(send(&context, [127, 77, 0, 2], PORT, &text), [(expected, 1)]);
        let flow = context.traffic.flow(&name(), PORT);
        assert_eq!(flow.refused.load(Ordering::Relaxed), 1);
        assert_eq!(flow.connections.load(Ordering::Relaxed), 0);
        assert_eq!((context.usage.open(), context.usage.total()), (0, 1));
    }
}

#[test]
fn an_address_without_a_name_and_a_port_without_a_rule() {
    let context = Rc::new(context(LIMITS));
    let nameless = ("", "127.77.0.2");
    let expected = refusal(Code::AddressRefused, "egress: no rule", nameless, PORT, "");
    assert_eq!(send(&context, [127, 77, 0, 2], PORT, b""), [(expected, 1)]);
    context.names.borrow_mut().resolve(&name(), &context.egress).unwrap();
    let expected = refusal(Code::PortRefused, RULE, ("a.example.com", ""), 80, "");
    assert_eq!(send(&context, [127, 77, 0, 2], 80, b""), [(expected, 1)]);
    assert_eq!(context.usage.total(), 0);
}

#[test]
fn limits_of_the_tier() {
    for (limits, code, rule) in [
        (
            NetworkLimits { connections: 0, ..LIMITS },
            Code::ConnectionLimit,
            "tier: network.connections",
        ),
        (
            NetworkLimits { connections_total: 0, ..LIMITS },
            Code::ConnectionLimit,
            "tier: network.connections_total",
        ),
        (NetworkLimits { traffic_mb: 0, ..LIMITS }, Code::TrafficLimit, "tier: network.traffic_mb"),
    ] {
        let context = Rc::new(context(limits));
        context.names.borrow_mut().resolve(&name(), &context.egress).unwrap();
        let expected = refusal(code, rule, ("a.example.com", ""), PORT, "");
        assert_eq!(send(&context, [127, 77, 0, 2], PORT, b""), [(expected, 1)]);
    }
}
