//! Inherited descriptors.

use shim::step::Step;
use shim::wire::CONTROL_FD;

use crate::failure::{At, Failure};
use crate::sys::lockdown;
use crate::workload::FIRST_CLOSED_FD;

/// Nothing but 0, 1, 2 reaches the extension. The control socket stays until execve(2), for the listener and for the
/// report of a failed exec, and closes there by itself.
pub(crate) fn apply() -> Result<(), Failure<'static>> {
    lockdown::close_from(FIRST_CLOSED_FD, false).at(Step::Descriptors)?;
    lockdown::close_from(CONTROL_FD, true).at(Step::Descriptors)
}
