//! The packet filter of a sandbox, derived from its plan.
//!
//! One table inside the sandbox's network namespace, one base chain at the output hook: with loopback as the only
//! interface every packet passes there, and none passes anywhere else. No address translation and no connection tracking.

use std::fmt::Write as _;

mod netlink;

use nftables::helper::{self, NftablesError};
use nftables::schema::Nftables;
use nix::sys::socket::SockProtocol;
use policies::plan::egress::Egress;
use serde_json::{Value, json};

use super::error::EgressError;
use super::nflog::{LOG_GROUP, SNAP};
use super::ranges::Ranges;
use crate::sys::nlmsg::Netlink;

/// The table.
pub const TABLE: &str = "sandboxctl";
/// The counter of every refused packet.
pub const REFUSED: &str = "refused";
/// So many packets a second are logged, wherever they go.
const RATE: u32 = 20;
const BURST: u32 = 100;
/// Beyond that, so many packets a second to destinations that were not logged in the last second: a flood at one does not
/// hide another. Bounded too, or a scan would fill the set and the log.
const NEW_RATE: u32 = 50;
const NEW_BURST: u32 = 50;
const DESTINATIONS: u32 = 1024;
const REMEMBERED_S: u32 = 1;

/// The rules of one sandbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ruleset {
    ranges: Ranges,
    ports: Vec<u16>,
}

/// Derives the rules.
#[must_use]
pub fn compile(egress: &Egress, ranges: &Ranges) -> Ruleset {
    Ruleset { ranges: *ranges, ports: egress.ports().into_iter().collect() }
}

impl Ruleset {
    /// Rules for one port, to see whether a kernel takes them.
    pub(super) fn probe() -> Self {
        Self { ranges: Ranges::default(), ports: vec![443] }
    }

    /// The rules as data.
    ///
    /// # Errors
    /// [`EgressError::Filter`] where the schema of the crate does not know what is used here.
    pub fn schema(&self) -> Result<Nftables<'static>, EgressError> {
        serde_json::from_value(self.json())
            .map_err(|error| EgressError::Filter { reason: error.to_string() })
    }

    /// Loads the rules into the network namespace of the calling thread, by one netlink batch.
    ///
    /// # Errors
    /// [`EgressError::Filter`].
    pub fn load(&self) -> Result<(), EgressError> {
        Netlink::open(SockProtocol::NetlinkNetFilter)
            .and_then(|netlink| netlink.batch(netlink::batch(self)))
            .map_err(|errno| EgressError::Filter { reason: errno.desc().to_owned() })
    }

    /// The same by the program `nft`, which takes some 3 ms.
    ///
    /// # Errors
    /// [`EgressError::Filter`].
    pub fn load_by_nft(&self) -> Result<(), EgressError> {
        helper::apply_ruleset(&self.schema()?).map_err(|error| {
            let reason = match error {
                NftablesError::NftExecution { program, inner } => {
                    format!("{}: {inner}", program.display())
                }
                NftablesError::NftFailed { stderr, .. } => {
                    stderr.lines().next().unwrap_or("nft failed").to_owned()
                }
                other => other.to_string(),
            };
            EgressError::Filter { reason }
        })
    }

    /// The rules in the words of `nft`, for people, and for `nft -f`.
    #[must_use]
    pub fn text(&self) -> String {
        let ports: Vec<String> = self.ports.iter().map(ToString::to_string).collect();
        let mut out = format!(
            "table inet {TABLE} {{\n\
             \tcounter {REFUSED} {{\n\t}}\n\n\
             \tset ports {{\n\t\ttype inet_service\n\t\telements = {{ {} }}\n\t}}\n\n",
            ports.join(", ")
        );
        for (set, address) in [("seen4", "ipv4_addr"), ("seen6", "ipv6_addr")] {
            // Writing to a String cannot fail.
            write!(
                out,
                "\tset {set} {{\n\t\ttype {address} . inet_proto . inet_service\n\t\tsize {DESTINATIONS}\n\
                 \t\tflags timeout\n\t\ttimeout {REMEMBERED_S}s\n\t}}\n\n"
            )
            .unwrap_or_default();
        }
        let (v4, v6) = (self.ranges.synthetic_v4.trunc(), self.ranges.synthetic_v6.trunc());
        let output = [
            "type filter hook output priority filter; policy drop;".to_owned(),
            "ip saddr 127.0.0.0/8 ip daddr 127.0.0.0/8 accept".to_owned(),
            "ip6 daddr ::1 accept".to_owned(),
            "tcp flags & rst == rst accept".to_owned(),
            format!("ip saddr {v4} ip daddr {v4} tcp dport @ports accept"),
            format!(
                "ip saddr {v4} ip daddr {v4} tcp sport @ports tcp flags & (syn | ack) != syn accept"
            ),
            format!("ip6 daddr {v6} tcp dport @ports accept"),
            format!(
                "ip6 saddr {v6} ip6 daddr {v6} tcp sport @ports tcp flags & (syn | ack) != syn accept"
            ),
            "icmp type destination-unreachable accept".to_owned(),
            "icmpv6 type destination-unreachable accept".to_owned(),
            "meta l4proto igmp drop".to_owned(),
            "icmpv6 type mld-listener-report drop".to_owned(),
            "icmpv6 type mld-listener-done drop".to_owned(),
            "icmpv6 type mld2-listener-report drop".to_owned(),
            "goto refuse".to_owned(),
        ];
        let log = format!("log snaplen {SNAP} group {LOG_GROUP}");
        let first = |family: &str, set: &str| {
            let key = format!("{family} daddr . meta l4proto . th dport");
            format!(
                "{key} != @{set} limit rate {NEW_RATE}/second burst {NEW_BURST} packets \
                 add @{set} {{ {key} }} {log} goto answer"
            )
        };
        let refuse = [
            format!("counter name \"{REFUSED}\""),
            format!("limit rate {RATE}/second burst {BURST} packets {log} goto answer"),
            first("ip", "seen4"),
            first("ip6", "seen6"),
            "goto answer".to_owned(),
        ];
        let answer = [
            "meta l4proto tcp reject with tcp reset".to_owned(),
            "reject with icmpx admin-prohibited".to_owned(),
        ];
        for (name, rules) in [("answer", &answer[..]), ("refuse", &refuse), ("output", &output)] {
            write!(out, "\tchain {name} {{\n\t\t{}\n\t}}\n\n", rules.join("\n\t\t"))
                .unwrap_or_default();
        }
        out.truncate(out.len().saturating_sub(1));
        out.push_str("}\n");
        out
    }

    fn json(&self) -> Value {
        let set = |name: &str, kind: Value, more: Value| {
            let mut set = json!({ "family": "inet", "table": TABLE, "name": name, "type": kind });
            if let (Some(set), Value::Object(more)) = (set.as_object_mut(), more) {
                set.extend(more);
            }
            json!({ "add": { "set": set } })
        };
        let seen = |name: &str, address: &str| {
            let kind = json!([address, "inet_proto", "inet_service"]);
            let more =
                json!({ "flags": ["timeout"], "timeout": REMEMBERED_S, "size": DESTINATIONS });
            set(name, kind, more)
        };
        let mut objects = vec![
            json!({ "add": { "table": { "family": "inet", "name": TABLE } } }),
            json!({ "add": { "counter": { "family": "inet", "table": TABLE, "name": REFUSED } } }),
            set("ports", json!("inet_service"), json!({ "elem": self.ports })),
            seen("seen4", "ipv4_addr"),
            seen("seen6", "ipv6_addr"),
            chain("answer", json!({})),
            chain("refuse", json!({})),
            chain(
                "output",
                json!({ "type": "filter", "hook": "output", "prio": 0, "policy": "drop" }),
            ),
        ];
        objects.extend(answer().into_iter().map(|rule| add("answer", &rule)));
        objects.extend(refuse().into_iter().map(|rule| add("refuse", &rule)));
        objects.extend(self.output().into_iter().map(|rule| add("output", &rule)));
        json!({ "nftables": objects })
    }

    fn output(&self) -> Vec<Value> {
        let accept = json!({ "accept": null });
        let (v4, v6) = (self.ranges.synthetic_v4, self.ranges.synthetic_v6);
        let prefix =
            |address: String, len: u8| json!({ "prefix": { "addr": address, "len": len } });
        let families = [
            ("ip", prefix(v4.network().to_string(), v4.prefix_len())),
            ("ip6", prefix(v6.network().to_string(), v6.prefix_len())),
        ];
        let flags = payload("tcp", "flags");
        let mut rules = vec![
            // Its own processes, and the resolver.
            json!([
                matches("==", payload("ip", "saddr"), prefix("127.0.0.0".to_owned(), 8)),
                matches("==", payload("ip", "daddr"), prefix("127.0.0.0".to_owned(), 8)),
                accept
            ]),
            json!([matches("==", payload("ip6", "daddr"), json!("::1")), accept]),
            // What the reject below answers with comes through here too. Nothing leaves by it.
            json!([matches("==", json!({ "&": [flags, "rst"] }), json!("rst")), accept]),
        ];
        for (family, range) in families {
            // To the proxy. From another source the replies would go to a third address, and the client would wait for
            // them; IPv6 clients have ::1 for a source, and can have no other.
            let mut rule = Vec::new();
            if family == "ip" {
                rule.push(matches("==", payload(family, "saddr"), range.clone()));
            }
            rule.push(matches("==", payload(family, "daddr"), range.clone()));
            rule.push(matches("==", payload("tcp", "dport"), json!("@ports")));
            rule.push(accept.clone());
            rules.push(Value::from(rule));
            // Its replies. Who binds such a port and opens a connection from it sends a bare SYN.
            rules.push(json!([
                matches("==", payload(family, "saddr"), range.clone()),
                matches("==", payload(family, "daddr"), range.clone()),
                matches("==", payload("tcp", "sport"), json!("@ports")),
                matches("!=", json!({ "&": [flags, { "|": ["syn", "ack"] }] }), json!("syn")),
                accept
            ]));
        }
        // The kernel's answers to refused packets; the extension has no socket to send one by.
        for protocol in ["icmp", "icmpv6"] {
            let unreachable = json!("destination-unreachable");
            rules.push(json!([matches("==", payload(protocol, "type"), unreachable), accept]));
        }
        // The kernel's own reports of a socket's multicast groups: no attempt of anybody's. A program could send such packets
        // by raw sockets only, which it has not.
        let drop = json!({ "drop": null });
        let igmp = matches("==", json!({ "meta": { "key": "l4proto" } }), json!("igmp"));
        rules.push(json!([igmp, drop]));
        for kind in ["mld-listener-report", "mld-listener-done", "mld2-listener-report"] {
            rules.push(json!([matches("==", payload("icmpv6", "type"), json!(kind)), drop]));
        }
        rules.push(json!([{ "goto": { "target": "refuse" } }]));
        rules
    }
}

/// Counts every packet and logs some: see the rates above.
fn refuse() -> Vec<Value> {
    let log = json!({ "log": { "group": LOG_GROUP, "snaplen": SNAP } });
    let answer = json!({ "goto": { "target": "answer" } });
    let first = |family: &str, set: &str| {
        let key = json!({ "concat": [
            payload(family, "daddr"),
            { "meta": { "key": "l4proto" } },
            payload("th", "dport"),
        ] });
        json!([
            matches("!=", key.clone(), json!(set)),
            { "limit": { "rate": NEW_RATE, "per": "second", "burst": NEW_BURST } },
            { "set": { "op": "add", "elem": key, "set": set } },
            log,
            answer
        ])
    };
    vec![
        json!([{ "counter": REFUSED }]),
        json!([{ "limit": { "rate": RATE, "per": "second", "burst": BURST } }, log, answer]),
        first("ip", "@seen4"),
        first("ip6", "@seen6"),
        json!([answer]),
    ]
}

/// At once, so that nothing waits for a time-out.
fn answer() -> Vec<Value> {
    vec![
        json!([
            matches("==", json!({ "meta": { "key": "l4proto" } }), json!("tcp")),
            { "reject": { "type": "tcp reset" } }
        ]),
        json!([{ "reject": { "type": "icmpx", "expr": "admin-prohibited" } }]),
    ]
}

fn payload(protocol: &str, field: &str) -> Value {
    json!({ "payload": { "protocol": protocol, "field": field } })
}

#[expect(clippy::needless_pass_by_value, reason = "json! moves what it is given")]
fn matches(op: &str, left: Value, right: Value) -> Value {
    json!({ "match": { "op": op, "left": left, "right": right } })
}

fn chain(name: &str, more: Value) -> Value {
    let mut chain = json!({ "family": "inet", "table": TABLE, "name": name });
    if let (Some(chain), Value::Object(more)) = (chain.as_object_mut(), more) {
        chain.extend(more);
    }
    json!({ "add": { "chain": chain } })
}

fn add(chain: &str, statements: &Value) -> Value {
    let rule = json!({ "family": "inet", "table": TABLE, "chain": chain, "expr": statements });
    json!({ "add": { "rule": rule } })
}

#[cfg(test)]
pub(super) mod tests;
