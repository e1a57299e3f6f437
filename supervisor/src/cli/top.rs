//! `sandboxctl top`: what live runs use now.

use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::Failure;
use super::args::TopArgs;
use super::output::{Table, json, text_out};
use crate::limits::cgroup::{Live, live};
use crate::record::escape::visible;
use crate::state::Dirs;
use crate::state::slot::{self, Holder};

/// Between two looks; CPU time is told by their difference.
const EVERY: Duration = Duration::from_secs(1);
/// The same for one look only.
const ONCE: Duration = Duration::from_millis(250);
/// Moves to the top left and clears what is below.
const HOME: &str = "\x1b[H\x1b[J";

/// One live run. What its control groups cannot tell is null.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    run_id: String,
    extension_id: String,
    supervisor_pid: u32,
    started_at: String,
    memory_mb: Option<f64>,
    cpu_percentage: Option<f64>,
    tasks: Option<u64>,
}

pub(super) fn main(args: TopArgs, dirs: &Dirs) -> Result<ExitCode, Failure> {
    let mut before = look(dirs)?;
    let once = args.once || args.json || !std::io::stdout().is_terminal();
    loop {
        std::thread::sleep(if once { ONCE } else { EVERY });
        let now = look(dirs)?;
        let rows = rows(&before, &now);
        if args.json {
            return json(&rows);
        }
        if once {
            return text_out(&render(&rows));
        }
        text_out(&(HOME.to_owned() + &render(&rows)))?;
        before = now;
    }
}

/// Every live run at one time.
#[derive(Debug)]
struct Look {
    at: Instant,
    runs: Vec<(Holder, Live)>,
}

fn look(dirs: &Dirs) -> Result<Look, Failure> {
    let holders = slot::holders(dirs).map_err(Failure::new)?;
    let at = Instant::now();
    let runs = holders.into_iter().map(|holder| {
        let live = live(&holder.cgroups);
        (holder, live)
    });
    Ok(Look { at, runs: runs.collect() })
}

fn rows(before: &Look, now: &Look) -> Vec<Row> {
    let wall = now.at.saturating_duration_since(before.at);
    let row = |(holder, live): &(Holder, Live)| {
        let earlier = before.runs.iter().find(|(other, _)| other.run_id == holder.run_id);
        let cpu = earlier.and_then(|(_, earlier)| {
            let used = Duration::from_micros(live.cpu_usec?.saturating_sub(earlier.cpu_usec?));
            Some(used.as_secs_f64() / wall.as_secs_f64() * 100.0)
        });
        Row {
            run_id: holder.run_id.clone(),
            extension_id: holder.extension_id.clone(),
            supervisor_pid: holder.pid,
            started_at: holder.started_at.clone(),
            memory_mb: live.memory_bytes.map(mebibytes),
            cpu_percentage: cpu.map(|percent| (percent * 10.0).round() / 10.0),
            // PID 1 is ours.
            tasks: live.tasks.map(|tasks| tasks.saturating_sub(1)),
        }
    };
    now.runs.iter().map(row).collect()
}

fn mebibytes(bytes: u64) -> f64 {
    let tenths = u32::try_from(bytes.saturating_mul(10) >> 20).unwrap_or(u32::MAX);
    f64::from(tenths) / 10.0
}

fn render(rows: &[Row]) -> String {
    let mut table = Table::default();
    table.row(["RUN", "EXTENSION", "MEMORY MB", "CPU %", "TASKS", "STARTED"]);
    let unknown = || "-".to_owned();
    for row in rows {
        table.row([
            visible(&row.run_id).into_owned(),
            visible(&row.extension_id).into_owned(),
            row.memory_mb.map_or_else(unknown, |value| format!("{value:.1}")),
            row.cpu_percentage.map_or_else(unknown, |value| format!("{value:.1}")),
            row.tasks.map_or_else(unknown, |value| value.to_string()),
            visible(&row.started_at).into_owned(),
        ]);
    }
    table.render(0)
}
