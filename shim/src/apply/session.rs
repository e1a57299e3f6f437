//! A clean start: own session, default signals.

use shim::step::Step;

use crate::failure::{At, Failure};
use crate::sys::process::{SIGKILL, SIGSTOP};
use crate::sys::{fs, ipc, process};

/// A new session has no controlling terminal, so the operator's cannot be typed into. Ignored signals survive execve(2),
/// and the supervisor's runtime ignores SIGPIPE.
pub(crate) fn apply() -> Result<(), Failure<'static>> {
    process::setsid().at(Step::Session)?;
    for signal in (1..=64).filter(|&signal| signal != SIGKILL && signal != SIGSTOP) {
        ipc::default_action(signal).at(Step::Session)?;
    }
    ipc::block_signals(0).at(Step::Session)?;
    fs::umask(0o022).at(Step::Session)
}
