use std::collections::BTreeSet;

use policies::domain::{AddressPolicy, DomainRule, TlsMode};
use policies::plan::egress::NetworkLimits;

use super::*;

const MOST: u32 = 3;

/// `api.example.com`, `*.example.com` and `*.example.org`.
fn egress(most: u32) -> Egress {
    let rule = |names| DomainRule {
        names,
        ports: vec![443],
        tls: TlsMode::Checked,
        addresses: AddressPolicy::Public,
    };
    Egress {
        rules: vec![
            rule(DomainPattern::Exact(name("api.example.com"))),
            rule(DomainPattern::Subdomains(name("example.com"))),
            rule(DomainPattern::Subdomains(name("example.org"))),
        ],
        limits: NetworkLimits {
            connections: 8,
            connections_total: 100,
            traffic_mb: 10,
            names_per_wildcard: most,
            idle_ms: 1000,
        },
    }
}

fn name(text: &str) -> DomainName {
    DomainName::from_ascii(text).unwrap()
}

fn numbered(number: u32) -> DomainName {
    name(&format!("n{number}.example.com"))
}

fn small(v4: &str, v6: &str) -> Ranges {
    Ranges { synthetic_v4: v4.parse().unwrap(), synthetic_v6: v6.parse().unwrap() }
}

#[test]
fn a_name_keeps_its_addresses_and_shares_them_with_none() {
    let egress = egress(MOST);
    let mut names = Names::new(&egress, Ranges::default());
    let first = names.resolve(&name("api.example.com"), &egress).unwrap();
    let second = names.resolve(&name("a.example.org"), &egress).unwrap();
    assert_eq!(first.v4, Ipv4Addr::new(198, 18, 0, 2));
    assert_eq!(second.v4, Ipv4Addr::new(198, 18, 0, 3));
    assert_eq!(first.v6, "fd73:616e:6462:6f78::2".parse::<Ipv6Addr>().unwrap());
    assert_eq!(second.v6, "fd73:616e:6462:6f78::3".parse::<Ipv6Addr>().unwrap());
    for (text, addresses) in [("api.example.com", first), ("a.example.org", second)] {
        assert_eq!(names.resolve(&name(text), &egress), Ok(addresses));
        assert_eq!(names.name_of(addresses.v4.into()), Some(&name(text)));
        assert_eq!(names.name_of(addresses.v6.into()), Some(&name(text)));
    }
}

#[test]
fn an_address_that_no_name_was_given_has_none() {
    let egress = egress(MOST);
    let mut names = Names::new(&egress, Ranges::default());
    names.resolve(&name("api.example.com"), &egress).unwrap();
    for address in [
        // The network, what a program may take for its gateway, the next that is free, the last, and the one behind it.
        "198.18.0.0",
        "198.18.0.1",
        "198.18.0.3",
        "198.19.255.255",
        "198.20.0.0",
        "198.17.255.255",
        "0.0.0.2",
        "fd73:616e:6462:6f78::",
        "fd73:616e:6462:6f78::1",
        "fd73:616e:6462:6f78::3",
        "fd73:616e:6462:6f78:ffff:ffff:ffff:ffff",
        "fd73:616e:6462:6f79::2",
        "::2",
        "::ffff:198.18.0.2",
    ] {
        assert_eq!(names.name_of(address.parse().unwrap()), None, "{address}");
    }
}

#[test]
fn a_name_that_is_not_allowed_gets_nothing_and_takes_nothing() {
    let egress = egress(MOST);
    let mut names = Names::new(&egress, Ranges::default());
    for text in ["example.com", "evilexample.com", "example.org", "api.example.net"] {
        assert_eq!(names.resolve(&name(text), &egress), Err(NameRefusal::NotAllowed), "{text}");
    }
    let first = names.resolve(&name("api.example.com"), &egress).unwrap();
    assert_eq!(first.v4, Ipv4Addr::new(198, 18, 0, 2));
}

#[test]
fn each_wildcard_stands_for_so_many_names() {
    let egress = egress(MOST);
    let mut names = Names::new(&egress, Ranges::default());
    let given: Vec<_> =
        (0..MOST).map(|number| names.resolve(&numbered(number), &egress).unwrap()).collect();
    // At whatever depth.
    for text in ["one.more.example.com", "a.n0.example.com"] {
        assert_eq!(names.resolve(&name(text), &egress), Err(NameRefusal::TooMany(1)), "{text}");
    }
    // Those that it has stay, and neither the other wildcard nor an exact rule has less.
    for (number, addresses) in (0..MOST).zip(given) {
        assert_eq!(names.resolve(&numbered(number), &egress), Ok(addresses));
    }
    names.resolve(&name("api.example.com"), &egress).unwrap();
    for number in 0..MOST {
        names.resolve(&name(&format!("n{number}.example.org")), &egress).unwrap();
    }
    let more = names.resolve(&name("more.example.org"), &egress);
    assert_eq!(more, Err(NameRefusal::TooMany(2)));
}

#[test]
fn a_range_is_used_up_to_its_end_and_not_beyond() {
    let egress = egress(u32::MAX);
    for (ranges, room) in [
        // Without the network, the next address and the broadcast address.
        (small("198.18.0.0/28", "fd00::/64"), 13),
        (small("198.18.255.240/28", "fd00::/64"), 13),
        // IPv6 has no broadcast address.
        (small("198.18.0.0/15", "fd00::/120"), 254),
        (small("255.255.255.240/28", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ff00/120"), 13),
    ] {
        let mut names = Names::new(&egress, ranges);
        let mut addresses = BTreeSet::new();
        for number in 0..room {
            let given = names.resolve(&numbered(number), &egress).unwrap();
            assert!(ranges.contains(given.v4.into()) && ranges.contains(given.v6.into()));
            addresses.extend([IpAddr::from(given.v4), given.v6.into()]);
        }
        assert_eq!(addresses.len(), usize::try_from(room).unwrap() * 2, "{ranges:?}");
        for text in ["more.example.com", "api.example.com"] {
            let refused = names.resolve(&name(text), &egress);
            assert_eq!(refused, Err(NameRefusal::Exhausted), "{ranges:?}");
        }
        // What has an address keeps it.
        names.resolve(&numbered(room - 1), &egress).unwrap();
    }
}
