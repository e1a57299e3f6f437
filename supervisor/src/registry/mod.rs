//! What the host decided about extensions: registration, permissions, reviews, vulnerabilities.
//!
//! One SQLite database in the state folder, `registry.db`. [`Registry`] reads it and changes nothing; [`Editor`] acts on it,
//! and puts each act on record, see [`act`]. A database that is not there says that nothing is registered. One that cannot
//! be read, that is damaged, or that a newer program has written, is an error, and nothing runs: it may say no.

pub mod act;
mod advisories;
mod error;
mod extensions;
mod facts;
mod findings;
mod identify;
pub mod moment;
mod open;
mod reviews;
mod rows;
mod scan;
mod schema;
mod target;

use std::path::{Path, PathBuf};

use policies::digest::Digest;
use policies::manifest::Manifest;
use rusqlite::{Connection, OptionalExtension, Params, Row};

pub use act::Editor;
pub use advisories::{Imported, Snapshot};
pub use error::RegistryError;
pub use extensions::Registered;
pub use findings::{Change, Report};
pub use reviews::{Decision, Verdict};
pub use rows::{
    CheckRow, Extension, FindingRow, PermissionRow, RegisteredBundle, ReviewRow, ReviewStatus,
};
pub use target::Target;

/// The registry, open for reading.
#[derive(Debug)]
pub struct Registry {
    /// None where there is no database.
    connection: Option<Connection>,
    path: PathBuf,
}

impl Registry {
    /// Opens the registry of a state folder for reading. Makes nothing.
    ///
    /// # Errors
    /// [`RegistryError`]: the database cannot be read, so nothing may run.
    pub fn open(state: &Path) -> Result<Self, RegistryError> {
        Ok(Self { connection: open::read(state)?, path: open::path(state) })
    }

    /// Every extension, by id.
    ///
    /// # Errors
    /// [`RegistryError::Database`].
    pub fn extensions(&self) -> Result<Vec<Extension>, RegistryError> {
        let sql = format!("{} ORDER BY e.id", Extension::SELECT);
        self.all(&sql, [], Extension::read)
    }

    /// One extension.
    ///
    /// # Errors
    /// [`RegistryError::NotRegistered`], [`RegistryError::Database`].
    pub fn extension(&self, id: &str) -> Result<Extension, RegistryError> {
        let sql = format!("{} WHERE e.id = ?1", Extension::SELECT);
        self.one(&sql, [id], Extension::read)?
            .ok_or_else(|| RegistryError::NotRegistered { id: id.to_owned() })
    }

    /// The registered bundles of an extension, in the order of their registration.
    ///
    /// # Errors
    /// [`RegistryError::Database`].
    pub fn bundles(&self, id: &str) -> Result<Vec<RegisteredBundle>, RegistryError> {
        let sql = format!("{} WHERE ext_id = ?1 ORDER BY registered_at", RegisteredBundle::SELECT);
        self.all(&sql, [id], RegisteredBundle::read)
    }

    /// Every registered bundle.
    ///
    /// # Errors
    /// [`RegistryError::Database`].
    pub fn digests(&self) -> Result<Vec<Digest>, RegistryError> {
        self.all("SELECT digest FROM bundles", [], |row| rows::digest(row, 0))
    }

    /// The bundle that somebody names.
    ///
    /// # Errors
    /// [`RegistryError::Database`].
    pub fn bundle(&self, target: &Target) -> Result<Option<RegisteredBundle>, RegistryError> {
        self.connection
            .as_ref()
            .map_or(Ok(None), |connection| target::bundle(connection, target))
            .map_err(self.failed())
    }

    /// The manifest of the bundle that was registered last, with its digest.
    ///
    /// # Errors
    /// [`RegistryError::NotRegistered`], [`RegistryError::Database`], [`RegistryError::Manifest`].
    pub fn manifest(&self, id: &str) -> Result<(Manifest, Digest), RegistryError> {
        let sql = "SELECT b.manifest, b.digest FROM extensions e JOIN bundles b ON b.digest = e.current_digest \
                   WHERE e.id = ?1";
        let found =
            self.one(sql, [id], |row| Ok((row.get::<_, String>(0)?, rows::digest(row, 1)?)))?;
        let (text, digest) =
            found.ok_or_else(|| RegistryError::NotRegistered { id: id.to_owned() })?;
        let manifest =
            Manifest::parse("extension.toml", text.as_bytes()).map_err(RegistryError::Manifest)?;
        Ok((manifest, digest))
    }

    /// The permissions that the host granted or denied an extension.
    ///
    /// # Errors
    /// [`RegistryError::Database`].
    pub fn permissions(&self, id: &str) -> Result<Vec<PermissionRow>, RegistryError> {
        let sql = format!("{} WHERE ext_id = ?1 ORDER BY permission", PermissionRow::SELECT);
        self.all(&sql, [id], PermissionRow::read)
    }

    /// What reviewers said, the latest last; about one extension or about all.
    ///
    /// # Errors
    /// [`RegistryError::Database`].
    pub fn reviews(&self, id: Option<&str>) -> Result<Vec<ReviewRow>, RegistryError> {
        let sql = format!("{} WHERE ?1 IS NULL OR b.ext_id = ?1 ORDER BY r.id", ReviewRow::SELECT);
        self.all(&sql, [id], ReviewRow::read)
    }

    /// Findings, of one extension or of all.
    ///
    /// # Errors
    /// [`RegistryError::Database`].
    pub fn findings(&self, id: Option<&str>) -> Result<Vec<FindingRow>, RegistryError> {
        let sql = format!("{} WHERE ?1 IS NULL OR ext_id = ?1 ORDER BY id", FindingRow::SELECT);
        self.all(&sql, [id], FindingRow::read)
    }

    /// One finding.
    ///
    /// # Errors
    /// [`RegistryError::Missing`], [`RegistryError::Database`].
    pub fn finding(&self, id: i64) -> Result<FindingRow, RegistryError> {
        let sql = format!("{} WHERE id = ?1", FindingRow::SELECT);
        self.one(&sql, [id], FindingRow::read)?
            .ok_or_else(|| RegistryError::Missing { what: format!("finding {id}") })
    }

    /// The checks of a bundle, the latest last.
    ///
    /// # Errors
    /// [`RegistryError::Database`].
    pub fn checks(&self, digest: &Digest) -> Result<Vec<CheckRow>, RegistryError> {
        let sql = format!("{} WHERE digest = ?1 ORDER BY id", CheckRow::SELECT);
        self.all(&sql, [digest.as_bytes().as_slice()], CheckRow::read)
    }

    /// For `map_err`.
    fn failed(&self) -> impl Fn(rusqlite::Error) -> RegistryError + use<> {
        let path = self.path.clone();
        move |source| RegistryError::Database { action: "read", path: path.clone(), source }
    }

    fn all<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl Fn(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, RegistryError> {
        match &self.connection {
            None => Ok(Vec::new()),
            Some(connection) => all(connection, sql, params, read).map_err(self.failed()),
        }
    }

    fn one<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>, RegistryError> {
        match &self.connection {
            None => Ok(None),
            Some(connection) => {
                connection.query_row(sql, params, read).optional().map_err(self.failed())
            }
        }
    }
}

fn all<T>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    read: impl Fn(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Vec<T>> {
    let mut statement = connection.prepare(sql)?;
    let rows = statement.query_map(params, |row| read(row))?;
    rows.collect()
}

#[cfg(test)]
mod tests;
