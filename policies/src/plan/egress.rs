//! What an extension may reach over the network.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::decision::Decision;
use crate::domain::{AddressPolicy, DomainName, DomainPattern, DomainRule};
use crate::manifest::Manifest;
use crate::tier::TierPolicy;

/// Egress of one sandbox. A plan without it has no network at all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Egress {
    /// What is allowed; the more specific first, so that the first match decides.
    pub rules: Vec<DomainRule>,
    /// Its bounds.
    pub limits: NetworkLimits,
}

/// The bounds of a sandbox's network, from its tier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NetworkLimits {
    /// Connections at once.
    pub connections: u32,
    /// Connections of a run.
    pub connections_total: u64,
    /// Bytes of a run in both directions together, in MiB.
    pub traffic_mb: u64,
    /// Distinct names that a wildcard may stand for in a run.
    pub names_per_wildcard: u32,
    /// A connection on which nothing moves for so long is closed, in milliseconds.
    pub idle_ms: u64,
}

impl NetworkLimits {
    /// The keys of `[network]` in a tier file that hold them, in the order of the fields.
    pub const KEYS: [&'static str; 5] =
        ["connections", "connections_total", "traffic_mb", "names_per_wildcard", "idle_ms"];
}

/// What the rules say about a name, or a name and a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict<'a> {
    /// This rule allows it; the number is its place in [`Egress::rules`].
    Allowed(usize, &'a DomainRule),
    /// No rule names the host.
    NoName,
    /// Rules name the host, and none of them the port; the first of them.
    NoPort(&'a DomainRule),
}

impl Egress {
    /// Every port that some rule allows.
    #[must_use]
    pub fn ports(&self) -> BTreeSet<u16> {
        self.rules.iter().flat_map(|rule| rule.ports.iter().copied()).collect()
    }

    /// The first rule that means the name, whatever the port.
    #[must_use]
    pub fn rule_of(&self, name: &DomainName) -> Option<(usize, &DomainRule)> {
        self.rules.iter().enumerate().find(|(_, rule)| rule.names.matches(name))
    }

    /// Whether a connection is allowed, and by which rule.
    #[must_use]
    pub fn judge(&self, name: &DomainName, port: u16) -> Verdict<'_> {
        let mut named = None;
        for (place, rule) in self.rules.iter().enumerate() {
            if !rule.names.matches(name) {
                continue;
            }
            if rule.ports.contains(&port) {
                return Verdict::Allowed(place, rule);
            }
            named.get_or_insert(rule);
        }
        named.map_or(Verdict::NoName, Verdict::NoPort)
    }
}

/// What the manifest asks for and the decision grants; none where there is no network.
pub(crate) fn derive(
    manifest: &Manifest,
    tier: &TierPolicy,
    decision: &Decision,
) -> Option<Egress> {
    if !decision.granted.iter().any(|permission| permission.network()) {
        return None;
    }
    let allowed = |rule: &&DomainRule| {
        (tier.any_domain || rule.names != DomainPattern::Any)
            && (tier.private_addresses || rule.addresses == AddressPolicy::Public)
    };
    let mut rules: Vec<DomainRule> = manifest.network.iter().filter(allowed).cloned().collect();
    // Exact names first, then the longest suffix.
    rules.sort_by_key(|rule| match &rule.names {
        DomainPattern::Exact(_) => (0, 0),
        DomainPattern::Subdomains(base) => (1, usize::MAX - base.as_str().len()),
        DomainPattern::Any => (2, 0),
    });
    (!rules.is_empty()).then_some(Egress { rules, limits: tier.network })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::TlsMode;

    fn egress(rules: &[(&str, &[u16])]) -> Egress {
        let rules = rules.iter().map(|(names, ports)| DomainRule {
            names: DomainPattern::parse(names).unwrap(),
            ports: ports.to_vec(),
            tls: TlsMode::Checked,
            addresses: AddressPolicy::Public,
        });
        let limits = NetworkLimits {
            connections: 1,
            connections_total: 1,
            traffic_mb: 1,
            names_per_wildcard: 1,
            idle_ms: 1,
        };
        Egress { rules: rules.collect(), limits }
    }

    #[test]
    fn a_wildcard_is_one_label_or_more_and_never_the_apex() {
        let egress = egress(&[("*.example.com", &[443])]);
        let judge = |name: &str, port| {
            matches!(
                egress.judge(&DomainName::from_ascii(name).unwrap(), port),
                Verdict::Allowed(..)
            )
        };
        assert!(judge("a.example.com", 443) && judge("a.b.example.com", 443));
        assert!(judge("A.Example.COM.", 443));
        for name in
            ["example.com", "evilexample.com", "a.example.com.evil.net", "com", "xample.com"]
        {
            assert!(!judge(name, 443), "{name}");
        }
        assert!(!judge("a.example.com", 80));
    }

    #[test]
    fn rules_of_one_name_add_up_and_the_first_that_matches_decides() {
        let egress =
            egress(&[("api.example.com", &[443]), ("*.example.com", &[80, 443]), ("*", &[8443])]);
        let name = DomainName::from_ascii("api.example.com").unwrap();
        let rule = |port| match egress.judge(&name, port) {
            Verdict::Allowed(place, _) => Some(place),
            Verdict::NoName | Verdict::NoPort(_) => None,
        };
        assert_eq!([443, 80, 8443, 22].map(rule), [Some(0), Some(1), Some(2), None]);
        assert_eq!(egress.ports().into_iter().collect::<Vec<_>>(), [80, 443, 8443]);
    }
}
