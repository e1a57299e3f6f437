//! The one line on a terminal while a run goes on.

use std::io::{self, Stderr};
use std::time::{Duration, Instant};

use policies::plan::Plan;

use super::clock::Clock;
use super::meter::Meter;
use super::summary::mebibytes;
use crate::report::progress::{Progress, Snapshot};
use crate::report::style::Style;

/// Often enough to look alive.
const EVERY: Duration = Duration::from_millis(200);

/// The progress of one run; does nothing unless stderr is a terminal and the user wants to see something.
#[derive(Debug)]
pub(super) struct Screen {
    progress: Option<Progress<Stderr>>,
    memory_limit_mb: u64,
    next: Instant,
}

impl Screen {
    pub(super) fn new(plan: &Plan, quiet: bool) -> Self {
        let style = Style::of_stderr();
        let progress = (!quiet && style.terminal).then(|| Progress::new(io::stderr(), style));
        Self { progress, memory_limit_mb: plan.limits.memory_mb, next: Instant::now() + EVERY }
    }

    /// When [`Screen::on_time`] is due.
    pub(super) fn next(&self) -> Option<Instant> {
        self.progress.as_ref().map(|_| self.next)
    }

    /// Writes the line anew, where it is time.
    pub(super) fn on_time(&mut self, now: Instant, clock: &Clock, meter: &Meter) {
        let Some(progress) = &mut self.progress else { return };
        let Some(started) = clock.started().filter(|_| now >= self.next) else { return };
        self.next = now + EVERY;
        let snapshot = Snapshot {
            elapsed: now.saturating_duration_since(started),
            memory_mb: mebibytes(meter.memory_last().unwrap_or(0)),
            memory_limit_mb: self.memory_limit_mb,
            cpu_percentage: meter.cpu_last(),
        };
        // A terminal that has gone away must not end the run.
        if progress.show(&snapshot).is_err() {
            self.progress = None;
        }
    }

    /// Leaves the line empty for what follows.
    pub(super) fn clear(&mut self) {
        if let Some(progress) = &mut self.progress
            && progress.clear().is_err()
        {
            self.progress = None;
        }
    }
}
