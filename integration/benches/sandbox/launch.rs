//! Whole launches of a static `true`, from fork to reaped, every command in turn so that drift hits all alike.

use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::competitors::{self, Competitor};
use crate::statistics::Series;
use crate::{Bench, Result};

/// How launches come in practice: one by one. Locks and caches that a tight loop keeps warm are cold then.
const PAUSE: Duration = Duration::from_millis(350);
const WARM_UP: usize = 5;

pub(crate) fn measure(bench: &Bench) -> Result<()> {
    let mut all = competitors::all(bench)?;
    table(bench, "Launch of a static `true`, ms", "bwrap with the same tree", &mut all)
}

/// Launches all of them in turn and prints a table; `reference` is what the one that is it is called in a sentence.
pub(crate) fn table(
    bench: &Bench,
    title: &str,
    reference: &str,
    all: &mut [Competitor],
) -> Result<()> {
    println!("\n### {title}\n");
    let back_to_back = series(all, bench.runs, Duration::ZERO)?;
    let paused = series(all, bench.runs, PAUSE)?;
    println!("Median (p10-p90) of {} runs each, interleaved; ratio to {reference}.\n", bench.runs);
    let reference = all
        .iter()
        .position(|competitor| competitor.is_reference)
        .filter(|&index| all[index].command.is_some());
    println!("| command | back to back | ratio | {} s apart | ratio |", PAUSE.as_secs_f64());
    println!("|---|--:|--:|--:|--:|");
    for (index, competitor) in all.iter().enumerate() {
        let cells: Vec<String> = [&back_to_back, &paused]
            .iter()
            .flat_map(|table| cells(table, index, reference))
            .collect();
        println!("| {} | {} |", competitor.name, cells.join(" | "));
    }
    Ok(())
}

fn cells(table: &[Option<Series>], index: usize, reference: Option<usize>) -> [String; 2] {
    let Some(series) = &table[index] else {
        return ["not installed".to_owned(), String::new()];
    };
    let base = reference.and_then(|index| table[index].as_ref());
    [
        format!(
            "{:.2} ({:.2}-{:.2})",
            series.median(),
            series.percentile(10),
            series.percentile(90)
        ),
        base.map_or_else(String::new, |base| format!("{:.2}", series.median() / base.median())),
    ]
}

/// A series of milliseconds for each competitor that is there.
fn series(all: &mut [Competitor], runs: usize, pause: Duration) -> Result<Vec<Option<Series>>> {
    let mut times = vec![Vec::with_capacity(runs); all.len()];
    for round in 0..WARM_UP + runs {
        for (competitor, times) in all.iter_mut().zip(&mut times) {
            let Some(command) = &mut competitor.command else { continue };
            sleep(pause);
            let time = once(command, competitor.name)?;
            if round >= WARM_UP {
                times.push(time.as_secs_f64() * 1e3);
            }
        }
    }
    Ok(times.into_iter().map(|times| (!times.is_empty()).then(|| Series::new(times))).collect())
}

/// From before the fork until it is reaped. A command that fails is no measurement.
fn once(command: &mut Command, name: &str) -> Result<Duration> {
    let start = Instant::now();
    let status = command.status()?;
    let time = start.elapsed();
    if status.success() { Ok(time) } else { Err(format!("{name} failed: {status}").into()) }
}
