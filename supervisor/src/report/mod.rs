//! What a run did: as JSON with stable keys, and for people.

pub mod human;
mod network;
pub mod progress;
mod result;
pub mod style;

use std::collections::BTreeMap;

use policies::limits::{Enforcement, LimitKind};
use policies::plan::ExtensionRef;
use policies::violation::{Layer, Severity, Violation};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::monitor::audit::{Processes, Reconciled};
use crate::monitor::coverage::Coverage;
use crate::monitor::notify::NotifyStats;
use crate::record::audit::Standing;
use crate::record::audit::forward::Forwarded;
use crate::record::reactions::Reacted;
pub use network::{Network, NetworkMode};
pub use result::{RunResult, Status};

/// Version of the report's keys; grows when a key changes its meaning or goes away, not when one is added.
pub const SCHEMA_VERSION: u32 = 1;

/// The report of one run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// Identifier of the run, also in the audit log.
    pub run_id: String,
    /// Which extension ran.
    pub extension: Extension,
    /// `community`, `professional` or `enterprise`.
    pub tier: String,
    /// Whether it ran for its author, although signature, review or registration were missing.
    pub dev: bool,
    /// How much it was confined.
    pub isolation: Isolation,
    /// RFC 3339, UTC: the first instruction of the extension, or the refusal.
    pub started_at: String,
    /// RFC 3339, UTC: nothing of it was left.
    pub ended_at: String,
    /// How it ended.
    pub result: RunResult,
    /// What it used.
    pub usage: Usage,
    /// Its limits, in the order of [`LimitKind::ALL`], and how firmly each held.
    pub limits: Vec<LimitReport>,
    /// What it reached over the network.
    pub network: Network,
    /// The layers of confinement, and how firmly each held.
    pub layers: Vec<LayerReport>,
    /// Whether everything that was denied is in this report.
    pub recording: Recording,
    /// What was denied, throttled or killed, in the order of the first attempts.
    pub violations: Vec<Violation>,
    /// Attempts, exactly.
    pub violation_totals: ViolationTotals,
    /// Reaction rules that were met, in the order of time.
    #[serde(default)]
    pub reactions: Vec<Reacted>,
    /// Usage over time.
    pub series: Series,
}

/// The extension of a report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Extension {
    /// `publisher.name`.
    pub id: String,
    /// For people.
    pub name: String,
    /// Semantic version.
    pub version: String,
    /// Who publishes it.
    pub publisher: String,
}

impl From<&ExtensionRef> for Extension {
    fn from(extension: &ExtensionRef) -> Self {
        Self {
            id: extension.id.clone(),
            name: extension.name.clone(),
            version: extension.version.clone(),
            publisher: extension.publisher.clone(),
        }
    }
}

/// How much an extension was confined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Isolation {
    /// Every layer.
    Full,
    /// No namespaces.
    Partial,
    /// No layer.
    None,
}

impl Isolation {
    /// The name in reports and messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Partial => "partial",
            Self::None => "none",
        }
    }
}

/// What a run used, its whole process tree together. A megabyte is a mebibyte here, as in the limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    /// Most memory at once, in MiB.
    pub memory_peak_mb: f64,
    /// Memory at the last sample, in MiB.
    pub memory_used_mb: f64,
    /// CPU time per wall time, in percent of one core.
    pub cpu_percentage: f64,
    /// CPU time, in milliseconds.
    pub cpu_ms: u64,
    /// What `/data` held at the end, in MiB.
    pub disk_used_mb: f64,
    /// Bytes received.
    pub network_bytes_in: u64,
    /// Bytes sent.
    pub network_bytes_out: u64,
    /// Wall time, in milliseconds.
    pub execution_time_ms: u64,
    /// Most processes and threads at once.
    pub tasks_peak: u64,
    /// Connections to a domain and port that a rule names, whatever became of them; several requests of HTTP in one
    /// connection are one.
    #[serde(default)]
    pub request_count: u64,
    /// Those among them that a check refused, or that failed: no such name, no answer, reset by the server.
    #[serde(default)]
    pub error_count: u64,
    /// Where the figures come from.
    pub source: UsageSource,
}

/// Where usage figures come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum UsageSource {
    /// The kernel's accounting of the whole tree.
    Kernel,
    /// Samples: what began and ended between two of them is missing.
    #[default]
    Estimated,
}

/// One limit of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LimitReport {
    /// Which.
    pub kind: LimitKind,
    /// Its value.
    pub limit: u64,
    /// Unit of `limit` and `used`: `MB`, `%`, `ms` or `tasks`.
    pub unit: String,
    /// What was used, or most at once.
    pub used: f64,
    /// What enforced it here: `cgroup v1 memory.limit_in_bytes`.
    pub mechanism: String,
    /// How firmly.
    pub enforcement: Enforcement,
    /// How often it was hit.
    pub hits: u64,
}

/// One layer of confinement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LayerReport {
    /// `namespaces`, `seccomp`, `landlock`, `capabilities`, `rlimits` ...
    pub layer: String,
    /// How firmly it held on this host.
    pub enforcement: Enforcement,
    /// What that means here, in words: `ABI 7`.
    pub detail: String,
}

/// Whether everything that was denied is in the report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Recording {
    /// Denied system calls.
    pub seccomp: RecordingOf,
    /// Denied paths, ports and scopes.
    pub landlock: RecordingOf,
    /// Denials by Landlock whose process is named; absent where the configuration does not ask for that.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub landlock_processes: Option<RecordingOf>,
    /// Refused lookups, connections and packets.
    pub egress: RecordingOf,
    /// Events of this run in the audit log.
    pub audit_log: LogRecording,
    /// Events of this run that were sent to journald or a syslog server; absent where none is configured.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub forward: Option<RecordingOf>,
    /// Lines that could not be written to the audit log or the terminal; the report is not affected.
    pub failed_writes: u64,
}

/// What became of the events of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LogRecording {
    /// Whether any is missing.
    pub status: RecordingStatus,
    /// Events in the log.
    pub written: u64,
    /// Events that could not be written.
    pub lost: u64,
    /// Why; absent if none was lost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Default for LogRecording {
    fn default() -> Self {
        Self { status: RecordingStatus::Complete, written: 0, lost: 0, reason: None }
    }
}

impl From<&Standing> for LogRecording {
    fn from(standing: &Standing) -> Self {
        let status = match (standing.written, standing.lost) {
            (_, 0) => RecordingStatus::Complete,
            (0, _) => RecordingStatus::Unavailable,
            _ => RecordingStatus::Incomplete,
        };
        let reason = standing.reason.clone();
        Self { status, written: standing.written, lost: standing.lost, reason }
    }
}

/// The recording of one layer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RecordingOf {
    /// Whether anything is missing.
    pub status: RecordingStatus,
    /// Denials in the report.
    pub recorded: u64,
    /// Denials that the kernel counted beyond these.
    pub lost: u64,
    /// Why something is or may be missing; absent if complete.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Whether a layer's denials are all in the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RecordingStatus {
    /// All.
    Complete,
    /// Some are missing or may be.
    Incomplete,
    /// None could be recorded.
    Unavailable,
}

impl RecordingOf {
    /// Everything was recorded.
    #[must_use]
    pub fn complete(recorded: u64) -> Self {
        Self { status: RecordingStatus::Complete, recorded, lost: 0, reason: None }
    }

    /// Nothing could be recorded.
    #[must_use]
    pub fn unavailable(reason: impl Into<String>) -> Self {
        Self {
            status: RecordingStatus::Unavailable,
            recorded: 0,
            lost: 0,
            reason: Some(reason.into()),
        }
    }
}

impl From<&Forwarded> for RecordingOf {
    fn from(forwarded: &Forwarded) -> Self {
        let status = match (forwarded.sent, forwarded.lost) {
            (_, 0) => RecordingStatus::Complete,
            (0, _) => RecordingStatus::Unavailable,
            _ => RecordingStatus::Incomplete,
        };
        let Forwarded { sent, lost, reason } = forwarded.clone();
        Self { status, recorded: sent, lost, reason }
    }
}

impl From<NotifyStats> for RecordingOf {
    fn from(stats: NotifyStats) -> Self {
        Self::complete(stats.received)
    }
}

impl From<&Reconciled> for RecordingOf {
    fn from(end: &Reconciled) -> Self {
        let reason = match end.coverage {
            Coverage::Recorded if end.lost > 0 => {
                "the kernel dropped audit records in a burst; their number is exact".to_owned()
            }
            // Whoever has been counted by the kernel is not late.
            Coverage::Recorded if !end.drained && end.kernel_total.is_none() => {
                "the kernel did not hand its records over in time".to_owned()
            }
            // The count comes late where something still holds the domain; nothing dropped is as good a proof.
            Coverage::Recorded if end.dropped == Some(0) && end.overruns == 0 => {
                return Self::complete(end.recorded);
            }
            Coverage::Recorded if end.recorded > 0 && end.kernel_total.is_none() => {
                "the kernel's own count did not come in time".to_owned()
            }
            Coverage::Recorded if end.overruns > 0 && end.kernel_total.is_none() => {
                "the audit socket overflowed".to_owned()
            }
            Coverage::Recorded => return Self::complete(end.recorded),
            other => other.reason(),
        };
        let status = match end.coverage {
            Coverage::Recorded | Coverage::TurnedOffMeanwhile => RecordingStatus::Incomplete,
            _ => RecordingStatus::Unavailable,
        };
        Self { status, recorded: end.recorded, lost: end.lost, reason: Some(reason) }
    }
}

impl From<Processes> for RecordingOf {
    fn from(processes: Processes) -> Self {
        let Processes { ours, named, unnamed } = processes;
        let status = match (named, unnamed) {
            (_, 0) => return Self::complete(named),
            (0, _) => RecordingStatus::Unavailable,
            _ => RecordingStatus::Incomplete,
        };
        let reason = if ours {
            "the kernel wrote no record of the denied call, or dropped it"
        } else {
            "audit was on already, so the host's own audit rules decide which calls have a record"
        };
        Self { status, recorded: named, lost: unnamed, reason: Some(reason.to_owned()) }
    }
}

/// Attempts of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ViolationTotals {
    /// All.
    pub total: u64,
    /// By severity; every severity is there.
    pub by_severity: SeverityTotals,
    /// By layer; layers without an attempt are left out.
    pub by_layer: BTreeMap<Layer, u64>,
}

/// Attempts by severity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SeverityTotals {
    /// What well-behaved programs do too.
    pub info: u64,
    /// Not allowed; often a mistake.
    pub warning: u64,
    /// Only an attack does this.
    pub critical: u64,
}

impl ViolationTotals {
    /// Sums up.
    #[must_use]
    pub fn of(violations: &[Violation]) -> Self {
        let mut totals = Self::default();
        for violation in violations {
            totals.total += violation.count;
            *totals.by_layer.entry(violation.layer).or_default() += violation.count;
            let severity = &mut totals.by_severity;
            *match violation.severity {
                Severity::Info => &mut severity.info,
                Severity::Warning => &mut severity.warning,
                Severity::Critical => &mut severity.critical,
            } += violation.count;
        }
        totals
    }
}

/// Usage over time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Series {
    /// Between two points, in milliseconds; 0 if nothing was sampled.
    pub interval_ms: u64,
    /// In the order of time.
    pub points: Vec<Point>,
}

/// Usage at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Point {
    /// Since the first instruction of the extension, in milliseconds.
    pub at_ms: u64,
    /// Memory, in MiB.
    pub memory_mb: f64,
    /// CPU since the point before, in percent of one core.
    pub cpu_percentage: f64,
    /// What `/data` holds, in MiB.
    pub disk_mb: f64,
    /// Bytes received so far.
    pub network_bytes_in: u64,
    /// Bytes sent so far.
    pub network_bytes_out: u64,
    /// Processes and threads.
    pub tasks: u64,
}

#[cfg(test)]
mod tests;
