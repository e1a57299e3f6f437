//! Why a bundle cannot be opened.

use std::io;
use std::path::{Path, PathBuf};

use nix::errno::Errno;

use super::MANIFEST;
use super::archive::ArchiveError;
use super::store::IngestError;

/// A bundle that cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// The folder cannot be opened.
    #[error("failed to open bundle {}: {source}", path.display())]
    Open {
        /// As the user gave it.
        path: PathBuf,
        /// The errno.
        source: io::Error,
    },
    /// It is not what its list says, or could not be stored.
    #[error("failed to verify bundle {}: {source}", path.display())]
    Refused {
        /// As the user gave it.
        path: PathBuf,
        /// Every problem.
        source: IngestError,
    },
    /// There is no such bundle in the store.
    #[error("failed to open bundle {}: the store has no bundle of this digest", path.display())]
    NotStored {
        /// As the user gave it.
        path: PathBuf,
    },
    /// The list is of another extension, or of another version of it.
    #[error(
        "failed to verify bundle {}: its MANIFEST is of {listed}, its extension.toml of {claimed}",
        path.display()
    )]
    OtherIdentity {
        /// As the user gave it.
        path: PathBuf,
        /// Id and version of the list.
        listed: String,
        /// Id and version of the manifest.
        claimed: String,
    },
    /// It was opened to be looked at.
    #[error("failed to run bundle {}: it was opened to be looked at", path.display())]
    OnlyInspected {
        /// As the user gave it.
        path: PathBuf,
    },
    /// The manifest cannot be read.
    #[error("failed to read {}: {source}", path.display())]
    Manifest {
        /// Where it should be.
        path: PathBuf,
        /// The errno; `ELOOP` where it is a link.
        source: io::Error,
    },
}

impl BundleError {
    /// Whether the host failed, and not the bundle.
    #[must_use]
    pub const fn is_of_the_host(&self) -> bool {
        matches!(self, Self::Refused { source, .. } if source.is_of_the_host())
    }

    /// Stable, kebab-case: why the files of the bundle are refused.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Open { .. } | Self::OnlyInspected { .. } => "bundle-unreadable",
            Self::Refused { source, .. } => source.code(),
            Self::NotStored { .. } => "bundle-not-stored",
            Self::OtherIdentity { .. } => "list-other-identity",
            Self::Manifest { .. } => "manifest-unreadable",
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Open { source, path } => match source.kind() {
                io::ErrorKind::NotFound => Some(absent(path)),
                io::ErrorKind::InvalidInput => {
                    Some("a bundle is a folder, or an .sbx file of sandboxctl pack".to_owned())
                }
                _ => None,
            },
            Self::Refused { source: IngestError::Archive(ArchiveError::NotZstd), .. } => {
                Some("a bundle is a folder, or an .sbx file of sandboxctl pack".to_owned())
            }
            Self::Refused { source, .. } => source.hint(),
            Self::NotStored { .. } => {
                Some("sandboxctl store list names those that it has".to_owned())
            }
            Self::OtherIdentity { .. } => {
                Some("make MANIFEST anew after every change of id or version".to_owned())
            }
            Self::OnlyInspected { .. } => None,
            Self::Manifest { source, .. } => match source.kind() {
                io::ErrorKind::NotFound => {
                    Some(format!("a bundle is a folder with a file {MANIFEST} in it"))
                }
                _ if source.raw_os_error() == Some(Errno::ELOOP as i32) => {
                    Some(format!("{MANIFEST} must be a plain file, not a link"))
                }
                _ => None,
            },
        }
    }
}

/// What a path was meant to be, where nothing is.
fn absent(path: &Path) -> String {
    let text = path.to_string_lossy();
    if text.ends_with(".sbx") {
        format!("pack one with: sandboxctl pack DIR -o {text}")
    } else if text.contains('.') && !text.contains('/') {
        format!("no file and no registered extension is called {text}: see sandboxctl ext list")
    } else {
        format!("make one with: sandboxctl init {text} --lang python")
    }
}
