//! `index.json`: what an authority has issued and revoked.

use std::time::{Duration, SystemTime};

use policies::digest::Digest;
use serde::{Deserialize, Serialize};

use super::super::certificate::Certificate;
use super::Settings;

/// The version of the file.
pub(super) const FORMAT: u32 = 1;

/// Everything that is true of an authority. Times are seconds of the epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Index {
    pub(super) format: u32,
    /// Names it.
    pub name: String,
    /// How long intermediates are valid.
    pub intermediate_days: u32,
    /// When a revocation list is to be replaced.
    pub next_update_days: u32,
    /// The root, then the intermediates; the last one issues.
    pub issuers: Vec<IssuerRecord>,
    /// What was issued.
    pub certificates: Vec<Issued>,
}

/// The root or an intermediate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct IssuerRecord {
    /// Its files, without extension.
    pub file: String,
    /// Hexadecimal.
    pub serial: String,
    /// RFC 4514.
    pub subject: String,
    /// Valid until.
    pub not_after: u64,
    /// Of its latest revocation list.
    pub crl_number: u64,
    /// Whether it is revoked.
    pub revoked: Option<Revocation>,
}

/// A certificate that was issued.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Issued {
    /// Hexadecimal.
    pub serial: String,
    /// The issuer's files.
    pub issuer: String,
    /// RFC 4514.
    pub subject: String,
    /// Whose extensions it may sign.
    pub publisher: String,
    /// Valid from.
    pub not_before: u64,
    /// Valid until.
    pub not_after: u64,
    /// SHA-256 of the public key info.
    pub spki_sha256: Digest,
    /// Whether it is revoked.
    pub revoked: Option<Revocation>,
}

/// That and why something is revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Revocation {
    /// When.
    pub at: u64,
    /// Why.
    pub reason: Reason,
}

/// Why a certificate is revoked: RFC 5280, section 5.3.1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// Nobody says.
    #[default]
    Unspecified,
    /// Somebody else has the key.
    KeyCompromise,
    /// Somebody else has the authority's key.
    CaCompromise,
    /// The publisher is another one now.
    AffiliationChanged,
    /// There is a newer one.
    Superseded,
    /// It is not needed any more.
    CessationOfOperation,
    /// The publisher may not sign any more.
    PrivilegeWithdrawn,
}

impl Reason {
    /// Every reason with its name.
    pub const ALL: [(&'static str, Self); 7] = [
        ("unspecified", Self::Unspecified),
        ("key-compromise", Self::KeyCompromise),
        ("ca-compromise", Self::CaCompromise),
        ("affiliation-changed", Self::AffiliationChanged),
        ("superseded", Self::Superseded),
        ("cessation-of-operation", Self::CessationOfOperation),
        ("privilege-withdrawn", Self::PrivilegeWithdrawn),
    ];
}

impl Index {
    pub(super) fn new(settings: &Settings, root: IssuerRecord) -> Self {
        Self {
            format: FORMAT,
            name: settings.name.clone(),
            intermediate_days: settings.intermediate_days,
            next_update_days: settings.next_update_days,
            issuers: vec![root],
            certificates: Vec::new(),
        }
    }

    /// Who issues now: the last intermediate.
    ///
    /// A file without an issuer is refused when it is read.
    #[must_use]
    pub fn current(&self) -> &IssuerRecord {
        &self.issuers[self.issuers.len() - 1]
    }

    /// Who issued this number, and whether it is revoked.
    pub(super) fn find(&self, serial: &str) -> Option<(String, bool)> {
        let intermediates = self.issuers.iter().skip(1);
        let mut intermediates = intermediates.filter(|issuer| issuer.serial == serial);
        if let Some(intermediate) = intermediates.next() {
            return Some((self.issuers[0].file.clone(), intermediate.revoked.is_some()));
        }
        let issued = self.certificates.iter().find(|issued| issued.serial == serial)?;
        Some((issued.issuer.clone(), issued.revoked.is_some()))
    }

    /// The certificate of this key that was revoked because the key leaked.
    pub(super) fn compromised(&self, spki_sha256: Digest) -> Option<&str> {
        let leaked = |issued: &&Issued| {
            issued.spki_sha256 == spki_sha256
                && issued.revoked.is_some_and(|revoked| revoked.reason == Reason::KeyCompromise)
        };
        self.certificates.iter().find(leaked).map(|issued| issued.serial.as_str())
    }

    /// Revokes what has this number, once.
    pub(super) fn revoke(&mut self, serial: &str, revocation: Revocation) {
        for issuer in self.issuers.iter_mut().skip(1).filter(|issuer| issuer.serial == serial) {
            issuer.revoked.get_or_insert(revocation);
        }
        for issued in self.certificates.iter_mut().filter(|issued| issued.serial == serial) {
            issued.revoked.get_or_insert(revocation);
        }
    }

    /// What an issuer has revoked: serial number and reason.
    pub(super) fn revoked_by(&self, file: &str) -> Vec<(&str, Revocation)> {
        if file == self.issuers[0].file {
            let intermediates = self.issuers.iter().skip(1);
            return intermediates
                .filter_map(|issuer| Some((issuer.serial.as_str(), issuer.revoked?)))
                .collect();
        }
        let issued = self.certificates.iter().filter(|issued| issued.issuer == file);
        issued.filter_map(|issued| Some((issued.serial.as_str(), issued.revoked?))).collect()
    }

    /// Why it is no index.
    pub(super) fn problem(&self) -> Option<String> {
        if self.format != FORMAT {
            return Some(format!("its format is {}, and {FORMAT} is known here", self.format));
        }
        if self.issuers.len() < 2 {
            return Some("it names no root and intermediate".to_owned());
        }
        let plain = |name: &str| {
            !name.is_empty() && name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
        };
        let files = self.issuers.iter().map(|issuer| &issuer.file);
        let serials = self.certificates.iter().map(|issued| &issued.serial);
        files
            .chain(serials)
            .find(|name| !plain(name))
            .map(|name| format!("it has the name {name:?}"))
    }
}

impl IssuerRecord {
    pub(super) fn of(file: &str, certificate: &Certificate) -> Self {
        Self {
            file: file.to_owned(),
            serial: certificate.serial(),
            subject: certificate.subject(),
            not_after: seconds(certificate.not_after()),
            crl_number: 0,
            revoked: None,
        }
    }
}

impl Issued {
    pub(super) fn of(issuer: &str, publisher: &str, certificate: &Certificate) -> Self {
        Self {
            serial: certificate.serial(),
            issuer: issuer.to_owned(),
            subject: certificate.subject(),
            publisher: publisher.to_owned(),
            not_before: seconds(certificate.not_before()),
            not_after: seconds(certificate.not_after()),
            spki_sha256: certificate.spki_sha256(),
            revoked: None,
        }
    }

    /// `valid`, `expired` or `revoked`.
    #[must_use]
    pub fn status(&self, now: SystemTime) -> &'static str {
        match (self.revoked, seconds(now) > self.not_after) {
            (Some(_), _) => "revoked",
            (None, true) => "expired",
            (None, false) => "valid",
        }
    }
}

/// Of the epoch.
pub(super) fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// From seconds of the epoch.
pub(super) fn time(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}
