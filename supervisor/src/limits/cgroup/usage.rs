//! What the groups of a run have used.

use std::path::PathBuf;

use super::Groups;
use super::file::Kept;

/// Readings of the groups. `None` is what this host cannot tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Memory charged now, in bytes; page cache and tmpfs included.
    pub memory_now: Option<u64>,
    /// The most memory ever charged, in bytes; v2 from Linux 5.19.
    pub memory_peak: Option<u64>,
    /// CPU time of the whole tree, dead processes included, in microseconds.
    pub cpu_usec: Option<u64>,
    /// How long the quota kept runnable tasks waiting, in microseconds.
    pub throttled_usec: Option<u64>,
    /// Periods in which the quota was used up.
    pub nr_throttled: Option<u64>,
    /// Periods in which anything ran.
    pub nr_periods: Option<u64>,
    /// Tasks now, ours included.
    pub tasks_now: Option<u64>,
    /// The most tasks ever, ours included; Linux 6.1.
    pub tasks_peak: Option<u64>,
    /// How often the kernel killed for memory: a process each, or on v2 the whole group at once.
    pub oom_kills: Option<u64>,
    /// Forks that the task limit refused.
    pub pids_max_events: Option<u64>,
}

impl Groups {
    /// Reads everything, one pread(2) a file. The first reading also opens the files.
    #[must_use]
    pub fn read(&self) -> Usage {
        let mut usage = Usage { oom_kills: self.oom_kills_now(), ..Usage::default() };
        for group in &self.v1 {
            // A hierarchy without the controller lacks the file, and costs one failed open(2) in all.
            usage.memory_now = usage.memory_now.or_else(|| group.memory_now.number());
            usage.memory_peak = usage.memory_peak.or_else(|| group.memory_peak.number());
            usage.tasks_now = usage.tasks_now.or_else(|| group.pids_now.number());
            usage.tasks_peak = usage.tasks_peak.or_else(|| group.pids_peak.number());
            let [max] = group.pids_events.fields(["max"]);
            usage.pids_max_events = usage.pids_max_events.or(max);
            let nanoseconds = group.cpuacct_usage.number();
            usage.cpu_usec = usage.cpu_usec.or(nanoseconds.map(|ns| ns / 1_000));
            let [periods, throttled, time] =
                group.cpu_stat.fields(["nr_periods", "nr_throttled", "throttled_time"]);
            usage.nr_periods = usage.nr_periods.or(periods);
            usage.nr_throttled = usage.nr_throttled.or(throttled);
            usage.throttled_usec = usage.throttled_usec.or(time.map(|ns| ns / 1_000));
        }
        if let Some(group) = &self.v2 {
            let [cpu, periods, throttled, time] = group.cpu_stat.fields([
                "usage_usec",
                "nr_periods",
                "nr_throttled",
                "throttled_usec",
            ]);
            usage.cpu_usec = cpu.or(usage.cpu_usec);
            usage.nr_periods = usage.nr_periods.or(periods);
            usage.nr_throttled = usage.nr_throttled.or(throttled);
            usage.throttled_usec = usage.throttled_usec.or(time);
            usage.memory_now = usage.memory_now.or_else(|| group.memory_now.number());
            usage.memory_peak = usage.memory_peak.or_else(|| group.memory_peak.number());
            usage.tasks_now = usage.tasks_now.or_else(|| group.pids_now.number());
            usage.tasks_peak = usage.tasks_peak.or_else(|| group.pids_peak.number());
            let [max] = group.pids_events.fields(["max"]);
            usage.pids_max_events = usage.pids_max_events.or(max);
        }
        usage
    }

    /// How often the kernel killed for memory, grandchildren included: the only proof of an OOM. One pread(2).
    #[must_use]
    pub fn oom_kills_now(&self) -> Option<u64> {
        let v1 = self.v1.iter().find_map(|group| group.oom_control.fields(["oom_kill"])[0]);
        v1.or_else(|| {
            // Of a group that dies as a whole, `oom_kill` counts every process, some of them twice. `oom_group_kill` is
            // 0 until the last is dead, and absent before Linux 5.17.
            let [groups, processes] =
                self.v2.as_ref()?.memory_events.fields(["oom_group_kill", "oom_kill"]);
            groups.filter(|count| *count > 0).or(processes)
        })
    }
}

/// What a live run uses now, for another process than its supervisor. `None` is what this host cannot tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Live {
    /// Memory charged, in bytes.
    pub memory_bytes: Option<u64>,
    /// CPU time so far, in microseconds.
    pub cpu_usec: Option<u64>,
    /// Tasks, ours included.
    pub tasks: Option<u64>,
}

/// Reads the groups in these folders, of either version.
#[must_use]
pub fn live(dirs: &[PathBuf]) -> Live {
    let mut live = Live::default();
    for dir in dirs {
        let number = |name: &str| Kept::new(dir.join(name)).number();
        let memory = || number("memory.current").or_else(|| number("memory.usage_in_bytes"));
        live.memory_bytes = live.memory_bytes.or_else(memory);
        let [usage] = Kept::new(dir.join("cpu.stat")).fields(["usage_usec"]);
        let cpu = || usage.or_else(|| number("cpuacct.usage").map(|ns| ns / 1_000));
        live.cpu_usec = live.cpu_usec.or_else(cpu);
        live.tasks = live.tasks.or_else(|| number("pids.current"));
    }
    live
}
