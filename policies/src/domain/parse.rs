//! Names and patterns as people write them, in manifests and on the command line.

use std::net::Ipv6Addr;

use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};

use crate::domain::{DomainError, DomainName, DomainPattern};

impl DomainName {
    /// Reads a name that a person wrote: international ones become A-labels (UTS 46), one dot at the end is dropped.
    ///
    /// # Errors
    /// [`DomainError`]: more is refused than in [`DomainName::from_ascii`]. A lone label depends on the host's search
    /// list, and `localhost` is the sandbox itself.
    pub fn parse(text: &str) -> Result<Self, DomainError> {
        let name = read(text)?;
        if name.is_beneath(&Self(String::from("localhost"))) || name.as_str() == "localhost" {
            return Err(DomainError::Local);
        }
        if !name.as_str().contains('.') {
            return Err(DomainError::OneLabel);
        }
        Ok(name)
    }
}

impl DomainPattern {
    /// Reads a host of a rule: `host`, `*.host` or `*`. A wildcard beneath a public suffix would mean everybody's
    /// domains; a suffix of the internet's registries is nobody's host.
    ///
    /// # Errors
    /// [`DomainError`]
    pub fn parse(text: &str) -> Result<Self, DomainError> {
        if text == "*" {
            return Ok(Self::Any);
        }
        let Some(base) = text.strip_prefix("*.") else {
            let name = DomainName::parse(text)?;
            let icann = suffix_of(&name).is_some_and(|suffix| suffix.icann);
            return if icann { Err(DomainError::PublicSuffix) } else { Ok(Self::Exact(name)) };
        };
        match DomainName::parse(base) {
            Ok(name) if suffix_of(&name).is_some() || is_registry(&name) => {
                Err(DomainError::PublicSuffix)
            }
            Ok(name) => Ok(Self::Subdomains(name)),
            // A top-level domain, whether the list knows it or not.
            Err(DomainError::OneLabel) => Err(DomainError::PublicSuffix),
            Err(error) => Err(error),
        }
    }
}

/// Everything but what a single name means.
fn read(text: &str) -> Result<DomainName, DomainError> {
    if text.contains('*') {
        return Err(DomainError::Wildcard);
    }
    let bracketed = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let (address, _zone) = text.split_once('%').unwrap_or((text, ""));
    if bracketed.unwrap_or(address).parse::<Ipv6Addr>().is_ok() {
        return Err(DomainError::Address);
    }
    if text.is_ascii() {
        // What ASCII alone can do wrong has names of its own; the library knows one error.
        DomainName::from_ascii(text)?;
    }
    // The deny list of the URL standard: STD3 rules would refuse the underscore, which storage services have in real host
    // names. Hyphens in the third and fourth place are in real names too (`r3---sn-4g5e.example`); a label that begins
    // with xn-- must decode nonetheless.
    let ascii = Uts46::new()
        .to_ascii(
            text.strip_suffix('.').unwrap_or(text).as_bytes(),
            AsciiDenyList::URL,
            Hyphens::CheckFirstLast,
            DnsLength::Verify,
        )
        .map_err(|_| DomainError::Idna)?;
    // Once more: wide digits and dots have become plain ones only now.
    DomainName::from_ascii(&ascii)
}

/// A name that is a public suffix itself.
struct PublicSuffix {
    /// Of the internet's registries; otherwise of a company that gives names beneath it to its customers.
    icann: bool,
}

fn suffix_of(name: &DomainName) -> Option<PublicSuffix> {
    suffix(&unicode(name.as_str()))
}

/// Whether every name directly beneath this one is a public suffix: `*.kawasaki.jp` in the list.
fn is_registry(name: &DomainName) -> bool {
    // No exception of the list is called so.
    suffix(&format!("zzzzzz.{}", unicode(name.as_str()))).is_some()
}

#[cfg(not(fuzzing))]
fn suffix(text: &str) -> Option<PublicSuffix> {
    let suffix = psl::suffix(text.as_bytes())?;
    let whole = suffix.is_known() && suffix.as_bytes() == text.as_bytes();
    whole.then(|| PublicSuffix { icann: suffix.typ() == Some(psl::Type::Icann) })
}

/// No fuzz target reads a pattern, and the list, which is code, takes minutes to instrument: here every name is a suffix.
#[cfg(fuzzing)]
#[expect(clippy::unnecessary_wraps, reason = "the other one needs it")]
fn suffix(_: &str) -> Option<PublicSuffix> {
    Some(PublicSuffix { icann: true })
}

/// The list has its names in Unicode.
fn unicode(name: &str) -> String {
    idna::domain_to_unicode(name).0
}
