//! Vulnerabilities: reported, moved on, and what the extension has to expect.

use std::time::SystemTime;

use policies::decision::State;
use policies::violation::Severity as Weight;
use policies::vulnerability::{
    DAY_SECONDS, DISCLOSURE_DAYS, Ranges, Response, Severity, Status, Tenths, is_cve, response,
};
use rusqlite::{OptionalExtension, params};
use semver::Version;
use serde_json::json;

use super::act::{Act, Editor};
use super::error::refused;
use super::extensions::{counting, known, set_state};
use super::rows::FindingRow;
use super::target::{Target, bundle};
use super::{RegistryError, moment};
use crate::record::audit::EventType;

/// A vulnerability that somebody reports.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// One line.
    pub title: String,
    /// Impact, how to reproduce it, what would remedy it.
    pub details: String,
    /// The versions of the extension that have it: [`Ranges`].
    pub affected: String,
    /// How bad it is; may be left out where there is a vector.
    pub severity: Option<Severity>,
    /// A CVSS vector of version 3.0, 3.1 or 4.0.
    pub cvss: Option<String>,
    /// A CVE id.
    pub cve: Option<String>,
    /// When it was reported to the publisher; now, where absent.
    pub reported: Option<SystemTime>,
}

/// What changes about a finding.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// Where it stands.
    pub status: Option<Status>,
    /// Until when it is accepted.
    pub until: Option<SystemTime>,
    /// The first version without it.
    pub fixed_in: Option<Version>,
    /// How bad it is.
    pub severity: Option<Severity>,
    /// A CVSS vector.
    pub cvss: Option<String>,
    /// A CVE id.
    pub cve: Option<String>,
    /// Why.
    pub notes: String,
}

/// A severity and a score out of what was said about them.
struct Rating {
    severity: Severity,
    score: u8,
}

/// Checks what was said; every problem at once.
fn rating(
    severity: Option<Severity>,
    cvss: Option<&str>,
    problems: &mut Vec<String>,
) -> Option<Rating> {
    let tenths = match cvss.map(Tenths::of_vector).transpose() {
        Ok(tenths) => tenths,
        Err(error) => {
            problems.push(error.to_string());
            return None;
        }
    };
    match (severity, tenths) {
        (Some(said), Some(tenths)) if said != tenths.severity() => {
            problems.push(format!(
                "the severity is {}, and the CVSS vector says {}",
                said.name(),
                tenths.severity().name()
            ));
            None
        }
        (_, Some(tenths)) => Some(Rating { severity: tenths.severity(), score: tenths.score() }),
        (Some(severity), None) => Some(Rating { severity, score: severity.worst_score() }),
        (None, None) => None,
    }
}

fn cve(text: Option<&str>, problems: &mut Vec<String>) {
    if let Some(text) = text.filter(|text| !is_cve(text)) {
        problems.push(format!("\"{text}\" is no CVE id: CVE-YEAR-NUMBER"));
    }
}

fn no_problem(doing: &str, problems: &[String]) -> Result<(), RegistryError> {
    if problems.is_empty() {
        return Ok(());
    }
    Err(RegistryError::Refused { act: doing.to_owned(), reason: problems.join("; "), hint: None })
}

/// Whether a finding that counts keeps a bundle from running: a critical one does; a high one, until a reviewer has seen it.
pub(super) fn stands(finding: &FindingRow) -> bool {
    match response(finding.severity, finding.certainty) {
        Response::Disable => true,
        Response::RequireReview => finding.seen_by.is_none(),
        Response::Warn | Response::Track => false,
    }
}

/// What the extension has to expect of the findings that count against its latest bundle: the hardest response of any. One
/// that a reviewer has seen and approved the bundle with does not ask for a review again. It never makes an extension's
/// state better.
pub(super) fn escalate(act: &mut Act<'_>, id: &str) -> Result<(), RegistryError> {
    let entry = known(act, id)?;
    let current = bundle(act.tx, &Target::Digest(entry.digest)).map_err(act.failed())?;
    let Some(current) = current else { return Ok(()) };
    let findings = counting(act, &current)?;
    let rank = |finding: &&FindingRow| response(finding.severity, finding.certainty);
    let worst = findings.iter().filter(|finding| stands(finding)).max_by_key(rank);
    let Some(worst) = worst else { return Ok(()) };
    let state = match (rank(&worst), entry.state) {
        (Response::Disable, State::Enabled | State::ReviewRequired) => State::AutoDisabled,
        (Response::RequireReview, State::Enabled) => State::ReviewRequired,
        _ => return Ok(()),
    };
    let reason = format!(
        "{} vulnerability #{} {} in {}",
        worst.severity.name().to_lowercase(),
        worst.id,
        worst.name(),
        current.version
    );
    set_state(act, id, state, &reason)
}

/// The columns of a new finding.
pub(super) struct New<'a> {
    pub(super) ext: &'a str,
    pub(super) source: &'static str,
    pub(super) digest: Option<&'a [u8]>,
    pub(super) advisory: Option<&'a str>,
    pub(super) purl: Option<&'a str>,
    pub(super) affected: Option<&'a str>,
    pub(super) title: &'a str,
    pub(super) details: &'a str,
    pub(super) cve: Option<&'a str>,
    pub(super) cvss: Option<&'a str>,
    pub(super) severity: Severity,
    pub(super) score: u8,
    pub(super) certainty: &'static str,
    pub(super) reported: i64,
}

/// Opens a finding and puts it on record.
pub(super) fn insert(act: &mut Act<'_>, new: &New<'_>) -> Result<i64, RegistryError> {
    let days = |days: u32| new.reported.saturating_add(i64::from(days) * DAY_SECONDS);
    act.tx
        .execute(
            "INSERT INTO findings(ext_id, source, digest, advisory, purl, affected, title, details, cve, cvss, \
             severity, score, certainty, status, status_notes, reported_by, reported_at, due_at, disclosure_at) \
             VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, 'open', '', ?14, ?15, ?16, ?17)",
            params![
                new.ext,
                new.source,
                new.digest,
                new.advisory,
                new.purl,
                new.affected,
                new.title,
                new.details,
                new.cve,
                new.cvss,
                new.severity.name(),
                new.score,
                new.certainty,
                act.actor,
                new.reported,
                new.severity.remediation_days().map(days),
                days(DISCLOSURE_DAYS),
            ],
        )
        .map_err(act.failed())?;
    let id = act.tx.last_insert_rowid();
    let data = json!({
        "finding": id,
        "status": Status::Open,
        "source": new.source,
        "advisory": new.advisory,
        "purl": new.purl,
        "affected": new.affected,
        "title": new.title,
        "cve": new.cve,
        "cvss": new.cvss,
        "severity": new.severity,
        "score": new.score,
        "certainty": new.certainty,
    });
    act.record(EventType::Vulnerability, weight(new.severity), data);
    Ok(id)
}

fn weight(severity: Severity) -> Weight {
    match severity {
        Severity::Critical => Weight::Critical,
        Severity::High | Severity::Medium => Weight::Warning,
        Severity::Low | Severity::None => Weight::Info,
    }
}

impl Editor {
    /// Reports a vulnerability of an extension. A critical one that its latest version has disables it, and a high one makes
    /// it wait for a review, in the same transaction.
    ///
    /// # Errors
    /// [`RegistryError`]; refused with every problem of the report.
    pub fn report(&mut self, id: &str, report: &Report) -> Result<FindingRow, RegistryError> {
        let mut problems = Vec::new();
        if report.title.trim().is_empty() {
            problems.push("it has no title".to_owned());
        }
        if let Err(error) = report.affected.parse::<Ranges>() {
            problems.push(error.to_string());
        }
        cve(report.cve.as_deref(), &mut problems);
        let rating = rating(report.severity, report.cvss.as_deref(), &mut problems);
        if rating.is_none() && report.cvss.is_none() && report.severity.is_none() {
            problems.push("it has neither a severity nor a CVSS vector".to_owned());
        }
        no_problem("report the vulnerability", &problems)?;
        let Some(rating) = rating else {
            return Err(refused(
                "report the vulnerability",
                "it has no severity",
                "--severity or --cvss",
            ));
        };
        self.act(id, |act| {
            known(act, id)?;
            let reported = report.reported.map_or(act.now, moment::seconds);
            if reported > act.now {
                return Err(refused(
                    "report the vulnerability",
                    "it was reported in the future",
                    "--reported DATE is the day it was reported",
                ));
            }
            let new = New {
                ext: id,
                source: "report",
                digest: None,
                advisory: None,
                purl: None,
                affected: Some(&report.affected),
                title: &report.title,
                details: &report.details,
                cve: report.cve.as_deref(),
                cvss: report.cvss.as_deref(),
                severity: rating.severity,
                score: rating.score,
                certainty: "affected",
                reported,
            };
            let number = insert(act, &new)?;
            escalate(act, id)?;
            finding(act, number)
        })
    }

    /// Changes where a finding stands, or how bad it is. It never enables the extension: [`Editor::enable`] does.
    ///
    /// # Errors
    /// [`RegistryError`]; refused with every problem.
    pub fn change(&mut self, number: i64, change: &Change) -> Result<FindingRow, RegistryError> {
        let sql = "SELECT ext_id FROM findings WHERE id = ?1";
        let failed = self.failed("read");
        let id: Option<String> = self
            .connection()
            .query_row(sql, [number], |row| row.get(0))
            .optional()
            .map_err(failed)?;
        let id = id.ok_or_else(|| RegistryError::Missing { what: format!("finding {number}") })?;
        self.act(&id, |act| {
            let before = finding(act, number)?;
            let after = changed(act, &before, change)?;
            store(act, &after)?;
            if after.status == Status::Accepted {
                act.tx
                    .execute(
                        "INSERT INTO waivers(finding_id, actor, notes, at, until) VALUES(?1, ?2, ?3, ?4, ?5)",
                        params![number, act.actor, after.status_notes, act.now, after.accepted_until],
                    )
                    .map_err(act.failed())?;
            }
            let data = json!({
                "finding": number,
                "status": after.status,
                "before": before.status,
                "severity": after.severity,
                "score": after.score,
                "cve": after.cve,
                "cvss": after.cvss,
                "fixedIn": after.fixed_in,
                "acceptedUntil": after.accepted_until.map(moment::text),
                "notes": after.status_notes,
            });
            act.record(EventType::Vulnerability, weight(after.severity), data);
            escalate(act, &id)?;
            finding(act, number)
        })
    }
}

const fn open(status: Status) -> bool {
    matches!(status, Status::Open | Status::Triaged)
}

fn finding(act: &Act<'_>, number: i64) -> Result<FindingRow, RegistryError> {
    let sql = format!("{} WHERE id = ?1", FindingRow::SELECT);
    act.tx
        .query_row(&sql, [number], FindingRow::read)
        .optional()
        .map_err(act.failed())?
        .ok_or_else(|| RegistryError::Missing { what: format!("finding {number}") })
}

fn changed(
    act: &Act<'_>,
    before: &FindingRow,
    change: &Change,
) -> Result<FindingRow, RegistryError> {
    let mut problems = Vec::new();
    let status = change.status.unwrap_or(before.status);
    cve(change.cve.as_deref(), &mut problems);
    let rating = rating(change.severity, change.cvss.as_deref(), &mut problems);
    let notes = change.notes.trim();
    let settles = matches!(status, Status::NotAffected | Status::Accepted | Status::Withdrawn);
    if change.status.is_some() && settles && notes.is_empty() {
        problems.push(format!("status {} needs notes that say why", status.name()));
    }
    let until = change.until.map(moment::seconds);
    let accepted_until = match (status, until) {
        (Status::Accepted, None) if change.status.is_some() => {
            problems.push("status accepted needs the day until which it is accepted".to_owned());
            None
        }
        (Status::Accepted, Some(until)) if until <= act.now => {
            problems.push(format!("{} is in the past", moment::text(until)));
            None
        }
        (Status::Accepted, until) => until.or(before.accepted_until),
        (_, Some(_)) => {
            problems.push("only an accepted finding has a day until which it is".to_owned());
            None
        }
        (_, None) => None,
    };
    let fixed_in = match (status, &change.fixed_in) {
        (Status::Fixed, None) if change.status.is_some() => {
            problems.push("status fixed needs the first version without it".to_owned());
            None
        }
        (Status::Fixed, fixed) => fixed.clone().or_else(|| before.fixed_in.clone()),
        (_, Some(_)) => {
            problems.push("only a fixed finding has a first version without it".to_owned());
            None
        }
        (_, None) => None,
    };
    no_problem(&format!("change finding {}", before.id), &problems)?;
    let severity = rating.as_ref().map_or(before.severity, |rating| rating.severity);
    let due = |days: u32| before.reported_at.saturating_add(i64::from(days) * DAY_SECONDS);
    let closed = !open(status) && status != Status::Accepted;
    // What is worse, or open again, is as good as new: a reviewer has not seen it.
    let worse = severity > before.severity || (open(status) && !open(before.status));
    Ok(FindingRow {
        seen_by: before.seen_by.filter(|_| !worse),
        status,
        status_notes: if notes.is_empty() { before.status_notes.clone() } else { notes.to_owned() },
        severity,
        score: rating.as_ref().map_or(before.score, |rating| rating.score),
        // A vector that said something else is not true any more.
        cvss: match (&change.cvss, &rating) {
            (Some(vector), _) => Some(vector.clone()),
            (None, Some(_)) => None,
            (None, None) => before.cvss.clone(),
        },
        cve: change.cve.clone().or_else(|| before.cve.clone()),
        due_at: severity.remediation_days().map(due),
        closed_at: closed.then(|| before.closed_at.unwrap_or(act.now)),
        accepted_until,
        fixed_in,
        ..before.clone()
    })
}

fn store(act: &Act<'_>, row: &FindingRow) -> Result<(), RegistryError> {
    act.tx
        .execute(
            "UPDATE findings SET status = ?2, status_notes = ?3, severity = ?4, score = ?5, cvss = ?6, cve = ?7, \
             due_at = ?8, closed_at = ?9, accepted_until = ?10, fixed_in = ?11, seen_by = ?12 WHERE id = ?1",
            params![
                row.id,
                row.status.name(),
                row.status_notes,
                row.severity.name(),
                row.score,
                row.cvss,
                row.cve,
                row.due_at,
                row.closed_at,
                row.accepted_until,
                row.fixed_in.as_ref().map(ToString::to_string),
                row.seen_by,
            ],
        )
        .map_err(act.failed())?;
    Ok(())
}
