//! Refusals of connections, as the record shows them.

use std::net::IpAddr;

use policies::domain::DomainRule;
use policies::plan::egress::NetworkLimits;
use policies::violation::{Code, Object};

use crate::egress::refusals::Refusal;

/// The longest text of a peer that is shown, in characters: a host name's.
const SHOWN: usize = policies::domain::MAX_NAME;

/// A bound of a tier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Limit {
    /// Connections at once.
    Open,
    /// Connections of a run.
    Total,
    /// Bytes of a run.
    Traffic,
}

impl Limit {
    /// What a connection that goes beyond it gets.
    pub(super) fn reason(self) -> Reason {
        let [connections, total, traffic, ..] = NetworkLimits::KEYS;
        let (code, key) = match self {
            Self::Open => (Code::ConnectionLimit, connections),
            Self::Total => (Code::ConnectionLimit, total),
            Self::Traffic => (Code::TrafficLimit, traffic),
        };
        Reason { code, rule: format!("tier: network.{key}"), detail: String::new() }
    }
}

/// Why a connection is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reason {
    code: Code,
    rule: String,
    detail: String,
}

impl Reason {
    /// No rule of the name has the port.
    pub(super) fn port(rule: &DomainRule) -> Self {
        Self::by(rule, Code::PortRefused, String::new())
    }

    /// No rule has the name, or no name has the address.
    pub(super) fn no_rule() -> Self {
        let rule = "egress: no rule".to_owned();
        Self { code: Code::AddressRefused, rule, detail: String::new() }
    }

    /// The name stands for an address that may not be reached, of the class `detail`.
    pub(super) fn address(detail: &str) -> Self {
        let rule = "egress: address class".to_owned();
        Self { code: Code::PrivateAddress, rule, detail: detail.to_owned() }
    }

    /// TLS for another server.
    pub(super) fn server_name(rule: &DomainRule, name: &str) -> Self {
        Self::by(rule, Code::TlsNameMismatch, format!("server name {}", shown(name)))
    }

    /// TLS that does not say for which server.
    pub(super) fn no_server_name(rule: &DomainRule) -> Self {
        Self::by(rule, Code::TlsNameMissing, String::new())
    }

    /// HTTP for another host.
    pub(super) fn host(rule: &DomainRule, host: &str) -> Self {
        let detail =
            if host.is_empty() { "no host".to_owned() } else { format!("host {}", shown(host)) };
        Self::by(rule, Code::HttpHostMismatch, detail)
    }

    /// Something whose destination cannot be checked.
    pub(super) fn protocol(rule: &DomainRule, detail: &str) -> Self {
        Self::by(rule, Code::ProtocolRefused, detail.to_owned())
    }

    fn by(rule: &DomainRule, code: Code, detail: String) -> Self {
        Self { code, rule: format!("[network] allow: {rule}"), detail }
    }

    /// For the record.
    pub(super) fn refusal(
        self,
        host: &str,
        address: Option<IpAddr>,
        port: u16,
        uid: Option<u32>,
    ) -> Refusal {
        let object = Object::Endpoint {
            host: host.to_owned(),
            address: address.map(|address| address.to_string()).unwrap_or_default(),
            port,
            protocol: "tcp".to_owned(),
            detail: self.detail,
        };
        Refusal { code: self.code, rule: self.rule, object, uid }
    }
}

fn shown(text: &str) -> String {
    text.chars().take(SHOWN).collect()
}
