//! What a selftest found.

use policies::tier::Tier;
use policies::violation::{Code, Layer, Violation};
use serde::Serialize;

/// Version of the keys of `selftest --json`.
pub const SCHEMA_VERSION: u32 = 1;

/// The result of a selftest, or of a part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Everything was refused and recorded.
    Passed,
    /// Everything was refused; something cannot be recorded on this host, and it is said why.
    Incomplete,
    /// Something was not refused, or not recorded although it could be.
    Failed,
}

/// Whether an action is in the record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "status", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum Recorded {
    /// Yes.
    Yes {
        /// The number of its record within the run.
        seq: u64,
        /// How often.
        count: u64,
    },
    /// No, or not as it should be.
    No {
        /// What is wrong.
        reason: String,
    },
    /// This host cannot record it.
    Unavailable {
        /// Why.
        reason: String,
    },
    /// It is refused before it reaches a layer that records.
    ByDesign {
        /// Why.
        reason: String,
    },
}

/// One action.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    /// The action.
    pub name: &'static str,
    /// Why it is bad.
    pub why: &'static str,
    /// The sandbox that it was done in.
    pub sandbox: &'static str,
    /// The code that its record must have; none where none is expected.
    pub code: Option<Code>,
    /// Whether it was refused.
    pub blocked: bool,
    /// What refused it, as its record, or the catalogue, says; none where nobody can tell.
    pub blocked_by: Option<String>,
    /// What the program saw: an errno, `NXDOMAIN`, a signal, `ok`.
    pub result: String,
    /// Whether it is in the record.
    pub recorded: Recorded,
    /// Until the refusal was back in the program, in microseconds; none where the program did not live to say.
    pub latency_us: Option<f64>,
    /// What follows for the whole.
    pub verdict: Verdict,
}

/// One flood.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FloodRow {
    /// `flood-syscalls` ...
    pub name: &'static str,
    /// The layer that refused.
    pub layer: Layer,
    /// Refused attempts, as the program counted them.
    pub attempts: u64,
    /// Attempts in the record.
    pub recorded: u64,
    /// Attempts that the recorder says are missing.
    pub lost: u64,
    /// Why.
    pub reason: Option<String>,
    /// What follows for the whole.
    pub verdict: Verdict,
}

/// What one sandbox gave.
#[derive(Clone, Debug)]
pub struct Judged {
    /// Its actions.
    pub rows: Vec<Row>,
    /// Records that no action explains.
    pub unexplained: Vec<Violation>,
    /// Denials that the recorder says are missing.
    pub lost: u64,
}

/// Figures of a selftest. `recorded` and `blocked` are of the actions that should be both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Totals {
    /// Actions that must be refused and recorded.
    pub actions: u64,
    /// Of those, refused.
    pub blocked: u64,
    /// Of those, refused and recorded.
    pub recorded: u64,
    /// Of those, refused and not recordable on this host.
    pub unavailable: u64,
    /// Actions that are refused without a record, by design.
    pub by_design: u64,
    /// Of those, refused.
    pub by_design_blocked: u64,
    /// Records that no action explains.
    pub unexplained: u64,
    /// Denials that the recorder says are missing.
    pub lost: u64,
}

/// The whole.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Selftest {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// The tier whose sandbox was tested.
    pub tier: Tier,
    /// The running kernel's release.
    pub kernel: String,
    /// The result.
    pub verdict: Verdict,
    /// Figures.
    pub totals: Totals,
    /// Every action, sandbox by sandbox.
    pub actions: Vec<Row>,
    /// Records that no action explains.
    pub unexplained: Vec<Violation>,
    /// The floods, where they were asked for.
    pub floods: Vec<FloodRow>,
}

impl Selftest {
    /// Nothing was done yet.
    #[must_use]
    pub fn new(tier: Tier) -> Self {
        let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        Self {
            schema_version: SCHEMA_VERSION,
            tier,
            kernel: release.trim().to_owned(),
            verdict: Verdict::Failed,
            totals: Totals::default(),
            actions: Vec::new(),
            unexplained: Vec::new(),
            floods: Vec::new(),
        }
    }

    /// Takes what a sandbox gave.
    pub fn add(&mut self, judged: Judged) {
        self.actions.extend(judged.rows);
        self.unexplained.extend(judged.unexplained);
        self.totals.lost += judged.lost;
    }

    /// Adds up.
    #[must_use]
    pub fn conclude(mut self) -> Self {
        for row in &self.actions {
            let totals = &mut self.totals;
            if let Recorded::ByDesign { .. } = row.recorded {
                totals.by_design += 1;
                totals.by_design_blocked += u64::from(row.blocked);
                continue;
            }
            totals.actions += 1;
            totals.blocked += u64::from(row.blocked);
            if row.blocked {
                totals.recorded += u64::from(matches!(row.recorded, Recorded::Yes { .. }));
                totals.unavailable +=
                    u64::from(matches!(row.recorded, Recorded::Unavailable { .. }));
            }
        }
        self.totals.unexplained = u64::try_from(self.unexplained.len()).unwrap_or(u64::MAX);
        let clean = self.totals.unexplained == 0 && self.totals.lost == 0;
        let whole = if clean { Verdict::Passed } else { Verdict::Failed };
        let rows = self.actions.iter().map(|row| row.verdict);
        let floods = self.floods.iter().map(|flood| flood.verdict);
        self.verdict = rows.chain(floods).chain([whole]).max().unwrap_or(Verdict::Failed);
        self
    }
}
