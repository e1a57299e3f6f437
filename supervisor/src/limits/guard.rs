//! What the supervisor does itself where the kernel holds a limit by no control group.
//!
//! A state machine without clock, thread or system call: the poll loop hands in what it measured and the time, and
//! carries out what comes back. It is a guard, not a wall: between two ticks a program can overshoot.

use std::time::Duration;

use policies::limits::{LimitKind, Limits};

use super::cgroup::{Controller, Groups};

/// Which limits the guard has to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needs {
    /// Resident memory of the tree.
    pub memory: bool,
    /// CPU share, by stopping and continuing.
    pub cpu: bool,
    /// Rate of new processes: short-lived ones escape the sampling of CPU and memory.
    pub churn: bool,
}

impl Needs {
    /// What these groups leave open.
    #[must_use]
    pub fn beside(groups: &Groups) -> Self {
        let (memory, cpu) = (groups.holds(Controller::Memory), groups.holds(Controller::Cpu));
        Self { memory: !memory, cpu: !cpu, churn: !(memory && cpu) }
    }

    /// Whether there is anything to guard; without, no ticks are needed.
    #[must_use]
    pub fn any(self) -> bool {
        self.memory || self.cpu || self.churn
    }
}

/// What was measured over the whole tree of the run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TreeUsage {
    /// Sum of the resident memory of each process, in bytes; shared pages count more than once.
    pub rss_bytes: u64,
    /// CPU time so far, of processes that have ended too as far as they were ever seen.
    pub cpu: Duration,
    /// The last process id that the run's pid namespace gave out: field 5 of `/proc/loadavg`, which only tells it to a
    /// reader inside.
    pub newest_pid: Option<u32>,
}

/// What the caller does now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// SIGSTOP to every process, by the namespace's init with kill(-1).
    Stop,
    /// SIGCONT to every process.
    Continue,
    /// Measure proportional memory, which counts shared pages once, and hand it to [`Guard::confirm`].
    ConfirmMemory,
    /// End the run for this limit.
    Kill(LimitKind),
}

/// The outcome of one tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GuardStep {
    /// When to tick again, from now.
    pub next_tick: Duration,
    /// What to do.
    pub action: Option<Action>,
}

/// The guard of one run.
#[derive(Debug)]
pub struct Guard {
    needs: Needs,
    memory_bytes: u64,
    bucket: Bucket,
    churn: Churn,
    /// Resident memory at the last alarm that was a false one, and when.
    refuted: Option<(u64, Duration)>,
    last_rss: u64,
    now: Duration,
}

impl Guard {
    /// Above half of the limit: at 1.4 GB/s of page faults a tree gains 22 MB in this time.
    const CLOSE: Duration = Duration::from_millis(10);
    /// Below.
    const FAR: Duration = Duration::from_millis(50);
    /// Without memory to watch.
    const SLOW: Duration = Duration::from_millis(500);
    /// Measuring proportional memory costs 25 ms for each GB: not at every tick once it was a false alarm.
    const REFUTED_FOR: Duration = Duration::from_millis(250);

    /// A guard that starts with the run at time zero.
    #[must_use]
    pub fn new(limits: &Limits, needs: Needs) -> Self {
        Self {
            needs,
            memory_bytes: limits.memory_mb.saturating_mul(1 << 20),
            bucket: Bucket::new(limits.cpu_percent),
            churn: Churn::new(limits.tasks),
            refuted: None,
            last_rss: 0,
            now: Duration::ZERO,
        }
    }

    /// One tick. `now` is the time since the start of the run, never decreasing.
    pub fn tick(&mut self, now: Duration, usage: &TreeUsage) -> GuardStep {
        self.now = now;
        let mut step = GuardStep { next_tick: Self::SLOW, action: None };
        if self.needs.cpu {
            let (wait, action) = self.bucket.tick(now, usage.cpu);
            step = GuardStep { next_tick: step.next_tick.min(wait), action };
        }
        if self.needs.churn && self.churn.tick(now, usage.newest_pid) {
            step.action = Some(Action::Kill(LimitKind::Tasks));
        }
        if self.needs.memory {
            self.last_rss = usage.rss_bytes;
            let close = usage.rss_bytes > self.memory_bytes / 2;
            step.next_tick = step.next_tick.min(if close { Self::CLOSE } else { Self::FAR });
            if self.alarmed(now, usage.rss_bytes) {
                step.action = Some(Action::ConfirmMemory);
            }
        }
        step
    }

    /// The answer to [`Action::ConfirmMemory`]: proportional memory of the tree, in bytes; `None` where it could not
    /// be read, which leaves the alarm standing.
    pub fn confirm(&mut self, pss_bytes: Option<u64>) -> Option<Action> {
        match pss_bytes {
            Some(pss) if pss <= self.memory_bytes => {
                self.refuted = Some((self.last_rss, self.now));
                None
            }
            _ => Some(Action::Kill(LimitKind::Memory)),
        }
    }

    fn alarmed(&self, now: Duration, rss: u64) -> bool {
        rss > self.memory_bytes
            && self.refuted.is_none_or(|(then, when)| {
                rss > then.saturating_add(self.memory_bytes / 16)
                    || now.saturating_sub(when) >= Self::REFUTED_FOR
            })
    }
}

/// A token bucket of CPU time, in nanoseconds. It may go into debt: what was used too much is waited for.
#[derive(Debug)]
struct Bucket {
    percent: u32,
    tokens: i128,
    then: Duration,
    used: Duration,
    stopped: bool,
}

impl Bucket {
    const PERIOD: Duration = Duration::from_millis(100);
    const LEAST_WAIT: Duration = Duration::from_millis(5);
    /// A stopped tree is looked at this often: a process inside could continue its siblings.
    const STOPPED_WAIT: Duration = Duration::from_millis(25);
    /// More than this used while stopped means that something was continued.
    const STIRRED: Duration = Duration::from_millis(2);

    fn new(percent: u32) -> Self {
        let mut bucket = Self {
            percent: percent.max(1),
            tokens: 0,
            then: Duration::ZERO,
            used: Duration::ZERO,
            stopped: false,
        };
        bucket.tokens = bucket.share(Self::PERIOD / 2);
        bucket
    }

    /// The CPU time that a span of wall time is worth.
    fn share(&self, span: Duration) -> i128 {
        i128::try_from(span.as_nanos()).unwrap_or(i128::MAX / 1000) * i128::from(self.percent) / 100
    }

    fn tick(&mut self, now: Duration, used: Duration) -> (Duration, Option<Action>) {
        let spent = used.saturating_sub(self.used);
        let full = self.share(Self::PERIOD);
        let gained = self.share(now.saturating_sub(self.then));
        self.tokens = (self.tokens + gained).min(full)
            - i128::try_from(spent.as_nanos()).unwrap_or(i128::MAX / 2);
        (self.then, self.used) = (now, self.used.max(used));
        let action = match (self.stopped, self.tokens) {
            (false, ..=0) => Some(Action::Stop),
            (true, tokens) if tokens >= full / 2 => Some(Action::Continue),
            (true, _) if spent > Self::STIRRED => Some(Action::Stop),
            _ => None,
        };
        match action {
            Some(Action::Stop) => self.stopped = true,
            Some(_) => self.stopped = false,
            None => {}
        }
        (self.wait(full), action)
    }

    fn wait(&self, full: i128) -> Duration {
        if self.stopped {
            let debt = (full / 2 - self.tokens).max(0) * 100 / i128::from(self.percent);
            let debt = u64::try_from(debt).map_or(Self::STOPPED_WAIT, Duration::from_nanos);
            return debt.clamp(Self::LEAST_WAIT, Self::STOPPED_WAIT);
        }
        // As if one core were spun on from now.
        let left = u64::try_from(self.tokens).map_or(Self::LEAST_WAIT, Duration::from_nanos);
        left.clamp(Self::LEAST_WAIT, Self::PERIOD)
    }
}

/// The rate of new processes, over one second at a time.
#[derive(Debug)]
struct Churn {
    per_second: u32,
    since: Option<(Duration, u32)>,
    seconds_over: u32,
}

impl Churn {
    /// A compiler run or a shell script starts some hundred processes in a second, but not for long.
    const LEAST_PER_SECOND: u32 = 400;
    const SECONDS: u32 = 3;

    fn new(tasks: u32) -> Self {
        let per_second = tasks.saturating_mul(4).max(Self::LEAST_PER_SECOND);
        Self { per_second, since: None, seconds_over: 0 }
    }

    /// Whether it was too much for too long.
    fn tick(&mut self, now: Duration, newest_pid: Option<u32>) -> bool {
        let Some(newest) = newest_pid else {
            return false;
        };
        let Some((then, before)) = self.since else {
            self.since = Some((now, newest));
            return false;
        };
        let span = now.saturating_sub(then);
        if span < Duration::from_secs(1) {
            return false;
        }
        self.since = Some((now, newest));
        // The counter wraps at pid_max: that second says nothing.
        let Some(born) = newest.checked_sub(before) else {
            return false;
        };
        let over = u128::from(born) * 1000 > u128::from(self.per_second) * span.as_millis();
        self.seconds_over = if over { self.seconds_over + 1 } else { 0 };
        self.seconds_over >= Self::SECONDS
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::testing::LIMITS;

    const NONE: Needs = Needs { memory: false, cpu: false, churn: false };

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn memory(mb: u64) -> TreeUsage {
        TreeUsage { rss_bytes: mb << 20, ..TreeUsage::default() }
    }

    /// Plays a program that uses `cores` whenever it may run; returns its CPU share in percent.
    fn share(percent: u32, cores: u32, length: Duration) -> u128 {
        let limits = Limits { cpu_percent: percent, ..LIMITS };
        let mut guard = Guard::new(&limits, Needs { cpu: true, ..NONE });
        let (mut now, mut cpu, mut stopped) = (Duration::ZERO, Duration::ZERO, false);
        while now < length {
            let step = guard.tick(now, &TreeUsage { cpu, ..TreeUsage::default() });
            match step.action {
                Some(Action::Stop) => stopped = true,
                Some(Action::Continue) => stopped = false,
                None => {}
                other => panic!("{other:?}"),
            }
            now += step.next_tick;
            if !stopped {
                cpu += step.next_tick * cores;
            }
        }
        cpu.as_nanos() * 100 / now.as_nanos()
    }

    #[test]
    fn the_bucket_gives_the_share_to_one_thread_and_to_many() {
        for (percent, cores) in [(25, 1), (25, 4), (50, 1), (5, 8), (1, 1)] {
            let got = share(percent, cores, Duration::from_mins(1));
            let percent = u128::from(percent);
            assert!(
                got >= percent - percent / 10 - 1 && got <= percent + percent / 10 + 1,
                "{percent}: {got}"
            );
        }
    }

    #[test]
    fn idling_saves_up_no_more_than_a_period() {
        let mut bucket = Bucket::new(25);
        bucket.tick(Duration::from_hours(1), Duration::ZERO);
        assert_eq!(bucket.tokens, 25_000_000);
    }

    #[test]
    fn a_tree_that_was_continued_from_inside_is_stopped_again() {
        let mut guard = Guard::new(&LIMITS, Needs { cpu: true, ..NONE });
        let at = |cpu| TreeUsage { cpu: ms(cpu), ..TreeUsage::default() };
        assert_eq!(guard.tick(ms(50), &at(50)).action, Some(Action::Stop));
        assert_eq!(guard.tick(ms(60), &at(50)).action, None);
        assert_eq!(guard.tick(ms(70), &at(60)).action, Some(Action::Stop));
    }

    #[test]
    fn memory_is_watched_closer_above_half_and_confirmed_before_the_kill() {
        let mut guard = Guard::new(&LIMITS, Needs { memory: true, ..NONE });
        assert_eq!(guard.tick(ms(0), &memory(100)).next_tick, Guard::FAR);
        assert_eq!(
            guard.tick(ms(50), &memory(200)),
            GuardStep { next_tick: Guard::CLOSE, action: None }
        );
        assert_eq!(guard.tick(ms(60), &memory(300)).action, Some(Action::ConfirmMemory));
        assert_eq!(guard.confirm(Some(257 << 20)), Some(Action::Kill(LimitKind::Memory)));
        assert_eq!(guard.confirm(None), Some(Action::Kill(LimitKind::Memory)));
    }

    #[test]
    fn shared_pages_are_a_false_alarm_that_is_not_repeated_at_once() {
        let mut guard = Guard::new(&LIMITS, Needs { memory: true, ..NONE });
        assert_eq!(guard.tick(ms(0), &memory(300)).action, Some(Action::ConfirmMemory));
        assert_eq!(guard.confirm(Some(200 << 20)), None);
        assert_eq!(guard.tick(ms(10), &memory(301)).action, None);
        assert_eq!(guard.tick(ms(20), &memory(330)).action, Some(Action::ConfirmMemory));
        assert_eq!(guard.confirm(Some(200 << 20)), None);
        assert_eq!(guard.tick(ms(280), &memory(330)).action, Some(Action::ConfirmMemory));
    }

    #[test]
    fn only_lasting_churn_kills() {
        let at = |pid| TreeUsage { newest_pid: Some(pid), ..TreeUsage::default() };
        let play = |pids: &[u32]| {
            let mut guard = Guard::new(&LIMITS, Needs { churn: true, ..NONE });
            let mut last = None;
            for (second, pid) in (0_u64..).zip(pids) {
                last = guard.tick(Duration::from_secs(second), &at(*pid)).action;
            }
            last
        };
        assert_eq!(play(&[0, 500, 1000, 1500]), Some(Action::Kill(LimitKind::Tasks)));
        assert_eq!(play(&[0, 500, 1000, 1100]), None);
        assert_eq!(play(&[0, 500, 1000, 3]), None);
        assert_eq!(play(&[0, 300, 600, 900, 1200]), None);
    }

    #[test]
    fn what_the_kernel_holds_is_left_alone() {
        let mut guard = Guard::new(&LIMITS, NONE);
        let usage =
            TreeUsage { rss_bytes: u64::MAX, cpu: Duration::from_secs(99), newest_pid: Some(1) };
        assert_eq!(guard.tick(ms(10), &usage), GuardStep { next_tick: Guard::SLOW, action: None });
        assert!(!NONE.any());
    }
}
