//! The rules as one netlink batch: what the program `nft` would send, without starting it.
//!
//! Names are those of `linux/netfilter/nf_tables.h`. A test compares what the kernel lists afterwards with what it lists
//! when `nft` has loaded the same rules.

use super::{
    BURST, DESTINATIONS, NEW_BURST, NEW_RATE, RATE, REFUSED, REMEMBERED_S, Ruleset, TABLE,
};
use crate::egress::nflog::{LOG_GROUP, SNAP};
use crate::sys::nlmsg::{Request, nested};

/// `NFNL_SUBSYS_NFTABLES`.
const SUBSYSTEM: u16 = 10;
const NFNL_MSG_BATCH_BEGIN: u16 = 0x10;
const NFNL_MSG_BATCH_END: u16 = 0x11;
const NFT_MSG_NEWTABLE: u16 = 0;
const NFT_MSG_NEWCHAIN: u16 = 3;
const NFT_MSG_NEWRULE: u16 = 6;
const NFT_MSG_NEWSET: u16 = 9;
const NFT_MSG_NEWSETELEM: u16 = 12;
const NFT_MSG_NEWOBJ: u16 = 18;
const NLM_F_CREATE: u16 = 0x400;
const NLM_F_APPEND: u16 = 0x800;
const NFPROTO_INET: u8 = 1;
const NFT_SET_TIMEOUT: u32 = 0x10;
const NFT_SET_EVAL: u32 = 0x20;
/// Types of keys as nft numbers them; a concatenation has six bits for each part.
const TYPE_IPADDR: u32 = 7;
const TYPE_IP6ADDR: u32 = 8;
const TYPE_INET_PROTOCOL: u32 = 12;
const TYPE_INET_SERVICE: u32 = 13;
const NF_INET_LOCAL_OUT: u32 = 3;
const NFPROTO_IPV4: u8 = 2;
const NFPROTO_IPV6: u8 = 10;
const NFT_META_NFPROTO: u32 = 15;
const NFT_META_L4PROTO: u32 = 16;
const NETWORK: u32 = 1;
const TRANSPORT: u32 = 2;
const EQUAL: u32 = 0;
const NOT_EQUAL: u32 = 1;
const IGMP: u8 = 2;
const TCP: u8 = 6;
const ICMPV6: u8 = 58;
/// Reports of multicast groups: RFC 2710 and RFC 3810.
const MLD: [u8; 3] = [131, 132, 143];
const NF_DROP: i32 = 0;
const NF_ACCEPT: i32 = 1;
const NFT_GOTO: i32 = -4;
/// The first register of 16 bytes; those of 4 bytes begin at the same place with number 8.
const FIRST: u32 = 1;
const FIRST_OF_FOUR: u32 = 8;

/// A connection's flags in byte 13 of the TCP header.
const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const ACK: u8 = 0x10;

/// Where addresses are in a header, in bytes.
#[derive(Clone, Copy)]
struct Family {
    number: u8,
    source: u32,
    destination: u32,
    length: u32,
    unreachable: (u8, u8),
}

const V4: Family =
    Family { number: NFPROTO_IPV4, source: 12, destination: 16, length: 4, unreachable: (1, 3) };
const V6: Family = Family {
    number: NFPROTO_IPV6,
    source: 8,
    destination: 24,
    length: 16,
    unreachable: (ICMPV6, 1),
};

/// An address range.
struct Range {
    family: Family,
    network: Vec<u8>,
    mask: Vec<u8>,
}

/// The messages of the batch.
pub(super) fn batch(rules: &Ruleset) -> Vec<Request> {
    let (v4, v6) = (rules.ranges.synthetic_v4, rules.ranges.synthetic_v6);
    let ranges = [
        Range {
            family: V4,
            network: v4.network().octets().to_vec(),
            mask: v4.netmask().octets().to_vec(),
        },
        Range {
            family: V6,
            network: v6.network().octets().to_vec(),
            mask: v6.netmask().octets().to_vec(),
        },
    ];
    let mut batch = vec![
        edge(NFNL_MSG_BATCH_BEGIN),
        message(NFT_MSG_NEWTABLE, 0).attribute(1, &text(TABLE)).attribute(2, &be32(0)),
        counter(),
        set("ports", 1, 0, TYPE_INET_SERVICE, &[2]),
        ports(&rules.ports),
        seen("seen4", 2, TYPE_IPADDR, 4),
        seen("seen6", 3, TYPE_IP6ADDR, 16),
        chain("answer"),
        chain("refuse"),
        chain("output")
            .attribute(4, &nested(&[(1, &be32(NF_INET_LOCAL_OUT)), (2, &be32(0))]))
            // NF_DROP.
            .attribute(5, &be32(0))
            .attribute(7, &text("filter")),
    ];
    batch.extend(answer());
    batch.extend(refuse());
    batch.extend(output(&ranges));
    batch.push(edge(NFNL_MSG_BATCH_END));
    batch
}

fn output(ranges: &[Range; 2]) -> Vec<Request> {
    let mut rules = vec![
        rule(
            "output",
            family(V4)
                .load(NETWORK, 12, 1)
                .compare(EQUAL, &[127])
                .load(NETWORK, 16, 1)
                .compare(EQUAL, &[127])
                .accept(),
        ),
        rule(
            "output",
            family(V6).load(NETWORK, 24, 16).compare(EQUAL, &Ipv6Loopback::BYTES).accept(),
        ),
        rule("output", tcp(Expressions::new()).flags(RST, EQUAL, RST).accept()),
    ];
    for range in ranges {
        let mut to = family(range.family);
        if range.family.number == NFPROTO_IPV4 {
            to = to.within(range, range.family.source);
        }
        let to = to.within(range, range.family.destination);
        rules.push(rule("output", tcp(to).load(TRANSPORT, 2, 2).lookup("ports", 1, 0).accept()));
        let from = family(range.family)
            .within(range, range.family.source)
            .within(range, range.family.destination);
        let from = tcp(from).load(TRANSPORT, 0, 2).lookup("ports", 1, 0);
        rules.push(rule("output", from.flags(SYN | ACK, NOT_EQUAL, SYN).accept()));
    }
    for own in [V4, V6] {
        let (protocol, kind) = own.unreachable;
        rules.push(rule("output", icmp(own, protocol, kind).accept()));
    }
    let igmp = Expressions::new().meta(NFT_META_L4PROTO, FIRST).compare(EQUAL, &[IGMP]);
    rules.push(rule("output", igmp.drop()));
    rules.extend(MLD.map(|kind| rule("output", icmp(V6, ICMPV6, kind).drop())));
    rules.push(rule("output", Expressions::new().goto("refuse")));
    rules
}

fn refuse() -> Vec<Request> {
    let first = |own: Family, set: &str, id: u32| {
        let rule = family(own)
            .destination(own)
            .lookup(set, id, 1)
            .limit(NEW_RATE, NEW_BURST)
            .destination(own);
        rule.remember(set, id).log().goto("answer")
    };
    vec![
        rule("refuse", Expressions::new().count()),
        rule("refuse", Expressions::new().limit(RATE, BURST).log().goto("answer")),
        rule("refuse", first(V4, "seen4", 2)),
        rule("refuse", first(V6, "seen6", 3)),
        rule("refuse", Expressions::new().goto("answer")),
    ]
}

fn answer() -> [Request; 2] {
    // NFT_REJECT_TCP_RST; NFT_REJECT_ICMPX_UNREACH with NFT_REJECT_ICMPX_ADMIN_PROHIBITED.
    [
        rule("answer", tcp(Expressions::new()).reject(1, 0)),
        rule("answer", Expressions::new().reject(2, 3)),
    ]
}

struct Ipv6Loopback;

impl Ipv6Loopback {
    const BYTES: [u8; 16] = std::net::Ipv6Addr::LOCALHOST.octets();
}

fn family(own: Family) -> Expressions {
    Expressions::new().meta(NFT_META_NFPROTO, FIRST).compare(EQUAL, &[own.number])
}

fn icmp(own: Family, protocol: u8, kind: u8) -> Expressions {
    let icmp = family(own).meta(NFT_META_L4PROTO, FIRST).compare(EQUAL, &[protocol]);
    icmp.load(TRANSPORT, 0, 1).compare(EQUAL, &[kind])
}

fn tcp(before: Expressions) -> Expressions {
    before.meta(NFT_META_L4PROTO, FIRST).compare(EQUAL, &[TCP])
}

/// The expressions of one rule: a list of (name, attributes).
struct Expressions {
    list: Vec<(u16, Vec<u8>)>,
}

impl Expressions {
    const fn new() -> Self {
        Self { list: Vec::new() }
    }

    fn add(mut self, name: &str, attributes: &[(u16, &[u8])]) -> Self {
        let element = nested(&[(1, &text(name)), (2 | NESTED, &nested(attributes))]);
        self.list.push((1 | NESTED, element));
        self
    }

    fn meta(self, key: u32, register: u32) -> Self {
        self.add("meta", &[(2, &be32(key)), (1, &be32(register))])
    }

    fn load(self, base: u32, offset: u32, length: u32) -> Self {
        self.load_to(FIRST, base, offset, length)
    }

    fn load_to(self, register: u32, base: u32, offset: u32, length: u32) -> Self {
        let (register, base) = (be32(register), be32(base));
        let (offset, length) = (be32(offset), be32(length));
        self.add("payload", &[(1, &register), (2, &base), (3, &offset), (4, &length)])
    }

    fn compare(self, how: u32, with: &[u8]) -> Self {
        self.add("cmp", &[(1, &be32(FIRST)), (2, &be32(how)), (3 | NESTED, &data(with))])
    }

    fn mask(self, mask: &[u8]) -> Self {
        let length = u32::try_from(mask.len()).unwrap_or(0);
        let zero = vec![0; mask.len()];
        let (register, length) = (be32(FIRST), be32(length));
        self.add(
            "bitwise",
            &[
                (1, &register),
                (2, &register),
                (3, &length),
                (4 | NESTED, &data(mask)),
                (5 | NESTED, &data(&zero)),
            ],
        )
    }

    fn within(self, range: &Range, offset: u32) -> Self {
        self.load(NETWORK, offset, range.family.length)
            .mask(&range.mask)
            .compare(EQUAL, &range.network)
    }

    fn flags(self, mask: u8, how: u32, with: u8) -> Self {
        self.load(TRANSPORT, 13, 1).mask(&[mask]).compare(how, &[with])
    }

    /// Address, protocol and port of the destination, one behind the other.
    fn destination(self, own: Family) -> Self {
        let next = FIRST_OF_FOUR + own.length / 4;
        self.load(NETWORK, own.destination, own.length).meta(NFT_META_L4PROTO, next).load_to(
            next + 1,
            TRANSPORT,
            2,
            2,
        )
    }

    fn lookup(self, set: &str, id: u32, flags: u32) -> Self {
        let (id, flags) = (be32(id), be32(flags));
        self.add("lookup", &[(1, &text(set)), (2, &be32(FIRST)), (4, &id), (5, &flags)])
    }

    fn remember(self, set: &str, id: u32) -> Self {
        // NFT_DYNSET_OP_ADD.
        let (id, add) = (be32(id), be32(0));
        self.add("dynset", &[(1, &text(set)), (2, &id), (3, &add), (4, &be32(FIRST))])
    }

    fn log(self) -> Self {
        let group = LOG_GROUP.to_be_bytes();
        self.add("log", &[(1, &group), (3, &be32(SNAP)), (4, &0_u16.to_be_bytes())])
    }

    fn limit(self, rate: u32, burst: u32) -> Self {
        let rate = u64::from(rate).to_be_bytes();
        let second = 1_u64.to_be_bytes();
        let (burst, packets) = (be32(burst), be32(0));
        self.add("limit", &[(1, &rate), (2, &second), (3, &burst), (4, &packets), (5, &be32(0))])
    }

    fn count(self) -> Self {
        self.add("objref", &[(1, &be32(1)), (2, &text(REFUSED))])
    }

    fn reject(self, kind: u32, code: u8) -> Self {
        self.add("reject", &[(1, &be32(kind)), (2, &[code])])
    }

    fn accept(self) -> Self {
        self.verdict(&[(1, &NF_ACCEPT.to_be_bytes())])
    }

    fn drop(self) -> Self {
        self.verdict(&[(1, &NF_DROP.to_be_bytes())])
    }

    fn goto(self, chain: &str) -> Self {
        self.verdict(&[(1, &NFT_GOTO.to_be_bytes()), (2, &text(chain))])
    }

    fn verdict(self, verdict: &[(u16, &[u8])]) -> Self {
        let data = nested(&[(2 | NESTED, &nested(verdict))]);
        self.add("immediate", &[(1, &be32(0)), (2 | NESTED, &data)])
    }
}

/// `NLA_F_NESTED`.
const NESTED: u16 = 0x8000;

fn data(value: &[u8]) -> Vec<u8> {
    nested(&[(1, value)])
}

fn be32(value: u32) -> [u8; 4] {
    value.to_be_bytes()
}

fn text(text: &str) -> Vec<u8> {
    [text.as_bytes(), b"\0"].concat()
}

fn edge(kind: u16) -> Request {
    let [high, low] = SUBSYSTEM.to_be_bytes();
    Request::new(kind, 0, &[0, 0, high, low])
}

fn message(kind: u16, flags: u16) -> Request {
    Request::new(SUBSYSTEM << 8 | kind, NLM_F_CREATE | flags, &[NFPROTO_INET, 0, 0, 0])
}

fn counter() -> Request {
    let zero = 0_u64.to_be_bytes();
    message(NFT_MSG_NEWOBJ, 0)
        .attribute(1, &text(TABLE))
        .attribute(2, &text(REFUSED))
        .attribute(3, &be32(1))
        .attribute(4 | NESTED, &nested(&[(1, &zero), (2, &zero)]))
}

fn set(name: &str, id: u32, flags: u32, kind: u32, lengths: &[u32]) -> Request {
    // Each part of a concatenation fills whole registers.
    let length: u32 = match lengths {
        [one] => *one,
        parts => parts.iter().map(|part| part.next_multiple_of(4)).sum(),
    };
    message(NFT_MSG_NEWSET, 0)
        .attribute(1, &text(TABLE))
        .attribute(2, &text(name))
        .attribute(3, &be32(flags))
        .attribute(4, &be32(kind))
        .attribute(5, &be32(length))
        .attribute(10, &be32(id))
}

fn seen(name: &str, id: u32, address: u32, length: u32) -> Request {
    let kind = (address << 12) | (TYPE_INET_PROTOCOL << 6) | TYPE_INET_SERVICE;
    let timeout = (u64::from(REMEMBERED_S) * 1000).to_be_bytes();
    set(name, id, NFT_SET_TIMEOUT | NFT_SET_EVAL, kind, &[length, 1, 2])
        .attribute(9 | NESTED, &nested(&[(1, &be32(DESTINATIONS))]))
        .attribute(11, &timeout)
}

fn ports(ports: &[u16]) -> Request {
    let elements: Vec<(u16, Vec<u8>)> = ports
        .iter()
        .map(|port| (1 | NESTED, nested(&[(1 | NESTED, &data(&port.to_be_bytes()))])))
        .collect();
    message(NFT_MSG_NEWSETELEM, 0)
        .attribute(1, &text(TABLE))
        .attribute(2, &text("ports"))
        .attribute(4, &be32(1))
        .attribute(3 | NESTED, &list(&elements))
}

fn chain(name: &str) -> Request {
    message(NFT_MSG_NEWCHAIN, 0).attribute(1, &text(TABLE)).attribute(3, &text(name))
}

#[expect(clippy::needless_pass_by_value, reason = "a chain of calls ends here")]
fn rule(chain: &str, expressions: Expressions) -> Request {
    message(NFT_MSG_NEWRULE, NLM_F_APPEND)
        .attribute(1, &text(TABLE))
        .attribute(2, &text(chain))
        .attribute(4 | NESTED, &list(&expressions.list))
}

fn list(elements: &[(u16, Vec<u8>)]) -> Vec<u8> {
    let borrowed: Vec<(u16, &[u8])> =
        elements.iter().map(|(kind, value)| (*kind, value.as_slice())).collect();
    nested(&borrowed)
}
