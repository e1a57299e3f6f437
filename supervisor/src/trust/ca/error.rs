//! What can go wrong with an authority.

use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::super::signer::SignError;
use super::super::verify::time_text;

/// A certificate authority that could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum CaError {
    /// A file of its folder.
    #[error("failed to {action} {}: {source}", path.display())]
    File {
        /// `read`, `write`, ...
        action: &'static str,
        /// Which.
        path: PathBuf,
        /// The errno.
        source: io::Error,
    },
    /// A file of its folder is not what it should be.
    #[error("failed to use {}: {reason}", path.display())]
    Content {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A key.
    #[error(transparent)]
    Key(#[from] SignError),
    /// It does not certify such a thing.
    #[error("failed to certify {what}: {reason}")]
    Refused {
        /// What was asked for.
        what: String,
        /// Why not.
        reason: String,
    },
    /// The certificate would be valid for too short a time.
    #[error("failed to issue: the certificate would end at {}, in less than 90 days", time_text(*until))]
    Lifetime {
        /// When it would end.
        until: SystemTime,
        /// When its issuer's does.
        issuer: SystemTime,
    },
    /// The encoder refused.
    #[error("failed to encode: {reason}")]
    Encode {
        /// What it said.
        reason: String,
    },
    /// It has issued nothing of this number.
    #[error("failed to revoke {serial}: this authority has not issued it")]
    NoSuchSerial {
        /// As it was given.
        serial: String,
    },
    /// It is revoked.
    #[error("failed to revoke {serial}: it is revoked already")]
    AlreadyRevoked {
        /// Which.
        serial: String,
    },
}

impl CaError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Key(error) => error.hint(),
            Self::Lifetime { until, issuer } if until == issuer => {
                Some("the intermediate ends too soon: sandboxctl ca rotate".to_owned())
            }
            Self::Lifetime { .. } => Some("give --days 90 or more".to_owned()),
            Self::NoSuchSerial { .. } => Some("sandboxctl ca list".to_owned()),
            Self::File { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                Some("make an authority with: sandboxctl ca init DIR".to_owned())
            }
            _ => None,
        }
    }

    pub(super) fn file(
        action: &'static str,
        path: &Path,
    ) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::File { action, path, source }
    }
}
