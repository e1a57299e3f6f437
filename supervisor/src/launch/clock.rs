//! When a run must be told to end, and when it is made to.

use std::time::{Duration, Instant};

use policies::limits::{LimitKind, Limits};

/// Setting a sandbox up takes milliseconds; a host that needs longer than this is broken.
const SETUP: Duration = Duration::from_secs(20);

/// Why the supervisor ends a run. The first decision stands, whatever follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// A limit.
    Limit(LimitKind),
    /// A reaction rule.
    Reaction,
    /// The operator's signal, by number.
    Operator(u8),
    /// The supervisor cannot go on; the reason is reported as the run's failure.
    Failure,
}

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Ask the extension to end: SIGTERM.
    Term,
    /// End everything: SIGKILL.
    Kill,
}

/// The wall clock of one run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    phase: Phase,
    timeout: Duration,
    grace: Duration,
    started: Option<Instant>,
    stop: Option<Stop>,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    SettingUp { until: Instant },
    Running { term_at: Instant },
    Asked { kill_at: Instant },
    Killed,
}

impl Clock {
    /// Before the first instruction of the extension.
    #[must_use]
    pub(super) fn new(limits: &Limits, now: Instant) -> Self {
        let timeout = Duration::from_millis(limits.timeout_ms);
        // The grace lies inside the time limit, so a limit shorter than two graces keeps half of itself.
        let grace = Duration::from_millis(limits.grace_ms).min(timeout / 2);
        let phase = Phase::SettingUp { until: now + SETUP };
        Self { phase, timeout, grace, started: None, stop: None }
    }

    /// The extension starts now.
    pub(super) fn start(&mut self, now: Instant) {
        self.started = Some(now);
        if let Phase::SettingUp { .. } = self.phase {
            self.phase = Phase::Running { term_at: now + self.timeout.saturating_sub(self.grace) };
        }
    }

    /// When the extension started.
    #[must_use]
    pub(super) const fn started(&self) -> Option<Instant> {
        self.started
    }

    /// The first decision to end the run.
    #[must_use]
    pub(super) const fn stop(&self) -> Option<Stop> {
        self.stop
    }

    /// When [`Clock::due`] should be asked again.
    #[must_use]
    pub(super) const fn next(&self) -> Option<Instant> {
        match self.phase {
            Phase::SettingUp { until } => Some(until),
            Phase::Running { term_at } => Some(term_at),
            Phase::Asked { kill_at } => Some(kill_at),
            Phase::Killed => None,
        }
    }

    /// What must be done now; each thing once.
    pub(super) fn due(&mut self, now: Instant) -> Option<Due> {
        match self.phase {
            Phase::SettingUp { until } if now >= until => Some(self.kill(Stop::Failure)),
            Phase::Running { term_at } if now >= term_at => {
                self.decide(Stop::Limit(LimitKind::Timeout));
                self.phase = Phase::Asked { kill_at: term_at + self.grace };
                Some(Due::Term)
            }
            Phase::Asked { kill_at } if now >= kill_at => {
                self.phase = Phase::Killed;
                Some(Due::Kill)
            }
            _ => None,
        }
    }

    /// The operator asks for the end with a signal, which is passed on; a second time ends it at once.
    pub(super) fn operator(&mut self, signal: u8, now: Instant) -> Option<Due> {
        self.decide(Stop::Operator(signal));
        match self.phase {
            Phase::Running { .. } => {
                self.phase = Phase::Asked { kill_at: now + self.grace };
                None
            }
            Phase::SettingUp { .. } | Phase::Asked { .. } => {
                self.phase = Phase::Killed;
                Some(Due::Kill)
            }
            Phase::Killed => None,
        }
    }

    /// Ends the run now, for this reason unless there was one before.
    pub(super) fn kill(&mut self, reason: Stop) -> Due {
        self.decide(reason);
        self.phase = Phase::Killed;
        Due::Kill
    }

    fn decide(&mut self, stop: Stop) {
        self.stop.get_or_insert(stop);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(timeout_ms: u64) -> Limits {
        Limits {
            memory_mb: 1,
            cpu_percent: 1,
            disk_mb: 1,
            tmp_mb: 1,
            timeout_ms,
            grace_ms: 2000,
            tasks: 1,
            open_files: 1,
            file_mb: 1,
        }
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_grace_lies_inside_the_time_limit() {
        let now = Instant::now();
        let mut clock = Clock::new(&limits(30_000), now);
        clock.start(now);
        assert_eq!(clock.due(now + 27 * SECOND), None);
        assert_eq!(clock.due(now + 28 * SECOND), Some(Due::Term));
        assert_eq!(clock.due(now + 29 * SECOND), None);
        assert_eq!(clock.due(now + 30 * SECOND), Some(Due::Kill));
        assert_eq!(clock.due(now + 31 * SECOND), None);
        assert_eq!(clock.stop(), Some(Stop::Limit(LimitKind::Timeout)));
    }

    #[test]
    fn a_short_limit_keeps_half_of_itself() {
        let now = Instant::now();
        let mut clock = Clock::new(&limits(1000), now);
        clock.start(now);
        assert_eq!(clock.due(now + SECOND / 2), Some(Due::Term));
        assert_eq!(clock.due(now + SECOND), Some(Due::Kill));
    }

    #[test]
    fn the_first_decision_stands() {
        let now = Instant::now();
        let mut clock = Clock::new(&limits(30_000), now);
        clock.start(now);
        assert_eq!(clock.operator(2, now), None);
        assert_eq!(clock.operator(2, now), Some(Due::Kill));
        clock.kill(Stop::Limit(LimitKind::Memory));
        assert_eq!(clock.stop(), Some(Stop::Operator(2)));
    }

    #[test]
    fn a_sandbox_that_never_starts_is_ended() {
        let now = Instant::now();
        let mut clock = Clock::new(&limits(1000), now);
        assert_eq!(clock.due(now + SETUP), Some(Due::Kill));
        assert_eq!(clock.stop(), Some(Stop::Failure));
    }
}
