//! How a run ended.

use nix::sys::signal::Signal;
use policies::limits::LimitKind;
use policies::reaction::Reaction;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::record::reactions::sentence;

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
    /// The reaction rule that ended it, with its counts.
    #[serde(default)]
    pub reaction: Option<Reaction>,
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
    /// A reaction rule ended it, or condemned it after its end: `exitCode` or `signal` say how it ended then.
    Reaction,
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

    /// A reaction rule ended it. Where it ended by itself before the violation was known, it is condemned all the same:
    /// whether a record of the kernel comes before or after the last instruction must not decide what a run counts for.
    #[must_use]
    pub fn reacted(reaction: &Reaction, exit_code: Option<i32>, signal: Option<i32>) -> Self {
        let rule = sentence(reaction);
        let reason = match (exit_code, signal) {
            (Some(code), _) => {
                format!("condemned by {rule}, known after it had exited with code {code}")
            }
            (None, Some(signal)) if signal != libc::SIGKILL => {
                format!("condemned by {rule}, known after signal {signal} had ended it")
            }
            _ => format!("killed by {rule}"),
        };
        let reaction = Some(reaction.clone());
        Self { exit_code, signal, reaction, ..Self::because(Status::Reaction, reason) }
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
        Self { status, exit_code: None, signal: None, limit: None, reaction: None, reason }
    }
}
