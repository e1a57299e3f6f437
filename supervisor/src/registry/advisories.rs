//! Advisories of the OSV format, imported from files: nothing is ever fetched.

use std::fs::{self, File};
use std::io::{self, Read, Seek};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use policies::advisory::{Advisory, MAX_BYTES};
use policies::violation::Severity as Weight;
use rusqlite::params;
use serde::Serialize;
use serde_json::json;

use super::act::{Act, Editor};
use super::{RegistryError, moment};
use crate::record::audit::EventType;

/// Advisories in one transaction: others may write in between.
const BATCH: usize = 2_000;

/// More entries than any database of the format has, and more bytes than their texts have.
const MAX_ENTRIES: usize = 2_000_000;
const MAX_TOTAL: u64 = 16 << 30;

/// What an import came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Imported {
    /// Advisories that were stored.
    pub advisories: usize,
    /// Advisories that were withdrawn: removed, if they were there.
    pub withdrawn: usize,
    /// The databases that they belong to, and the day of each.
    pub databases: Vec<Snapshot>,
}

/// The database of one ecosystem.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Snapshot {
    /// `npm`, `PyPI`, ...
    pub ecosystem: String,
    /// The day that it shows: RFC 3339.
    pub as_of: String,
}

/// What was seen while importing.
#[derive(Debug, Default)]
struct Seen {
    imported: Imported,
    /// The newest advisory of each ecosystem.
    newest: std::collections::BTreeMap<String, i64>,
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> RegistryError {
    let path = path.to_owned();
    move |source| RegistryError::File { action, path, source }
}

fn unusable(path: &Path, name: &str, reason: impl std::fmt::Display) -> RegistryError {
    let within = if name.is_empty() { String::new() } else { format!("{name} in it: ") };
    let source = io::Error::new(io::ErrorKind::InvalidData, format!("{within}{reason}"));
    failed("import", path)(source)
}

impl Editor {
    /// Imports advisories: JSON files, folders with them, and zip archives of them (`all.zip` of a database). An advisory that
    /// cannot be read ends the import: half of a database is no database, and its day is not set.
    ///
    /// The day of a database is `as_of`, else that of its newest advisory: it cannot be older than that.
    ///
    /// # Errors
    /// [`RegistryError`] with the file. What was stored before stays and is looked up, but no database has a newer day for it.
    pub fn import(
        &mut self,
        paths: &[PathBuf],
        as_of: Option<SystemTime>,
    ) -> Result<Imported, RegistryError> {
        // It takes effect in several transactions, so that it begins is recorded too.
        self.act("", |act| {
            let data = json!({ "phase": "begin", "paths": paths });
            act.record(EventType::VulnerabilityImport, Weight::Info, data);
            Ok(())
        })?;
        let mut seen = Seen::default();
        let mut batch = Vec::with_capacity(BATCH);
        for path in paths {
            let metadata = fs::metadata(path).map_err(failed("import", path))?;
            if metadata.is_dir() {
                self.folder(path, &mut batch, &mut seen)?;
            } else {
                self.file(path, &mut batch, &mut seen)?;
            }
        }
        let now = moment::seconds(SystemTime::now());
        let as_of = as_of.map(moment::seconds);
        self.act("", |act| {
            store(act, &batch, &mut seen)?;
            for (ecosystem, newest) in std::mem::take(&mut seen.newest) {
                let day = as_of.unwrap_or(newest).min(now);
                act.tx
                    .execute(
                        "INSERT INTO databases(ecosystem, as_of, imported_at, imported_by) VALUES(?1, ?2, ?3, ?4) \
                         ON CONFLICT DO UPDATE SET as_of = excluded.as_of, imported_at = excluded.imported_at, \
                         imported_by = excluded.imported_by",
                        params![ecosystem, day, act.now, act.actor],
                    )
                    .map_err(act.failed())?;
                seen.imported.databases.push(Snapshot { ecosystem, as_of: moment::text(day) });
            }
            let data = json!({
                "phase": "end",
                "paths": paths,
                "advisories": seen.imported.advisories,
                "withdrawn": seen.imported.withdrawn,
                "databases": seen.imported.databases,
            });
            act.record(EventType::VulnerabilityImport, Weight::Info, data);
            Ok(())
        })?;
        Ok(seen.imported)
    }

    fn folder(
        &mut self,
        path: &Path,
        batch: &mut Vec<Advisory>,
        seen: &mut Seen,
    ) -> Result<(), RegistryError> {
        let mut names: Vec<PathBuf> = fs::read_dir(path)
            .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect())
            .map_err(failed("import", path))?;
        names.sort();
        for name in names {
            // No links: a folder could contain itself.
            let kind = fs::symlink_metadata(&name).map_err(failed("import", &name))?;
            if kind.is_dir() {
                self.folder(&name, batch, seen)?;
            } else if kind.is_file() && is_importable(&name) {
                self.file(&name, batch, seen)?;
            }
        }
        Ok(())
    }

    fn file(
        &mut self,
        path: &Path,
        batch: &mut Vec<Advisory>,
        seen: &mut Seen,
    ) -> Result<(), RegistryError> {
        let file = File::open(path).map_err(failed("import", path))?;
        if has_extension(path, "zip") {
            return self.archive(path, file, batch, seen);
        }
        let bytes = bounded(file, path, "")?;
        self.add(parse(&bytes, path, "")?, batch, seen)
    }

    fn archive(
        &mut self,
        path: &Path,
        file: impl Read + Seek,
        batch: &mut Vec<Advisory>,
        seen: &mut Seen,
    ) -> Result<(), RegistryError> {
        let mut archive = zip::ZipArchive::new(file).map_err(|error| unusable(path, "", error))?;
        if archive.len() > MAX_ENTRIES {
            return Err(unusable(path, "", format!("more than {MAX_ENTRIES} entries")));
        }
        let mut total = 0_u64;
        for index in 0..archive.len() {
            let entry = archive.by_index(index).map_err(|error| unusable(path, "", error))?;
            let name = entry.name().map_err(|error| unusable(path, "", error))?.into_owned();
            if !entry.is_file() || !has_extension(Path::new(&name), "json") {
                continue;
            }
            let bytes = bounded(entry, path, &name)?;
            total += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            if total > MAX_TOTAL {
                return Err(unusable(path, "", format!("more than {MAX_TOTAL} bytes, unpacked")));
            }
            self.add(parse(&bytes, path, &name)?, batch, seen)?;
        }
        Ok(())
    }

    fn add(
        &mut self,
        advisory: Advisory,
        batch: &mut Vec<Advisory>,
        seen: &mut Seen,
    ) -> Result<(), RegistryError> {
        batch.push(advisory);
        if batch.len() >= BATCH {
            self.act("", |act| store(act, batch, seen))?;
            batch.clear();
        }
        Ok(())
    }
}

fn has_extension(path: &Path, wanted: &str) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case(wanted))
}

fn is_importable(path: &Path) -> bool {
    has_extension(path, "json") || has_extension(path, "zip")
}

/// Reads at most as much as an advisory may have.
fn bounded(from: impl Read, path: &Path, name: &str) -> Result<Vec<u8>, RegistryError> {
    let mut bytes = Vec::new();
    from.take(MAX_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| unusable(path, name, error))?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > MAX_BYTES) {
        return Err(unusable(path, name, format!("more than {MAX_BYTES} bytes")));
    }
    Ok(bytes)
}

fn parse(bytes: &[u8], path: &Path, name: &str) -> Result<Advisory, RegistryError> {
    let advisory: Advisory =
        serde_json::from_slice(bytes).map_err(|error| unusable(path, name, error))?;
    if advisory.id.is_empty() || advisory.id.len() > 200 {
        return Err(unusable(path, name, "the advisory has no usable id"));
    }
    if moment::parse(&advisory.modified).is_none() {
        return Err(unusable(path, name, "`modified` is no time of RFC 3339"));
    }
    Ok(advisory)
}

/// Puts the advisories in the place of those that have their ids.
fn store(act: &mut Act<'_>, batch: &[Advisory], seen: &mut Seen) -> Result<(), RegistryError> {
    let failed = act.failed();
    let prepare = |sql| act.tx.prepare(sql).map_err(&failed);
    let mut delete = prepare("DELETE FROM advisories WHERE id = ?1")?;
    let mut insert =
        prepare("INSERT INTO advisories(id, modified, summary, cve) VALUES(?1, ?2, ?3, ?4)")?;
    let mut package = prepare(
        "INSERT INTO advisory_packages(ecosystem, name, advisory, severity, score, cvss, versions) \
         VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?;
    for advisory in batch {
        delete.execute([&advisory.id]).map_err(&failed)?;
        let modified = moment::parse(&advisory.modified).map_or(0, moment::seconds);
        for name in advisory.affected.iter().filter_map(|affected| affected.package.as_ref()) {
            let newest = seen.newest.entry(name.key().0.to_owned()).or_insert(modified);
            *newest = modified.max(*newest);
        }
        if advisory.withdrawn.is_some() {
            seen.imported.withdrawn += 1;
            continue;
        }
        seen.imported.advisories += 1;
        let summary: String = advisory.summary.chars().take(300).collect();
        insert.execute(params![advisory.id, modified, summary, advisory.cve()]).map_err(&failed)?;
        for affected in &advisory.affected {
            let Some(name) = &affected.package else { continue };
            let (ecosystem, name) = name.key();
            let rating = advisory.rating(affected);
            let versions = serde_json::to_string(&affected.versions)
                .map_err(|source| crate::record::audit::AuditLogError::Encode { source })?;
            package
                .execute(params![
                    ecosystem,
                    name,
                    advisory.id,
                    rating.severity.name(),
                    rating.score,
                    rating.vector,
                    versions
                ])
                .map_err(&failed)?;
        }
    }
    Ok(())
}
