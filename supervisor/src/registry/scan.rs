//! The check of a bundle: its components against the advisories.

use std::collections::BTreeMap;

use policies::advisory::{Match, Versions};
use policies::sbom::{Component, Package, package};
use policies::violation::Severity as Weight;
use policies::vulnerability::{STALE_DATABASE_DAYS, Severity, is_stale};
use rusqlite::params;
use serde_json::json;

use super::act::{Act, Editor};
use super::extensions::{counting, known};
use super::findings::{New, escalate, insert};
use super::rows::{CheckRow, RegisteredBundle, word};
use super::{RegistryError, all, moment};
use crate::record::audit::EventType;

/// An advisory about a package.
struct Known {
    advisory: String,
    severity: Severity,
    score: u8,
    cvss: Option<String>,
    versions: String,
    summary: String,
    cve: Option<String>,
}

impl Editor {
    /// Checks the bundles of an extension that may run against the advisories, opens what it finds, and does what follows
    /// from it, in one transaction.
    ///
    /// # Errors
    /// [`RegistryError`].
    pub fn scan(&mut self, id: &str) -> Result<Vec<CheckRow>, RegistryError> {
        self.act(id, |act| {
            let entry = known(act, id)?;
            let sql =
                format!("{} WHERE ext_id = ?1 ORDER BY registered_at", RegisteredBundle::SELECT);
            let mut bundles =
                all(act.tx, &sql, [id], RegisteredBundle::read).map_err(act.failed())?;
            // A version below the highest approved one does not run.
            if let Some(approved) = &entry.highest_approved {
                bundles.retain(|of| of.version.cmp_precedence(approved).is_ge());
            }
            let rows = bundles.iter().map(|of| check(act, of)).collect::<Result<Vec<_>, _>>()?;
            escalate(act, id)?;
            Ok(rows)
        })
    }
}

/// Checks one bundle.
pub(super) fn check(act: &mut Act<'_>, of: &RegisteredBundle) -> Result<CheckRow, RegistryError> {
    act.of_version(&of.version.to_string());
    let components = components(act, of)?;
    let databases: BTreeMap<String, i64> =
        all(act.tx, "SELECT ecosystem, as_of FROM databases", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .map_err(act.failed())?
        .into_iter()
        .collect();
    let (mut oldest, mut lacking, mut unidentified) = (None::<i64>, Vec::new(), 0_u64);
    for component in &components {
        let Some(package) = package(component) else {
            unidentified += 1;
            continue;
        };
        match databases.get(package.ecosystem) {
            Some(day) => oldest = Some(oldest.map_or(*day, |oldest| oldest.min(*day))),
            None if !lacking.contains(&package.ecosystem) => lacking.push(package.ecosystem),
            None => {}
        }
        look_up(act, of, component, &package)?;
    }
    let void = if !lacking.is_empty() {
        Some(format!("there is no database of {}", lacking.join(", ")))
    } else if oldest.is_some_and(|oldest| is_stale(oldest, act.now)) {
        let day = moment::text(oldest.unwrap_or_default());
        Some(format!("the database is of {day}, more than {STALE_DATABASE_DAYS} days old"))
    } else {
        None
    };
    let row = CheckRow {
        digest: of.digest,
        at: act.now,
        database_at: oldest,
        components: u64::try_from(components.len()).unwrap_or(u64::MAX),
        unidentified,
        findings: u64::try_from(counting(act, of)?.len()).unwrap_or(u64::MAX),
        void,
    };
    store(act, &row)?;
    Ok(row)
}

fn store(act: &mut Act<'_>, row: &CheckRow) -> Result<(), RegistryError> {
    act.tx
        .execute(
            "INSERT INTO checks(digest, at, database_at, components, unidentified, findings, void) \
             VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![
                row.digest.as_bytes().as_slice(),
                row.at,
                row.database_at,
                row.components,
                row.unidentified,
                row.findings,
                row.void
            ],
        )
        .map_err(act.failed())?;
    let weight = if row.void.is_some() { Weight::Warning } else { Weight::Info };
    act.record(EventType::VulnerabilityCheck, weight, json!(row));
    Ok(())
}

fn components(act: &Act<'_>, of: &RegisteredBundle) -> Result<Vec<Component>, RegistryError> {
    let sql = "SELECT kind, name, version, purl FROM components WHERE digest = ?1";
    all(act.tx, sql, [of.digest.as_bytes().as_slice()], |row| {
        Ok(Component {
            kind: row.get(0)?,
            name: row.get(1)?,
            version: row.get(2)?,
            purl: row.get(3)?,
        })
    })
    .map_err(act.failed())
}

/// Opens a finding for each advisory that affects the package, or may, unless there is one already.
fn look_up(
    act: &mut Act<'_>,
    of: &RegisteredBundle,
    component: &Component,
    package: &Package,
) -> Result<(), RegistryError> {
    let sql = "SELECT p.advisory, p.severity, p.score, p.cvss, p.versions, a.summary, a.cve \
               FROM advisory_packages p JOIN advisories a ON a.id = p.advisory \
               WHERE p.ecosystem = ?1 AND p.name = ?2";
    let advisories = all(act.tx, sql, [package.ecosystem, &package.name], |row| {
        Ok(Known {
            advisory: row.get(0)?,
            severity: word(row, 1, Severity::parse)?,
            score: row.get(2)?,
            cvss: row.get(3)?,
            versions: row.get(4)?,
            summary: row.get(5)?,
            cve: row.get(6)?,
        })
    })
    .map_err(act.failed())?;
    for known in advisories {
        // What cannot be read is not taken for safe.
        let matched = serde_json::from_str::<Versions>(&known.versions)
            .map_or(Match::Unknown, |versions| {
                versions.affect(package.ecosystem, &package.version)
            });
        let certainty = match matched {
            Match::NotAffected => continue,
            Match::Affected => "affected",
            Match::Unknown => "unknown",
        };
        let digest = of.digest.as_bytes().as_slice();
        let there: bool = act
            .tx
            .query_row(
                "SELECT EXISTS(SELECT 1 FROM findings WHERE digest = ?1 AND advisory = ?2 AND purl = ?3)",
                params![digest, known.advisory, component.purl],
                |row| row.get(0),
            )
            .map_err(act.failed())?;
        if there {
            continue;
        }
        let title = format!("{} {} {}", package.ecosystem, package.name, package.version);
        let details = match matched {
            Match::Unknown => format!(
                "{} (whether version \"{}\" is affected cannot be told)",
                known.summary, package.version
            ),
            _ => known.summary.clone(),
        };
        insert(
            act,
            &New {
                ext: &of.extension_id,
                source: "sbom",
                digest: Some(digest),
                advisory: Some(&known.advisory),
                purl: Some(&component.purl),
                affected: None,
                title: title.trim_end(),
                details: details.trim_start(),
                cve: known.cve.as_deref(),
                cvss: known.cvss.as_deref(),
                severity: known.severity,
                score: known.score,
                certainty,
                reported: act.now,
            },
        )?;
    }
    Ok(())
}
