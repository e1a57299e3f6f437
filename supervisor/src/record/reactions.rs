//! The rules at work in one run: which were met, and what came of it.

use std::time::Instant;

use policies::reaction::{Evaluator, Observation, Reaction, ReactionRules};
use policies::tier::Tier;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::record::escape::visible;
use crate::record::ledger::Attempt;

/// What came of a rule that was met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// It was said.
    Warned,
    /// The run was ended.
    Ended,
    /// The run was over by the time the violation was known, so there was nothing left to end.
    Late,
}

/// A rule that was met in a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Reacted {
    /// RFC 3339, UTC.
    pub ts: String,
    /// The rule and its counts.
    #[serde(flatten)]
    pub reaction: Reaction,
    /// What came of it.
    pub effect: Effect,
    /// Whether later runs are refused; `false` with `action` `disable` means that this could not be written.
    pub disabled: bool,
}

/// The rules of one run.
#[derive(Debug)]
pub struct Reactions {
    evaluator: Evaluator,
    since: Instant,
    met: Vec<Reaction>,
    condemned: Option<Reaction>,
    done: Vec<Reacted>,
}

impl Reactions {
    /// The rules of a tier; their time begins now.
    #[must_use]
    pub fn new(rules: &ReactionRules, tier: Tier) -> Self {
        Self {
            evaluator: Evaluator::new(rules, tier),
            since: Instant::now(),
            met: Vec::new(),
            condemned: None,
            done: Vec::new(),
        }
    }

    pub(super) fn observe(&mut self, attempt: &Attempt<'_>) {
        // Held back records are older than what came after them; the evaluator takes them as if they came now.
        let since = attempt.at.mono.saturating_duration_since(self.since);
        let met = self.evaluator.observe(&Observation {
            at_ms: u64::try_from(since.as_millis()).unwrap_or(u64::MAX),
            code: attempt.code,
            severity: attempt.severity,
            count: attempt.count,
        });
        for reaction in met {
            if reaction.action.ends_run() {
                self.condemned.get_or_insert_with(|| reaction.clone());
            }
            self.met.push(reaction);
        }
    }

    /// The first rule that ends the run, once it is met. Nothing of the run may go on then: whatever waits for an answer
    /// must wait for its end.
    #[must_use]
    pub const fn condemned(&self) -> Option<&Reaction> {
        self.condemned.as_ref()
    }

    /// Rules that were met and not acted on yet.
    pub fn take(&mut self) -> Vec<Reaction> {
        std::mem::take(&mut self.met)
    }

    /// Keeps what came of one.
    pub fn keep(&mut self, reacted: Reacted) {
        self.done.push(reacted);
    }

    /// Everything so far.
    #[must_use]
    pub fn done(&self) -> &[Reacted] {
        &self.done
    }
}

/// A rule that was met, in words: `rule attack: 10 violations within 60 s, mount-attempt last`.
#[must_use]
pub fn sentence(reaction: &Reaction) -> String {
    let Reaction { rule, code, count, window_s, .. } = reaction;
    let violations = if *count == 1 { "violation" } else { "violations" };
    let within = window_s.map_or_else(String::new, |seconds| format!(" within {seconds} s"));
    let last = if *count == 1 { "" } else { " last" };
    format!("rule {}: {count} {violations}{within}, {}{last}", visible(rule), code.text())
}
