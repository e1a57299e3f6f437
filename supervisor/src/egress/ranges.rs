//! The synthetic addresses that stand for domains inside a sandbox.

use std::net::IpAddr;

use ipnet::{Ipv4Net, Ipv6Net};
use serde::Deserialize;

/// From where synthetic addresses are taken. The same ranges in every sandbox: each has its own network namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Ranges {
    /// For A records.
    pub synthetic_v4: Ipv4Net,
    /// For AAAA records.
    pub synthetic_v6: Ipv6Net,
}

impl Default for Ranges {
    /// RFC 2544's range for benchmarks, which no host of the internet has, and a range of RFC 4193.
    fn default() -> Self {
        Self {
            synthetic_v4: Ipv4Net::new_assert([198, 18, 0, 0].into(), 15),
            synthetic_v6: Ipv6Net::new_assert(
                [0xfd73, 0x616e, 0x6462, 0x6f78, 0, 0, 0, 0].into(),
                64,
            ),
        }
    }
}

impl Ranges {
    /// Why the ranges cannot be used: they must have room for names, and must not be where the sandbox's own loopback
    /// or multicast is.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        let (v4, v6) = (self.synthetic_v4, self.synthetic_v6);
        let taken = |start: IpAddr, end: IpAddr| {
            [start, end]
                .iter()
                .any(|one| one.is_loopback() || one.is_unspecified() || one.is_multicast())
        };
        if !(8..=28).contains(&v4.prefix_len()) || taken(v4.network().into(), v4.broadcast().into())
        {
            return Some(format!(
                "synthetic_v4 = \"{v4}\": a range from /8 to /28, not loopback, not multicast"
            ));
        }
        if !(16..=120).contains(&v6.prefix_len())
            || taken(v6.network().into(), v6.broadcast().into())
        {
            return Some(format!(
                "synthetic_v6 = \"{v6}\": a range from /16 to /120, not loopback, not multicast"
            ));
        }
        None
    }

    /// Whether an address is synthetic.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(v4) => self.synthetic_v4.contains(&v4),
            IpAddr::V6(v6) => self.synthetic_v6.contains(&v6),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_that_cannot_be_used_are_refused() {
        assert_eq!(Ranges::default().problem(), None);
        for (v4, v6) in [
            ("127.0.0.0/8", "fd00::/64"),
            ("224.0.0.0/8", "fd00::/64"),
            ("0.0.0.0/8", "fd00::/64"),
            ("10.0.0.0/29", "fd00::/64"),
            ("10.0.0.0/7", "fd00::/64"),
            ("10.0.0.0/16", "::/64"),
            ("10.0.0.0/16", "ff02::/64"),
            ("10.0.0.0/16", "fd00::/121"),
        ] {
            let ranges =
                Ranges { synthetic_v4: v4.parse().unwrap(), synthetic_v6: v6.parse().unwrap() };
            assert!(ranges.problem().is_some(), "{v4} {v6}");
        }
    }
}
