//! Why a run ended.
//!
//! In this order: what the supervisor itself decided first, what the kernel counted, the signal, the plain exit. The exit
//! status alone proves nothing: 137 is what an OOM, a timeout and a program that kills itself look like.

use policies::limits::LimitKind;

use super::cgroup::Usage;

/// What the supervisor decided to end the run for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// A limit: timeout, disk, or one that the guard holds.
    Limit(LimitKind),
    /// The operator stopped it.
    Stopped,
}

/// How the entry command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// With this code.
    Exited(i32),
    /// By this signal.
    Signalled(i32),
}

/// Why the run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The extension ended by itself, with this code.
    Exited(i32),
    /// A signal ended it that no limit explains: a crash, or its own doing.
    Signalled(i32),
    /// A limit ended it.
    Limit(LimitKind),
    /// The operator ended it.
    Stopped,
}

/// What is known at the end.
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'a> {
    /// The supervisor's first decision.
    pub decision: Option<Decision>,
    /// The entry command's end.
    pub status: Status,
    /// The groups before the launch.
    pub before: &'a Usage,
    /// The groups after the last process.
    pub after: &'a Usage,
    /// The memory limit, in bytes.
    pub memory_limit: u64,
    /// The highest sampled sum of resident memory, in bytes: what is left to judge by without a memory group.
    pub sampled_peak: u64,
}

/// Why the run ended, and what proves it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Why.
    pub cause: Cause,
    /// The proof, in words.
    pub proof: &'static str,
    /// How often the kernel killed for memory, whoever it was: see [`Usage::oom_kills`].
    pub oom_kills: u64,
    /// Forks that the task limit refused. Being refused ends nothing by itself.
    pub refused_forks: u64,
    /// How long the CPU quota kept it waiting, in microseconds. Being throttled is no offence.
    pub throttled_usec: u64,
}

/// Judges the end of a run.
#[must_use]
pub fn classify(evidence: &Evidence<'_>) -> Verdict {
    let Evidence { before, after, .. } = evidence;
    let delta = |after: Option<u64>, before: Option<u64>| {
        after.unwrap_or(0).saturating_sub(before.unwrap_or(0))
    };
    let oom_kills = delta(after.oom_kills, before.oom_kills);
    let (cause, proof) = judge(evidence, oom_kills);
    Verdict {
        cause,
        proof,
        oom_kills,
        refused_forks: delta(after.pids_max_events, before.pids_max_events),
        throttled_usec: delta(after.throttled_usec, before.throttled_usec),
    }
}

fn judge(evidence: &Evidence<'_>, oom_kills: u64) -> (Cause, &'static str) {
    match evidence.decision {
        Some(Decision::Limit(kind)) => return (Cause::Limit(kind), "decided by the supervisor"),
        Some(Decision::Stopped) => return (Cause::Stopped, "stopped by the operator"),
        None => {}
    }
    if oom_kills > 0 {
        return (Cause::Limit(LimitKind::Memory), "the kernel counted an oom kill");
    }
    if evidence.status == Status::Signalled(libc::SIGXFSZ) {
        return (Cause::Limit(LimitKind::Disk), "a file grew to its size limit (SIGXFSZ)");
    }
    // SIGXCPU is not ours: no RLIMIT_CPU is set.
    let near_limit = evidence.sampled_peak >= evidence.memory_limit / 10 * 9;
    if evidence.after.oom_kills.is_none() && near_limit && evidence.status != Status::Exited(0) {
        return (
            Cause::Limit(LimitKind::Memory),
            "failed with its memory near the limit (RLIMIT_DATA refuses, nothing counts)",
        );
    }
    match evidence.status {
        Status::Exited(code) => (Cause::Exited(code), "its own exit"),
        Status::Signalled(signal) => (Cause::Signalled(signal), "a signal that no limit explains"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KILLED: Status = Status::Signalled(libc::SIGKILL);

    fn cause(decision: Option<Decision>, status: Status, after: Usage, sampled_peak: u64) -> Cause {
        let before = Usage { oom_kills: after.oom_kills.map(|_| 0), ..Usage::default() };
        let memory_limit = 100;
        classify(&Evidence {
            decision,
            status,
            before: &before,
            after: &after,
            memory_limit,
            sampled_peak,
        })
        .cause
    }

    fn kills(count: u64) -> Usage {
        Usage { oom_kills: Some(count), ..Usage::default() }
    }

    #[test]
    fn the_same_status_has_four_causes() {
        let timeout = Some(Decision::Limit(LimitKind::Timeout));
        assert_eq!(cause(timeout, KILLED, kills(1), 0), Cause::Limit(LimitKind::Timeout));
        assert_eq!(cause(Some(Decision::Stopped), KILLED, kills(0), 0), Cause::Stopped);
        assert_eq!(cause(None, KILLED, kills(1), 0), Cause::Limit(LimitKind::Memory));
        assert_eq!(cause(None, KILLED, kills(0), 0), Cause::Signalled(libc::SIGKILL));
    }

    #[test]
    fn an_oom_of_a_grandchild_counts_whatever_the_leader_says() {
        assert_eq!(cause(None, Status::Exited(0), kills(1), 0), Cause::Limit(LimitKind::Memory));
    }

    #[test]
    fn refused_forks_are_told_but_end_nothing() {
        let after = Usage { pids_max_events: Some(7), ..kills(0) };
        let verdict = classify(&Evidence {
            decision: None,
            status: Status::Exited(3),
            before: &kills(0),
            after: &after,
            memory_limit: 100,
            sampled_peak: 100,
        });
        assert_eq!((verdict.cause, verdict.refused_forks), (Cause::Exited(3), 7));
    }

    #[test]
    fn a_crash_is_memory_only_near_the_limit_and_without_a_group() {
        let aborted = Status::Signalled(libc::SIGABRT);
        assert_eq!(cause(None, aborted, Usage::default(), 95), Cause::Limit(LimitKind::Memory));
        assert_eq!(cause(None, aborted, Usage::default(), 50), Cause::Signalled(libc::SIGABRT));
        assert_eq!(cause(None, aborted, kills(0), 95), Cause::Signalled(libc::SIGABRT));
        assert_eq!(cause(None, Status::Exited(0), Usage::default(), 99), Cause::Exited(0));
    }

    #[test]
    fn a_file_at_its_size_limit_is_disk() {
        let grown = Status::Signalled(libc::SIGXFSZ);
        assert_eq!(cause(None, grown, kills(0), 0), Cause::Limit(LimitKind::Disk));
    }
}
