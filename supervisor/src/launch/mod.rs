//! One run, from a decision to its report: the steps in order, nothing else.
//!
//! What a step takes, dropping gives back: a run that fails anywhere leaves nothing behind.

mod clock;
mod error;
mod layers;
mod meter;
mod react;
mod resources;
mod run_id;
mod screen;
mod start;
mod summary;
mod watch;

use std::time::Instant;

use policies::decision::DevMode;

pub use clock::Stop;
pub use error::{LaunchError, WatchError};
pub use watch::SetupFailure;

use crate::admit::{Decided, Rules};
use crate::confine;
use crate::egress::service as egress;
use crate::exit::End;
use crate::host;
use crate::record::reactions::Reactions;
use crate::report::Report;
use crate::spawn::Shim;
use crate::state::Dirs;
use clock::Clock;
use meter::Meter;
use resources::Resources;
use screen::Screen;
use start::{Listening, Run};
use summary::Evidences;
use watch::Watch;

/// What the caller of a run chooses.
#[derive(Clone, Debug)]
pub struct Options {
    /// A development run.
    pub dev: DevMode,
    /// Between samples of usage, in milliseconds.
    pub sample_ms: u64,
    /// Whether violations and progress stay off stderr while the run goes on.
    pub quiet: bool,
    /// Appended to the extension's own arguments.
    pub arguments: Vec<String>,
}

/// A run that is over.
#[derive(Debug)]
pub struct Finished {
    /// What it did.
    pub report: Report,
    /// How it ended, for the exit code.
    pub end: End,
}

/// A run that could not be started or followed; nothing of it is left.
#[derive(Debug)]
pub struct Failed {
    /// Why.
    pub error: LaunchError,
    /// As far as there is anything to report.
    pub report: Option<Box<Report>>,
}

/// Runs a bundle that was decided on, and reports. A refusal is a report, too.
///
/// # Errors
/// [`Failed`] with the step that failed.
pub fn run(
    mut decided: Decided,
    rules: &Rules,
    dirs: &Dirs,
    options: &Options,
) -> Result<Finished, Failed> {
    decided.plan.command.extend(options.arguments.iter().cloned());
    if decided.decision.verdict.permits()
        && let Err(error) = host::require_privileges()
    {
        return Err(Failed { error: error.into(), report: None });
    }
    let mut run = match dirs
        .prepare()
        .map_err(Into::into)
        .and_then(|()| Run::open(&decided, &rules.config, dirs, options))
    {
        Ok(run) => run,
        Err(error) => return Err(Failed { error, report: None }),
    };
    if !decided.decision.verdict.permits() {
        return run.refused(&decided).map_err(|error| Failed { error, report: None });
    }
    launch(&mut run, &decided, rules, dirs, options).map_err(|error| {
        run.record_error(&decided, &error);
        Failed { report: Some(Box::new(run.failed(&decided, &error))), error }
    })
}

/// The launch: a step a line.
fn launch(
    run: &mut Run,
    decided: &Decided,
    rules: &Rules,
    dirs: &Dirs,
    options: &Options,
) -> Result<Finished, LaunchError> {
    let plan = &decided.plan;
    let (mut resources, groups) = Resources::take(plan, &run.id, &rules.config, dirs)?;
    let signals = watch::signals()?;
    let parts = resources.host(&groups, &decided.bundle)?;
    let host = parts.as_host();
    let compiled = confine::compile(plan, &host)?;
    let abi = compiled.abi;
    let listening = Listening::before(&rules.config, abi, plan, dirs)?;
    let mut shim = Shim::start(&compiled.bytes, &compiled.fds(), groups.clone_into())?;
    // From here on the shim builds the sandbox, while we write down what will run in it.
    let listening = listening.map_or_else(|| Listening::ask(&rules.config, abi), Ok)?;
    let mut meter = Meter::new(plan, &resources, &groups, compiled.into_disks(), options)?;
    let egress = egress::Session::begin(plan, &shim, rules.config.egress)?;
    meter.watch_network(egress.traffic());
    run.record_start(decided, &mut resources.slot, &groups)?;
    run.ledger.watch(Reactions::new(rules.policies.reactions(), decided.manifest.tier));
    let mut audit = listening.begin(plan, dirs)?;
    shim.go()?;
    let before = groups.read();
    let reactor = run.reactor(decided, dirs, options);
    let watch = Watch {
        shim: &mut shim,
        policy: &plan.seccomp,
        signals: &signals,
        groups: &groups,
        oom: resources.oom.as_ref(),
        audit: &mut audit,
        egress: &egress,
        meter: &mut meter,
        reactor: &reactor,
        progress: Screen::new(plan, options.quiet),
        clock: Clock::new(&plan.limits, Instant::now()),
    };
    let ending = watch.until_end(&mut run.ledger)?;
    meter.finish(&groups);
    let left = groups.remove();
    let network = egress.finish(ending.connections_left(), &mut run.ledger)?;
    let reconciled = start::reconcile(audit, &mut run.ledger)?;
    let finished = run.conclude(&Evidences {
        decided,
        ending: &ending,
        resources: &resources,
        meter: &meter,
        before: &before,
        abi,
        reconciled: &reconciled,
        network: network.into(),
        reactor: &reactor,
    })?;
    start::keep_usage(&finished.report, dirs);
    drop(meter);
    resources.give_back(&left);
    Ok(finished)
}
