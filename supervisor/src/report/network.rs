//! What a run did over the network.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::egress::resolver::DnsReport;
use crate::egress::service::Account;
use crate::egress::traffic::DomainTraffic;

/// What a run could reach.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum NetworkMode {
    /// Nothing: a namespace without interfaces, and no sockets to use one.
    #[default]
    None,
    /// The domains of its manifest that were granted.
    Domains,
}

/// The network of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Network {
    /// What it could reach.
    pub mode: NetworkMode,
    /// What it did reach, by domain and port, in the order of names.
    pub domains: Vec<DomainTraffic>,
    /// Its lookups; absent where there was no resolver.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub dns: Option<DnsReport>,
    /// Packets that the packet filter rejected: the kernel's own count, exact.
    pub refused_packets: u64,
    /// Those that have a record by destination; a flood is sampled, and the others are in one record `(others)`.
    pub recorded_packets: u64,
}

impl From<Account> for Network {
    fn from(account: Account) -> Self {
        Self {
            mode: if account.dns.is_some() { NetworkMode::Domains } else { NetworkMode::None },
            domains: account.domains,
            dns: account.dns,
            refused_packets: account.refused_packets,
            recorded_packets: account.recorded_packets,
        }
    }
}
