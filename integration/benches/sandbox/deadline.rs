//! From the deadline until a fork bomb that has filled its 64 tasks is dead, reaped, removed and reported.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::statistics::Series;
use crate::{Bench, Result, programs};

/// The bomb's `timeout_ms`: the grace period of 2 s and some time to fill its tasks.
pub(crate) const TIMEOUT_MS: u64 = 3_000;
/// `run` says by this code that the deadline ended it.
const TIMED_OUT: i32 = 124;
const RUNS: usize = 11;

pub(crate) fn measure(bench: &Bench) -> Result<()> {
    let bundle = programs::bundle(&bench.folder, "bomb");
    let bundle = bundle.to_str().ok_or("the folder of the bench is not UTF-8")?;
    let mut times = Vec::with_capacity(RUNS);
    for _ in 0..RUNS {
        times.push(late(bench, bundle)?.as_secs_f64() * 1e3);
    }
    let series = Series::new(times);
    println!("\n### Deadline to dead, 64-task fork bomb, ms\n");
    println!(
        "Median {:.1}, worst {:.1} of {} runs, until `sandboxctl run` itself has ended.",
        series.median(),
        series.percentile(100),
        series.len()
    );
    Ok(())
}

/// How long after the deadline the run was over. The deadline counts from the extension's first instruction, which says
/// "ready" at once.
fn late(bench: &Bench, bundle: &str) -> Result<Duration> {
    let mut run = bench.sandboxctl(&["run", bundle]).stdout(Stdio::piped()).spawn()?;
    let stdout = run.stdout.take().ok_or("the supervisor has no stdout")?;
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line)?;
    let start = Instant::now();
    let status = run.wait()?;
    let time = start.elapsed();
    if line != "ready\n" || status.code() != Some(TIMED_OUT) {
        return Err(format!("the bomb said {line:?} and its run ended with {status}").into());
    }
    Ok(time.saturating_sub(Duration::from_millis(TIMEOUT_MS)))
}
