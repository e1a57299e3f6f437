//! The record of a run: opened before anything starts, closed with its report.

use std::cell::RefCell;
use std::io;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use policies::decision::{DevMode, Verdict};
use policies::plan::{Plan, TreeEntry};
use policies::violation::Severity;
use serde_json::{Value, json};

use super::react::Reactor;
use super::{LaunchError, Options, run_id};
use crate::admit::Decided;
use crate::confine::landlock::Abi;
use crate::limits::cgroup::Groups;
use crate::monitor::audit::{AuditSession, Preparing, Reconciled};
use crate::monitor::coverage::{Attribution, AuditMode};
use crate::record::audit::{AuditLog, AuditLogError, AuditSink, Event, EventType, Subject, seal};
use crate::record::clock::rfc3339;
use crate::record::ledger::{Bounds, Ledger};
use crate::record::sink::HumanSink;
use crate::record::usage::{UsageLog, UsageRecord};
use crate::report::Report;
use crate::report::style::Style;
use crate::report::{LogRecording, RecordingOf, RecordingStatus};
use crate::state::Dirs;
use crate::state::config::{Config, Landlock};
use crate::state::slot::{Holder, Slot};

/// How long the end of a run waits for the kernel to say how many denials there were; only after a denial. It usually
/// does so 50 ms after the last process.
const RECONCILE: Duration = Duration::from_millis(100);

/// The shim proves Landlock by one refused open, see its `apply/landlock.rs`.
const SELF_TEST_DENIALS: u64 = 1;

/// A run that has a name and a record.
pub(super) struct Run {
    pub(super) id: String,
    pub(super) started: SystemTime,
    pub(super) dev: DevMode,
    pub(super) ledger: Ledger,
    log: Option<Rc<RefCell<AuditLog>>>,
    /// What became of its events: known once the log is closed, or if it never was open.
    pub(super) recorded: LogRecording,
    /// The same of those that were forwarded.
    pub(super) forwarded: Option<RecordingOf>,
}

impl Run {
    /// Names the run and opens its record.
    ///
    /// Where the record cannot be written, a community extension runs all the same, loudly; the others do not.
    pub(super) fn open(
        decided: &Decided,
        config: &Config,
        dirs: &Dirs,
        options: &Options,
    ) -> Result<Self, LaunchError> {
        let started = SystemTime::now();
        let id = run_id::new(started).map_err(|source| LaunchError::RunId { source })?;
        let subject = Subject {
            ext: decided.plan.extension.id.clone(),
            ver: decided.plan.extension.version.clone(),
            run: id.clone(),
            actor: format!("uid:{}", nix::unistd::getuid()),
        };
        let settings = config.audit.settings();
        let mut recorded = LogRecording::default();
        let log = match AuditLog::open_with(&dirs.audit(), &subject, &settings) {
            Ok(log) => Some(Rc::new(RefCell::new(log))),
            Err(error) => {
                recorded.reason = Some(error.to_string());
                unrecorded(decided, error)?;
                None
            }
        };
        let mut ledger = Ledger::new(Bounds::default());
        if !options.quiet {
            ledger.add_sink(Box::new(HumanSink::new(io::stderr(), Style::of_stderr().terminal)));
        }
        if let Some(log) = &log {
            ledger.add_sink(Box::new(AuditSink::new(Rc::clone(log))));
        }
        Ok(Self { id, started, dev: options.dev, ledger, log, recorded, forwarded: None })
    }

    /// What acts on the reaction rules that this run meets.
    pub(super) fn reactor(&self, decided: &Decided, dirs: &Dirs, options: &Options) -> Reactor {
        Reactor {
            state: dirs.state.clone(),
            extension_id: decided.plan.extension.id.clone(),
            run_id: self.id.clone(),
            log: self.log.clone(),
            terminal: (!options.quiet).then(|| Style::of_stderr().terminal),
        }
    }

    /// Writes that the run starts, and who holds the slot.
    pub(super) fn record_start(
        &mut self,
        decided: &Decided,
        slot: &mut Slot,
        groups: &Groups,
    ) -> Result<(), LaunchError> {
        let cgroups = groups.dirs().map(Path::to_owned).collect();
        slot.describe(&Holder {
            run_id: self.id.clone(),
            extension_id: decided.plan.extension.id.clone(),
            pid: std::process::id(),
            started_at: rfc3339(self.started),
            cgroups,
        })?;
        let start = json!({ "command": decided.plan.command });
        let start = self.event(EventType::RunStart, Severity::Info, &start);
        let events = self.signature(decided).into_iter().chain([self.decision(decided), start]);
        self.append(decided, events)
    }

    /// Writes that the run was refused.
    pub(super) fn record_refusal(&mut self, decided: &Decided) -> Result<(), LaunchError> {
        let events = self.signature(decided).into_iter().chain([self.decision(decided)]);
        self.append(decided, events)
    }

    /// Writes that the run ended, with its result, and closes the log. Nothing depends on it any more: that it fails is
    /// said and in the report, and the run ended as it did. Without a log, the kinds of violations are lost to it, too.
    pub(super) fn record_end(&mut self, result: &Value, violations: usize) {
        let written = match &self.log {
            None => {
                self.unwritten(violations + 1);
                return;
            }
            Some(log) => Event::new(EventType::RunEnd, Severity::Info, SystemTime::now(), result)
                .and_then(|event| log.borrow_mut().append(&[event])),
        };
        if let Err(error) = written {
            eprintln!("sandboxctl: warning: the end of this run is NOT recorded: {error}");
        }
        self.close_log();
    }

    /// The log's own matters, after everything that somebody waits for.
    pub(super) fn close_log(&mut self) {
        let Some(log) = self.log.take() else { return };
        let mut log = log.borrow_mut();
        let forwarded = log.finish_forwarding();
        if let Err(error) = seal::after_run(&mut log, forwarded.as_ref(), SystemTime::now) {
            eprintln!("sandboxctl: warning: {error}");
        }
        self.recorded = LogRecording::from(log.standing());
        self.forwarded = forwarded.map(|done| RecordingOf::from(&done));
    }

    fn unwritten(&mut self, events: usize) {
        self.recorded.lost += u64::try_from(events).unwrap_or(u64::MAX);
        self.recorded.status = RecordingStatus::Unavailable;
    }

    /// Writes that the run failed. That this fails too is said, and changes nothing.
    pub(super) fn record_error(&mut self, decided: &Decided, error: &LaunchError) {
        let data = json!({ "error": error.to_string() });
        let event = Event::new(EventType::Error, Severity::Warning, SystemTime::now(), &data);
        if let Err(error) = self.append(decided, [event]) {
            eprintln!("sandboxctl: warning: {error}");
        }
        self.close_log();
    }

    /// What the signature came to; nothing of a bundle that has none.
    fn signature(&self, decided: &Decided) -> Option<Result<Event, AuditLogError>> {
        let verification = decided.verification.as_ref().filter(|found| found.is_signed())?;
        let (kind, severity) = if verification.valid {
            (EventType::SignatureVerified, Severity::Info)
        } else {
            (EventType::SignatureFailed, Severity::Critical)
        };
        let failures: Vec<_> = verification.failures().collect();
        let data = json!({ "signer": verification.signer, "failures": failures });
        Some(self.event(kind, severity, &data))
    }

    fn decision(&self, decided: &Decided) -> Result<Event, AuditLogError> {
        let decision = &decided.decision;
        let severity = match decision.verdict {
            Verdict::Allowed => Severity::Info,
            Verdict::AllowedForDevelopment | Verdict::Refused => Severity::Warning,
        };
        let data = json!({
            "tier": decided.plan.extension.tier,
            "verdict": decision.verdict,
            "violated": decision.violated,
            "devWaived": decision.dev_waived,
            "granted": decision.granted,
            "denied": decision.denied,
        });
        self.event(EventType::Decision, severity, &data)
    }

    fn event(
        &self,
        kind: EventType,
        severity: Severity,
        data: &Value,
    ) -> Result<Event, AuditLogError> {
        Event::new(kind, severity, self.started, data)
    }

    fn append(
        &mut self,
        decided: &Decided,
        events: impl IntoIterator<Item = Result<Event, AuditLogError>>,
    ) -> Result<(), LaunchError> {
        let events = events.into_iter();
        let Some(log) = &self.log else {
            self.unwritten(events.count());
            return Ok(());
        };
        let events: Result<Vec<Event>, _> = events.collect();
        let written = events.and_then(|events| log.borrow_mut().append(&events).map(drop));
        match written {
            Ok(()) => Ok(()),
            Err(error) => unrecorded(decided, error),
        }
    }
}

/// Keeps what the run used. That this fails is said, and changes nothing.
pub(super) fn keep_usage(report: &Report, dirs: &Dirs) {
    if let Err(error) = UsageLog::new(&dirs.state).append(&UsageRecord::of(report)) {
        eprintln!("sandboxctl: warning: the usage of this run is not kept: {error}");
    }
}

/// The record cannot be written.
fn unrecorded(decided: &Decided, error: AuditLogError) -> Result<(), LaunchError> {
    if decided.plan.extension.tier == policies::tier::Tier::Community.name() {
        eprintln!("sandboxctl: warning: this run is NOT recorded: {error}");
        Ok(())
    } else {
        Err(LaunchError::Record(error))
    }
}

/// Listening for the kernel's records of path denials, before it is needed.
pub(super) enum Listening {
    /// The kernel was asked for the state of its audit, and needs a moment to answer.
    Asked(Preparing),
    /// It goes on already.
    Begun(Box<AuditSession>),
}

impl Listening {
    /// Where records are to name processes: now, before the sandbox exists, because a process is born with what that takes.
    pub(super) fn before(
        config: &Config,
        abi: Abi,
        plan: &Plan,
        dirs: &Dirs,
    ) -> Result<Option<Self>, LaunchError> {
        match attribution(config) {
            Attribution::Run => Ok(None),
            Attribution::Process => Self::ask(config, abi)?
                .begin(plan, dirs)
                .map(|begun| Some(Self::Begun(Box::new(begun)))),
        }
    }

    /// Asks for the state of the kernel's audit; other work should follow before [`Self::begin`], which needs the answer.
    pub(super) fn ask(config: &Config, abi: Abi) -> Result<Self, LaunchError> {
        let asked = AuditSession::prepare(mode(config), abi.number(), attribution(config))?;
        Ok(Self::Asked(asked))
    }

    /// Starts to listen.
    pub(super) fn begin(self, plan: &Plan, dirs: &Dirs) -> Result<AuditSession, LaunchError> {
        let mut session = match self {
            Self::Begun(session) => return Ok(*session),
            Self::Asked(asked) => asked.begin(&dirs.host)?,
        };
        let tripwires = plan.tree.iter().filter_map(|entry| match entry {
            TreeEntry::Tripwire { target, .. } => Some(target.clone()),
            _ => None,
        });
        session.set_tripwires(tripwires.collect());
        session.set_own_denials(SELF_TEST_DENIALS);
        Ok(session)
    }
}

/// The configuration's word for it.
pub(crate) const fn mode(config: &Config) -> AuditMode {
    match config.audit.landlock {
        Landlock::Auto => AuditMode::Auto,
        Landlock::On => AuditMode::On,
        Landlock::Off => AuditMode::Off,
    }
}

/// How closely denials are attributed.
const fn attribution(config: &Config) -> Attribution {
    if config.audit.landlock_processes { Attribution::Process } else { Attribution::Run }
}

/// Reads the rest of the kernel's records and gives the kernel's audit back.
pub(super) fn reconcile(
    mut session: AuditSession,
    ledger: &mut Ledger,
) -> Result<Reconciled, LaunchError> {
    let reconciled = session.finish(ledger, RECONCILE)?;
    session.end()?;
    Ok(reconciled)
}
