//! What never runs, whoever signed it: keys and bundles, by SHA-256.

use std::fmt::Write as _;
use std::io;
use std::path::Path;

use policies::digest::Digest;
use serde::{Deserialize, Serialize};

use super::TrustStoreError;
use crate::trust::files;

/// No such file is larger.
const MOST_BYTES: u64 = 4 * 1024 * 1024;

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Denial {
    /// Of the public key info, or of MANIFEST.
    pub sha256: Digest,
    /// Why, by whom, when.
    #[serde(default)]
    pub note: String,
}

/// `denied.toml`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Denied {
    /// Signing keys, and keys of authorities.
    pub keys: Vec<Denial>,
    /// Bundles.
    pub digests: Vec<Denial>,
}

impl Denied {
    /// The entry of a key.
    #[must_use]
    pub fn key(&self, spki_sha256: Digest) -> Option<&Denial> {
        self.keys.iter().find(|denial| denial.sha256 == spki_sha256)
    }

    /// The entry of a bundle.
    #[must_use]
    pub fn digest(&self, digest: Digest) -> Option<&Denial> {
        self.digests.iter().find(|denial| denial.sha256 == digest)
    }

    pub(super) fn to_toml(&self) -> String {
        let mut text = String::new();
        for (table, denials) in [("keys", &self.keys), ("digests", &self.digests)] {
            for Denial { sha256, note } in denials {
                let note = toml::Value::String(note.clone());
                // Writing to a String cannot fail.
                writeln!(text, "[[{table}]]\nsha256 = \"{sha256}\"\nnote = {note}\n")
                    .unwrap_or_default();
            }
        }
        text
    }
}

pub(super) fn read(path: &Path) -> Result<Denied, TrustStoreError> {
    let bytes = match files::read(path, MOST_BYTES) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Denied::default()),
        Err(error) => return Err(TrustStoreError::file("read", path)(error)),
    };
    let content = |reason: String| TrustStoreError::Content { path: path.to_owned(), reason };
    let text = std::str::from_utf8(&bytes).map_err(|error| content(error.to_string()))?;
    toml::from_str(text).map_err(|error| content(error.to_string()))
}
