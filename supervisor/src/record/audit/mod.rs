//! The audit log: what was decided and what happened, appended by every run of the host, in a form that cannot be changed
//! without a trace.
//!
//! `audit/` holds JSON Lines segments (`2026-11-23T20-000001.jsonl`), one a day or each 64 MiB. The first line of a segment
//! is its header, every other line one event: `seq ts type sev ext ver run actor data h`, `seq` without a gap over all
//! segments, `h` a hash over the line and the `h` of the line before. Any number of processes append: each
//! takes `audit/lock`, reads the end of the last segment for the number and the hash that come next, and adds its lines
//! with one write. The text of `lock` names the last segment and is only a shortcut: without it the directory is searched.
//! A closed segment gets a signed checkpoint beside it ([`seal`]), which stays when the segment is pruned.

pub mod act;
mod append;
pub mod checkpoint;
mod draft;
pub mod export;
pub mod follow;
pub mod forward;
pub mod key;
mod line;
pub mod note;
pub mod prune;
pub mod query;
mod read;
pub mod seal;
mod segment;
mod sink;
pub mod verify;
mod walk;

use std::io;
use std::path::PathBuf;
use std::time::SystemTime;

use policies::violation::Severity;
use serde::Serialize;
use thiserror::Error;

pub use append::{AuditLog, Settings, Standing};
pub use line::Head;
pub use sink::AuditSink;

/// An event was not written. Professional and enterprise extensions must not run then; a community extension may, loudly.
#[derive(Debug, Error)]
pub enum AuditLogError {
    /// The folder or its lock could not be made or opened.
    #[error("failed to open the audit log {}: {source}", .path.display())]
    Open {
        /// Which file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A segment could not be read or written; nothing of the event is left in it.
    #[error("failed to append to the audit log {}: {source}", .path.display())]
    Append {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// What was written may not outlive a crash of the machine: what the event allows must not be done.
    #[error("failed to bring the audit log {} to the disk: {source}", .path.display())]
    Sync {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The event's data is not JSON: a fault of this program.
    #[error("failed to write an audit event as JSON: {source}")]
    Encode {
        /// What serde said.
        #[source]
        source: serde_json::Error,
    },
}

impl AuditLogError {
    /// What the operator can do.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Append { source, .. } | Self::Open { source, .. }
                if source.kind() == io::ErrorKind::StorageFull =>
            {
                Some("make room on the file system of the state folder")
            }
            Self::Append { source, .. } | Self::Open { source, .. }
                if source.kind() == io::ErrorKind::ReadOnlyFilesystem =>
            {
                Some(
                    "the file system of the state folder is read-only; SANDBOXCTL_STATE_DIR moves it",
                )
            }
            Self::Open { .. } => {
                Some("the audit log is in the state folder; SANDBOXCTL_STATE_DIR moves it")
            }
            Self::Sync { .. } => Some("look at the disk of the state folder: dmesg, smartctl"),
            Self::Append { .. } | Self::Encode { .. } => None,
        }
    }
}

/// What an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventType {
    /// A run is about to start.
    RunStart,
    /// An extension was allowed to run, or refused.
    Decision,
    /// An attempt was denied, throttled or killed.
    Violation,
    /// A limit was hit.
    Limit,
    /// A run has ended.
    RunEnd,
    /// The supervisor failed.
    Error,
    /// The log itself: a line was cut off by a crash.
    Torn,
    /// The log itself: the clock was set back.
    ClockStep,
    /// The log itself: events that could not be written, and how many.
    Dropped,
    /// The log itself: events that could not be forwarded, and how many.
    ForwardLost,
    /// The log itself: a closed segment got its signed checkpoint.
    Sealed,
    /// The log itself: a closed segment got none, because its chain is broken.
    SealFailed,
    /// The log itself: segments are removed because they are older than what is kept.
    Pruned,
    /// Segments that are older than the retention could not be pruned.
    PruneFailed,
    /// Whom or what this host trusts or denies is about to change.
    TrustChanged,
    /// The signature of a bundle that is about to run is valid.
    SignatureVerified,
    /// The signature of a bundle that was to run is not valid.
    SignatureFailed,
    /// An extension or a new version of it was registered.
    Registration,
    /// An extension was removed from the registry.
    RegistrationRemoved,
    /// The end of a registration was set.
    RegistrationExpiry,
    /// The host granted a permission.
    PermissionGrant,
    /// The host denied a permission.
    PermissionDeny,
    /// A security review was asked for, or decided.
    Review,
    /// A vulnerability was reported, found, or moved on.
    Vulnerability,
    /// Advisories were imported.
    VulnerabilityImport,
    /// An extension was checked for known vulnerabilities.
    VulnerabilityCheck,
    /// An extension may run again.
    ExtensionEnabled,
    /// An extension was switched off, by somebody or by a critical vulnerability.
    ExtensionDisabled,
    /// An extension may not run before a review has looked at a vulnerability.
    ExtensionReviewRequired,
    /// An act that was recorded was not done after all.
    ActUndone,
    /// A reaction rule was met, or the operator lifted what it had done.
    Reaction,
}

impl EventType {
    /// The name in records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::RunStart => "run.start",
            Self::Decision => "decision",
            Self::Violation => "violation",
            Self::Limit => "limit",
            Self::RunEnd => "run.end",
            Self::Error => "error",
            Self::Torn => "audit.torn",
            Self::ClockStep => "audit.clock-step",
            Self::Dropped => "audit.dropped",
            Self::ForwardLost => "audit.forward-lost",
            Self::Sealed => "audit.sealed",
            Self::SealFailed => "audit.seal-failed",
            Self::Pruned => "audit.pruned",
            Self::PruneFailed => "audit.prune-failed",
            Self::TrustChanged => "trust.changed",
            Self::SignatureVerified => "signature.verified",
            Self::SignatureFailed => "signature.failed",
            Self::Registration => "registration",
            Self::RegistrationRemoved => "registration.removed",
            Self::RegistrationExpiry => "registration.expiry",
            Self::PermissionGrant => "permission.grant",
            Self::PermissionDeny => "permission.deny",
            Self::Review => "review",
            Self::Vulnerability => "vulnerability",
            Self::VulnerabilityImport => "vulnerability.import",
            Self::VulnerabilityCheck => "vulnerability.check",
            Self::ExtensionEnabled => "extension.enabled",
            Self::ExtensionDisabled => "extension.disabled",
            Self::ExtensionReviewRequired => "extension.review-required",
            Self::ActUndone => "act.undone",
            Self::Reaction => "reaction",
        }
    }

    /// Whether something is done because of it, so that it must be on the disk first. What merely happened is written
    /// to the page cache, which outlives this process but not the machine's power.
    #[must_use]
    pub const fn is_durable(self) -> bool {
        !matches!(
            self,
            Self::Violation
                | Self::Limit
                | Self::RunEnd
                | Self::Error
                | Self::Torn
                | Self::ClockStep
                | Self::Dropped
                | Self::ForwardLost
                | Self::Sealed
                | Self::SealFailed
                | Self::PruneFailed
                | Self::Reaction
        )
    }
}

/// Whom the events of one process are about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subject {
    /// Extension id.
    pub ext: String,
    /// Its version.
    pub ver: String,
    /// Run id.
    pub run: String,
    /// Who asked for it: a user name or `uid:1000`.
    pub actor: String,
}

/// One event, ready to be written.
#[derive(Clone, Debug)]
pub struct Event {
    kind: EventType,
    severity: Severity,
    at: SystemTime,
    data: String,
}

impl Event {
    /// An event with its particulars, which must serialise to a JSON object.
    pub fn new(
        kind: EventType,
        severity: Severity,
        at: SystemTime,
        data: &impl Serialize,
    ) -> Result<Self, AuditLogError> {
        let data =
            serde_json::to_string(data).map_err(|source| AuditLogError::Encode { source })?;
        Ok(Self { kind, severity, at, data })
    }
}

#[cfg(test)]
mod tests;
