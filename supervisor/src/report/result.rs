//! How a run ended.

use nix::sys::signal::Signal;
use policies::limits::LimitKind;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a run ended. What does not apply is `null`, so that the keys are always there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunResult {
    /// In one word.
    pub status: Status,
    /// The extension's own exit code.
    pub exit_code: Option<i32>,
    /// The signal that killed it.
    pub signal: Option<i32>,
    /// The limit that ended it.
    pub limit: Option<LimitKind>,
    /// In one sentence.
    pub reason: String,
}

/// The kinds of end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// The extension ended by itself.
    Exited,
    /// A signal killed it, and no limit was the cause.
    Signalled,
    /// A limit ended it.
    Limit,
    /// Policy did not allow it to start.
    Refused,
    /// The supervisor or a layer of confinement failed.
    Failed,
}

impl RunResult {
    /// The extension ended by itself.
    #[must_use]
    pub fn exited(code: i32) -> Self {
        let reason = format!("exited with code {code}");
        Self { exit_code: Some(code), ..Self::because(Status::Exited, reason) }
    }

    /// A signal killed it, and no limit was the cause.
    #[must_use]
    pub fn signalled(signal: i32) -> Self {
        let name = Signal::try_from(signal).map_or("unknown", Signal::as_str);
        let reason = format!("killed by signal {signal} ({name})");
        Self { signal: Some(signal), ..Self::because(Status::Signalled, reason) }
    }

    /// A limit ended it; `value` is the limit with its unit: `256 MB`.
    #[must_use]
    pub fn limited(kind: LimitKind, value: &str, signal: Option<i32>) -> Self {
        let reason = match kind {
            LimitKind::Memory => format!("killed for using more than {value} of memory"),
            LimitKind::Cpu => format!("killed for using more CPU time than {value} allow"),
            LimitKind::Disk => format!("killed for writing more than {value}"),
            LimitKind::Timeout => format!("killed after {value}, the longest it may run"),
            LimitKind::Tasks => format!("killed for starting more than {value} at once"),
        };
        Self { limit: Some(kind), signal, ..Self::because(Status::Limit, reason) }
    }

    /// Policy did not allow it to start.
    #[must_use]
    pub fn refused(reason: impl Into<String>) -> Self {
        Self::because(Status::Refused, reason.into())
    }

    /// The supervisor or a layer failed.
    #[must_use]
    pub fn failed(reason: impl Into<String>) -> Self {
        Self::because(Status::Failed, reason.into())
    }

    fn because(status: Status, reason: String) -> Self {
        Self { status, exit_code: None, signal: None, limit: None, reason }
    }
}
