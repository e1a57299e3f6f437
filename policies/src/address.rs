//! What an IP address is, before anybody connects to it.
//!
//! After the special-purpose registries of IANA:
//! <https://www.iana.org/assignments/iana-ipv4-special-registry/>,
//! <https://www.iana.org/assignments/iana-ipv6-special-registry/>.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::domain::AddressPolicy;

/// The kinds of addresses that a name may stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressClass {
    /// Of the internet. Documentation ranges are among them: nobody routes them, so nothing can hide there.
    Public,
    /// RFC 1918, RFC 4193.
    Private,
    /// RFC 6598.
    Shared,
    /// The host itself.
    Loopback,
    /// RFC 3927, `fe80::/10`, and the site-local addresses before RFC 4193.
    LinkLocal,
    /// Where clouds tell a machine its secrets.
    Metadata,
    /// Groups.
    Multicast,
    /// `0.0.0.0/8`, `::`: the host itself to most kernels.
    Unspecified,
    /// Not for use, or a translation that could hide any of the above.
    Reserved,
}

impl AddressClass {
    /// In a record.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Private => "private",
            Self::Shared => "carrier-grade NAT",
            Self::Loopback => "loopback",
            Self::LinkLocal => "link-local",
            Self::Metadata => "metadata service",
            Self::Multicast => "multicast",
            Self::Unspecified => "unspecified",
            Self::Reserved => "reserved",
        }
    }
}

/// What an address is. A form that carries an IPv4 address is what that address is.
#[must_use]
pub fn classify(address: IpAddr) -> AddressClass {
    match address {
        IpAddr::V4(v4) => classify_v4(v4),
        IpAddr::V6(v6) => classify_v6(v6),
    }
}

/// Whether a connection may go to such an address.
#[must_use]
pub const fn permits(class: AddressClass, policy: AddressPolicy) -> bool {
    match class {
        AddressClass::Public => true,
        AddressClass::Private | AddressClass::Shared => matches!(policy, AddressPolicy::Private),
        AddressClass::Loopback
        | AddressClass::LinkLocal
        | AddressClass::Metadata
        | AddressClass::Multicast
        | AddressClass::Unspecified
        | AddressClass::Reserved => false,
    }
}

/// Amazon, Google, Microsoft and many others; Amazon's tasks; Azure's wire server; Alibaba; Oracle.
const METADATA_V4: [Ipv4Addr; 5] = [
    Ipv4Addr::new(169, 254, 169, 254),
    Ipv4Addr::new(169, 254, 170, 2),
    Ipv4Addr::new(168, 63, 129, 16),
    Ipv4Addr::new(100, 100, 100, 200),
    Ipv4Addr::new(192, 0, 0, 192),
];

/// Amazon's, for machines and for pods; Google's.
const METADATA_V6: [Ipv6Addr; 3] = [
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23),
    Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
];

fn classify_v4(address: Ipv4Addr) -> AddressClass {
    if METADATA_V4.contains(&address) {
        return AddressClass::Metadata;
    }
    match address.octets() {
        [0, ..] => AddressClass::Unspecified,
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => AddressClass::Private,
        [100, 64..=127, ..] => AddressClass::Shared,
        [127, ..] => AddressClass::Loopback,
        [169, 254, ..] => AddressClass::LinkLocal,
        [224..=239, ..] => AddressClass::Multicast,
        // Protocol assignments, the 6to4 relay, benchmarks, class E and broadcast.
        [192, 0, 0, _] | [192, 88, 99, _] | [198, 18..=19, ..] | [240..=255, ..] => {
            AddressClass::Reserved
        }
        _ => AddressClass::Public,
    }
}

fn classify_v6(address: Ipv6Addr) -> AddressClass {
    if METADATA_V6.contains(&address) {
        return AddressClass::Metadata;
    }
    let segments = address.segments();
    let embedded = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        classify_v4(Ipv4Addr::new(a, b, c, d))
    };
    match segments {
        [0, 0, 0, 0, 0, 0, 0, 0] => AddressClass::Unspecified,
        [0, 0, 0, 0, 0, 0, 0, 1] => AddressClass::Loopback,
        // IPv4-mapped; NAT64 (RFC 6052); 6to4 (RFC 3056).
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            embedded(high, low)
        }
        [0x2002, high, low, ..] => match embedded(high, low) {
            // No relay is left that a public one would be reached by.
            AddressClass::Public => AddressClass::Reserved,
            other => other,
        },
        // IPv4-compatible, IPv4-translated, local NAT64, discard-only, Teredo, segment routing, documentation of it.
        [0 | 0x5f00, ..] | [0x64, 0xff9b, ..] | [0x100, 0, 0, 0, ..] | [0x2001, 0, ..] => {
            AddressClass::Reserved
        }
        [first, ..] => match first {
            0xfc00..=0xfdff => AddressClass::Private,
            0xfe80..=0xfeff => AddressClass::LinkLocal,
            0xff00..=0xffff => AddressClass::Multicast,
            // Global unicast is 2000::/3; nothing else is assigned.
            0x2000..=0x3fff => AddressClass::Public,
            _ => AddressClass::Reserved,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_what_the_registries_say() {
        use AddressClass::{
            LinkLocal, Loopback, Metadata, Multicast, Private, Public, Reserved, Shared,
            Unspecified,
        };
        let cases = [
            ("8.8.8.8", Public),
            ("203.0.113.10", Public),
            ("9.255.255.255", Public),
            ("10.0.0.0", Private),
            ("10.255.255.255", Private),
            ("11.0.0.0", Public),
            ("100.63.255.255", Public),
            ("100.64.0.0", Shared),
            ("100.127.255.255", Shared),
            ("100.128.0.0", Public),
            ("100.100.100.200", Metadata),
            ("127.0.0.1", Loopback),
            ("127.255.255.255", Loopback),
            ("128.0.0.0", Public),
            ("0.0.0.0", Unspecified),
            ("0.255.255.255", Unspecified),
            ("169.254.0.1", LinkLocal),
            ("169.254.169.254", Metadata),
            ("168.63.129.16", Metadata),
            ("172.15.255.255", Public),
            ("172.16.0.0", Private),
            ("172.31.255.255", Private),
            ("172.32.0.0", Public),
            ("192.168.0.1", Private),
            ("192.0.0.8", Reserved),
            ("192.0.2.1", Public),
            ("192.88.99.1", Reserved),
            ("198.17.255.255", Public),
            ("198.18.0.2", Reserved),
            ("198.19.255.255", Reserved),
            ("198.20.0.0", Public),
            ("223.255.255.255", Public),
            ("224.0.0.1", Multicast),
            ("239.255.255.255", Multicast),
            ("240.0.0.1", Reserved),
            ("255.255.255.255", Reserved),
            ("::", Unspecified),
            ("::1", Loopback),
            ("::2", Reserved),
            ("::127.0.0.1", Reserved),
            ("::ffff:127.0.0.1", Loopback),
            ("::ffff:169.254.169.254", Metadata),
            ("::ffff:10.0.0.5", Private),
            ("::ffff:8.8.8.8", Public),
            ("::ffff:0:8.8.8.8", Reserved),
            ("64:ff9b::10.0.0.5", Private),
            ("64:ff9b::169.254.169.254", Metadata),
            ("64:ff9b::8.8.8.8", Public),
            ("64:ff9b:1::8.8.8.8", Reserved),
            ("2002:a00:5::1", Private),
            ("2002:7f00:1::1", Loopback),
            ("2002:808:808::1", Reserved),
            ("2001:0:1::1", Reserved),
            ("2001:db8::1", Public),
            ("2606:4700::1111", Public),
            ("100::1", Reserved),
            ("5f00::1", Reserved),
            ("fc00::1", Private),
            ("fdff::1", Private),
            ("fd00:ec2::254", Metadata),
            ("fe80::1", LinkLocal),
            ("fec0::1", LinkLocal),
            ("ff02::1", Multicast),
            ("4000::1", Reserved),
        ];
        for (text, expected) in cases {
            assert_eq!(classify(text.parse().unwrap()), expected, "{text}");
        }
    }

    #[test]
    fn a_private_rule_opens_private_addresses_and_nothing_else() {
        for class in [AddressClass::Private, AddressClass::Shared] {
            assert!(permits(class, AddressPolicy::Private));
            assert!(!permits(class, AddressPolicy::Public));
        }
        for class in [
            AddressClass::Loopback,
            AddressClass::LinkLocal,
            AddressClass::Metadata,
            AddressClass::Multicast,
            AddressClass::Unspecified,
            AddressClass::Reserved,
        ] {
            assert!(!permits(class, AddressPolicy::Private), "{class:?}");
        }
        assert!(permits(AddressClass::Public, AddressPolicy::Public));
    }
}
