//! Why the registry did not answer or did not act.

use std::io;
use std::path::PathBuf;

use policies::decision::PolicyViolation;
use policies::diag::Diagnostics;
use policies::sbom::SbomError;

use crate::bundle::BundleError;
use crate::record::audit::AuditLogError;
use crate::state::StateError;
use crate::trust::anchors::TrustStoreError;

/// The registry could not be read, or an act was not done. Where it cannot be read nothing runs: what it says may be no.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The database, or what lies around it, cannot be used as a file.
    #[error("failed to {action} {}: {source}", path.display())]
    File {
        /// `open`, `create`, `lock`, ...
        action: &'static str,
        /// Which.
        path: PathBuf,
        /// The errno.
        source: io::Error,
    },
    /// Somebody else could write the database.
    #[error("failed to open the registry {}: {reason}", path.display())]
    Unsafe {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// SQLite says no.
    #[error("failed to {action} the registry {}: {source}", path.display())]
    Database {
        /// `read`, `write`, ...
        action: &'static str,
        /// The database.
        path: PathBuf,
        /// What SQLite says.
        source: rusqlite::Error,
    },
    /// It is another program's database, or that of another version of this one.
    #[error("failed to read the registry {}: {reason}", path.display())]
    Version {
        /// The database.
        path: PathBuf,
        /// How they differ.
        reason: String,
        /// What to do about it.
        hint: &'static str,
    },
    /// There is no such extension.
    #[error("failed to find extension {id}: it is not registered")]
    NotRegistered {
        /// The id that was asked for.
        id: String,
    },
    /// There is no such bundle or finding.
    #[error("failed to find {what}: the registry has none")]
    Missing {
        /// What was asked for.
        what: String,
    },
    /// The act is not allowed, or not as it was asked for.
    #[error("failed to {act}: {reason}")]
    Refused {
        /// What was to be done.
        act: String,
        /// Why not.
        reason: String,
        /// What to do about it.
        hint: Option<String>,
    },
    /// The bundle cannot be opened.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// Its manifest, with every problem.
    #[error("{0}")]
    Manifest(Diagnostics),
    /// What the host trusts cannot be read.
    #[error(transparent)]
    Trust(#[from] TrustStoreError),
    /// Its signature is there and not valid.
    #[error("failed to verify bundle {}: {}", path.display(), reasons(refusals))]
    Signature {
        /// As the user gave it.
        path: PathBuf,
        /// Everything that is wrong.
        refusals: Vec<PolicyViolation>,
    },
    /// Its bill of materials.
    #[error("failed to use {}: {source}", path.display())]
    Sbom {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        source: SbomError,
    },
    /// The act could not be recorded, so it was not done.
    #[error("failed to record the act, so it was not done: {0}")]
    Audit(#[from] AuditLogError),
}

impl From<StateError> for RegistryError {
    fn from(StateError { action, path, source }: StateError) -> Self {
        Self::File { action, path, source }
    }
}

impl RegistryError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Database { source, .. } => match source.sqlite_error_code() {
                Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase) => Some(
                    "the file is damaged: nothing runs until it is put back from a backup, or moved away to start with an empty registry".to_owned(),
                ),
                Some(rusqlite::ErrorCode::DatabaseBusy) => {
                    Some("another command is writing; try again".to_owned())
                }
                Some(rusqlite::ErrorCode::CannotOpen) => Some(
                    "reading needs registry.db-shm and registry.db-wal beside it: as root, on a file system that can be written, or unmounted cleanly and read-only".to_owned(),
                ),
                _ => None,
            },
            Self::File { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                Some("sandboxctl needs root".to_owned())
            }
            Self::Unsafe { .. } => {
                Some("it must be a plain file of root's that nobody else can write".to_owned())
            }
            Self::Version { hint, .. } => Some((*hint).to_owned()),
            Self::NotRegistered { .. } => {
                Some("sandboxctl ext list shows what is; ext register BUNDLE adds one".to_owned())
            }
            Self::Refused { hint, .. } => hint.clone(),
            Self::Bundle(error) => error.hint(),
            Self::Trust(error) => error.hint(),
            Self::Signature { refusals, .. } => refusals.first().map(|one| one.remedy.clone()),
            Self::Audit(error) => error.hint().map(str::to_owned),
            Self::File { .. } | Self::Missing { .. } | Self::Manifest(_) | Self::Sbom { .. } => None,
        }
    }
}

fn reasons(refusals: &[PolicyViolation]) -> String {
    let all: Vec<_> = refusals.iter().map(|one| format!("{}: {}", one.code, one.reason)).collect();
    all.join("; ")
}

/// An act that is not allowed.
pub(super) fn refused(
    act: impl Into<String>,
    reason: impl Into<String>,
    hint: impl Into<String>,
) -> RegistryError {
    RegistryError::Refused { act: act.into(), reason: reason.into(), hint: Some(hint.into()) }
}
