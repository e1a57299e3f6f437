//! `reactions.toml`: what follows from violations, and the state machine that says when.
//!
//! Time is an argument, in milliseconds from any fixed point, so the same code judges a run while it goes on and a
//! record of long ago.

use std::borrow::Cow;
use std::collections::VecDeque;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::diag::Diagnostics;
use crate::tier::Tier;
use crate::violation::{Code, Layer, Severity};

mod parse;

pub(crate) use parse::parse;

/// What a rule does.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum ReactionAction {
    /// Says so, on the terminal and in the record.
    Warn,
    /// Ends the run.
    Kill,
    /// Ends the run, and no later run of the extension starts until the operator allows it again.
    Disable,
}

impl ReactionAction {
    pub(crate) const WORDS: [(&'static str, Self); 3] =
        [("warn", Self::Warn), ("kill", Self::Kill), ("disable", Self::Disable)];

    /// The name in policy files and records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Warn => "warn",
            Self::Kill => "kill",
            Self::Disable => "disable",
        }
    }

    /// Whether the run does not outlive it.
    #[must_use]
    pub const fn ends_run(self) -> bool {
        matches!(self, Self::Kill | Self::Disable)
    }
}

/// One rule: which violations count, how many in which time are too many, and what happens then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReactionRule {
    /// Name in records: lower-case letters, digits, hyphens.
    pub name: Cow<'static, str>,
    /// The codes that count, together; empty: every code.
    pub codes: Cow<'static, [Code]>,
    /// The layers whose violations count; empty: every layer.
    pub layers: Cow<'static, [Layer]>,
    /// The least severity that counts.
    pub severity: Severity,
    /// The tiers that the rule applies to; empty: every tier.
    pub tiers: Cow<'static, [Tier]>,
    /// How many are too many; at least 1.
    pub count: u64,
    /// In how many seconds. Absent only where one violation is enough.
    pub window_s: Option<u64>,
    /// What happens then.
    pub action: ReactionAction,
    /// Why.
    pub reason: Cow<'static, str>,
}

impl ReactionRule {
    /// Whether a violation counts.
    #[must_use]
    pub fn counts(&self, code: Code, severity: Severity) -> bool {
        (self.codes.is_empty() || self.codes.contains(&code))
            && (self.layers.is_empty() || self.layers.contains(&code.layer()))
            && severity >= self.severity
    }

    /// Whether it applies to a tier.
    #[must_use]
    pub fn applies_to(&self, tier: Tier) -> bool {
        self.tiers.is_empty() || self.tiers.contains(&tier)
    }
}

/// All rules, in the order of their file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct ReactionRules {
    /// The rules.
    pub rules: Cow<'static, [ReactionRule]>,
}

impl ReactionRules {
    /// Reads a file of rules as strictly as the one in the configuration folder.
    ///
    /// # Errors
    /// Every problem of the file.
    pub fn parse(file: &str, bytes: &[u8]) -> Result<Self, Diagnostics> {
        parse(file, bytes)
    }
}

/// One violation, or `count` equal ones that were folded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Observation {
    /// When, in milliseconds from a point that stays the same for an [`Evaluator`].
    pub at_ms: u64,
    /// Its code; the layer follows from it.
    pub code: Code,
    /// Its severity.
    pub severity: Severity,
    /// How many.
    pub count: u64,
}

/// A rule that has been met.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Reaction {
    /// The name of the rule.
    pub rule: String,
    /// What happens.
    pub action: ReactionAction,
    /// The code of the violation that was one too many.
    pub code: Code,
    /// Violations in the window. More than `threshold` where several were observed at once.
    pub count: u64,
    /// How many were too many.
    pub threshold: u64,
    /// In how many seconds; null where one was enough.
    pub window_s: Option<u64>,
    /// Why the rule is there.
    pub reason: String,
}

/// The rules of one tier, watching one run.
///
/// A rule is met when its violations of the last `window_s` seconds reach its `count`; a violation that is exactly as old
/// as the window is no longer in it. Then the rule starts at zero, and rests: one that ends the run for good, a warning
/// for one window (for good without a window), so that a flood is said once a window and not once a violation.
///
/// Time never runs backwards here: an observation that is older than the one before counts as if it were as late. A clock
/// that was set back can therefore make a rule strike early, never late.
#[derive(Clone, Debug)]
pub struct Evaluator {
    watched: Vec<Watched>,
    latest_ms: u64,
}

#[derive(Clone, Debug)]
struct Watched {
    rule: ReactionRule,
    /// What counted, by its time, oldest first: at most one entry a millisecond, and fewer than the rule's count.
    seen: VecDeque<(u64, u64)>,
    sum: u64,
    rest: Rest,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rest {
    No,
    Until(u64),
    ForGood,
}

impl Evaluator {
    /// Nothing has been observed yet.
    #[must_use]
    pub fn new(rules: &ReactionRules, tier: Tier) -> Self {
        let watched = rules.rules.iter().filter(|rule| rule.applies_to(tier)).map(Watched::new);
        Self { watched: watched.collect(), latest_ms: 0 }
    }

    /// The rules that apply to every tier, for a run whose tier is not known.
    #[must_use]
    pub fn of_every_tier(rules: &ReactionRules) -> Self {
        let watched = rules.rules.iter().filter(|rule| rule.tiers.is_empty()).map(Watched::new);
        Self { watched: watched.collect(), latest_ms: 0 }
    }

    /// Takes violations into account, and says which rules they meet, in the order of the rules.
    pub fn observe(&mut self, observation: &Observation) -> Vec<Reaction> {
        self.latest_ms = self.latest_ms.max(observation.at_ms);
        let now = Observation { at_ms: self.latest_ms, ..*observation };
        // Allocates nothing while no rule is met.
        self.watched.iter_mut().filter_map(|watched| watched.observe(&now)).collect()
    }
}

impl Watched {
    fn new(rule: &ReactionRule) -> Self {
        Self { rule: rule.clone(), seen: VecDeque::new(), sum: 0, rest: Rest::No }
    }

    fn observe(&mut self, observation: &Observation) -> Option<Reaction> {
        let Observation { at_ms, code, severity, count } = *observation;
        if count == 0 || !self.rule.counts(code, severity) {
            return None;
        }
        match self.rest {
            Rest::No => {}
            Rest::Until(until) if at_ms >= until => self.rest = Rest::No,
            Rest::Until(_) | Rest::ForGood => return None,
        }
        let window_ms = self.rule.window_s.map(|seconds| seconds.saturating_mul(1000));
        self.forget(at_ms, window_ms);
        self.sum = self.sum.saturating_add(count);
        match self.seen.back_mut() {
            Some((at, together)) if *at == at_ms => *together = together.saturating_add(count),
            _ => self.seen.push_back((at_ms, count)),
        }
        if self.sum < self.rule.count {
            return None;
        }
        let sum = std::mem::take(&mut self.sum);
        self.seen.clear();
        self.rest = match window_ms {
            Some(window_ms) if !self.rule.action.ends_run() => {
                Rest::Until(at_ms.saturating_add(window_ms))
            }
            _ => Rest::ForGood,
        };
        Some(Reaction {
            rule: self.rule.name.to_string(),
            action: self.rule.action,
            code,
            count: sum,
            threshold: self.rule.count,
            window_s: self.rule.window_s,
            reason: self.rule.reason.to_string(),
        })
    }

    /// Drops what is no longer in the window.
    fn forget(&mut self, now_ms: u64, window_ms: Option<u64>) {
        let Some(window_ms) = window_ms else { return };
        while let Some((at, count)) = self.seen.front().copied()
            && now_ms - at >= window_ms
        {
            self.seen.pop_front();
            self.sum -= count;
        }
    }
}

#[cfg(test)]
mod tests;
