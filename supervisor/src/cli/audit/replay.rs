//! `sandboxctl audit replay`: what reaction rules would have done to past runs.
//!
//! The log has the first of each kind of attempt, then every tenfold, then the final count, each with the time of the
//! latest attempt. Replaying counts all of them, and those between two lines at the time of the later one. Rules that
//! need one violation are therefore exact; others are where nothing was folded, and the answer says so.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use jiff::{Span, SpanRelativeTo, Timestamp};
use policies::reaction::{Evaluator, Observation, Reaction, ReactionRules};
use policies::tier::Tier;
use policies::violation::{Code, Severity};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::super::output::{Table, json, text_out};
use super::super::{Failure, admitted};
use super::args::ReplayArgs;
use crate::admit::Rules;
use crate::record::escape::visible;
use crate::record::reactions::sentence;
use crate::state::{Dirs, StateError};

/// One line of the log, as far as it matters here. Unknown keys are no business of ours.
#[derive(Debug, Deserialize)]
struct Line {
    ts: String,
    #[serde(rename = "type")]
    kind: String,
    ext: String,
    ver: String,
    run: String,
    data: Value,
}

/// The data of a violation.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Seen {
    seq: u64,
    ts: String,
    first_ts: String,
    code: Code,
    severity: Severity,
    count: u64,
}

/// What is known of one run.
#[derive(Debug)]
struct Past {
    extension_id: String,
    version: String,
    tier: Option<Tier>,
    started: Timestamp,
    /// By number within the run: the count that was said last, and of when.
    said: HashMap<u64, (u64, Timestamp)>,
    seen: Vec<(Timestamp, Observed)>,
}

#[derive(Clone, Copy, Debug)]
struct Observed {
    code: Code,
    severity: Severity,
    count: u64,
    /// Whether these attempts came at several times, of which the latest is known.
    folded: bool,
}

/// The answer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    /// Runs that were looked at.
    runs: usize,
    /// Runs that a rule would have ended.
    ended: usize,
    /// Runs with nothing but warnings.
    warned: usize,
    /// Lines that could not be understood.
    unreadable: u64,
    met: Vec<Judged>,
}

/// A run in which a rule would have been met.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Judged {
    run_id: String,
    extension_id: String,
    version: String,
    /// Absent where the log no longer has the run's decision: then only rules for every tier count.
    tier: Option<Tier>,
    started_at: String,
    reactions: Vec<Met>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Met {
    ts: String,
    /// Since the run was decided on.
    offset_ms: u64,
    /// Attempts up to here were folded, so that the time, and whether it is met at all, is not exact.
    approximate: bool,
    #[serde(flatten)]
    reaction: Reaction,
}

pub(super) fn main(args: &ReplayArgs, dirs: &Dirs) -> Result<ExitCode, Failure> {
    let rules = match &args.rules {
        Some(path) => rules_of(path)?,
        None => Rules::load(dirs).map_err(|error| admitted(&error))?.policies.reactions().clone(),
    };
    let since = args.since.as_deref().map(since).transpose()?;
    let answer = replay(&dirs.state.join("audit"), &rules, since).map_err(Failure::new)?;
    if args.json { json(&answer) } else { text_out(&render(&answer)) }
}

fn rules_of(path: &Path) -> Result<ReactionRules, Failure> {
    let name = path.display().to_string();
    let bytes =
        fs::read(path).map_err(|error| Failure::new(format!("failed to read {name}: {error}")))?;
    ReactionRules::parse(&name, &bytes).map_err(Failure::new)
}

/// A time, or how long ago: `2026-11-23T20:00:00Z`, `24h`, `7d`.
fn since(text: &str) -> Result<Timestamp, Failure> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(at);
    }
    let ago = || {
        let span: Span = text.parse().ok()?;
        let ago = span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?;
        // A span that was written with a minus sign would lie in the future.
        Timestamp::now().checked_sub(ago.abs()).ok()
    };
    ago().ok_or_else(|| {
        Failure::new(format!("failed to understand --since {text}"))
            .hint("a time like 2026-11-23T20:00:00Z, or how long ago: 24h, 7d".to_owned())
    })
}

fn replay(
    dir: &Path,
    rules: &ReactionRules,
    since: Option<Timestamp>,
) -> Result<Answer, StateError> {
    let mut order = Vec::new();
    let mut runs: HashMap<String, Past> = HashMap::new();
    let mut unreadable = 0;
    for_each_line(dir, |line| match line {
        Some(line) if line.run.is_empty() => {}
        Some(line) => {
            let Ok(at) = line.ts.parse::<Timestamp>() else {
                unreadable += 1;
                return;
            };
            let past = runs.entry(line.run.clone()).or_insert_with(|| {
                order.push(line.run.clone());
                Past {
                    extension_id: line.ext.clone(),
                    version: line.ver.clone(),
                    tier: None,
                    started: at,
                    said: HashMap::new(),
                    seen: Vec::new(),
                }
            });
            unreadable += u64::from(!past.take(&line));
        }
        None => unreadable += 1,
    })?;
    let mut answer = Answer { runs: 0, ended: 0, warned: 0, unreadable, met: Vec::new() };
    for run in order {
        let Some(past) = runs.remove(&run) else { continue };
        if since.is_some_and(|since| past.started < since) {
            continue;
        }
        answer.runs += 1;
        let judged = past.judge(run, rules);
        if judged.reactions.iter().any(|met| met.reaction.action.ends_run()) {
            answer.ended += 1;
        } else if !judged.reactions.is_empty() {
            answer.warned += 1;
        }
        if !judged.reactions.is_empty() {
            answer.met.push(judged);
        }
    }
    Ok(answer)
}

impl Past {
    /// Takes an event; whether it could be understood.
    fn take(&mut self, line: &Line) -> bool {
        match line.kind.as_str() {
            "decision" => {
                let tier = line.data.get("tier").and_then(Value::as_str);
                self.tier = Tier::ALL.into_iter().find(|known| Some(known.name()) == tier);
                true
            }
            "violation" => self.violation(&line.data).is_some(),
            _ => true,
        }
    }

    fn violation(&mut self, data: &Value) -> Option<()> {
        let seen = Seen::deserialize(data).ok()?;
        let at: Timestamp = seen.ts.parse().ok()?;
        let first: Timestamp = seen.first_ts.parse().ok()?;
        let (before, from) = self.said.insert(seen.seq, (seen.count, at)).unwrap_or((0, first));
        let count = seen.count.saturating_sub(before);
        let Seen { code, severity, .. } = seen;
        self.seen.push((at, Observed { code, severity, count, folded: count > 1 && from < at }));
        Some(())
    }

    /// What the rules make of it. A run that is ended goes no further.
    fn judge(mut self, run_id: String, rules: &ReactionRules) -> Judged {
        // Final counts are written together at the end, each with the time of its own last attempt.
        self.seen.sort_by_key(|(at, _)| *at);
        let mut evaluator = match self.tier {
            Some(tier) => Evaluator::new(rules, tier),
            None => Evaluator::of_every_tier(rules),
        };
        let millis = |at: Timestamp| u64::try_from(at.as_millisecond()).unwrap_or(0);
        let mut reactions = Vec::new();
        let mut folded = false;
        for (at, observed) in self.seen {
            folded |= observed.folded;
            let observation = Observation {
                at_ms: millis(at),
                code: observed.code,
                severity: observed.severity,
                count: observed.count,
            };
            let met = evaluator.observe(&observation);
            let ended = met.iter().any(|reaction| reaction.action.ends_run());
            reactions.extend(met.into_iter().map(|reaction| Met {
                ts: format!("{at:.6}"),
                offset_ms: millis(at).saturating_sub(millis(self.started)),
                approximate: folded && reaction.threshold > 1,
                reaction,
            }));
            if ended {
                break;
            }
        }
        Judged {
            run_id,
            extension_id: self.extension_id,
            version: self.version,
            tier: self.tier,
            started_at: format!("{:.6}", self.started),
            reactions,
        }
    }
}

/// Reads the whole log in its order; `None` for a line that cannot be understood. Nobody is kept from writing meanwhile.
fn for_each_line(dir: &Path, mut each: impl FnMut(Option<Line>)) -> Result<(), StateError> {
    for path in segments(dir)? {
        let file = File::open(&path).map_err(StateError::at("open", &path))?;
        for line in BufReader::new(file).split(b'\n') {
            let line = line.map_err(StateError::at("read", &path))?;
            if line.is_empty() {
                continue;
            }
            match serde_json::from_slice::<Value>(&line) {
                // The first line of a segment.
                Ok(value) if value.get("segment").is_some() => {}
                Ok(value) => each(Line::deserialize(value).ok()),
                Err(_) => each(None),
            }
        }
    }
    Ok(())
}

/// The segments, by their number, which a clock that was set back does not change.
fn segments(dir: &Path) -> Result<Vec<PathBuf>, StateError> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(StateError::at("read", dir)(error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(StateError::at("read", dir))?.path();
        let number = path
            .file_name()
            .and_then(|name| name.to_str()?.strip_suffix(".jsonl")?.rsplit_once('-'))
            .and_then(|(_, number)| number.parse::<u64>().ok());
        found.extend(number.map(|number| (number, path)));
    }
    found.sort();
    Ok(found.into_iter().map(|(_, path)| path).collect())
}

fn render(answer: &Answer) -> String {
    let mut table = Table::default();
    for judged in &answer.met {
        for met in &judged.reactions {
            let about = if met.approximate { "about " } else { "" };
            let after = format!("{about}{}.{:03} s", met.offset_ms / 1000, met.offset_ms % 1000);
            let id = visible(&judged.extension_id);
            let action = met.reaction.action.name();
            table.row([&judged.run_id, &*id, action, &after, &sentence(&met.reaction)]);
        }
    }
    let Answer { runs, ended, warned, unreadable, .. } = answer;
    let unreadable = match unreadable {
        0 => String::new(),
        lines => format!("{lines} lines of the log could not be understood\n"),
    };
    format!(
        "{}{runs} runs: {ended} would have been ended, {warned} warned about\n{unreadable}",
        table.render(0)
    )
}

#[cfg(test)]
mod tests;
