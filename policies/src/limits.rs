//! The limits of one run: what is bounded, in which unit, and how firmly.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The limits of one run, after tier and manifest were joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    /// Memory of the whole process tree, tmpfs pages included, in MiB.
    pub memory_mb: u64,
    /// CPU time per wall time of the whole tree, in percent of one core.
    pub cpu_percent: u32,
    /// What `/data` can hold, in MiB.
    pub disk_mb: u64,
    /// What `/tmp` can hold, in MiB; its pages count as memory.
    pub tmp_mb: u64,
    /// Wall clock from the first instruction of the extension, the grace period included, in milliseconds.
    pub timeout_ms: u64,
    /// Between SIGTERM and SIGKILL, inside `timeout_ms`, in milliseconds.
    pub grace_ms: u64,
    /// Processes and threads at once.
    pub tasks: u32,
    /// Open file descriptors of one process.
    pub open_files: u32,
    /// Size of one file, in MiB.
    pub file_mb: u64,
}

impl Limits {
    /// The keys of `[limits]` in manifests and tier files, in the order of the fields.
    pub const KEYS: [&'static str; 9] = [
        "memory_mb",
        "cpu_percent",
        "disk_mb",
        "tmp_mb",
        "timeout_ms",
        "grace_ms",
        "tasks",
        "open_files",
        "file_mb",
    ];
}

/// One bounded resource. The order is the order of the report.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum LimitKind {
    /// Memory of the whole tree.
    Memory,
    /// CPU time per wall time.
    Cpu,
    /// Bytes on `/data`.
    Disk,
    /// Wall clock.
    Timeout,
    /// Processes and threads.
    Tasks,
}

impl LimitKind {
    /// Every kind, in report order.
    pub const ALL: [Self; 5] = [Self::Memory, Self::Cpu, Self::Disk, Self::Timeout, Self::Tasks];

    /// The name in reports and messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Cpu => "cpu",
            Self::Disk => "disk",
            Self::Timeout => "timeout",
            Self::Tasks => "tasks",
        }
    }
}

/// How firmly a limit or a layer holds on this host. Never a boolean: weaker than asked must be visible.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Enforcement {
    /// Not enforced at all.
    Off,
    /// Reduced, with gaps that are named beside it.
    BestEffort,
    /// The supervisor measures and acts; a short overshoot is possible.
    Guard,
    /// The kernel refuses at the limit.
    Kernel,
}

impl Enforcement {
    /// The name in reports and messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::BestEffort => "best-effort",
            Self::Guard => "guard",
            Self::Kernel => "kernel",
        }
    }
}
