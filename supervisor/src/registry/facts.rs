//! What a launch needs to know about a bundle, in one pass of indexed queries.

use std::time::SystemTime;

use policies::decision::{
    BundleFact, Check, Evaluated, FindingFact, HostDenial, Registration, RegistryFacts, Review,
    ReviewLevel, Signer, State,
};
use policies::digest::Digest;
use policies::tier::Tier;
use rusqlite::{Connection, OptionalExtension, Row, params};
use semver::Version;

use super::moment::{expiry, seconds};
use super::rows::{self, FindingRow, PermissionRow, ReviewStatus, word, word_some};
use super::{Registry, RegistryError, all};

/// One row for the extension and, if it is known, the bundle. Each part is found by a key or an index.
const PASS: &str = "SELECT e.tier, e.state, e.state_reason, e.expires_at, e.highest_approved, \
    (SELECT digest FROM bundles WHERE ext_id = ?1 AND version = ?2), \
    (SELECT max(coalesce(signer, 4)) FROM bundles WHERE ext_id = ?1), \
    b.ext_id, b.version, b.sbom, b.registered_at, \
    r.status, r.level, r.notes, r.expires_at, \
    (SELECT max(at) FROM checks WHERE digest = ?3 AND void IS NULL), \
    (SELECT void FROM checks WHERE digest = ?3 ORDER BY id DESC LIMIT 1), \
    b.signer \
    FROM extensions e \
    LEFT JOIN bundles b ON b.digest = ?3 \
    LEFT JOIN reviews r ON r.id = (SELECT id FROM reviews WHERE digest = ?3 \
        ORDER BY status = 'requested', id DESC LIMIT 1) \
    WHERE e.id = ?1";

impl Registry {
    /// What the host decided about an extension, and about the bundle whose digest this is. Without a digest, what depends
    /// on the very bytes is not evaluated.
    ///
    /// # Errors
    /// [`RegistryError::Database`]: nothing may run.
    pub fn facts(
        &self,
        id: &str,
        digest: Option<&Digest>,
        version: &Version,
        now: SystemTime,
    ) -> Result<RegistryFacts, RegistryError> {
        let Some(connection) = &self.connection else {
            return Ok(RegistryFacts::unregistered());
        };
        let now = seconds(now);
        read(connection, id, digest, version, now).map_err(self.failed())
    }
}

/// The row of [`PASS`].
struct Pass {
    tier: Tier,
    state: State,
    reason: String,
    expires: Option<i64>,
    approved: Option<Version>,
    of_version: Option<Digest>,
    signed_before: Evaluated<Option<Signer>>,
    bundle: Option<(String, Version, bool, i64)>,
    review: Review,
    checked: Option<i64>,
    void: Option<String>,
    signer: Option<Signer>,
}

impl Pass {
    fn read(row: &Row<'_>, now: i64) -> rusqlite::Result<Self> {
        let bundle = match row.get::<_, Option<String>>(7)? {
            None => None,
            Some(ext) => Some((ext, word(row, 8, rows::version)?, row.get(9)?, row.get(10)?)),
        };
        let status = word_some(row, 11, ReviewStatus::parse)?;
        let notes =
            || Ok::<_, rusqlite::Error>(row.get::<_, Option<String>>(13)?.unwrap_or_default());
        let review = match status {
            None => Review::Pending,
            Some(ReviewStatus::Requested) => Review::Requested,
            Some(ReviewStatus::Approved) => Review::Approved {
                level: word(row, 12, ReviewLevel::parse)?,
                expires: row.get::<_, Option<i64>>(14)?.map(|at| expiry(at, now)),
            },
            Some(ReviewStatus::Rejected) => Review::Rejected { notes: notes()? },
            Some(ReviewStatus::Revoked) => Review::Revoked { notes: notes()? },
        };
        // 4: a bundle came with a signature that nobody had verified. It could have been the best.
        let signed_before = match row.get::<_, Option<usize>>(6)? {
            None => Evaluated::Found(None),
            Some(position) => Signer::ALL
                .get(position)
                .map_or(Evaluated::NotEvaluated, |one| Evaluated::Found(Some(*one))),
        };
        Ok(Self {
            tier: word(row, 0, rows::tier)?,
            state: word(row, 1, State::parse)?,
            reason: row.get(2)?,
            expires: row.get(3)?,
            approved: word_some(row, 4, rows::version)?,
            of_version: row.get::<_, Option<[u8; 32]>>(5)?.map(Digest::from_bytes),
            signed_before,
            bundle,
            review,
            checked: row.get(15)?,
            void: row.get(16)?,
            signer: row
                .get::<_, Option<usize>>(17)?
                .and_then(|position| Signer::ALL.get(position).copied()),
        })
    }
}

fn read(
    connection: &Connection,
    id: &str,
    digest: Option<&Digest>,
    version: &Version,
    now: i64,
) -> rusqlite::Result<RegistryFacts> {
    // One snapshot for all queries: an act in between must not be seen half.
    let snapshot = connection.unchecked_transaction()?;
    let bytes = digest.map(|digest| digest.as_bytes().as_slice());
    let pass = snapshot
        .prepare(PASS)?
        .query_row(params![id, version.to_string(), bytes], |row| Pass::read(row, now))
        .optional()?;
    let Some(pass) = pass else {
        return Ok(RegistryFacts::unregistered());
    };
    let sql =
        format!("{} WHERE ext_id = ?1 AND (digest IS NULL OR digest = ?2)", FindingRow::SELECT);
    let mut findings = all(&snapshot, &sql, params![id, bytes], FindingRow::read)?;
    // Without a digest the reports count all the same; that components were not looked at is said by the score.
    let of = digest.copied().unwrap_or(Digest::from_bytes([0; 32]));
    findings.retain(|finding| finding.counts(&of, version, now));
    let sql = format!("{} WHERE ext_id = ?1 AND decision = 'denied'", PermissionRow::SELECT);
    let denied = all(&snapshot, &sql, [id], PermissionRow::read)?;
    let registration = Registration::Known {
        tier: pass.tier,
        state: pass.state,
        reason: pass.reason.clone(),
        expires: pass.expires.map(|at| expiry(at, now)),
    };
    let score = findings.iter().map(|finding| finding.score).max().unwrap_or(0);
    let denied = denied
        .into_iter()
        .map(|row| HostDenial { permission: row.permission, reason: row.reason })
        .collect();
    let on_bytes = |fact| digest.map_or(Evaluated::NotEvaluated, |_| Evaluated::Found(fact));
    Ok(RegistryFacts {
        registration: Evaluated::Found(registration),
        bundle: digest.map_or(Evaluated::NotEvaluated, |digest| {
            Evaluated::Found(bundle(&pass, id, digest, version))
        }),
        accepted: match &pass.bundle {
            Some((ext, registered, ..)) if ext == id && registered == version => pass.signer,
            _ => None,
        },
        signed_before: pass.signed_before.clone(),
        vulnerability_score: match digest {
            Some(_) => Evaluated::Found(score),
            None => Evaluated::NotEvaluated,
        },
        vulnerability_check: digest
            .map_or(Evaluated::NotEvaluated, |_| Evaluated::Found(check(&pass, now))),
        review: on_bytes(pass.review),
        denied: Evaluated::Found(denied),
        findings: findings.iter().map(|finding| fact(finding, now)).collect(),
    })
}

fn bundle(pass: &Pass, id: &str, digest: &Digest, version: &Version) -> BundleFact {
    match (&pass.bundle, pass.of_version) {
        (Some((ext, registered, ..)), _) if ext != id || registered != version => {
            return BundleFact::Differs { registered: pass.of_version };
        }
        (_, Some(registered)) if registered != *digest => {
            return BundleFact::Differs { registered: Some(registered) };
        }
        _ => {}
    }
    if let Some(approved) = &pass.approved
        && version.cmp_precedence(approved).is_lt()
    {
        return BundleFact::OlderThanApproved { approved: approved.clone() };
    }
    pass.bundle
        .as_ref()
        .map_or(BundleFact::Unknown, |(_, _, sbom, _)| BundleFact::Registered { sbom: *sbom })
}

/// The age of the last check that counts, or of the registration.
fn check(pass: &Pass, now: i64) -> Check {
    let Some((_, _, _, registered)) = pass.bundle else {
        return Check::Never;
    };
    let since = pass.checked.unwrap_or(registered);
    // A check of tomorrow was made by a wrong clock; it is not worth more than one of today.
    let age_seconds = u64::try_from(now.saturating_sub(since)).unwrap_or(0);
    Check::Due { age_seconds, checked: pass.checked.is_some(), void: pass.void.clone() }
}

fn fact(finding: &FindingRow, now: i64) -> FindingFact {
    FindingFact {
        id: finding.id,
        name: finding.name().to_owned(),
        severity: finding.severity,
        score: finding.score,
        due: finding.due_at.map(|at| expiry(at, now)),
    }
}
