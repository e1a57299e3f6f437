//! The sandbox must not outlive its supervisor.

use shim::message::Command;
use shim::step::Step;
use shim::wire::CONTROL_FD;

use crate::failure::{At, Failure};
use crate::sys::{Errno, ipc, lockdown, process};

/// Armed before the plan is received: if the supervisor died earlier, receiving gives end of file and no plan, and if
/// it dies later, the signal comes. Changing user id disarms it, so [`super::privileges::demote`] arms it again.
///
/// Whoever is not PID 1 is not in a namespace of its own, and what follows would change the host.
pub(crate) fn apply() -> Result<(), Failure<'static>> {
    if process::pid() != Ok(1) {
        return Err(Errno::EPROTO).at_path(Step::Lifeline, b"not PID 1 of a new namespace");
    }
    lockdown::die_with_parent().at(Step::Lifeline)
}

/// Everything above was prepared while the supervisor wrote its records; nothing of the extension runs before it is done.
pub(crate) fn wait_for_go() -> Result<(), Failure<'static>> {
    let mut byte = [0; 1];
    let length = ipc::receive(CONTROL_FD, &mut byte).at(Step::Release)?;
    if length == 1 && Command::decode(byte[0]) == Some(Command::Go) {
        Ok(())
    } else {
        Err(Errno::EPIPE).at(Step::Release)
    }
}
