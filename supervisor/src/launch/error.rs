//! Why a launch failed: one variant a step, each with that step's own error.

use std::io;

use crate::confine::ConfineError;
use crate::egress::error::EgressError;
use crate::host::HostError;
use crate::limits::cgroup::LimitError;
use crate::monitor::audit_state::AuditError;
use crate::spawn::SpawnError;
use crate::state::StateError;

use super::watch::SetupFailure;

/// A run that could not be started or not be followed to its end. Nothing of it is left.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// The bundle was opened for something else.
    #[error(transparent)]
    Bundle(#[from] crate::bundle::BundleError),
    /// Folders and slots.
    #[error(transparent)]
    State(#[from] StateError),
    /// The host.
    #[error(transparent)]
    Host(#[from] HostError),
    /// A name for the run.
    #[error("failed to name the run: {source}")]
    RunId {
        /// A time that no calendar has.
        source: std::io::Error,
    },
    /// Control groups.
    #[error(transparent)]
    Limits(#[from] LimitError),
    /// A limit is weaker than the kernel's own, and the operator wants no such run.
    #[error("failed to enforce the limits: {}", weaker.join("; "))]
    Weaker {
        /// Each limit with its mechanism.
        weaker: Vec<String>,
    },
    /// Persistent data.
    #[error(transparent)]
    Data(#[from] crate::data::DataError),
    /// Compiling the plan.
    #[error(transparent)]
    Confine(#[from] ConfineError),
    /// Starting the shim.
    #[error(transparent)]
    Spawn(#[from] SpawnError),
    /// The kernel's records of path denials.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// The way out of the sandbox.
    #[error(transparent)]
    Egress(#[from] EgressError),
    /// A descriptor could not be kept.
    #[error("failed to keep a descriptor: {source}")]
    Descriptor {
        /// The errno of fcntl(2).
        source: std::io::Error,
    },
    /// Our own record of the run.
    #[error(transparent)]
    Record(#[from] crate::record::audit::AuditLogError),
    /// Following the run.
    #[error(transparent)]
    Watch(#[from] WatchError),
    /// A step inside the namespaces.
    #[error("failed to apply {}{}: {}", .0.step.name(), detail(.0), .0.errno.desc())]
    Setup(SetupFailure),
    /// The shim ended without a word.
    #[error("failed to start the sandbox: the shim ended without a message")]
    Silent,
    /// The sandbox did not come up in time.
    #[error("failed to start the sandbox: it did not come up in time")]
    Stuck,
}

fn detail(failure: &SetupFailure) -> String {
    if failure.detail.is_empty() { String::new() } else { format!(" ({})", failure.detail) }
}

impl LaunchError {
    pub(super) const fn descriptor(source: std::io::Error) -> Self {
        Self::Descriptor { source }
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Host(error) => error.hint(),
            Self::Data(error) => error.hint(),
            Self::Egress(error) => error.hint(),
            Self::Record(error) => error.hint().map(str::to_owned),
            Self::Weaker { .. } => Some(
                "give a writable cgroup tree, or set weaker = \"report\" under [limits] in \
                 config.toml"
                    .to_owned(),
            ),
            Self::Spawn(SpawnError::Image { source })
                if source.kind() == std::io::ErrorKind::PermissionDenied =>
            {
                Some(
                    "vm.memfd_noexec = 2 forbids the sealed program that starts a sandbox: \
                     sysctl -w vm.memfd_noexec=1"
                        .to_owned(),
                )
            }
            Self::Confine(ConfineError::IdMap { source, .. })
                if source.raw_os_error() == Some(libc::EINVAL) =>
            {
                Some(
                    "its filesystem has no id-mapped mounts on this kernel (ext4 and xfs have since \
                     Linux 5.12, tmpfs since 6.3); keep the folder on another"
                        .to_owned(),
                )
            }
            Self::Confine(ConfineError::RootOwned { .. }) => Some(
                "give the folder an owner of its own: what the extension writes will be that \
                 owner's"
                    .to_owned(),
            ),
            Self::Confine(ConfineError::LandlockMissing { .. }) | Self::Setup(_) => {
                Some("sandboxctl doctor says what this host lacks".to_owned())
            }
            Self::State(error) if error.source.kind() == std::io::ErrorKind::PermissionDenied => {
                Some("run as root".to_owned())
            }
            _ => None,
        }
    }
}

/// What can go wrong while a sandbox runs.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// The shim could not be reached.
    #[error(transparent)]
    Shim(#[from] SpawnError),
    /// Records of path denials could not be received.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// Denied system calls could not be received.
    #[error(transparent)]
    Notify(#[from] crate::monitor::notify::NotifyError),
    /// Signals of the operator could not be received.
    #[error("failed to receive signals: {source}")]
    Signals {
        /// The errno of sigprocmask(2), signalfd(2) or read(2).
        source: io::Error,
    },
    /// Waiting failed.
    #[error("failed to wait for events: {source}")]
    Poll {
        /// The errno of poll(2).
        source: io::Error,
    },
}
