//! Domain names and the rules that allow them.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

mod parse;

/// The longest name, in bytes of its text form: RFC 1035, section 2.3.4, less the root's dot.
pub const MAX_NAME: usize = 253;
/// The longest label: RFC 1035, section 2.3.4.
pub const MAX_LABEL: usize = 63;

/// A host name as the resolver compares it: lower case A-labels, no dot at the end, at least one label.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
pub struct DomainName(String);

/// Why a text is no domain name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DomainError {
    /// Nothing is there.
    #[error("is empty")]
    Empty,
    /// Longer than [`MAX_NAME`].
    #[error("is longer than 253 bytes")]
    NameTooLong,
    /// A label is empty or longer than [`MAX_LABEL`].
    #[error("has an empty label, or one longer than 63 bytes")]
    BadLabel,
    /// A character that no host name has.
    #[error("has a character that no host name has")]
    BadCharacter,
    /// An address, in any notation that a resolver library reads as one.
    #[error("is an address")]
    Address,
    /// Not a valid international name (UTS 46).
    #[error("is no valid international name")]
    Idna,
    /// A `*` that is not the whole first label.
    #[error("has a * in a place where none can be")]
    Wildcard,
    /// One label: which host it means depends on the machine that looks it up.
    #[error("is one label")]
    OneLabel,
    /// `localhost`, or a name beneath it.
    #[error("is the sandbox itself")]
    Local,
    /// A name that a registry gives out names beneath.
    #[error("is a public suffix: names beneath it belong to anybody")]
    PublicSuffix,
}

impl DomainError {
    /// What to do about it.
    #[must_use]
    pub const fn hint(self) -> &'static str {
        match self {
            Self::Empty | Self::BadLabel | Self::BadCharacter => {
                "a host name like \"api.example.com\"; no scheme, no path"
            }
            Self::NameTooLong => "no name of the domain name system is so long",
            Self::Address => "rules are by domain: give the address a name, and name that",
            Self::Idna => {
                "a label beginning with xn-- must be what an international name encodes to"
            }
            Self::Wildcard => {
                "\"*.example.com\" means every name beneath it; \"*\" means every name"
            }
            Self::OneLabel => "write the full name, with its domain",
            Self::Local => "processes of one sandbox reach each other without a rule",
            Self::PublicSuffix => "name the domain of its owner: \"*.example.com\"",
        }
    }
}

impl DomainName {
    /// Reads an ASCII name of a query or a protocol header: folds case, takes one dot at the end off.
    ///
    /// # Errors
    /// [`DomainError::Empty`], [`DomainError::NameTooLong`], [`DomainError::BadLabel`], [`DomainError::BadCharacter`],
    /// [`DomainError::Address`].
    pub fn from_ascii(text: &str) -> Result<Self, DomainError> {
        let text = text.strip_suffix('.').unwrap_or(text);
        if text.is_empty() {
            return Err(DomainError::Empty);
        }
        if text.len() > MAX_NAME {
            return Err(DomainError::NameTooLong);
        }
        for label in text.split('.') {
            if label.is_empty() || label.len() > MAX_LABEL {
                return Err(DomainError::BadLabel);
            }
            // An underscore is in no host name, but in names of services, which are looked up too.
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
            if !label.bytes().all(plain) || label.starts_with('-') || label.ends_with('-') {
                return Err(DomainError::BadCharacter);
            }
        }
        // A name whose last label is a number is an address, as in the URL standard.
        let last = text.rsplit('.').next().unwrap_or_default();
        let number = last.bytes().all(|byte| byte.is_ascii_digit())
            || last
                .strip_prefix("0x")
                .or_else(|| last.strip_prefix("0X"))
                .is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_hexdigit()));
        if number {
            return Err(DomainError::Address);
        }
        Ok(Self(text.to_ascii_lowercase()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this name lies beneath `base`: one or more labels more, never `base` itself.
    #[must_use]
    pub fn is_beneath(&self, base: &Self) -> bool {
        self.0.strip_suffix(&base.0).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
    }
}

impl fmt::Display for DomainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which names a rule means.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(tag = "match", content = "name", rename_all = "kebab-case")]
pub enum DomainPattern {
    /// This name.
    Exact(DomainName),
    /// Every name beneath this one, at any depth, and not the name itself.
    Subdomains(DomainName),
    /// Every name.
    Any,
}

impl DomainPattern {
    /// Whether it means `name`.
    #[must_use]
    pub fn matches(&self, name: &DomainName) -> bool {
        match self {
            Self::Exact(own) => own == name,
            Self::Subdomains(base) => name.is_beneath(base),
            Self::Any => true,
        }
    }
}

impl fmt::Display for DomainPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => name.fmt(f),
            Self::Subdomains(base) => write!(f, "*.{base}"),
            Self::Any => f.write_str("*"),
        }
    }
}

/// What a connection must say about its destination.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum TlsMode {
    /// TLS whose server name is the domain, or plain HTTP whose `Host` is; anything else is refused.
    #[default]
    Checked,
    /// Any protocol, unseen: the domain is known from the lookup only.
    Opaque,
}

/// Which addresses a name may stand for.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum AddressPolicy {
    /// Public ones.
    #[default]
    Public,
    /// Private ones (RFC 1918, RFC 4193, RFC 6598) too.
    Private,
}

/// One allowed destination.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub struct DomainRule {
    /// Which names.
    pub names: DomainPattern,
    /// TCP ports, ascending, at least one.
    pub ports: Vec<u16>,
    /// What a connection must say.
    pub tls: TlsMode,
    /// Which addresses.
    pub addresses: AddressPolicy,
}

impl fmt::Display for DomainRule {
    /// As in a manifest: `*.example.com:80,443`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.names)?;
        for (position, port) in self.ports.iter().enumerate() {
            write!(f, "{}{port}", if position == 0 { ':' } else { ',' })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
