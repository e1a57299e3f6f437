//! What a run uses, while it uses it: samples for the report, guards for limits that the kernel does not hold, and how
//! full the disks are.

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use policies::plan::Plan;

use super::resources::Resources;
use super::summary::mebibytes;
use super::{LaunchError, Options};
use crate::confine::Disks;
use crate::data::{self, DiskUsage};
use crate::egress::traffic::Traffic;
use crate::limits::cgroup::{Groups, Usage};
use crate::limits::guard::{Action, Guard, Needs};
use crate::report::{Point, Series};
use crate::sample::watch::TreeWatch;
use crate::sample::{Sample, TreeSampler};

/// How full the disks are is looked at this often, and more often once one is half full: no kernel tells when a
/// filesystem is full, so what is filled and emptied between two looks is missed.
const DISKS: Duration = Duration::from_millis(100);
const FILLING: Duration = Duration::from_millis(10);

/// When the first sample is taken at the latest, so that short runs have one.
const FIRST_SAMPLE: Duration = Duration::from_millis(100);

/// The usage of one run.
#[derive(Debug)]
pub(super) struct Meter {
    interval: Duration,
    disks: DiskWatch,
    guard: Option<Guard>,
    running: Option<Running>,
    accounting: Usage,
    network: Traffic,
}

/// What exists once the extension runs.
#[derive(Debug)]
struct Running {
    since: Instant,
    sampler: TreeSampler,
    sample_at: Instant,
    disks_at: Instant,
    watch: TreeWatch,
    guard_at: Option<Instant>,
    guard_peak: u64,
    latest: Sample,
}

impl Meter {
    /// Before anything runs.
    pub(super) fn new(
        plan: &Plan,
        resources: &Resources,
        groups: &Groups,
        disks: Disks,
        options: &Options,
    ) -> Result<Self, LaunchError> {
        let needs = Needs::beside(groups);
        let limit = plan.limits.disk_mb.saturating_mul(1 << 20);
        let persistent = resources.data.as_ref().map(|data| data.mount_fd().try_clone_to_owned());
        let persistent = persistent.transpose().map_err(LaunchError::descriptor)?;
        Ok(Self {
            interval: Duration::from_millis(options.sample_ms),
            disks: DiskWatch::new(persistent.or(disks.data), limit, disks.temporary),
            guard: needs.any().then(|| Guard::new(&plan.limits, needs)),
            running: None,
            accounting: Usage::default(),
            network: Traffic::default(),
        })
    }

    /// Where bytes are counted.
    pub(super) fn watch_network(&mut self, traffic: Traffic) {
        self.network = traffic;
    }

    /// The extension starts, beneath this PID 1.
    pub(super) fn start(&mut self, shim: i32, now: Instant) {
        self.running = Some(Running {
            since: now,
            sampler: TreeSampler::new(shim, self.interval),
            sample_at: now + self.interval.min(FIRST_SAMPLE),
            disks_at: now + DISKS,
            watch: TreeWatch::new(shim),
            guard_at: self.guard.as_ref().map(|_| now),
            guard_peak: 0,
            latest: Sample::default(),
        });
    }

    /// When [`Meter::on_time`] is due.
    pub(super) fn next(&self) -> Option<Instant> {
        let running = self.running.as_ref()?;
        [Some(running.sample_at), Some(running.disks_at), running.guard_at]
            .into_iter()
            .flatten()
            .min()
    }

    /// Measures what it is time for; what the guard wants done.
    pub(super) fn on_time(&mut self, now: Instant, groups: &Groups) -> Option<Action> {
        let running = self.running.as_mut()?;
        let elapsed = now.saturating_duration_since(running.since);
        if running.disks_at <= now {
            running.disks_at = now + if self.disks.look() { FILLING } else { DISKS };
        }
        if running.sample_at <= now {
            let data = self.disks.data.as_ref().map(AsFd::as_fd);
            running.latest = running.sampler.sample(elapsed, groups, data, self.network.bytes());
            running.sample_at = now + running.sampler.interval();
        }
        let guard = self.guard.as_mut()?;
        if running.guard_at.is_none_or(|at| at > now) {
            return None;
        }
        let usage = running.watch.measure();
        running.guard_peak = running.guard_peak.max(usage.rss_bytes);
        let step = guard.tick(elapsed, &usage);
        running.guard_at = Some(now + step.next_tick);
        match step.action {
            Some(Action::ConfirmMemory) => guard.confirm(running.watch.proportional()),
            other => other,
        }
    }

    /// The last look, once everything is dead.
    pub(super) fn finish(&mut self, groups: &Groups) {
        self.disks.look();
        self.accounting = groups.read();
    }

    /// What the groups say at the end.
    pub(super) const fn accounting(&self) -> &Usage {
        &self.accounting
    }

    /// How often `/data` was found to have become full.
    pub(super) const fn data_full(&self) -> u64 {
        self.disks.data_full.count
    }

    /// How often `/tmp` or `/dev/shm` was.
    pub(super) const fn temporary_full(&self) -> u64 {
        self.disks.temporary_full.count
    }

    /// What `/data` held at the end, in bytes.
    pub(super) const fn data_used(&self) -> u64 {
        self.disks.data_used
    }

    /// The most memory of all samples and of what the guard saw, in bytes.
    pub(super) fn memory_peak(&self) -> u64 {
        self.running.as_ref().map_or(0, |running| {
            running.sampler.series().peaks().memory_bytes.max(running.guard_peak)
        })
    }

    /// The most tasks of all samples.
    pub(super) fn tasks_peak(&self) -> u64 {
        self.running.as_ref().map_or(0, |running| running.sampler.series().peaks().tasks)
    }

    /// Memory at the last sample, in bytes; `None` before the first.
    pub(super) fn memory_last(&self) -> Option<u64> {
        self.latest().map(|sample| sample.memory_bytes)
    }

    /// CPU at the last sample, in percent of one core.
    pub(super) fn cpu_last(&self) -> f64 {
        self.latest().map_or(0.0, |sample| sample.cpu_percent)
    }

    /// Bytes received and sent so far.
    pub(super) fn network(&self) -> (u64, u64) {
        self.network.bytes()
    }

    /// Connections so far, and those that were refused or failed.
    pub(super) fn requests(&self) -> (u64, u64) {
        self.network.requests()
    }

    fn latest(&self) -> Option<&Sample> {
        self.running.as_ref().map(|running| &running.latest).filter(|sample| sample.offset_ms > 0)
    }

    /// Usage over time, for the report.
    pub(super) fn series(&self) -> Series {
        let Some(running) = &self.running else { return Series::default() };
        let series = running.sampler.series();
        Series {
            interval_ms: u64::try_from(series.interval().as_millis()).unwrap_or(u64::MAX),
            points: series.samples().iter().map(point).collect(),
        }
    }
}

fn point(sample: &Sample) -> Point {
    Point {
        at_ms: sample.offset_ms,
        memory_mb: mebibytes(sample.memory_bytes),
        cpu_percentage: sample.cpu_percent,
        disk_mb: mebibytes(sample.disk_bytes.unwrap_or(0)),
        network_bytes_in: sample.net_in_bytes,
        network_bytes_out: sample.net_out_bytes,
        tasks: sample.tasks,
    }
}

/// The filesystems that an extension can fill.
#[derive(Debug)]
struct DiskWatch {
    /// `/data`, whichever kind.
    data: Option<OwnedFd>,
    temporary: Vec<OwnedFd>,
    data_used: u64,
    data_limit: u64,
    data_full: Edge,
    temporary_full: Edge,
}

/// Counts how often something became true.
#[derive(Clone, Copy, Debug, Default)]
struct Edge {
    count: u64,
    now: bool,
}

impl Edge {
    fn see(&mut self, now: bool) {
        self.count += u64::from(now && !self.now);
        self.now = now;
    }
}

impl DiskWatch {
    const fn new(data: Option<OwnedFd>, data_limit: u64, temporary: Vec<OwnedFd>) -> Self {
        Self {
            data,
            temporary,
            data_used: 0,
            data_limit,
            data_full: Edge { count: 0, now: false },
            temporary_full: Edge { count: 0, now: false },
        }
    }

    /// Looks; whether one is more than half full.
    fn look(&mut self) -> bool {
        let usage = |disk: &OwnedFd| data::usage(disk.as_fd()).ok();
        let data = self.data.as_ref().and_then(usage);
        if let Some(usage) = data {
            self.data_used = usage.used_bytes;
        }
        let full =
            |usage: &DiskUsage| usage.used_bytes >= usage.size_bytes || usage.free_inodes == 0;
        let temporary: Vec<DiskUsage> = self.temporary.iter().filter_map(usage).collect();
        // An image holds a little more than its limit, and ext4 refuses a write while it still shows free blocks.
        let data_full =
            data.is_some_and(|usage| full(&usage) || usage.used_bytes >= self.data_limit);
        self.data_full.see(data_full);
        self.temporary_full.see(temporary.iter().any(full));
        let filling = |usage: &DiskUsage| usage.used_bytes > usage.size_bytes / 2;
        data.iter().chain(&temporary).any(filling)
    }
}
