//! Compiling a plan into what the shim applies: one file a mechanism. The shim's `apply/` has the other half of each.

pub mod landlock;
pub mod seccomp;
mod tree;
mod wire;

use std::io;
use std::path::PathBuf;

pub use tree::Disks;
pub use wire::{Compiled, Host, Rlimit, compile};

/// What can go wrong between a plan and its compiled form. Nothing has been started then.
#[derive(Debug, thiserror::Error)]
pub enum ConfineError {
    /// The kernel has no Landlock, or it is not enabled.
    #[error("failed to set up Landlock: {source}")]
    LandlockMissing {
        /// `ENOSYS`: not built in; `EOPNOTSUPP`: not enabled at boot.
        source: io::Error,
    },
    /// The kernel refused the ruleset that its own version promises.
    #[error("failed to create the Landlock ruleset: {source}")]
    LandlockRuleset {
        /// What the landlock crate says.
        source: landlock_crate::RulesetError,
    },
    /// The system call policy does not compile.
    #[error("failed to compile the system call filter: {reason}")]
    Filter {
        /// Why, with the number or instruction it is about.
        reason: String,
    },
    /// A file or directory of the host that the tree needs.
    #[error("failed to open {}: {source}", path.display())]
    Source {
        /// Its path.
        path: PathBuf,
        /// The errno.
        source: io::Error,
    },
    /// A folder that the extension may write to belongs to root.
    #[error("failed to grant {} for writing: it belongs to root", path.display())]
    RootOwned {
        /// Its path.
        path: PathBuf,
    },
    /// The owner of a folder that the extension may write to cannot be mapped.
    #[error("failed to map the owner of {}: {source}", path.display())]
    IdMap {
        /// Its path.
        path: PathBuf,
        /// The errno; `EINVAL` where its filesystem has no id-mapped mounts.
        source: io::Error,
    },
    /// A tmpfs for the extension could not be made.
    #[error("failed to create the tmpfs for {target}: {source}")]
    Tmpfs {
        /// Where it would go.
        target: String,
        /// The errno.
        source: io::Error,
    },
    /// Arguments, environment and tree together exceed what the shim takes.
    #[error("failed to compile the plan: it is larger than {} KiB", shim::wire::MAX_PLAN / 1024)]
    TooLarge,
}

use ::landlock as landlock_crate;
