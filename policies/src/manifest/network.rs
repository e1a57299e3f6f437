//! `[network] allow`.

use std::collections::BTreeSet;
use std::ops::Range;

use toml::Spanned;
use toml::de::DeValue;

use crate::diag::code;
use crate::document::{Found, Reader, Section, shorten};
use crate::domain::{AddressPolicy, DomainPattern, DomainRule, TlsMode};

const DEFAULT_PORT: u16 = 443;
/// The sandbox's own name server is there.
const RESOLVER_PORT: u16 = 53;
const MAX_RULES: usize = 256;
/// Each port is a listener.
const MAX_PORTS: usize = 32;
/// The keys of a rule that is a table.
pub(super) const KEYS: [&str; 4] = ["host", "ports", "tls", "addresses"];
const TLS: [(&str, TlsMode); 2] = [("checked", TlsMode::Checked), ("opaque", TlsMode::Opaque)];
const ADDRESSES: [(&str, AddressPolicy); 2] =
    [("public", AddressPolicy::Public), ("private", AddressPolicy::Private)];

/// The rules, in the order of the file.
pub(super) fn rules(reader: &mut Reader<'_>, root: Section<'_, '_>) -> Vec<DomainRule> {
    let section = reader.section(root, "network", &["allow"]);
    let Some(list) = reader.array(section, "allow") else {
        return Vec::new();
    };
    let whole = Reader::start(section);
    if list.len() > MAX_RULES {
        let message = format!("`allow` has {} entries, more than {MAX_RULES}", list.len());
        reader.report(whole, code::TOO_MANY_ENTRIES, message, "");
        return Vec::new();
    }
    let mut rules: Vec<DomainRule> = Vec::with_capacity(list.len());
    for item in list {
        let Some(rule) = rule(reader, item) else { continue };
        let same = |other: &&DomainRule| {
            other.names == rule.names && other.ports.iter().any(|port| rule.ports.contains(port))
        };
        if let Some(other) = rules.iter().find(same) {
            let message = format!("\"{rule}\" repeats a port of \"{other}\"");
            let hint =
                "keep one of them: which of two rules decides must not depend on their order";
            reader.report(item.span(), code::DUPLICATE_ENTRY, message, hint);
        } else {
            rules.push(rule);
        }
    }
    let ports: BTreeSet<u16> = rules.iter().flat_map(|rule| rule.ports.iter().copied()).collect();
    if ports.len() > MAX_PORTS {
        let message = format!("`allow` has {} different ports, more than {MAX_PORTS}", ports.len());
        reader.report(whole, code::TOO_MANY_ENTRIES, message, "");
    }
    rules
}

fn rule(reader: &mut Reader<'_>, item: &Spanned<DeValue<'_>>) -> Option<DomainRule> {
    if let Some(text) = item.get_ref().as_str() {
        let (host, ports) = match text.split_once(':') {
            // Two colons: an IPv6 address, which the name says better than its port.
            Some((host, ports)) if !ports.contains(':') => (host, Some(ports)),
            _ => (text, None),
        };
        // One problem a text: what is behind a wrong name is no port either.
        let names = names(reader, &Found { value: host, span: item.span() })?;
        let ports = match ports {
            None => Some(vec![DEFAULT_PORT]),
            Some(ports) => port_list(reader, ports, item.span()),
        };
        return Some(DomainRule {
            names,
            ports: ports?,
            tls: TlsMode::default(),
            addresses: AddressPolicy::default(),
        });
    }
    let section = reader.item(item, "network.allow", &KEYS)?;
    let host = reader.required_text(section, "host");
    let names = host.and_then(|host| names(reader, &host));
    let ports = match reader.array(section, "ports") {
        Some(list) => numbers(reader, list, item.span()),
        None if Reader::has(section, "ports") => None,
        None => Some(vec![DEFAULT_PORT]),
    };
    let tls = reader.word(section, "tls", &TLS).unwrap_or_default();
    let addresses = reader.word(section, "addresses", &ADDRESSES).unwrap_or_default();
    let names = names?;
    if addresses == AddressPolicy::Private && !matches!(names, DomainPattern::Exact(_)) {
        let message = format!("\"{names}\" cannot have private addresses");
        let hint = "name each host that has one: a wildcard would open every private address";
        reader.report(item.span(), code::BAD_DOMAIN, message, hint);
        return None;
    }
    Some(DomainRule { names, ports: ports?, tls, addresses })
}

fn names(reader: &mut Reader<'_>, found: &Found<&str>) -> Option<DomainPattern> {
    match DomainPattern::parse(found.value) {
        Ok(names) => Some(names),
        Err(error) => {
            let message = format!("\"{}\" {error}", shorten(found.value));
            reader.report(found.span.clone(), code::BAD_DOMAIN, message, error.hint());
            None
        }
    }
}

/// `80,443`.
fn port_list(reader: &mut Reader<'_>, text: &str, span: Range<usize>) -> Option<Vec<u16>> {
    let number = |text: &str| {
        let digits = !text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse::<u64>().ok()).flatten()
    };
    let mut ports = Vec::new();
    for part in text.split(',') {
        let Some(port) = number(part.trim()) else {
            let message = format!("\"{}\" is no port", shorten(part));
            reader.report(span, code::BAD_DOMAIN, message, HINT);
            return None;
        };
        ports.push(port);
    }
    checked(reader, &ports, &span)
}

fn numbers(
    reader: &mut Reader<'_>,
    list: &[Spanned<DeValue<'_>>],
    span: Range<usize>,
) -> Option<Vec<u16>> {
    let mut ports = Vec::with_capacity(list.len());
    for item in list {
        let number = item.get_ref().as_integer();
        let Some(port) =
            number.and_then(|number| u64::from_str_radix(number.as_str(), number.radix()).ok())
        else {
            reader.report(item.span(), code::BAD_DOMAIN, "a port is a whole number", HINT);
            return None;
        };
        ports.push(port);
    }
    checked(reader, &ports, &span)
}

const HINT: &str = "ports from 1 to 65535, like \"api.example.com:80,443\"";

fn checked(reader: &mut Reader<'_>, ports: &[u64], span: &Range<usize>) -> Option<Vec<u16>> {
    let mut good = BTreeSet::new();
    let mut problem = |message: String, code, hint: &str| {
        reader.report(span.clone(), code, message, hint);
    };
    let before = ports.len();
    if ports.is_empty() {
        problem("a rule without ports".to_owned(), code::BAD_DOMAIN, HINT);
    }
    for port in ports {
        match u16::try_from(*port) {
            Ok(0) | Err(_) => problem(format!("there is no port {port}"), code::BAD_DOMAIN, HINT),
            Ok(RESOLVER_PORT) => {
                let message = format!("port {RESOLVER_PORT} cannot be asked for");
                problem(message, code::BAD_DOMAIN, "the sandbox's own name server answers there");
            }
            Ok(port) if !good.insert(port) => {
                problem(format!("port {port} stands twice"), code::DUPLICATE_ENTRY, "");
            }
            Ok(_) => {}
        }
    }
    (good.len() == before && before > 0).then(|| good.into_iter().collect())
}
