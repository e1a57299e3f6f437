//! What is replied to a query: without I/O and without a clock.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::rdata::{A, AAAA, PTR};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use policies::domain::DomainName;
use policies::plan::egress::Egress;

use super::wire::{self, Malformed, TTL, Transport};
use crate::egress::names::{NameRefusal, Names, Synthetic};

/// The reply to a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// A DNS message; empty if nothing is replied.
    pub reply: Vec<u8>,
    /// What happened.
    pub outcome: Outcome,
}

/// What happened to a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Addresses, or the name of one.
    Answered,
    /// The name is allowed and has no records of the type: it has A and AAAA only. No HTTPS record, so no key for an
    /// encrypted ClientHello.
    Empty,
    /// An address, to which no name was given. Programs look such names up by themselves, to write a log.
    Nameless,
    /// The name does not exist here.
    Refused {
        /// As it was asked for, in lower case, with `\ddd` for bytes that no host name has.
        name: String,
        /// For what.
        asked: Asked,
        /// Why.
        why: NameRefusal,
    },
    /// Not a query.
    Malformed(Malformed),
}

/// What a query asked for; `getaddrinfo` asks for A and AAAA, a browser for HTTPS too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// A.
    V4,
    /// AAAA.
    V6,
    /// Anything else.
    Other,
}

/// Answers a packet. Never panics, whatever the bytes are.
#[must_use]
pub fn answer(query: &[u8], transport: Transport, names: &mut Names, egress: &Egress) -> Answer {
    let request = match wire::decode(query) {
        Ok(request) => request,
        Err(reason) => {
            let reply = wire::complain(query, reason);
            return Answer { reply, outcome: Outcome::Malformed(reason) };
        }
    };
    let name = request.question.name();
    let (outcome, records) = look_up(name, request.question.query_type(), names, egress);
    let code = match outcome {
        Outcome::Answered | Outcome::Empty => ResponseCode::NoError,
        // Not REFUSED: the C library asks again and reports a temporary failure then.
        Outcome::Nameless | Outcome::Refused { .. } | Outcome::Malformed(_) => {
            ResponseCode::NXDomain
        }
    };
    Answer { reply: wire::encode(&request, transport, code, records), outcome }
}

fn look_up(
    name: &Name,
    kind: RecordType,
    names: &mut Names,
    egress: &Egress,
) -> (Outcome, Vec<Record>) {
    let text = text(name);
    // RFC 6761, section 6.3.
    if text == "localhost" || text.ends_with(".localhost") {
        let loopback = Synthetic { v4: Ipv4Addr::LOCALHOST, v6: Ipv6Addr::LOCALHOST };
        return found(addresses(name, kind, loopback));
    }
    if kind == RecordType::PTR
        && let Some(address) = reverse(name)
    {
        return match name_of(address, names) {
            Some(target) => found(vec![record(name, RData::PTR(PTR(target)))]),
            None => (Outcome::Nameless, Vec::new()),
        };
    }
    let addressed = matches!(kind, RecordType::A | RecordType::AAAA | RecordType::ANY);
    let resolved = host(&text, addressed).ok_or(NameRefusal::NotAllowed).and_then(|host| {
        if addressed {
            return names.resolve(&host, egress).map(Some);
        }
        egress.rule_of(&host).map(|_| None).ok_or(NameRefusal::NotAllowed)
    });
    match resolved {
        Ok(Some(synthetic)) => found(addresses(name, kind, synthetic)),
        Ok(None) => found(Vec::new()),
        Err(why) => {
            let asked = match kind {
                RecordType::A => Asked::V4,
                RecordType::AAAA => Asked::V6,
                _ => Asked::Other,
            };
            (Outcome::Refused { name: text, asked, why }, Vec::new())
        }
    }
}

fn found(records: Vec<Record>) -> (Outcome, Vec<Record>) {
    (if records.is_empty() { Outcome::Empty } else { Outcome::Answered }, records)
}

/// The host that a name is about. `_8443._https.example.com` is about a host too (RFC 8552), and it has no addresses.
fn host(text: &str, addressed: bool) -> Option<DomainName> {
    let mut host = text;
    while !addressed && host.starts_with('_') {
        host = host.split_once('.')?.1;
    }
    DomainName::from_ascii(host).ok()
}

/// The records of a type; both for ANY, which RFC 8482 leaves open.
fn addresses(name: &Name, kind: RecordType, addresses: Synthetic) -> Vec<Record> {
    let v4 = matches!(kind, RecordType::A | RecordType::ANY)
        .then(|| record(name, RData::A(A(addresses.v4))));
    let v6 = matches!(kind, RecordType::AAAA | RecordType::ANY)
        .then(|| record(name, RData::AAAA(AAAA(addresses.v6))));
    v4.into_iter().chain(v6).collect()
}

fn record(name: &Name, data: RData) -> Record {
    Record::from_rdata(name.clone(), TTL, data)
}

/// The address whose name a name beneath in-addr.arpa or ip6.arpa asks for; none if that is no whole address.
fn reverse(name: &Name) -> Option<IpAddr> {
    let net = name.parse_arpa_name().ok()?;
    (net.prefix_len() == net.max_prefix_len()).then(|| net.addr())
}

fn name_of(address: IpAddr, names: &Names) -> Option<Name> {
    let text = if address.is_loopback() { "localhost" } else { names.name_of(address)?.as_str() };
    Name::from_labels(text.split('.').map(str::as_bytes)).ok()
}

/// The text of a name, in lower case, without a dot at the end. A dot within a label is escaped like every other byte
/// that no host name has, so no label passes for two.
fn text(name: &Name) -> String {
    let mut text = String::new();
    for label in name {
        if !text.is_empty() {
            text.push('.');
        }
        for byte in label {
            if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_') {
                text.push(char::from(byte.to_ascii_lowercase()));
            } else {
                write!(text, "\\{byte:03}").unwrap_or_default();
            }
        }
    }
    if text.is_empty() {
        text.push('.');
    }
    text
}
