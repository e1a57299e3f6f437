//! What this host offers: asked for before a run depends on it, and told by `doctor`.

pub mod doctor;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use caps::{CapSet, Capability};

/// What a run cannot do without.
pub const REQUIRED: [Capability; 5] = [
    Capability::CAP_SYS_ADMIN,
    Capability::CAP_SETUID,
    Capability::CAP_SETGID,
    Capability::CAP_KILL,
    Capability::CAP_DAC_OVERRIDE,
];

/// A host that a run cannot start on.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// Not enough privileges.
    #[error("failed to start: missing {}", names(missing))]
    Privileges {
        /// What is missing of [`REQUIRED`].
        missing: Vec<Capability>,
    },
    /// A file of the kernel's that every host has.
    #[error("failed to read {}: {source}", path.display())]
    Proc {
        /// Which.
        path: PathBuf,
        /// The errno.
        source: io::Error,
    },
    /// Our own capabilities could not be asked.
    #[error("failed to read own capabilities: {source}")]
    Capabilities {
        /// What the caps crate says.
        source: caps::errors::CapsError,
    },
}

impl HostError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Privileges { .. } => Some(
                "run as root; in a container, add the capabilities (see: sandboxctl doctor)"
                    .to_owned(),
            ),
            Self::Proc { .. } | Self::Capabilities { .. } => None,
        }
    }
}

fn names(capabilities: &[Capability]) -> String {
    let names: Vec<String> = capabilities.iter().map(ToString::to_string).collect();
    names.join(", ")
}

/// Refuses early where the privileges for a launch are missing.
///
/// # Errors
/// [`HostError::Privileges`], [`HostError::Capabilities`].
pub fn require_privileges() -> Result<(), HostError> {
    let ours =
        caps::read(None, CapSet::Effective).map_err(|source| HostError::Capabilities { source })?;
    let missing: Vec<_> =
        REQUIRED.into_iter().filter(|capability| !ours.contains(capability)).collect();
    if missing.is_empty() { Ok(()) } else { Err(HostError::Privileges { missing }) }
}

/// The highest capability of this kernel, which may be newer than any list; capabilities(7).
///
/// # Errors
/// [`HostError::Proc`].
pub fn last_capability() -> Result<u32, HostError> {
    let path = Path::new("/proc/sys/kernel/cap_last_cap");
    let failed = |source| HostError::Proc { path: path.to_owned(), source };
    fs::read_to_string(path)
        .and_then(|text| text.trim().parse().map_err(io::Error::other))
        .map_err(failed)
}
