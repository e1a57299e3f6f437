//! Compares what the probe saw with what the supervisor recorded.

use std::collections::{HashMap, HashSet};

use policies::limits::{Enforcement, LimitKind};
use policies::violation::{Code, Layer, Severity, Violation};

use super::catalogue::{self, Act, Action, Aim, Expected, Sandbox};
use super::outcome::{Judged, Recorded, Row, Verdict};
use super::probe::Seen;
use super::sandbox::Ran;
use crate::monitor::coverage::Coverage;
use crate::record::sink::layer;
use crate::report::{RecordingOf, RecordingStatus, Report, Status};

/// Judges the actions of one sandbox.
#[must_use]
pub fn judge(sandbox: Sandbox, ran: &Ran) -> Judged {
    let seen: HashMap<String, Seen> = ran
        .lines
        .lines()
        .filter_map(|line| serde_json::from_str::<Seen>(line).ok())
        .map(|seen| (seen.name.clone(), seen))
        .collect();
    let mut claimed = HashSet::new();
    let rows = catalogue::of(sandbox)
        .iter()
        .map(|action| row(action, seen.get(action.name), &ran.report, &mut claimed))
        .collect();
    let left = |violation: &&Violation| {
        // What a slow host does to any program.
        let slow = violation.layer == Layer::Limit && violation.severity == Severity::Info;
        !claimed.contains(&violation.seq) && !slow
    };
    let unexplained = ran.report.violations.iter().filter(left).cloned().collect();
    let recording = &ran.report.recording;
    let lost = recording.seccomp.lost + recording.landlock.lost + recording.egress.lost;
    Judged { rows, unexplained, lost }
}

fn row(action: &Action, seen: Option<&Seen>, report: &Report, claimed: &mut HashSet<u64>) -> Row {
    let (blocked, result) = came(action, seen, report);
    let nanoseconds = seen.map_or(0, |seen| seen.nanoseconds);
    let (code, by, recorded) = match action.record {
        Expected::Nothing { by, reason } => {
            (None, Some(by.to_owned()), Recorded::ByDesign { reason: reason.to_owned() })
        }
        Expected::Violation(code, aim) => {
            let found = find(code, aim, report);
            claimed.extend(found.iter().map(|one| one.seq));
            let by = found.first().map(|one| layer(one).to_owned());
            (Some(code), by, recorded(action, code, &found, &result, report))
        }
    };
    Row {
        name: action.name,
        why: action.why,
        sandbox: action.sandbox.name(),
        code,
        blocked,
        blocked_by: by.filter(|_| blocked),
        result,
        latency_us: (nanoseconds > 0).then(|| microseconds(nanoseconds)),
        verdict: verdict(blocked, &recorded),
        recorded,
    }
}

/// Whether it was refused, and what the program saw. A program that a limit ended cannot say so; the report can.
fn came(action: &Action, seen: Option<&Seen>, report: &Report) -> (bool, String) {
    let ended = report.result.limit.filter(|_| report.result.status == Status::Limit);
    match (seen, action.record, ended) {
        (Some(seen), ..) => (seen.blocked, seen.result.clone()),
        (None, Expected::Violation(_, Aim::Limit(kind, _)), Some(limit)) if kind == limit => {
            (true, "run ended".to_owned())
        }
        (None, ..) => (false, "not done".to_owned()),
    }
}

fn find(code: Code, aim: Aim, report: &Report) -> Vec<&Violation> {
    let matches = |one: &&Violation| one.code == code && aim.hits(&one.object);
    report.violations.iter().filter(matches).collect()
}

fn recorded(
    action: &Action,
    code: Code,
    found: &[&Violation],
    result: &str,
    report: &Report,
) -> Recorded {
    let many = code.layer() == Layer::Limit;
    match found {
        [one] if one.count == 1 || many => Recorded::Yes { seq: one.seq, count: one.count },
        [one] => Recorded::No { reason: format!("{} times for one attempt", one.count) },
        [] => missing(action, code, result, report),
        more => Recorded::No { reason: format!("{} records for one attempt", more.len()) },
    }
}

/// Why there is no record: because this host cannot make one, or because something is wrong.
fn missing(action: &Action, code: Code, result: &str, report: &Report) -> Recorded {
    // A kernel without the entry ends the program before any filter is asked.
    if matches!(action.act, Act::I386(_)) && result == "SIGSEGV" {
        return Recorded::Unavailable { reason: "this kernel has no i386 entry".to_owned() };
    }
    if code == Code::CpuThrottled
        && let Some(reason) = unsaid(report)
    {
        return Recorded::Unavailable { reason };
    }
    match recording(code.layer(), report) {
        Some(RecordingOf { status: RecordingStatus::Unavailable, reason, .. }) => {
            let reason = reason.clone().unwrap_or_default();
            // The operator's choice is no lack of the host.
            if reason == Coverage::TurnedOff.reason() {
                Recorded::No { reason }
            } else {
                Recorded::Unavailable { reason }
            }
        }
        _ => Recorded::No { reason: "no record".to_owned() },
    }
}

/// Why a wait at the CPU limit may be in no record although the limit held.
fn unsaid(report: &Report) -> Option<String> {
    let cpu = report.limits.iter().find(|limit| limit.kind == LimitKind::Cpu)?;
    if cpu.enforcement != Enforcement::Kernel {
        return Some(format!("{} does not say how long a program waited", cpu.mechanism));
    }
    // On a busy host others take the CPU before the limit can.
    let rule = "recorded is a wait at the limit for more than half of the run, which a busy host may prevent";
    (cpu.hits > 0).then(|| format!("the limit was hit {} times; {rule}", cpu.hits))
}

const fn recording(layer: Layer, report: &Report) -> Option<&RecordingOf> {
    match layer {
        Layer::Seccomp => Some(&report.recording.seccomp),
        Layer::Landlock => Some(&report.recording.landlock),
        Layer::Egress | Layer::Dns => Some(&report.recording.egress),
        Layer::Limit | Layer::Api | Layer::Integrity | Layer::Policy => None,
    }
}

const fn verdict(blocked: bool, recorded: &Recorded) -> Verdict {
    match recorded {
        _ if !blocked => Verdict::Failed,
        Recorded::Yes { .. } | Recorded::ByDesign { .. } => Verdict::Passed,
        Recorded::Unavailable { .. } => Verdict::Incomplete,
        Recorded::No { .. } => Verdict::Failed,
    }
}

/// With one decimal; exact up to an hour.
fn microseconds(nanoseconds: u64) -> f64 {
    f64::from(u32::try_from(nanoseconds / 100).unwrap_or(u32::MAX)) / 10.0
}
