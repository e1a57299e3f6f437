//! Denied system calls: the supervisor's end of the seccomp filter.
//!
//! Each call that the filter does not allow suspends its thread until an answer comes, here always an errno. Answers are
//! at once while the sandbox is quiet. A sandbox that floods us is answered late: its threads wait, so the flood costs
//! them and not the supervisor, and each call is still received and counted. At most one call a thread can wait, so the
//! limit on tasks bounds the queue.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::PollFlags;
use nix::unistd::Pid;
use policies::plan::Seccomp;
use policies::violation::{Action, Code, Process};
use thiserror::Error;

use crate::monitor::decode::decode;
use crate::monitor::process;
use crate::monitor::words::{Entry, detail, syscall_name};
use crate::record::bucket::TokenBucket;
use crate::record::clock::Now;
use crate::record::ledger::{Attempt, Details, Ledger};
use crate::record::object::ObjectRef;
use crate::sys::seccomp_notif::{Listener, Notification, Readiness};

/// Answers at once in a burst, and a second after that.
const ANSWER_BURST: u32 = 200;
const ANSWERS_PER_SECOND: u32 = 1000;
/// While answers are late, the listener is looked at this often and not at each event: one wake-up serves them all.
const TICK: Duration = Duration::from_millis(10);
/// Calls taken in one go, so that other fds of the poll loop get their turn.
const BATCH: usize = 256;
/// Calls taken before a kill; tasks that are killed and replaced all the while must not keep us here.
const DRAIN: usize = 8192;
/// Held answers beyond this are checked for callers that were killed meanwhile.
const HELD_BEFORE_PRUNE: usize = 4096;

/// The rule of a call that no line of the policy names.
const NOT_ALLOWED: &str = "seccomp:not allowed";
/// The rule of a call through a foreign entry.
const FOREIGN: &str = "seccomp:architecture";

/// The listener failed; the run cannot go on, since its denials are no longer answered.
#[derive(Debug, Error)]
pub enum NotifyError {
    /// The kernel has no user notification, or the fd is none.
    #[error("failed to set up the seccomp listener: {}", .source.desc())]
    SetUp {
        /// What the kernel said.
        #[source]
        source: Errno,
    },
    /// Polling or receiving failed.
    #[error("failed to receive a seccomp notification: {}", .source.desc())]
    Receive {
        /// What the kernel said.
        #[source]
        source: Errno,
    },
    /// Answering failed.
    #[error("failed to answer a seccomp notification: {}", .source.desc())]
    Answer {
        /// What the kernel said.
        #[source]
        source: Errno,
    },
}

/// Whether the listener is still of use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotifyState {
    /// Keep polling.
    Open,
    /// The last task under the filter is gone: stop polling, drop the notifier.
    Closed,
}

/// Counts of one listener.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NotifyStats {
    /// Calls received; each one is in the ledger.
    pub received: u64,
    /// Of those, answered late because of the rate.
    pub delayed: u64,
    /// Of those, never answered because the caller was killed first.
    pub gone: u64,
}

#[derive(Clone, Copy, Debug)]
struct Held {
    id: u64,
    errno: i32,
}

/// The seccomp listener of one run.
#[derive(Debug)]
pub struct Notifier<'p> {
    listener: Listener,
    policy: &'p Seccomp,
    answers: TokenBucket,
    held: VecDeque<Held>,
    tick: Option<Instant>,
    stats: NotifyStats,
}

impl<'p> Notifier<'p> {
    /// Takes the listener of a filter that was compiled from `policy`.
    pub fn new(listener: OwnedFd, policy: &'p Seccomp) -> Result<Self, NotifyError> {
        Self::with_rate(listener, policy, TokenBucket::new(ANSWER_BURST, ANSWERS_PER_SECOND))
    }

    fn with_rate(
        listener: OwnedFd,
        policy: &'p Seccomp,
        answers: TokenBucket,
    ) -> Result<Self, NotifyError> {
        let listener = Listener::new(listener).map_err(|source| NotifyError::SetUp { source })?;
        Ok(Self {
            listener,
            policy,
            answers,
            held: VecDeque::new(),
            tick: None,
            stats: NotifyStats::default(),
        })
    }

    /// What to poll, for [`Self::poll_events`].
    #[must_use]
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }

    /// `POLLIN`, or nothing while answers are late; `POLLHUP` is reported in both cases. Ask before each poll.
    #[must_use]
    pub fn poll_events(&self) -> PollFlags {
        if self.tick.is_some() { PollFlags::empty() } else { PollFlags::POLLIN }
    }

    /// When [`Self::on_timer`] is due; `None` while no answer is late.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.tick
    }

    /// Counts so far.
    #[must_use]
    pub fn stats(&self) -> NotifyStats {
        self.stats
    }

    /// Call when poll reported anything for [`Self::fd`]. Never blocks.
    pub fn on_ready(&mut self, now: Now, ledger: &mut Ledger) -> Result<NotifyState, NotifyError> {
        let state = self.receive(now, ledger, BATCH)?;
        // A tick that is set stays: a caller that comes more often than it must would put it off for ever.
        if self.tick.is_none() {
            self.schedule(now.mono);
        }
        Ok(state)
    }

    /// Call once the deadline has passed. Gives the late answers that are due, and receives. Never blocks.
    pub fn on_timer(&mut self, now: Now, ledger: &mut Ledger) -> Result<NotifyState, NotifyError> {
        if self.tick.is_none_or(|tick| tick > now.mono) {
            return Ok(NotifyState::Open);
        }
        // Receive first: what a thread does right after its answer waits for the next tick, so a tick is one batch.
        let state = self.receive(now, ledger, BATCH)?;
        if ledger.condemned().is_none() {
            self.answer_held(now.mono)?;
        }
        self.schedule(now.mono);
        Ok(state)
    }

    /// Receives and counts what waits now, one call of each task. For the moment before the supervisor kills the sandbox:
    /// calls that wait in the kernel would die uncounted.
    pub fn drain(&mut self, now: Now, ledger: &mut Ledger) -> Result<NotifyState, NotifyError> {
        let state = self.receive(now, ledger, DRAIN)?;
        if self.tick.is_none() {
            self.schedule(now.mono);
        }
        Ok(state)
    }

    fn receive(
        &mut self,
        now: Now,
        ledger: &mut Ledger,
        most: usize,
    ) -> Result<NotifyState, NotifyError> {
        for _ in 0..most {
            let readiness =
                self.listener.readiness().map_err(|source| NotifyError::Receive { source })?;
            match readiness {
                Readiness::Idle => break,
                Readiness::Closed => return Ok(NotifyState::Closed),
                Readiness::Pending => {}
            }
            let received =
                self.listener.receive().map_err(|source| NotifyError::Receive { source })?;
            let Some(call) = received else { continue };
            self.stats.received += 1;
            let errno = self.record(&call, now, ledger);
            if ledger.condemned().is_some() {
                // No answer any more: the next that the caller sees is the kill.
                self.stats.gone += 1;
            } else if self.held.is_empty() && self.answers.take(now.mono) {
                self.answer(call.id, errno)?;
            } else {
                self.stats.delayed += 1;
                self.held.push_back(Held { id: call.id, errno });
            }
        }
        Ok(NotifyState::Open)
    }

    fn answer_held(&mut self, now: Instant) -> Result<(), NotifyError> {
        if self.held.len() > HELD_BEFORE_PRUNE {
            let before = self.held.len();
            self.held.retain(|held| self.listener.is_waiting(held.id));
            self.stats.gone += u64::try_from(before - self.held.len()).unwrap_or(u64::MAX);
        }
        while !self.held.is_empty() && self.answers.take(now) {
            // A caller that was killed costs no token of the living.
            while let Some(held) = self.held.pop_front() {
                if self.answer(held.id, held.errno)? {
                    break;
                }
            }
        }
        Ok(())
    }

    fn answer(&mut self, id: u64, errno: i32) -> Result<bool, NotifyError> {
        let heard =
            self.listener.refuse(id, errno).map_err(|source| NotifyError::Answer { source })?;
        if !heard {
            self.stats.gone += 1;
        }
        Ok(heard)
    }

    fn schedule(&mut self, now: Instant) {
        self.tick = (!self.held.is_empty()).then(|| {
            let next = now + TICK;
            self.answers.ready_at().map_or(next, |ready| ready.max(next))
        });
    }

    /// Puts a call into the ledger and says which errno it gets.
    fn record(&self, call: &Notification, now: Now, ledger: &mut Ledger) -> i32 {
        let entry = Entry::of(call.arch, call.nr);
        let name = syscall_name(entry, call.nr);
        let arch = entry.name();
        let native = entry == Entry::X86_64;
        let line = if native { self.policy.classify(i64::from(call.nr), &call.args) } else { None };
        let words = if native { detail(call.nr, &call.args) } else { "".into() };
        let (code, severity, rule, errno) = match line {
            Some(line) => {
                (line.code, line.severity, Cow::Owned(line.rule()), i32::from(line.errno))
            }
            None if native => {
                let code = Code::SyscallDenied;
                (code, code.severity(), Cow::Borrowed(NOT_ALLOWED), libc::EPERM)
            }
            None => {
                let code = Code::ForeignArchitecture;
                (code, code.severity(), Cow::Borrowed(FOREIGN), libc::EPERM)
            }
        };
        let attempt = Attempt {
            at: now,
            code,
            severity,
            action: Action::Denied,
            rule: &rule,
            object: ObjectRef::Syscall {
                name: &name,
                nr: i64::from(call.nr),
                arch: &arch,
                detail: &words,
            },
            args: &call.args,
            by: None,
            count: 1,
        };
        ledger.record_with(&attempt, || self.details(call, entry));
        // 0 would tell the caller that its call was done; the kernel knows no errno above 4095.
        if (1..=4095).contains(&errno) { errno } else { libc::EPERM }
    }

    /// Who waits for an answer, and for what. Read only for the first call of its kind, which also keeps the cost of this
    /// bounded.
    fn details(&self, call: &Notification, entry: Entry) -> Details {
        let Some(pid) = i32::try_from(call.pid).ok().filter(|pid| *pid > 0) else {
            return Details::default();
        };
        let process = process::read(pid);
        let arguments = match entry {
            Entry::X86_64 => decode(Pid::from_raw(pid), call.nr, &call.args),
            // Numbers and layouts are others there.
            Entry::I386 | Entry::X32 | Entry::Other(_) => Vec::new(),
        };
        if self.listener.is_waiting(call.id) {
            return Details { process, arguments };
        }
        // The caller died while we read: the pid may be somebody else's by now.
        let process = Process { pid: Some(pid), ..Process::default() };
        Details { process, arguments: Vec::new() }
    }
}

#[cfg(test)]
#[path = "notify_tests.rs"]
mod tests;
