//! What the registry holds, as it is shown.

use policies::decision::{ReviewLevel, Signer, State};
use policies::digest::Digest;
use policies::permission::Permission;
use policies::tier::Tier;
use policies::vulnerability::{Certainty, Finding, Ranges, Severity, Status};
use rusqlite::Row;
use rusqlite::types::Type;
use semver::Version;
use serde::Serialize;

use super::moment::{ser, ser_some};

/// An extension.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the names say it; times are RFC 3339 in JSON and seconds here")]
pub struct Extension {
    pub id: String,
    pub name: String,
    pub publisher: String,
    pub tier: Tier,
    pub state: State,
    pub state_reason: String,
    pub state_by: String,
    #[serde(serialize_with = "ser")]
    pub state_at: i64,
    /// The version that was registered last.
    pub version: Version,
    pub digest: Digest,
    pub highest_approved: Option<Version>,
    #[serde(serialize_with = "ser_some")]
    pub expires_at: Option<i64>,
    #[serde(serialize_with = "ser")]
    pub registered_at: i64,
    pub registered_by: String,
}

impl Extension {
    pub(super) const SELECT: &str = "SELECT e.id, e.name, e.publisher, e.tier, e.state, \
        e.state_reason, e.state_by, e.state_at, b.version, e.current_digest, e.highest_approved, \
        e.expires_at, e.registered_at, e.registered_by \
        FROM extensions e JOIN bundles b ON b.digest = e.current_digest";

    pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get(0)?,
            name: row.get(1)?,
            publisher: row.get(2)?,
            tier: word(row, 3, tier)?,
            state: word(row, 4, State::parse)?,
            state_reason: row.get(5)?,
            state_by: row.get(6)?,
            state_at: row.get(7)?,
            version: word(row, 8, version)?,
            digest: digest(row, 9)?,
            highest_approved: word_some(row, 10, version)?,
            expires_at: row.get(11)?,
            registered_at: row.get(12)?,
            registered_by: row.get(13)?,
        })
    }
}

/// A bundle that was registered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the names say it; times are RFC 3339 in JSON and seconds here")]
pub struct RegisteredBundle {
    pub digest: Digest,
    pub extension_id: String,
    pub version: Version,
    pub tier: Tier,
    /// Bytes of its files.
    pub size: u64,
    pub files: u64,
    /// None where it is signed and nobody has verified the signature.
    pub signer: Option<Signer>,
    /// Whether it has a bill of materials.
    pub sbom: bool,
    #[serde(serialize_with = "ser")]
    pub registered_at: i64,
    pub registered_by: String,
}

impl RegisteredBundle {
    pub(super) const SELECT: &str = "SELECT digest, ext_id, version, tier, size, files, signer, sbom, \
        registered_at, registered_by FROM bundles";

    pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            digest: digest(row, 0)?,
            extension_id: row.get(1)?,
            version: word(row, 2, version)?,
            tier: word(row, 3, tier)?,
            size: row.get(4)?,
            files: row.get(5)?,
            signer: signer(row, 6)?,
            sbom: row.get(7)?,
            registered_at: row.get(8)?,
            registered_by: row.get(9)?,
        })
    }
}

/// What a reviewer said about a bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReviewStatus {
    /// Somebody asked for a review.
    Requested,
    /// It may run.
    Approved,
    /// It may not run.
    Rejected,
    /// It may not run any more.
    Revoked,
}

impl ReviewStatus {
    const ALL: [Self; 4] = [Self::Requested, Self::Approved, Self::Rejected, Self::Revoked];

    /// The name in records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Approved => "approved",
            Self::Rejected => "rejected",
            Self::Revoked => "revoked",
        }
    }

    pub(super) fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.name() == name)
    }
}

/// One word of a reviewer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the names say it; times are RFC 3339 in JSON and seconds here")]
pub struct ReviewRow {
    pub id: i64,
    pub digest: Digest,
    pub extension_id: String,
    pub version: Version,
    pub status: ReviewStatus,
    pub level: Option<ReviewLevel>,
    pub reviewer: String,
    pub notes: String,
    #[serde(serialize_with = "ser")]
    pub at: i64,
    #[serde(serialize_with = "ser_some")]
    pub expires_at: Option<i64>,
}

impl ReviewRow {
    pub(super) const SELECT: &str = "SELECT r.id, r.digest, b.ext_id, b.version, r.status, r.level, \
        r.reviewer, r.notes, r.at, r.expires_at FROM reviews r JOIN bundles b ON b.digest = r.digest";

    pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get(0)?,
            digest: digest(row, 1)?,
            extension_id: row.get(2)?,
            version: word(row, 3, version)?,
            status: word(row, 4, ReviewStatus::parse)?,
            level: word_some(row, 5, ReviewLevel::parse)?,
            reviewer: row.get(6)?,
            notes: row.get(7)?,
            at: row.get(8)?,
            expires_at: row.get(9)?,
        })
    }
}

/// A permission that the host granted or denied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the names say it; times are RFC 3339 in JSON and seconds here")]
pub struct PermissionRow {
    pub permission: Permission,
    pub granted: bool,
    pub reason: String,
    pub actor: String,
    #[serde(serialize_with = "ser")]
    pub at: i64,
}

impl PermissionRow {
    pub(super) const SELECT: &str =
        "SELECT permission, decision = 'granted', reason, actor, at FROM permissions";

    pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            permission: word(row, 0, Permission::parse)?,
            granted: row.get(1)?,
            reason: row.get(2)?,
            actor: row.get(3)?,
            at: row.get(4)?,
        })
    }
}

/// A vulnerability of an extension.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the names say it; times are RFC 3339 in JSON and seconds here")]
pub struct FindingRow {
    pub id: i64,
    pub extension_id: String,
    /// `report` or `sbom`.
    pub source: String,
    /// Of a component: the bundle that has it.
    pub digest: Option<Digest>,
    /// Of a component: the advisory.
    pub advisory: Option<String>,
    /// Of a component: which.
    pub purl: Option<String>,
    /// Of a report: the versions of the extension that have it.
    pub affected: Option<String>,
    pub title: String,
    pub details: String,
    pub cve: Option<String>,
    pub cvss: Option<String>,
    pub severity: Severity,
    pub score: u8,
    pub certainty: Certainty,
    pub status: Status,
    pub status_notes: String,
    pub fixed_in: Option<Version>,
    #[serde(serialize_with = "ser_some")]
    pub accepted_until: Option<i64>,
    pub reported_by: String,
    #[serde(serialize_with = "ser")]
    pub reported_at: i64,
    #[serde(serialize_with = "ser_some")]
    pub due_at: Option<i64>,
    #[serde(serialize_with = "ser")]
    pub disclosure_at: i64,
    #[serde(serialize_with = "ser_some")]
    pub closed_at: Option<i64>,
    /// The review that approved a bundle although it has it.
    pub seen_by: Option<i64>,
    #[serde(skip)]
    pub(super) ranges: Option<Ranges>,
}

impl FindingRow {
    pub(super) const SELECT: &str = "SELECT id, ext_id, source, digest, advisory, purl, affected, title, \
        details, cve, cvss, severity, score, certainty, status, status_notes, fixed_in, accepted_until, \
        reported_by, reported_at, due_at, disclosure_at, closed_at, seen_by FROM findings";

    pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let certainty = |name: &str| match name {
            "affected" => Some(Certainty::Affected),
            "unknown" => Some(Certainty::Unknown),
            _ => None,
        };
        Ok(Self {
            id: row.get(0)?,
            extension_id: row.get(1)?,
            source: row.get(2)?,
            digest: row.get::<_, Option<[u8; 32]>>(3)?.map(Digest::from_bytes),
            advisory: row.get(4)?,
            purl: row.get(5)?,
            affected: row.get(6)?,
            title: row.get(7)?,
            details: row.get(8)?,
            cve: row.get(9)?,
            cvss: row.get(10)?,
            severity: word(row, 11, Severity::parse)?,
            score: row.get(12)?,
            certainty: word(row, 13, certainty)?,
            status: word(row, 14, Status::parse)?,
            status_notes: row.get(15)?,
            fixed_in: word_some(row, 16, version)?,
            accepted_until: row.get(17)?,
            reported_by: row.get(18)?,
            reported_at: row.get(19)?,
            due_at: row.get(20)?,
            disclosure_at: row.get(21)?,
            closed_at: row.get(22)?,
            seen_by: row.get(23)?,
            ranges: word_some(row, 6, |text| text.parse().ok())?,
        })
    }

    /// Whether it counts against a bundle at `now`.
    pub(super) fn counts(&self, of: &Digest, version: &Version, now: i64) -> bool {
        if self.digest.is_some_and(|digest| digest != *of) {
            return false;
        }
        let finding = Finding {
            status: self.status,
            affected: self.ranges.as_ref(),
            fixed_in: self.fixed_in.as_ref(),
            accepted_until: self.accepted_until,
        };
        finding.counts(version, now)
    }

    /// A CVE id, the advisory's, or the title.
    #[must_use]
    pub fn name(&self) -> &str {
        self.cve.as_deref().or(self.advisory.as_deref()).unwrap_or(&self.title)
    }
}

/// A check for known vulnerabilities.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the names say it; times are RFC 3339 in JSON and seconds here")]
pub struct CheckRow {
    pub digest: Digest,
    #[serde(serialize_with = "ser")]
    pub at: i64,
    /// Of the oldest database that was asked.
    #[serde(serialize_with = "ser_some")]
    pub database_at: Option<i64>,
    pub components: u64,
    /// Components that no database could know.
    pub unidentified: u64,
    /// Findings that count.
    pub findings: u64,
    /// Why it does not count.
    pub void: Option<String>,
}

impl CheckRow {
    pub(super) const SELECT: &str =
        "SELECT digest, at, database_at, components, unidentified, findings, void FROM checks";

    pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            digest: digest(row, 0)?,
            at: row.get(1)?,
            database_at: row.get(2)?,
            components: row.get(3)?,
            unidentified: row.get(4)?,
            findings: row.get(5)?,
            void: row.get(6)?,
        })
    }
}

/// A word of the schema. One that this program does not know is an error: it could mean no.
pub(super) fn word<T>(
    row: &Row<'_>,
    column: usize,
    parse: impl FnOnce(&str) -> Option<T>,
) -> rusqlite::Result<T> {
    let text: String = row.get(column)?;
    parse(&text).ok_or_else(|| unknown(column, &text))
}

pub(super) fn word_some<T>(
    row: &Row<'_>,
    column: usize,
    parse: impl FnOnce(&str) -> Option<T>,
) -> rusqlite::Result<Option<T>> {
    let text: Option<String> = row.get(column)?;
    text.map(|text| parse(&text).ok_or_else(|| unknown(column, &text))).transpose()
}

fn unknown(column: usize, text: &str) -> rusqlite::Error {
    let reason = format!("\"{text}\" is no word of this program");
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, reason.into())
}

pub(super) fn digest(row: &Row<'_>, column: usize) -> rusqlite::Result<Digest> {
    row.get(column).map(Digest::from_bytes)
}

pub(super) fn signer(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Signer>> {
    let position: Option<usize> = row.get(column)?;
    let known = |position: usize| {
        Signer::ALL.get(position).copied().ok_or_else(|| unknown(column, &position.to_string()))
    };
    position.map(known).transpose()
}

pub(super) fn tier(name: &str) -> Option<Tier> {
    Tier::ALL.into_iter().find(|tier| tier.name() == name)
}

pub(super) fn version(text: &str) -> Option<Version> {
    Version::parse(text).ok()
}
