//! Publishers: who the host knows, how well, and by which keys.

use std::fmt::Write as _;
use std::io;
use std::path::Path;

use policies::digest::Digest;
use serde::{Deserialize, Serialize};

use super::TrustStoreError;
use crate::trust::files;

/// No such file is larger.
const MOST_BYTES: u64 = 64 * 1024;
/// No publisher has more keys at a time.
const MOST_KEYS: usize = 64;
/// No id is longer.
const LONGEST_ID: usize = 64;

/// How well the host knows a publisher.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PublisherStatus {
    /// Nobody has checked who they are.
    #[default]
    Unverified,
    /// The operator has checked who they are, and pinned their keys.
    Verified,
    /// Nothing of theirs runs.
    Suspended,
}

impl PublisherStatus {
    /// The name in files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unverified => "unverified",
            Self::Verified => "verified",
            Self::Suspended => "suspended",
        }
    }
}

/// What the host knows of a publisher.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Publisher {
    /// How well.
    pub status: PublisherStatus,
    /// SHA-256 of the public key info of each of their keys; nothing else may sign for them, unless there is none.
    #[serde(default)]
    pub keys: Vec<Digest>,
    /// Who checked it, when, by what evidence.
    #[serde(default)]
    pub note: String,
}

impl Publisher {
    /// Why it is no entry; `None` where it is one.
    pub(super) fn problem(&self) -> Option<&'static str> {
        if self.status == PublisherStatus::Verified && self.keys.is_empty() {
            return Some("a verified publisher has at least one key");
        }
        if self.keys.len() > MOST_KEYS {
            return Some("no publisher has so many keys");
        }
        None
    }

    pub(super) fn to_toml(&self) -> String {
        let mut text = format!("status = \"{}\"\nkeys = [\n", self.status.name());
        for key in &self.keys {
            // Writing to a String cannot fail.
            writeln!(text, "  \"{key}\",").unwrap_or_default();
        }
        text.push_str("]\n");
        writeln!(text, "note = {}", toml::Value::String(self.note.clone())).unwrap_or_default();
        text
    }
}

/// Whether it can be a publisher: `[a-z0-9-]`, what an extension's id begins with.
#[must_use]
pub fn is_publisher_id(id: &str) -> bool {
    let known = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
    !id.is_empty() && id.len() <= LONGEST_ID && !id.starts_with('-') && id.bytes().all(known)
}

pub(super) fn read_if_there(path: &Path) -> Result<Option<(String, Publisher)>, TrustStoreError> {
    match read(path) {
        Err(TrustStoreError::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            Ok(None)
        }
        result => result.map(Some),
    }
}

pub(super) fn read(path: &Path) -> Result<(String, Publisher), TrustStoreError> {
    let content = |reason: String| TrustStoreError::Content { path: path.to_owned(), reason };
    let bytes = files::read(path, MOST_BYTES).map_err(TrustStoreError::file("read", path))?;
    let id = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    if !is_publisher_id(id) || path.extension().is_none_or(|extension| extension != "toml") {
        return Err(content("its name is not a publisher's, ID.toml".to_owned()));
    }
    let text = std::str::from_utf8(&bytes).map_err(|error| content(error.to_string()))?;
    let publisher: Publisher = toml::from_str(text).map_err(|error| content(error.to_string()))?;
    match publisher.problem() {
        Some(problem) => Err(content(problem.to_owned())),
        None => Ok((id.to_owned(), publisher)),
    }
}
