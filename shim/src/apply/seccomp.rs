//! The system call filter.

use shim::message::{MAX, Message};
use shim::step::Step;
use shim::wire::{CONTROL_FD, Reader};

use crate::failure::{At, Failure};
use crate::sys::{ipc, lockdown};

/// Last, so that the filter need not allow anything of the set-up but `sendmsg`, `execve`, `exit_group`.
pub(crate) fn apply(plan: &mut Reader<'static>) -> Result<i32, Failure<'static>> {
    lockdown::install_filter(plan.bytes()?).at(Step::Seccomp)
}

/// Sends the listener to the supervisor. It is close-on-exec by the kernel's doing, so the extension never holds it, and
/// there is nothing to wait for: a denied call waits for the supervisor by itself.
pub(crate) fn hand_over(listener: i32) -> Result<(), Failure<'static>> {
    let mut buffer = [0; MAX];
    let length = Message::Confined.encode(&mut buffer);
    ipc::send(CONTROL_FD, &buffer[..length], Some(listener)).at(Step::Handover)
}
