//! What can go wrong with control groups.

use std::io;
use std::path::PathBuf;

/// Why the groups of a run could not be made or removed.
#[derive(Debug, thiserror::Error)]
pub enum LimitError {
    /// The directory of a group.
    #[error("failed to create cgroup {path}: {source}")]
    Create {
        /// Its directory.
        path: PathBuf,
        /// From mkdir(2).
        source: io::Error,
    },
    /// A limit.
    #[error("failed to write {value} to {path}: {source}")]
    Write {
        /// The control file.
        path: PathBuf,
        /// What was written.
        value: String,
        /// From open(2) or write(2).
        source: io::Error,
    },
    /// A file of the group that the run needs open.
    #[error("failed to open {path}: {source}")]
    Open {
        /// The file.
        path: PathBuf,
        /// From open(2).
        source: io::Error,
    },
    /// The notification of an OOM.
    #[error("failed to watch {path}: {source}")]
    OomEvent {
        /// What was to be watched.
        path: PathBuf,
        /// From eventfd(2), open(2) or the control file.
        source: io::Error,
    },
    /// Stopping, continuing or killing the group.
    #[error("failed to {action} the processes of {path}: {source}")]
    Signal {
        /// `kill`, `freeze` or `thaw`.
        action: &'static str,
        /// The group.
        path: PathBuf,
        /// From the control file.
        source: io::Error,
    },
    /// What a dead run left behind still lives.
    #[error("failed to remove the cgroup {path} of an earlier run: {source}")]
    Stale {
        /// Its directory.
        path: PathBuf,
        /// From rmdir(2) or reading its processes.
        source: io::Error,
    },
}
