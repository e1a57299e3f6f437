//! What a run uses, over its time: the report's series, and the quicker readings of the guard.

mod series;
#[cfg(test)]
mod tests;
pub mod tree;
pub mod watch;

use std::collections::HashMap;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use procfs::process::{Process, Stat};

pub use series::{Peaks, Sample, Series};

use crate::data;
use crate::limits::cgroup::Groups;

/// Samples everything that a sandbox runs.
#[derive(Debug)]
pub struct TreeSampler {
    root: i32,
    live: HashMap<Identity, Counted>,
    /// Sums of processes that are gone, as last seen.
    gone: Counted,
    last: Sample,
    series: Series,
}

/// A pid is reused; a pid and the time of its start, in ticks since boot, is not.
type Identity = (i32, u64);

/// What only ever grows.
#[derive(Clone, Copy, Debug, Default)]
struct Counted {
    cpu_ticks: u64,
    read_bytes: u64,
    write_bytes: u64,
}

impl Counted {
    fn add(&mut self, other: Self) {
        self.cpu_ticks = self.cpu_ticks.saturating_add(other.cpu_ticks);
        self.read_bytes = self.read_bytes.saturating_add(other.read_bytes);
        self.write_bytes = self.write_bytes.saturating_add(other.write_bytes);
    }
}

impl TreeSampler {
    /// A sampler of everything beneath the sandbox's init, whose pid in our namespace this is.
    #[must_use]
    pub fn new(init: i32, interval: Duration) -> Self {
        Self {
            root: init,
            live: HashMap::new(),
            gone: Counted::default(),
            last: Sample::default(),
            series: Series::new(interval, Series::CAPACITY),
        }
    }

    /// Takes a sample. `now` is the time since the start of the run; `data` any descriptor on the filesystem of `/data`;
    /// the last argument is bytes received and sent, which the egress proxy counts: the namespace has only loopback.
    ///
    /// Memory and CPU time are the control groups' where there are any; the sums over `/proc` miss what a process used
    /// after it was last seen.
    pub fn sample(
        &mut self,
        now: Duration,
        groups: &Groups,
        data: Option<BorrowedFd<'_>>,
        (net_in_bytes, net_out_bytes): (u64, u64),
    ) -> Sample {
        let usage = groups.read();
        let (counted, resident, tasks) = self.walk();
        let ticks_usec = counted.cpu_ticks.saturating_mul(1_000_000 / procfs::ticks_per_second());
        let mut sample = Sample {
            offset_ms: u64::try_from(now.as_millis()).unwrap_or(u64::MAX),
            memory_bytes: usage.memory_now.unwrap_or(resident),
            cpu_usec: usage.cpu_usec.unwrap_or(ticks_usec).max(self.last.cpu_usec),
            cpu_percent: 0.0,
            tasks,
            disk_bytes: data.and_then(|fd| data::usage(fd).ok()).map(|usage| usage.used_bytes),
            read_bytes: counted.read_bytes,
            write_bytes: counted.write_bytes,
            net_in_bytes,
            net_out_bytes,
        };
        sample.cpu_percent = series::cpu_percent(&self.last, &sample);
        self.last = sample;
        self.series.push(sample);
        sample
    }

    /// When to take the next sample, from the last one; grows in long runs.
    #[must_use]
    pub fn interval(&self) -> Duration {
        self.series.interval()
    }

    /// What was sampled.
    #[must_use]
    pub fn series(&self) -> &Series {
        &self.series
    }

    /// Sums over the tree: what was counted so far, resident bytes now, tasks now.
    fn walk(&mut self) -> (Counted, u64, u64) {
        let mut before = std::mem::take(&mut self.live);
        let (mut resident, mut tasks, mut sum) = (0_u64, 0_u64, Counted::default());
        for pid in tree::descendants(self.root) {
            // Gone since the walk.
            let Some((process, stat)) = Process::new(pid)
                .ok()
                .and_then(|process| process.stat().ok().map(|s| (process, s)))
            else {
                continue;
            };
            let identity = (pid, stat.starttime);
            let last = before.remove(&identity).unwrap_or_default();
            let counted = count(&process, &stat, last);
            resident = resident.saturating_add(stat.rss.saturating_mul(procfs::page_size()));
            tasks = tasks.saturating_add(u64::try_from(stat.num_threads).unwrap_or(0));
            sum.add(counted);
            self.live.insert(identity, counted);
        }
        for counted in before.into_values() {
            self.gone.add(counted);
        }
        sum.add(self.gone);
        (sum, resident, tasks)
    }
}

fn count(process: &Process, stat: &Stat, last: Counted) -> Counted {
    let cpu_ticks = stat.utime.saturating_add(stat.stime).max(last.cpu_ticks);
    // A zombie has no I/O counters any more.
    match process.io() {
        Ok(io) => Counted { cpu_ticks, read_bytes: io.read_bytes, write_bytes: io.write_bytes },
        Err(_) => Counted { cpu_ticks, ..last },
    }
}
