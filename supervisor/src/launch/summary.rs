//! What is concluded from the end of a run: limit violations, the result, the report.

use std::time::{Duration, SystemTime};

use nix::errno::Errno;
use policies::limits::{LimitKind, Limits};
use policies::reaction::Reaction;
use policies::violation::{Action, Code, Layer};
use serde_json::json;
use shim::step::Step;

use super::clock::Stop;
use super::layers::layers;
use super::meter::Meter;
use super::react::Reactor;
use super::resources::Resources;
use super::start::Run;
use super::watch::{Ending, SetupFailure};
use super::{Finished, LaunchError};
use crate::admit::Decided;
use crate::confine::landlock::Abi;
use crate::exit::End;
use crate::limits::cgroup::Usage as Accounting;
use crate::limits::verdict::{Cause, Decision, Evidence, Status as WaitStatus, Verdict, classify};
use crate::monitor::audit::Reconciled;
use crate::record::clock::{Now, rfc3339};
use crate::record::ledger::{Attempt, Ledger};
use crate::record::object::ObjectRef;
use crate::record::reactions::Effect;
use crate::report::{
    Extension, Isolation, LimitReport, Network, Recording, RecordingOf, Report, RunResult,
    SCHEMA_VERSION, Series, Usage, UsageSource, ViolationTotals,
};

/// A run that spent more than half of at least this long waiting for CPU is told so in the violations, too.
const THROTTLED_LONG: Duration = Duration::from_secs(5);

/// Everything that a report follows from.
pub(super) struct Evidences<'a> {
    pub(super) decided: &'a Decided,
    pub(super) ending: &'a Ending,
    pub(super) resources: &'a Resources,
    pub(super) meter: &'a Meter,
    /// The groups before the extension ran in them.
    pub(super) before: &'a Accounting,
    pub(super) abi: Abi,
    pub(super) reconciled: &'a Reconciled,
    pub(super) network: Network,
    pub(super) reactor: &'a Reactor,
}

impl Run {
    /// The report of a run that policy refused.
    pub(super) fn refused(mut self, decided: &Decided) -> Result<Finished, LaunchError> {
        self.record_refusal(decided)?;
        self.close_log();
        let codes: Vec<&str> =
            decided.decision.violated.iter().map(|violated| violated.code).collect();
        let result = RunResult::refused(format!("refused by policy: {}", codes.join(", ")));
        let report = self.empty_report(decided, result);
        Ok(Finished { report, end: End::Refused })
    }

    /// The report of a run that could not be started or followed.
    pub(super) fn failed(&self, decided: &Decided, error: &LaunchError) -> Report {
        self.empty_report(decided, RunResult::failed(error.to_string()))
    }

    fn empty_report(&self, decided: &Decided, result: RunResult) -> Report {
        let now = rfc3339(SystemTime::now());
        let none = || RecordingOf::unavailable("nothing ran");
        Report {
            schema_version: SCHEMA_VERSION,
            run_id: self.id.clone(),
            extension: Extension::from(&decided.plan.extension),
            tier: decided.plan.extension.tier.clone(),
            dev: self.is_dev(),
            isolation: isolation(decided),
            started_at: rfc3339(self.started),
            ended_at: now,
            result,
            usage: Usage::default(),
            limits: Vec::new(),
            network: Network::default(),
            layers: Vec::new(),
            recording: Recording {
                seccomp: none(),
                landlock: none(),
                landlock_processes: None,
                egress: none(),
                audit_log: self.recorded.clone(),
                forward: self.forwarded.clone(),
                failed_writes: 0,
            },
            violations: Vec::new(),
            violation_totals: ViolationTotals::default(),
            reactions: Vec::new(),
            series: Series::default(),
        }
    }

    fn is_dev(&self) -> bool {
        self.dev == policies::decision::DevMode::On
    }

    /// Judges the end, records what limits did, and writes the report.
    pub(super) fn conclude(&mut self, on: &Evidences<'_>) -> Result<Finished, LaunchError> {
        if let Some(failure) = &on.ending.setup
            && failure.step != Step::Exec
        {
            return Err(LaunchError::Setup(failure.clone()));
        }
        if on.ending.clock.stop() == Some(Stop::Failure) {
            return Err(LaunchError::Stuck);
        }
        let after = on.meter.accounting();
        let elapsed = elapsed(on.ending);
        let verdict = judge(on, after);
        let limits = &on.decided.plan.limits;
        record_limits(&mut self.ledger, limits, on, &verdict, elapsed);
        on.reactor.act(&mut self.ledger, Effect::Late);
        let (result, end) = result(on, &verdict, limits, self.ledger.condemned())?;
        let usage = usage(on, after, elapsed);
        let refused = self.ledger.total_in(&[Layer::Egress, Layer::Dns]);
        let violations = self.ledger.finish();
        self.record_end(&json!({ "result": result, "usage": usage }), violations.len());
        let report = Report {
            limits: limit_reports(on, limits, &usage, &verdict),
            network: on.network.clone(),
            layers: layers(on),
            recording: Recording {
                seccomp: RecordingOf::from(on.ending.denied),
                landlock: RecordingOf::from(on.reconciled),
                landlock_processes: on.reconciled.processes.map(RecordingOf::from),
                egress: RecordingOf::complete(refused),
                audit_log: self.recorded.clone(),
                forward: self.forwarded.clone(),
                failed_writes: self.ledger.sink_errors(),
            },
            violation_totals: ViolationTotals::of(&violations),
            violations,
            reactions: self.ledger.reactions().to_vec(),
            series: on.meter.series(),
            usage,
            ..self.empty_report(on.decided, result)
        };
        Ok(Finished { report, end })
    }
}

const fn isolation(decided: &Decided) -> Isolation {
    match decided.decision.isolation {
        policies::tier::Isolation::Full => Isolation::Full,
        policies::tier::Isolation::Partial => Isolation::Partial,
        policies::tier::Isolation::None => Isolation::None,
    }
}

/// From the first instruction of the extension to the end of its last process.
fn elapsed(ending: &Ending) -> Duration {
    let started = ending.clock.started().unwrap_or(ending.ended);
    ending.ended.saturating_duration_since(started)
}

fn judge(on: &Evidences<'_>, after: &Accounting) -> Verdict {
    let status = on.ending.wait_status.unwrap_or(libc::SIGKILL);
    let status = if libc::WIFEXITED(status) {
        WaitStatus::Exited(libc::WEXITSTATUS(status))
    } else {
        WaitStatus::Signalled(libc::WTERMSIG(status))
    };
    let decision = match on.ending.clock.stop() {
        Some(Stop::Limit(kind)) => Some(Decision::Limit(kind)),
        // The end of an operator's signal is what the extension made of it. A reaction is told apart in the result.
        Some(Stop::Operator(_) | Stop::Reaction | Stop::Failure) | None => None,
    };
    classify(&Evidence {
        decision,
        status,
        before: on.before,
        after,
        memory_limit: on.decided.plan.limits.memory_mb.saturating_mul(1 << 20),
        sampled_peak: on.meter.memory_peak().max(on.ending.max_rss_kb.saturating_mul(1024)),
    })
}

/// A limit with its unit, as violations and reasons show it.
fn value(kind: LimitKind, limits: &Limits) -> String {
    match kind {
        LimitKind::Memory => format!("{} MB", limits.memory_mb),
        LimitKind::Cpu => format!("{} % of a core", limits.cpu_percent),
        LimitKind::Disk => format!("{} MB", limits.disk_mb),
        LimitKind::Timeout => format!("{} ms", limits.timeout_ms),
        LimitKind::Tasks => format!("{} tasks", limits.tasks),
    }
}

/// What limits did, as violations.
fn record_limits(
    ledger: &mut Ledger,
    limits: &Limits,
    on: &Evidences<'_>,
    verdict: &Verdict,
    elapsed: Duration,
) {
    let mut record_as = |value: String, kind: LimitKind, code: Code, action: Action, count: u64| {
        let attempt = Attempt {
            at: Now::read(),
            code,
            severity: code.severity(),
            action,
            rule: "tier or manifest: limits",
            object: ObjectRef::Limit { kind, value: &value },
            args: &[],
            by: None,
            count,
        };
        ledger.record(&attempt, Default::default);
    };
    let full = on.meter.temporary_full();
    if full > 0 {
        let value = format!("{} MB of /tmp", limits.tmp_mb);
        record_as(value, LimitKind::Disk, Code::DiskLimit, Action::Denied, full);
    }
    let mut record = |kind: LimitKind, code: Code, action: Action, count: u64| {
        record_as(value(kind, limits), kind, code, action, count);
    };
    if verdict.oom_kills > 0 || verdict.cause == Cause::Limit(LimitKind::Memory) {
        let kills = verdict.oom_kills.max(1);
        record(LimitKind::Memory, Code::MemoryLimit, Action::Killed, kills);
    }
    if verdict.refused_forks > 0 {
        record(LimitKind::Tasks, Code::TaskLimit, Action::Denied, verdict.refused_forks);
    }
    match verdict.cause {
        Cause::Limit(LimitKind::Timeout) => {
            record(LimitKind::Timeout, Code::TimeLimit, Action::Killed, 1);
        }
        Cause::Limit(LimitKind::Tasks) if verdict.refused_forks == 0 => {
            record(LimitKind::Tasks, Code::TaskLimit, Action::Killed, 1);
        }
        _ => {}
    }
    let full = on.meter.data_full();
    if full > 0 || verdict.cause == Cause::Limit(LimitKind::Disk) {
        record(LimitKind::Disk, Code::DiskLimit, Action::Denied, full.max(1));
    }
    let waited = Duration::from_micros(verdict.throttled_usec);
    if elapsed >= THROTTLED_LONG && waited > elapsed / 2 {
        record(LimitKind::Cpu, Code::CpuThrottled, Action::Throttled, 1);
    }
}

/// The end in the report's words, and as an exit code.
fn result(
    on: &Evidences<'_>,
    verdict: &Verdict,
    limits: &Limits,
    condemned: Option<&Reaction>,
) -> Result<(RunResult, End), LaunchError> {
    if let Some(failure) = &on.ending.setup {
        return Ok((RunResult::failed(not_executed(on.decided, failure)), End::NotFound));
    }
    let signal = match on.ending.wait_status {
        Some(status) if libc::WIFSIGNALED(status) => Some(libc::WTERMSIG(status)),
        Some(_) => None,
        None => Some(libc::SIGKILL),
    };
    // The first decision stands: of the supervisor, then of the kernel; a rule that is met later adds nothing to it.
    let first = match (on.ending.clock.stop(), verdict.cause) {
        (Some(Stop::Reaction), _) => true,
        (None, cause) => !matches!(cause, Cause::Limit(_)),
        (Some(_), _) => false,
    };
    if let Some(reaction) = condemned.filter(|_| first) {
        let exited = on.ending.wait_status.filter(|status| libc::WIFEXITED(*status));
        let code = exited.map(|status| libc::WEXITSTATUS(status));
        return Ok((RunResult::reacted(reaction, code, signal), End::Reaction));
    }
    let byte = |number: i32| u8::try_from(number).unwrap_or(u8::MAX);
    Ok(match verdict.cause {
        Cause::Limit(kind) => {
            (RunResult::limited(kind, &value(kind, limits), signal), End::Limit(kind))
        }
        // Nothing was decided and nothing was said: PID 1 went without its workload.
        _ if on.ending.wait_status.is_none() && on.ending.clock.stop().is_none() => {
            return Err(LaunchError::Silent);
        }
        Cause::Exited(code) => (RunResult::exited(code), End::Exited(byte(code))),
        Cause::Signalled(signal) => (RunResult::signalled(signal), End::Signalled(byte(signal))),
        Cause::Stopped => {
            (RunResult::signalled(libc::SIGKILL), End::Signalled(byte(libc::SIGKILL)))
        }
    })
}

fn not_executed(decided: &Decided, failure: &SetupFailure) -> String {
    let command = decided.plan.command.first().map_or("", String::as_str);
    match failure.errno {
        Errno::ENOENT => format!("entry command not found: {command}"),
        errno => format!("entry command {command} cannot be executed: {}", errno.desc()),
    }
}

fn usage(on: &Evidences<'_>, after: &Accounting, elapsed: Duration) -> Usage {
    let ending = on.ending;
    let cpu_us = after.cpu_usec.unwrap_or(ending.reaped_cpu_us).max(ending.reaped_cpu_us);
    let sampled = on.meter.memory_peak().max(ending.max_rss_kb.saturating_mul(1024));
    let peak = after.memory_peak.unwrap_or(sampled);
    let kernel = after.memory_peak.is_some() && after.cpu_usec.is_some();
    let (network_bytes_in, network_bytes_out) = on.meter.network();
    let (request_count, error_count) = on.meter.requests();
    Usage {
        memory_peak_mb: mebibytes(peak),
        memory_used_mb: mebibytes(on.meter.memory_last().unwrap_or(peak)),
        cpu_percentage: percentage(cpu_us, elapsed),
        cpu_ms: cpu_us / 1000,
        disk_used_mb: mebibytes(on.meter.data_used()),
        network_bytes_in,
        network_bytes_out,
        execution_time_ms: millis(elapsed),
        // PID 1 is ours.
        tasks_peak: after.tasks_peak.map_or(on.meter.tasks_peak(), |peak| peak.saturating_sub(1)),
        request_count,
        error_count,
        source: if kernel { UsageSource::Kernel } else { UsageSource::Estimated },
    }
}

/// In MiB with one decimal. Exact up to 2^32 KiB, which is more than any limit.
pub(super) fn mebibytes(bytes: u64) -> f64 {
    let tenths = u32::try_from(bytes.saturating_mul(10) >> 20).unwrap_or(u32::MAX);
    f64::from(tenths) / 10.0
}

/// CPU time per wall time, of one core, with one decimal.
pub(super) fn percentage(cpu_us: u64, elapsed: Duration) -> f64 {
    let wall_us = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX).max(1);
    let tenths = u32::try_from(cpu_us.saturating_mul(1000) / wall_us).unwrap_or(u32::MAX);
    f64::from(tenths) / 10.0
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn limit_reports(
    on: &Evidences<'_>,
    limits: &Limits,
    usage: &Usage,
    verdict: &Verdict,
) -> Vec<LimitReport> {
    let ended_by = |kind| u64::from(verdict.cause == Cause::Limit(kind));
    let tasks = u32::try_from(usage.tasks_peak).map_or(f64::MAX, f64::from);
    let time = u32::try_from(usage.execution_time_ms).map_or(f64::MAX, f64::from);
    on.resources
        .enforcement
        .iter()
        .map(|(kind, enforcement, mechanism)| {
            let (limit, unit, used, hits) = match kind {
                LimitKind::Memory => {
                    let hits = verdict.oom_kills.max(ended_by(*kind));
                    (limits.memory_mb, "MB", usage.memory_peak_mb, hits)
                }
                LimitKind::Cpu => {
                    let hits = on.meter.accounting().nr_throttled.unwrap_or(0);
                    (u64::from(limits.cpu_percent), "%", usage.cpu_percentage, hits)
                }
                LimitKind::Disk => {
                    let hits = on.meter.data_full().max(ended_by(*kind));
                    (limits.disk_mb, "MB", usage.disk_used_mb, hits)
                }
                LimitKind::Timeout => (limits.timeout_ms, "ms", time, ended_by(*kind)),
                LimitKind::Tasks => {
                    let hits = verdict.refused_forks.max(ended_by(*kind));
                    (u64::from(limits.tasks), "tasks", tasks, hits)
                }
            };
            LimitReport {
                kind: *kind,
                limit,
                unit: unit.to_owned(),
                used,
                mechanism: mechanism.clone(),
                enforcement: *enforcement,
                hits,
            }
        })
        .collect()
}
