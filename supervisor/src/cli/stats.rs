//! `sandboxctl stats`: what the runs of an extension used.

use std::io::IsTerminal;
use std::process::ExitCode;

use serde::Serialize;

use super::Failure;
use super::args::StatsArgs;
use super::output::{Table, json, text_out};
use crate::record::escape::visible;
use crate::record::usage::{UsageLog, UsageRecord};
use crate::report::Status;
use crate::state::Dirs;

/// Cells of a history.
const CELLS: usize = 40;
/// A cell that is empty, to one that is full.
const HEIGHTS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// What is counted in each run.
#[derive(Clone, Copy)]
struct Figure {
    /// As the keys of the records.
    key: &'static str,
    /// For people.
    name: &'static str,
    of: fn(&UsageRecord) -> f64,
}

const FIGURES: [Figure; 8] = [
    Figure { key: "memoryPeakMb", name: "memory, MB", of: |run| run.usage.memory_peak_mb },
    Figure { key: "cpuPercentage", name: "cpu, %", of: |run| run.usage.cpu_percentage },
    Figure { key: "diskUsedMb", name: "disk, MB", of: |run| run.usage.disk_used_mb },
    Figure {
        key: "executionTimeMs",
        name: "time, ms",
        of: |run| number(run.usage.execution_time_ms),
    },
    Figure {
        key: "networkBytesIn",
        name: "bytes in",
        of: |run| number(run.usage.network_bytes_in),
    },
    Figure {
        key: "networkBytesOut",
        name: "bytes out",
        of: |run| number(run.usage.network_bytes_out),
    },
    Figure { key: "requestCount", name: "requests", of: |run| number(run.usage.request_count) },
    Figure { key: "violations", name: "violations", of: |run| number(run.violations) },
];

/// One extension.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Stats {
    extension_id: String,
    /// Runs that were looked at.
    runs: usize,
    totals: Totals,
    /// By the key of the record.
    percentiles: serde_json::Map<String, serde_json::Value>,
    /// Oldest first; only where one extension was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    records: Option<Vec<UsageRecord>>,
}

/// Sums over the runs that were looked at.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Totals {
    /// Runs that ended by themselves with code 0 or another.
    exited: usize,
    /// Runs that a signal, a limit or a rule ended, or that failed.
    ended: usize,
    cpu_ms: u64,
    execution_time_ms: u64,
    network_bytes_in: u64,
    network_bytes_out: u64,
    request_count: u64,
    error_count: u64,
    violations: u64,
}

/// By nearest rank: each is the value of a run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
struct Percentiles {
    min: f64,
    p50: f64,
    p90: f64,
    p99: f64,
    max: f64,
}

pub(super) fn main(args: &StatsArgs, dirs: &Dirs) -> Result<ExitCode, Failure> {
    let log = UsageLog::new(&dirs.state);
    let last = usize::try_from(args.last).map_err(Failure::new)?;
    let read = |id: &str| log.read(id, last).map_err(Failure::new);
    if let Some(id) = &args.id {
        let records = read(id)?;
        if records.is_empty() {
            return Err(Failure::new(format!("no run of {} is recorded", visible(id)))
                .hint("sandboxctl stats lists the extensions that have run".to_owned()));
        }
        let stats = Stats::of(id, &records);
        if args.json {
            return json(&Stats { records: Some(records), ..stats });
        }
        return text_out(&one(&stats, &records, std::io::stdout().is_terminal()));
    }
    let mut all = Vec::new();
    for id in log.extensions().map_err(Failure::new)? {
        let records = read(&id)?;
        all.push((Stats::of(&id, &records), records));
    }
    if args.json {
        return json(&all.into_iter().map(|(stats, _)| stats).collect::<Vec<_>>());
    }
    text_out(&overview(&all))
}

impl Stats {
    fn of(id: &str, records: &[UsageRecord]) -> Self {
        let percentiles = FIGURES.into_iter().filter_map(|figure| {
            let percentiles = Percentiles::of(records.iter().map(figure.of))?;
            Some((figure.key.to_owned(), serde_json::to_value(percentiles).ok()?))
        });
        Self {
            extension_id: id.to_owned(),
            runs: records.len(),
            totals: Totals::of(records),
            percentiles: percentiles.collect(),
            records: None,
        }
    }
}

impl Totals {
    fn of(records: &[UsageRecord]) -> Self {
        let sum = |of: fn(&UsageRecord) -> u64| records.iter().map(of).fold(0, u64::saturating_add);
        let exited = records.iter().filter(|run| run.status == Status::Exited).count();
        Self {
            exited,
            ended: records.len() - exited,
            cpu_ms: sum(|run| run.usage.cpu_ms),
            execution_time_ms: sum(|run| run.usage.execution_time_ms),
            network_bytes_in: sum(|run| run.usage.network_bytes_in),
            network_bytes_out: sum(|run| run.usage.network_bytes_out),
            request_count: sum(|run| run.usage.request_count),
            error_count: sum(|run| run.usage.error_count),
            violations: sum(|run| run.violations),
        }
    }
}

impl Percentiles {
    /// None of nothing.
    fn of(values: impl Iterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.collect();
        values.sort_by(f64::total_cmp);
        let rank = |percent: usize| {
            let rank = (values.len() * percent).div_ceil(100).max(1);
            values.get(rank - 1).copied()
        };
        Some(Self {
            min: values.first().copied()?,
            p50: rank(50)?,
            p90: rank(90)?,
            p99: rank(99)?,
            max: values.last().copied()?,
        })
    }
}

/// One extension in full; with a history where `terminal` can show it.
fn one(stats: &Stats, records: &[UsageRecord], terminal: bool) -> String {
    let Totals { exited, ended, error_count, cpu_ms, violations, .. } = stats.totals;
    let first = records.first().map_or("", |run| run.started_at.as_str());
    let last = records.last().map_or("", |run| run.started_at.as_str());
    let head = format!(
        "{}: {} runs from {} to {}\n\
         {exited} exited, {ended} were ended; {cpu_ms} ms of CPU time, {violations} violations, \
         {error_count} requests that failed\n\n",
        visible(&stats.extension_id),
        stats.runs,
        visible(first),
        visible(last)
    );
    let mut table = Table::default();
    table.row(["", "min", "p50", "p90", "p99", "max", if terminal { "history" } else { "" }]);
    for figure in FIGURES {
        let values: Vec<f64> = records.iter().map(figure.of).collect();
        let Some(found) = Percentiles::of(values.iter().copied()) else { continue };
        let history = if terminal { history(&values) } else { String::new() };
        let Percentiles { min, p50, p90, p99, max } = found;
        let [min, p50, p90, p99, max] = [min, p50, p90, p99, max].map(short);
        table.row([figure.name, &min, &p50, &p90, &p99, &max, &history]);
    }
    head + &table.render(0)
}

/// Every extension in a line.
fn overview(all: &[(Stats, Vec<UsageRecord>)]) -> String {
    let mut table = Table::default();
    table.row([
        "EXTENSION",
        "RUNS",
        "ENDED",
        "MEMORY MB",
        "CPU %",
        "TIME MS",
        "VIOLATIONS",
        "LAST",
    ]);
    for (stats, records) in all {
        let median = |of: fn(&UsageRecord) -> f64| {
            Percentiles::of(records.iter().map(of)).map_or_else(String::new, |all| short(all.p50))
        };
        table.row([
            visible(&stats.extension_id).into_owned(),
            stats.runs.to_string(),
            stats.totals.ended.to_string(),
            median(|run| run.usage.memory_peak_mb),
            median(|run| run.usage.cpu_percentage),
            median(|run| number(run.usage.execution_time_ms)),
            stats.totals.violations.to_string(),
            visible(records.last().map_or("", |run| run.started_at.as_str())).into_owned(),
        ]);
    }
    table.render(0)
}

/// Values as bars from zero to the highest, the newest at the right; each cell is the highest of its runs.
fn history(values: &[f64]) -> String {
    let highest = values.iter().copied().fold(0.0, f64::max);
    let runs_a_cell = values.len().div_ceil(CELLS).max(1);
    values
        .chunks(runs_a_cell)
        .map(|runs| {
            let value = runs.iter().copied().fold(0.0, f64::max);
            let reached = |step: &&u32| value * 7.0 >= highest * f64::from(**step);
            let height = [1_u32, 2, 3, 4, 5, 6, 7].iter().filter(reached).count();
            HEIGHTS.get(if highest > 0.0 { height } else { 0 }).copied().unwrap_or('█')
        })
        .collect()
}

/// With a decimal where it says something.
fn short(value: f64) -> String {
    if value < 9.95 && value.fract() > 0.0 { format!("{value:.1}") } else { format!("{value:.0}") }
}

/// Exact up to 2^53, as JavaScript has it.
fn number(value: u64) -> f64 {
    let half = |bits: u64| u32::try_from(bits & u64::from(u32::MAX)).map_or(0.0, f64::from);
    half(value >> 32) * 4_294_967_296.0 + half(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_of_runs() {
        assert_eq!(Percentiles::of(std::iter::empty()), None);
        let all = Percentiles::of((1..=200).rev().map(f64::from)).unwrap();
        assert_eq!(
            (all.min, all.p50, all.p90, all.p99, all.max),
            (1.0, 100.0, 180.0, 198.0, 200.0)
        );
        let one = Percentiles::of([7.0].into_iter()).unwrap();
        assert_eq!((one.min, one.p50, one.p99, one.max), (7.0, 7.0, 7.0, 7.0));
    }

    #[test]
    fn a_history_reaches_from_nothing_to_the_highest() {
        assert_eq!(history(&[0.0, 1.0, 3.5, 7.0]), "▁▂▄█");
        assert_eq!(history(&[0.0, 0.0]), "▁▁");
        assert_eq!(history(&[5.0]), "█");
        // A peak is not lost among its neighbours.
        let mut many = vec![1.0; 1000];
        many[500] = 70.0;
        let shown = history(&many);
        assert_eq!(shown.chars().count(), CELLS);
        assert_eq!(shown.chars().filter(|cell| *cell == '█').count(), 1);
    }

    #[test]
    fn large_numbers_stay_exact() {
        assert_eq!(format!("{}", number(1 << 40)), "1099511627776");
        assert_eq!(format!("{}", number((1 << 53) - 1)), "9007199254740991");
        assert_eq!(short(0.0), "0");
        assert_eq!(short(3.7), "3.7");
        assert_eq!(short(25.4), "25");
    }
}
