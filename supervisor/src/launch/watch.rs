//! From the started shim to the end of the run: one thread, one poll(2), every event source.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use policies::limits::LimitKind;
use shim::message::Command;
use shim::step::Step;

use super::clock::{Clock, Due, Stop};
use super::error::WatchError;
use super::meter::Meter;
use super::react::Reactor;
use super::screen::Screen;
use crate::egress::service as egress;
use crate::limits::cgroup::{Groups, OomEvents};
use crate::limits::guard::Action as GuardAction;
use crate::monitor::audit::AuditSession;
use crate::monitor::notify::{Notifier, NotifyState, NotifyStats};
use crate::record::clock::Now;
use crate::record::ledger::Ledger;
use crate::record::reactions::Effect;
use crate::spawn::Shim;
use crate::spawn::control::Event;

/// Signals that the operator may send to the extension through us.
const FORWARDED: [Signal; 5] =
    [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGUSR1, Signal::SIGUSR2];

/// After an out-of-memory event on version 1, when the kernel's count of kills is read again: the event comes first.
const OOM_RECHECK: Duration = Duration::from_millis(2);

/// A step of the launch that failed inside the namespaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetupFailure {
    /// Which step.
    pub step: Step,
    /// Why.
    pub errno: Errno,
    /// A path or name, possibly empty.
    pub detail: String,
}

/// How a run ended, before anything is concluded from it.
#[derive(Debug)]
pub(super) struct Ending {
    /// Decisions of the supervisor and times.
    pub clock: Clock,
    /// When everything was dead.
    pub ended: Instant,
    /// The step that failed, where one did.
    pub setup: Option<SetupFailure>,
    /// The workload's wait status, where it ended by itself or by a signal.
    pub wait_status: Option<i32>,
    /// CPU time of reaped processes, in microseconds.
    pub reaped_cpu_us: u64,
    /// Largest resident set of any single process, in KiB.
    pub max_rss_kb: u64,
    /// Denied system calls.
    pub denied: NotifyStats,
}

impl Ending {
    /// What happens to the connections that are still open.
    pub(super) const fn connections_left(&self) -> egress::Left {
        if self.clock.stop().is_none() { egress::Left::Delivered } else { egress::Left::Cut }
    }
}

/// The operator's signals as a descriptor. Made before the shim starts, so that none can end the supervisor in between.
///
/// # Errors
/// [`WatchError::Signals`].
pub(super) fn signals() -> Result<SignalFd, WatchError> {
    let failed = |errno: Errno| WatchError::Signals { source: errno.into() };
    let set: SigSet = FORWARDED.into_iter().collect();
    set.thread_block().map_err(failed)?;
    SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK).map_err(failed)
}

/// Everything that is watched.
pub(super) struct Watch<'a> {
    /// The sandbox.
    pub shim: &'a mut Shim,
    /// The policy that denied calls are classified by.
    pub policy: &'a policies::plan::Seccomp,
    /// The operator's signals.
    pub signals: &'a SignalFd,
    /// The control groups.
    pub groups: &'a Groups,
    /// Out-of-memory events.
    pub oom: Option<&'a OomEvents>,
    /// Path denials.
    pub audit: &'a mut AuditSession,
    /// The network.
    pub egress: &'a egress::Session,
    /// Samples and guards.
    pub meter: &'a mut Meter,
    /// What follows from reaction rules.
    pub reactor: &'a Reactor,
    /// The one line on a terminal.
    pub progress: Screen,
    /// The wall clock.
    pub clock: Clock,
}

/// What changes while events are served.
#[derive(Debug, Default)]
struct State<'a> {
    notifier: Option<Notifier<'a>>,
    control_closed: bool,
    setup: Option<SetupFailure>,
    wait_status: Option<i32>,
    reaped_cpu_us: u64,
    max_rss_kb: u64,
    oom_check: Option<Instant>,
    oom_tries: u32,
    denied: NotifyStats,
    counted: bool,
    condemned: bool,
}

impl State<'_> {
    /// No process uses the filter any more.
    fn close_notifier(&mut self) {
        if let Some(notifier) = self.notifier.take() {
            self.denied = notifier.stats();
        }
    }
}

/// Which sources have something.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "one flag for each source of poll(2)")]
struct Ready {
    dead: bool,
    signals: bool,
    listener: bool,
    audit: bool,
    oom: bool,
    egress: bool,
}

impl<'a> Watch<'a> {
    /// Serves events until every process of the sandbox is dead.
    ///
    /// # Errors
    /// [`WatchError`]. The sandbox is killed by dropping the shim then.
    pub(super) fn until_end(mut self, ledger: &mut Ledger) -> Result<Ending, WatchError> {
        let mut state = State::default();
        loop {
            let ready = self.wait(&state)?;
            let now = Now::read();
            // Messages first: the extension may have run, and been sent a signal for it, before we read that it started.
            self.on_messages(&mut state)?;
            if ready.signals {
                self.on_signals(&mut state, now, ledger)?;
            }
            if ready.listener
                && let Some(notifier) = &mut state.notifier
                && notifier.on_ready(now, ledger)? == NotifyState::Closed
            {
                state.close_notifier();
            }
            // At once: the call that met the rule waits for its answer, and must not get one.
            self.on_reactions(&mut state, ledger)?;
            if ready.audit {
                self.audit.on_ready(now, ledger)?;
            }
            if ready.egress {
                self.egress.on_ready(now, ledger);
            }
            if ready.oom {
                if let Some(oom) = self.oom {
                    oom.drain();
                }
                state.oom_check = Some(now.mono);
            }
            self.on_time(&mut state, now, ledger)?;
            self.on_reactions(&mut state, ledger)?;
            if ready.dead {
                break;
            }
        }
        self.on_messages(&mut state)?;
        if let Some(notifier) = &mut state.notifier {
            notifier.drain(Now::read(), ledger)?;
        }
        self.shim.reap()?;
        if !state.counted {
            self.audit.prepare_finish()?;
        }
        self.progress.clear();
        Ok(Ending {
            denied: state.notifier.as_ref().map_or(state.denied, Notifier::stats),
            clock: self.clock,
            ended: Instant::now(),
            setup: state.setup,
            wait_status: state.wait_status,
            reaped_cpu_us: state.reaped_cpu_us,
            max_rss_kb: state.max_rss_kb,
        })
    }

    fn wait(&self, state: &State<'_>) -> Result<Ready, WatchError> {
        let control = if state.control_closed { None } else { Some(self.shim.control.fd()) };
        let listener =
            state.notifier.as_ref().map(|notifier| (notifier.fd(), notifier.poll_events()));
        let sources: [(Option<BorrowedFd<'_>>, PollFlags); 7] = [
            (Some(self.shim.pidfd()), PollFlags::POLLIN),
            (Some(self.signals.as_fd()), PollFlags::POLLIN),
            (control, PollFlags::POLLIN),
            (listener.map(|(fd, _)| fd), listener.map_or(PollFlags::empty(), |(_, flags)| flags)),
            (self.audit.fd(), PollFlags::POLLIN),
            (self.oom.map(AsFd::as_fd), self.oom.map_or(PollFlags::empty(), |oom| oom.events)),
            (self.egress.fd(), PollFlags::POLLIN),
        ];
        let mut fds: Vec<PollFd<'_>> = Vec::with_capacity(sources.len());
        let mut index = [None; 7];
        for (place, (fd, flags)) in index.iter_mut().zip(&sources) {
            if let Some(fd) = fd {
                *place = Some(fds.len());
                fds.push(PollFd::new(*fd, *flags));
            }
        }
        match poll(&mut fds, self.timeout(state)) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(WatchError::Poll { source: errno.into() }),
        }
        let ready = |source: usize| {
            let slot = index.get(source).copied().flatten();
            let events = slot.and_then(|slot: usize| fds.get(slot)).and_then(PollFd::revents);
            events.is_some_and(|events| !events.is_empty())
        };
        Ok(Ready {
            dead: ready(0),
            signals: ready(1),
            listener: ready(3),
            audit: ready(4),
            oom: ready(5),
            egress: ready(6),
        })
    }

    /// Until the next thing is due, rounded up to the millisecond that poll(2) counts in.
    fn timeout(&self, state: &State<'_>) -> PollTimeout {
        let notifier = state.notifier.as_ref().and_then(Notifier::deadline);
        let next = [
            self.clock.next(),
            notifier,
            state.oom_check,
            self.meter.next(),
            self.progress.next(),
            self.audit.deadline(),
        ];
        let Some(next) = next.into_iter().flatten().min() else { return PollTimeout::NONE };
        let left = next.saturating_duration_since(Instant::now());
        let millis = left.as_micros().div_ceil(1000);
        PollTimeout::try_from(millis).unwrap_or(PollTimeout::MAX)
    }

    fn on_signals(
        &mut self,
        state: &mut State<'a>,
        now: Now,
        ledger: &mut Ledger,
    ) -> Result<(), WatchError> {
        loop {
            let received = self.signals.read_signal();
            let info = match received {
                Ok(Some(info)) => info,
                Ok(None) | Err(Errno::EAGAIN) => return Ok(()),
                Err(Errno::EINTR) => continue,
                Err(errno) => return Err(WatchError::Signals { source: errno.into() }),
            };
            let number = u8::try_from(info.ssi_signo).unwrap_or(0);
            let ends = [Signal::SIGTERM as u8, Signal::SIGINT as u8].contains(&number);
            let due = if ends { self.clock.operator(number, now.mono) } else { None };
            match due {
                Some(due) => self.carry_out(due, state, ledger)?,
                None => self.shim.control.command(Command::Signal(number))?,
            }
        }
    }

    fn on_messages(&mut self, state: &mut State<'a>) -> Result<(), WatchError> {
        while let Some(event) = self.shim.control.receive()? {
            match event {
                Event::Failed { step, errno, detail } => {
                    // The first failure is the cause; PID 1 may report that its workload went, too.
                    state.setup.get_or_insert(SetupFailure { step, errno, detail });
                }
                Event::Confined { listener, pid } => {
                    let now = Instant::now();
                    state.notifier = Some(Notifier::new(listener, self.policy)?);
                    self.audit.set_workload_pid(pid);
                    self.clock.start(now);
                    self.meter.start(self.shim.pid, now);
                }
                Event::Ended { wait_status, cpu_us, max_rss_kb, alone } => {
                    // Nothing is left that could be denied anything: the kernel may count its records while it
                    // takes the namespaces down.
                    if alone {
                        self.audit.prepare_finish()?;
                        state.counted = true;
                    }
                    state.wait_status = Some(wait_status);
                    state.reaped_cpu_us = cpu_us;
                    state.max_rss_kb = max_rss_kb;
                }
                Event::Closed => {
                    state.control_closed = true;
                    break;
                }
            }
        }
        Ok(())
    }

    fn on_time(
        &mut self,
        state: &mut State<'_>,
        now: Now,
        ledger: &mut Ledger,
    ) -> Result<(), WatchError> {
        if let Some(notifier) = &mut state.notifier
            && notifier.on_timer(now, ledger)? == NotifyState::Closed
        {
            state.close_notifier();
        }
        self.audit.on_time(now.mono, ledger);
        if state.oom_check.is_some_and(|at| at <= now.mono) {
            self.on_oom(state, now.mono, ledger)?;
        }
        if let Some(action) = self.meter.on_time(now.mono, self.groups) {
            match action {
                GuardAction::Stop => self.shim.control.command(Command::Stop)?,
                GuardAction::Continue => self.shim.control.command(Command::Continue)?,
                // The meter answers that itself.
                GuardAction::ConfirmMemory => {}
                GuardAction::Kill(kind) => {
                    let due = self.clock.kill(Stop::Limit(kind));
                    self.carry_out(due, state, ledger)?;
                }
            }
        }
        self.progress.on_time(now.mono, &self.clock, self.meter);
        if let Some(due) = self.clock.due(now.mono) {
            self.carry_out(due, state, ledger)?;
        }
        Ok(())
    }

    /// Ends the run if a rule says so, and only then sees to the rest.
    fn on_reactions(
        &mut self,
        state: &mut State<'_>,
        ledger: &mut Ledger,
    ) -> Result<(), WatchError> {
        if ledger.condemned().is_some() && !state.condemned {
            state.condemned = true;
            let due = self.clock.kill(Stop::Reaction);
            self.carry_out(due, state, ledger)?;
        }
        let ending = if state.wait_status.is_none() { Effect::Ended } else { Effect::Late };
        self.reactor.act(ledger, ending);
        Ok(())
    }

    /// The kernel kills one process; the rest of a sandbox that is out of memory must not go on half-dead.
    fn on_oom(
        &mut self,
        state: &mut State<'_>,
        now: Instant,
        ledger: &mut Ledger,
    ) -> Result<(), WatchError> {
        if self.groups.oom_kills_now().unwrap_or(0) > 0 {
            state.oom_check = None;
            let due = self.clock.kill(Stop::Limit(LimitKind::Memory));
            return self.carry_out(due, state, ledger);
        }
        state.oom_tries += 1;
        state.oom_check = (state.oom_tries < 50).then(|| now + OOM_RECHECK);
        Ok(())
    }

    fn carry_out(
        &mut self,
        due: Due,
        state: &mut State<'_>,
        ledger: &mut Ledger,
    ) -> Result<(), WatchError> {
        match due {
            Due::Term => {
                // A stopped process could not act on it.
                self.shim.control.command(Command::Continue)?;
                let term = Command::Signal(Signal::SIGTERM as u8);
                self.shim.control.command(term)?;
            }
            Due::Kill => {
                // Calls that wait for an answer would die uncounted.
                if let Some(notifier) = &mut state.notifier {
                    notifier.drain(Now::read(), ledger)?;
                }
                self.shim.kill()?;
                // Dying takes CPU time, too, of which a busy sandbox has none left.
                self.groups.lift_cpu();
            }
        }
        Ok(())
    }
}
