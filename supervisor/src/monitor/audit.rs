//! Denials by Landlock: the kernel's audit records, read from its netlink multicast.
//!
//! The kernel names the Landlock *domain* that denied. Whose it is comes in a second record, sent after the domain's first
//! denial and with the pid of the task that restricted itself: the workload, whose pid the supervisor knows. Until then
//! denials wait, by domain.
//!
//! Which process it was is in a third record, of the call, and only where the operator pays for it
//! ([`Attribution::Process`]).

mod classify;
mod joining;
mod naming;

use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use policies::violation::Action;

use crate::monitor::audit_record::{
    LANDLOCK_ACCESS, LANDLOCK_DOMAIN, Record, SYSCALL, domain_of, parse_record, process_of,
    serial_of,
};
use crate::monitor::audit_state::Share;
pub use crate::monitor::audit_state::{AuditError, recover, remove_rules};
use crate::monitor::coverage::{Attribution, AuditMode, Coverage};
use crate::monitor::domains::{Denial, Waiting};
use crate::record::clock::Now;
use crate::record::ledger::{Attempt, Ledger};
use crate::sys::netlink::{AuditSocket, Message, Request, Status};
use classify::classify;
pub use joining::Preparing;
use naming::{Named, Unnamed};

/// Where runs share the audit switch. The switch is the host's, so this does not move with the run directory: runs that
/// did not know of each other would turn it off for each other.
pub const HOST_DIR: &str = "/run/sandboxctl";
/// The Landlock ABI that first reports denials, Linux 6.15.
pub const REPORTING_ABI: u32 = 7;
/// Records taken in one go, so that other fds of the poll loop get their turn.
const BATCH: usize = 1024;
/// While the kernel's queue is not empty at the end of a run, it is asked for its length this often.
const ASK_AGAIN: Duration = Duration::from_millis(5);
/// How long the end of a run waits for the kernel's queue to be empty, which on a host that is not overloaded it is at once.
const DRAIN: Duration = Duration::from_secs(1);
/// The rule in records: Landlock knows only what is allowed.
const RULE: &str = "landlock:no rule";

/// What the end of a run showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reconciled {
    /// Whether everything was seen.
    pub coverage: Coverage,
    /// Denials in the ledger.
    pub recorded: u64,
    /// Denials that the kernel counted for this run's domain; `None` if it has not said so in time, or none happened.
    pub kernel_total: Option<u64>,
    /// Denials that happened and are not in the ledger; exact where `kernel_total` is known.
    pub lost: u64,
    /// Whether the kernel's queue was seen empty after the run: else records may have come too late.
    pub drained: bool,
    /// Times that the socket overflowed, with an unknown number of records of any origin.
    pub overruns: u64,
    /// Records of any origin that the kernel dropped during the run; `None` if that is not known.
    pub dropped: Option<u32>,
    /// Which of the denials have their process; `None` where that is not asked for.
    pub processes: Option<Processes>,
}

/// Denials whose process the kernel named, or did not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Processes {
    /// Whether our rules are in place: else the host's own rules decide whether there are such records.
    pub ours: bool,
    /// With pid, command and executable.
    pub named: u64,
    /// Without.
    pub unnamed: u64,
}

/// One run's part of the audit stream.
pub struct AuditSession {
    coverage: Coverage,
    socket: Option<AuditSocket>,
    share: Option<Share>,
    workload: Option<i32>,
    ours: Option<u64>,
    waiting: Waiting,
    unnamed: Unnamed,
    processes: Option<Processes>,
    tripwires: Vec<String>,
    recorded: u64,
    drained: bool,
    overruns: u64,
    unbuffered: u64,
    kernel_total: Option<u64>,
    /// Denials that we caused ourselves and that are in no record.
    own: u64,
    dropped_before: Option<u32>,
    asked: Option<Instant>,
    status: Option<Status>,
    buffer: Vec<u8>,
}

impl AuditSession {
    /// [`Self::prepare`] and [`Preparing::begin`] in one.
    pub fn begin(mode: AuditMode, dir: &Path, landlock_abi: u32) -> Result<Self, AuditError> {
        Self::prepare(mode, landlock_abi, Attribution::Run)?.begin(dir)
    }

    fn new(coverage: Coverage) -> Self {
        Self {
            coverage,
            socket: None,
            share: None,
            workload: None,
            ours: None,
            waiting: Waiting::default(),
            unnamed: Unnamed::default(),
            processes: None,
            tripwires: Vec::new(),
            recorded: 0,
            drained: false,
            overruns: 0,
            unbuffered: 0,
            kernel_total: None,
            own: 0,
            dropped_before: None,
            asked: None,
            status: None,
            buffer: Vec::new(),
        }
    }

    /// Whether denials are recorded.
    #[must_use]
    pub fn coverage(&self) -> Coverage {
        self.coverage
    }

    /// What to poll for input; `None` where nothing is recorded.
    #[must_use]
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.socket.as_ref().map(AsFd::as_fd)
    }

    /// The paths inside the sandbox whose denial is recorded as a touched tripwire, with all beneath them.
    pub fn set_tripwires(&mut self, tripwires: Vec<String>) {
        self.tripwires = tripwires;
    }

    /// The process that restricts itself with Landlock, in the initial pid namespace. Call before it does.
    pub fn set_workload_pid(&mut self, pid: i32) {
        self.workload = Some(pid);
    }

    /// How many unrecorded denials the launch itself causes in the run's domain: the kernel counts them, too.
    pub fn set_own_denials(&mut self, own: u64) {
        self.own = own;
    }

    /// Denials recorded so far.
    #[must_use]
    pub fn recorded(&self) -> u64 {
        self.recorded
    }

    /// When [`Self::on_time`] has something to do.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.unnamed.due()
    }

    /// Counts denials whose process the kernel has not named in time.
    pub fn on_time(&mut self, now: Instant, ledger: &mut Ledger) {
        while let Some(denial) = self.unnamed.expired(now) {
            self.attribute(denial, ledger);
        }
    }

    /// Call when poll reported input. Never blocks.
    pub fn on_ready(&mut self, now: Now, ledger: &mut Ledger) -> Result<(), AuditError> {
        self.read(now, ledger, BATCH).map(|_| ())
    }

    /// Asks the kernel how many records still wait; [`Self::finish`] reads the answer. Call once the workload is dead and
    /// do other work in between: a kernel thread has to be started for the answer.
    pub fn prepare_finish(&mut self) -> Result<(), AuditError> {
        let Some(socket) = &self.socket else {
            return Ok(());
        };
        self.status = None;
        self.asked = Some(Instant::now());
        socket.request_status(Request::Last).map_err(asking)
    }

    /// Reads the rest once every process of the run is dead. Without a denial this waits only until the kernel's queue is
    /// empty, at most for a second; with one, until the kernel has said how many there were (about 50 ms after the last
    /// process), at most for `budget`.
    pub fn finish(
        &mut self,
        ledger: &mut Ledger,
        budget: Duration,
    ) -> Result<Reconciled, AuditError> {
        if self.socket.is_some() {
            self.read_rest(ledger, Instant::now() + budget)?;
        }
        while let Some(denial) = self.unnamed.take() {
            self.attribute(denial, ledger);
        }
        let lost =
            self.kernel_total.map_or(self.unbuffered, |total| total.saturating_sub(self.recorded));
        Ok(Reconciled {
            coverage: self.coverage,
            recorded: self.recorded,
            kernel_total: self.kernel_total,
            lost,
            drained: self.drained,
            overruns: self.overruns,
            dropped: self
                .dropped_before
                .zip(self.status)
                .map(|(before, status)| status.lost.wrapping_sub(before)),
            processes: self.processes,
        })
    }

    /// Gives the share in the audit switch back; the last run turns it off again if it was off before. A run that is
    /// killed before this leaves it to the next one or to [`recover`].
    pub fn end(mut self) -> Result<(), AuditError> {
        self.give_back()
    }

    fn give_back(&mut self) -> Result<(), AuditError> {
        let auditd = self.status.is_some_and(|status| status.auditd != 0);
        self.share.take().map_or(Ok(false), |share| share.give_back(auditd)).map(|_| ())
    }

    fn read_rest(&mut self, ledger: &mut Ledger, until: Instant) -> Result<(), AuditError> {
        if self.asked.is_none() {
            self.prepare_finish()?;
        }
        let drained_until = Instant::now() + DRAIN;
        loop {
            while self.read(Now::read(), ledger, BATCH)? == BATCH {}
            if self.status.is_some_and(|status| status.enabled == 0) {
                self.coverage = Coverage::TurnedOffMeanwhile;
                return Ok(());
            }
            let drained = self.status.is_some_and(|status| status.backlog == 0);
            self.drained = drained;
            let awaited = self.ours.is_some() && self.kernel_total.is_none();
            if drained && !awaited {
                // The last record was under way while the queue was counted.
                while self.read(Now::read(), ledger, BATCH)? == BATCH {}
                return Ok(());
            }
            let now = Instant::now();
            let until = if drained { until } else { drained_until };
            if now >= until {
                return Ok(());
            }
            // The answer may itself be lost when the socket overflows.
            let late = self.asked.is_none_or(|asked| now.duration_since(asked) > ASK_AGAIN);
            if !drained && (self.status.is_some() || late) {
                self.prepare_finish()?;
            }
            if let Some(socket) = &self.socket {
                wait(socket, until.duration_since(now).min(ASK_AGAIN))?;
            }
        }
    }

    /// Reads at most `most` messages and says how many there were.
    fn read(&mut self, now: Now, ledger: &mut Ledger, most: usize) -> Result<usize, AuditError> {
        let Some(socket) = self.socket.take() else {
            return Ok(0);
        };
        let mut buffer = std::mem::take(&mut self.buffer);
        let mut result = Ok(most);
        for count in 0..most {
            match socket.receive(&mut buffer) {
                Ok(Message::Idle) => {
                    result = Ok(count);
                    break;
                }
                Ok(Message::Record(kind, text)) => self.on_record(kind, text, now, ledger),
                Ok(Message::Status(Request::Last, status)) => self.status = Some(status),
                // Another run lived, so nobody had to wait for it.
                Ok(Message::Status(Request::First, status)) => {
                    self.dropped_before.get_or_insert(status.lost);
                }
                Ok(Message::Overrun) => self.overruns += 1,
                Err(source) => {
                    result = Err(AuditError::Kernel { step: "read the audit stream", source });
                    break;
                }
            }
        }
        self.buffer = buffer;
        self.socket = Some(socket);
        result
    }

    fn on_record(&mut self, kind: u16, text: &[u8], now: Now, ledger: &mut Ledger) {
        if kind == SYSCALL && self.processes.is_some() {
            self.on_call(text, ledger);
        }
        if kind != LANDLOCK_ACCESS && kind != LANDLOCK_DOMAIN {
            return;
        }
        // Once ours is known, the others cost no more than this.
        if self.ours.is_some() && domain_of(text) != self.ours {
            return;
        }
        match parse_record(kind, text) {
            Some(Record::Denied { domain, blockers, target }) => {
                let blockers = blockers.to_owned();
                let denial = Denial { at: now, blockers, target, process: None };
                match serial_of(text).filter(|_| self.processes.is_some()) {
                    Some(serial) => {
                        if let Some(first) = self.unnamed.hold(serial, domain, denial) {
                            self.attribute(first, ledger);
                        }
                    }
                    None => self.attribute((domain, denial), ledger),
                }
            }
            Some(Record::Allocated { domain, pid }) => self.on_allocated(domain, pid, ledger),
            Some(Record::Deallocated { domain, denials }) => {
                if self.ours == Some(domain) {
                    self.kernel_total = Some(denials.saturating_sub(self.own));
                } else {
                    self.waiting.forget(domain);
                }
            }
            None => {}
        }
    }

    /// Names the process of denials of this call. Calls of others come here, too, where the host's audit rules record them.
    fn on_call(&mut self, text: &[u8], ledger: &mut Ledger) {
        let Some(serial) = serial_of(text).filter(|serial| self.unnamed.awaits(*serial)) else {
            return;
        };
        let Some(process) = process_of(text) else { return };
        for denial in self.unnamed.name(serial, &process) {
            self.attribute(denial, ledger);
        }
    }

    /// A denial about which no more will be known but whose domain it is.
    fn attribute(&mut self, (domain, denial): Named, ledger: &mut Ledger) {
        match self.ours {
            Some(ours) if ours == domain => self.count(&denial, ledger),
            Some(_) => {}
            None => self.waiting.hold(domain, denial),
        }
    }

    fn on_allocated(&mut self, domain: u64, pid: i32, ledger: &mut Ledger) {
        if self.workload != Some(pid) {
            self.waiting.refuse(domain);
            return;
        }
        self.ours = Some(domain);
        let (denials, more) = std::mem::take(&mut self.waiting).take(domain);
        for denial in denials {
            self.count(&denial, ledger);
        }
        self.unbuffered = more;
    }

    fn count(&mut self, denial: &Denial, ledger: &mut Ledger) {
        self.recorded += 1;
        if let Some(processes) = &mut self.processes {
            match denial.process {
                Some(_) => processes.named += 1,
                None => processes.unnamed += 1,
            }
        }
        let (code, object) = classify(&denial.blockers, &denial.target, &self.tripwires);
        let attempt = Attempt {
            at: denial.at,
            code,
            severity: code.severity(),
            action: Action::Denied,
            rule: RULE,
            object,
            args: &[],
            by: denial.process.as_ref().and_then(|process| process.pid),
            count: 1,
        };
        // Without a process where none is asked for: it would cost each task an audit context.
        ledger.record(&attempt, || denial.process.clone().unwrap_or_default());
    }
}

fn asking(source: Errno) -> AuditError {
    AuditError::Kernel { step: "read the audit status", source }
}

fn wait(socket: &AuditSocket, most: Duration) -> Result<(), AuditError> {
    let mut fds = [PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
    let most = most.max(Duration::from_millis(1));
    match poll(&mut fds, PollTimeout::try_from(most).unwrap_or(PollTimeout::ZERO)) {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(source) => Err(AuditError::Kernel { step: "wait for the audit stream", source }),
    }
}

#[cfg(test)]
#[path = "audit_tests.rs"]
mod tests;
