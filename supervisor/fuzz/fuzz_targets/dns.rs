//! Queries to the resolver, and its replies.
#![no_main]

use std::net::IpAddr;

use hickory_proto::op::{Message, MessageType, ResponseCode};
use hickory_proto::rr::RData;
use libfuzzer_sys::fuzz_target;
use policies::domain::{AddressPolicy, DomainName, DomainPattern, DomainRule, TlsMode};
use policies::plan::egress::{Egress, NetworkLimits};
use sandboxctl::egress::names::Names;
use sandboxctl::egress::ranges::Ranges;
use sandboxctl::egress::resolver::{Answer, MAX_QUERY, Outcome, Transport, answer};
use sandboxctl_fuzz::{NAME, PORT, name};

/// Names beneath it are allowed.
const BASE: &str = "example.org";

fuzz_target!(|input: &[u8]| {
    let egress = egress();
    let mut names = Names::new(&egress, Ranges::default());
    let udp = answer(input, Transport::Udp, &mut names, &egress);
    assert_eq!(answer(input, Transport::Udp, &mut names, &egress), udp, "not the same again");
    let tcp = answer(input, Transport::Tcp, &mut names, &egress);
    assert_eq!(tcp.outcome, udp.outcome);
    for (reply, most) in [(&udp, 1232), (&tcp, usize::from(u16::MAX))] {
        check(input, reply, most, &names);
    }
});

fn egress() -> Egress {
    let base = DomainName::from_ascii(BASE).unwrap_or_else(|error| panic!("{BASE}: {error}"));
    let rule = |names| DomainRule {
        names,
        ports: vec![PORT],
        tls: TlsMode::Checked,
        addresses: AddressPolicy::Public,
    };
    Egress {
        rules: vec![rule(DomainPattern::Exact(name())), rule(DomainPattern::Subdomains(base))],
        limits: NetworkLimits {
            connections: 8,
            connections_total: 100,
            traffic_mb: 10,
            names_per_wildcard: 4,
            idle_ms: 1000,
        },
    }
}

fn check(query: &[u8], answer: &Answer, most: usize, names: &Names) {
    let Answer { reply, outcome } = answer;
    if reply.is_empty() {
        // Nothing that may be an answer itself is answered.
        let silent = query.len() < 12 || query[2] & 0x80 != 0;
        assert!(silent, "{outcome:?} without a reply");
        return;
    }
    assert!(reply.len() <= most, "{} bytes", reply.len());
    let message = Message::from_vec(reply).unwrap_or_else(|error| panic!("{reply:?}: {error}"));
    assert_eq!(message.metadata.message_type, MessageType::Response);
    assert_eq!(reply[..2], query[..2], "the reply to another query");
    if let Outcome::Malformed(_) = outcome {
        assert!(message.answers.is_empty() && message.queries.is_empty());
        assert_ne!(message.metadata.response_code, ResponseCode::NoError);
        return;
    }
    assert!(query.len() <= MAX_QUERY);
    let (labels, rest) = labels(&query[12..]);
    // The question comes back byte for byte.
    let end = query.len() - rest.len() + 4;
    assert_eq!(reply[12..end], query[12..end]);
    // Nothing follows it but one OPT record, where the header says so: RFC 6891, section 6.1.2.
    let behind = &query[end..];
    let record = if query[10..12] == [0, 0] {
        0
    } else {
        11 + usize::from(u16::from_be_bytes([behind[9], behind[10]]))
    };
    assert_eq!(behind.len(), record, "understood, and not to its end");
    let other = Message::from_vec(query)
        .unwrap_or_else(|error| panic!("understood, and elsewhere {error}: {query:?}"));
    assert_eq!(other.queries, message.queries);
    for record in &message.answers {
        let address: IpAddr = match &record.data {
            RData::A(a) => a.0.into(),
            RData::AAAA(aaaa) => aaaa.0.into(),
            RData::PTR(_) => continue,
            other => panic!("{other:?}"),
        };
        if address.is_loopback() {
            assert!(ends_with(&labels, "localhost"), "{address} for {labels:?}");
        } else {
            let known = names.name_of(address).map(DomainName::as_str);
            let asked = labels.join(&b'.').to_ascii_lowercase();
            assert_eq!(known.map(str::as_bytes), Some(asked.as_slice()), "another's address");
            let exact = labels.len() == 3 && ends_with(&labels, NAME);
            let beneath = labels.len() > 2 && ends_with(&labels, BASE);
            assert!(exact || beneath, "{address} for {labels:?}");
        }
    }
    let answered = *outcome == Outcome::Answered;
    // A reply that is cut is asked for again over TCP.
    assert!(answered != message.answers.is_empty() || message.metadata.truncation, "{outcome:?}");
    let refused = matches!(outcome, Outcome::Refused { .. } | Outcome::Nameless);
    assert_eq!(message.metadata.response_code == ResponseCode::NXDomain, refused);
}

/// The labels of a plain name, and what follows it. Panics where it is not plain: such a query must not be understood.
fn labels(mut bytes: &[u8]) -> (Vec<&[u8]>, &[u8]) {
    let mut labels = Vec::new();
    loop {
        let length = usize::from(bytes[0]);
        assert!(length < 64, "a pointer was followed");
        let (label, rest) = bytes[1..].split_at(length);
        bytes = rest;
        if length == 0 {
            return (labels, bytes);
        }
        labels.push(label);
    }
}

/// Label by label, so that a dot in a label ends nothing.
fn ends_with(labels: &[&[u8]], name: &str) -> bool {
    let name: Vec<&[u8]> = name.split('.').map(str::as_bytes).collect();
    labels.len() >= name.len()
        && labels[labels.len() - name.len()..]
            .iter()
            .zip(name)
            .all(|(label, part)| label.eq_ignore_ascii_case(part))
}
