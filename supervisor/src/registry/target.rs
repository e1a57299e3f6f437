//! How a bundle of the registry is named: by extension, by version, or by digest.

use policies::digest::Digest;
use rusqlite::{Connection, OptionalExtension, params};
use semver::Version;

use super::rows::RegisteredBundle;

/// A bundle of the registry, as somebody names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// The bundle of an extension that was registered last.
    Current(String),
    /// The bundle of one version of an extension.
    Version(String, Version),
    /// By digest.
    Digest(Digest),
}

impl std::str::FromStr for Target {
    type Err = String;

    /// `ID`, `ID@VERSION`, or a digest.
    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(digest) = text.parse() {
            return Ok(Self::Digest(digest));
        }
        match text.split_once('@') {
            None => Ok(Self::Current(text.to_owned())),
            Some((id, version)) => {
                let version = Version::parse(version).map_err(|error| error.to_string())?;
                Ok(Self::Version(id.to_owned(), version))
            }
        }
    }
}

/// The bundle that somebody names.
pub(super) fn bundle(
    connection: &Connection,
    target: &Target,
) -> rusqlite::Result<Option<RegisteredBundle>> {
    let select = RegisteredBundle::SELECT;
    let read = RegisteredBundle::read;
    match target {
        Target::Current(id) => {
            let sql = format!(
                "{select} WHERE digest = (SELECT current_digest FROM extensions WHERE id = ?1)"
            );
            connection.query_row(&sql, [id], read).optional()
        }
        Target::Version(id, version) => {
            let sql = format!("{select} WHERE ext_id = ?1 AND version = ?2");
            connection.query_row(&sql, params![id, version.to_string()], read).optional()
        }
        Target::Digest(digest) => {
            let sql = format!("{select} WHERE digest = ?1");
            connection.query_row(&sql, [digest.as_bytes().as_slice()], read).optional()
        }
    }
}
