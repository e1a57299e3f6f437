//! Acts of reviewers. A review is about a bundle, so an update has none until somebody reviews it.

use std::time::SystemTime;

use policies::decision::{ReviewLevel, State};
use policies::violation::Severity as Weight;
use rusqlite::{OptionalExtension, params};
use semver::Version;
use serde_json::json;

use super::act::{Act, Editor};
use super::error::refused;
use super::extensions::{counting, known, set_state};
use super::rows::{RegisteredBundle, ReviewRow, ReviewStatus, version, word};
use super::target::{Target, bundle};
use super::{RegistryError, all, moment};
use crate::record::audit::EventType;

/// What a reviewer decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may run.
    Approve {
        /// How deep the review went.
        level: ReviewLevel,
        /// When the approval ends.
        expires: Option<SystemTime>,
    },
    /// It may not run.
    Reject,
    /// What was approved may not run any more.
    Revoke,
}

/// A reviewer's decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Who reviewed.
    pub reviewer: String,
    /// What was decided.
    pub verdict: Verdict,
    /// What was looked at and found; never empty.
    pub notes: String,
}

impl Editor {
    /// Asks for a review of a bundle.
    ///
    /// # Errors
    /// [`RegistryError`].
    pub fn request_review(
        &mut self,
        target: &Target,
        notes: &str,
    ) -> Result<ReviewRow, RegistryError> {
        let reviewer = self.actor().to_owned();
        self.review(target, |_, _| {
            Ok((ReviewStatus::Requested, None, None, reviewer, notes.to_owned()))
        })
    }

    /// Records a reviewer's decision. Approving the latest bundle of an extension that waits for a review lets it run again.
    ///
    /// # Errors
    /// [`RegistryError`]; refused without notes, below [`ReviewLevel::Internal`], for the revocation of what is not approved,
    /// and for an expiry in the past.
    pub fn decide_review(
        &mut self,
        target: &Target,
        decision: &Decision,
    ) -> Result<ReviewRow, RegistryError> {
        self.review(target, |act, latest| {
            let doing = "record the review";
            if decision.notes.trim().is_empty() {
                return Err(refused(
                    doing,
                    "it has no notes",
                    "say what was looked at: --notes TEXT",
                ));
            }
            let (status, level, expires) = match decision.verdict {
                Verdict::Approve { level, expires } => {
                    if level < ReviewLevel::Internal {
                        return Err(refused(
                            doing,
                            format!("level {} is below INTERNAL", level.name()),
                            "an approval is worth something from INTERNAL on",
                        ));
                    }
                    let expires = expires.map(moment::seconds);
                    if expires.is_some_and(|expires| expires <= act.now) {
                        return Err(refused(
                            doing,
                            "it would have ended already",
                            "name a day to come",
                        ));
                    }
                    (ReviewStatus::Approved, Some(level), expires)
                }
                Verdict::Reject => (ReviewStatus::Rejected, None, None),
                Verdict::Revoke if latest == Some(ReviewStatus::Approved) => {
                    (ReviewStatus::Revoked, None, None)
                }
                Verdict::Revoke => {
                    return Err(refused(
                        doing,
                        "there is no approval to revoke",
                        "sandboxctl review list shows what there is",
                    ));
                }
            };
            Ok((status, level, expires, decision.reviewer.clone(), decision.notes.clone()))
        })
    }

    fn review(
        &mut self,
        target: &Target,
        decide: impl FnOnce(
            &Act<'_>,
            Option<ReviewStatus>,
        ) -> Result<
            (ReviewStatus, Option<ReviewLevel>, Option<i64>, String, String),
            RegistryError,
        >,
    ) -> Result<ReviewRow, RegistryError> {
        let failed = self.failed("read");
        let of =
            bundle(self.connection(), target).map_err(failed)?.ok_or_else(|| match target {
                Target::Current(id) => RegistryError::NotRegistered { id: id.clone() },
                Target::Version(id, version) => {
                    RegistryError::Missing { what: format!("bundle {id}@{version}") }
                }
                Target::Digest(digest) => {
                    RegistryError::Missing { what: format!("bundle {digest}") }
                }
            })?;
        let id = of.extension_id.clone();
        self.act(&id, |act| {
            act.of_version(&of.version.to_string());
            let digest = of.digest.as_bytes().as_slice();
            let latest = act
                .tx
                .query_row(
                    "SELECT status FROM reviews WHERE digest = ?1 AND status <> 'requested' ORDER BY id DESC LIMIT 1",
                    [digest],
                    |row| word(row, 0, ReviewStatus::parse),
                )
                .optional()
                .map_err(act.failed())?;
            let (status, level, expires, reviewer, notes) = decide(act, latest)?;
            act.tx
                .execute(
                    "INSERT INTO reviews(digest, status, level, reviewer, notes, at, expires_at) \
                     VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                    params![
                        digest,
                        status.name(),
                        level.map(ReviewLevel::name),
                        reviewer,
                        notes,
                        act.now,
                        expires
                    ],
                )
                .map_err(act.failed())?;
            let row = act.tx.last_insert_rowid();
            let weight = if status == ReviewStatus::Revoked { Weight::Warning } else { Weight::Info };
            let data = json!({
                "review": row,
                "status": status,
                "level": level,
                "reviewer": reviewer,
                "notes": notes,
                "digest": of.digest,
                "expiresAt": expires.map(moment::text),
            });
            act.record(EventType::Review, weight, data);
            if status == ReviewStatus::Approved {
                seen(act, &of, row)?;
            }
            highest_approved(act, &id)?;
            let entry = known(act, &id)?;
            if status == ReviewStatus::Approved
                && entry.state == State::ReviewRequired
                && entry.digest == of.digest
            {
                set_state(act, &id, State::Enabled, &format!("reviewed by {reviewer}"))?;
            }
            let sql = format!("{} WHERE r.id = ?1", ReviewRow::SELECT);
            act.tx.query_row(&sql, [row], ReviewRow::read).map_err(act.failed())
        })
    }
}

/// The findings that count against the bundle were before the reviewer's eyes.
fn seen(act: &Act<'_>, of: &RegisteredBundle, review: i64) -> Result<(), RegistryError> {
    for finding in counting(act, of)? {
        act.tx
            .execute("UPDATE findings SET seen_by = ?2 WHERE id = ?1", [finding.id, review])
            .map_err(act.failed())?;
    }
    Ok(())
}

/// Keeps the highest version whose latest review approved it. A revocation lowers it: going back is then what was decided.
fn highest_approved(act: &Act<'_>, id: &str) -> Result<(), RegistryError> {
    let sql = "SELECT b.version FROM bundles b WHERE b.ext_id = ?1 AND 'approved' = \
               (SELECT r.status FROM reviews r WHERE r.digest = b.digest AND r.status <> 'requested' \
                ORDER BY r.id DESC LIMIT 1)";
    let approved: Vec<Version> =
        all(act.tx, sql, [id], |row| word(row, 0, version)).map_err(act.failed())?;
    let highest =
        approved.into_iter().max_by(Version::cmp_precedence).map(|version| version.to_string());
    act.tx
        .execute("UPDATE extensions SET highest_approved = ?2 WHERE id = ?1", params![id, highest])
        .map_err(act.failed())?;
    Ok(())
}
