//! What went wrong, on its way to the supervisor.

use shim::message::{MAX, Message};
use shim::step::Step;
use shim::wire::{CONTROL_FD, Malformed};

use crate::sys::{Errno, ipc};

/// Exit code of a sandbox that could not be set up; the supervisor's own code for it is the same.
const SETUP_FAILED: i32 = 125;

/// A step that failed.
#[derive(Clone, Copy)]
pub(crate) struct Failure<'a> {
    step: Step,
    errno: Errno,
    detail: &'a [u8],
}

impl Failure<'_> {
    /// Tells the supervisor; gives the exit code.
    pub(crate) fn send(self) -> i32 {
        let mut buffer = [0; MAX];
        let message = Message::Failed { step: self.step, errno: self.errno.0, detail: self.detail };
        let length = message.encode(&mut buffer);
        // Where even this fails, the supervisor sees the exit code and says so.
        match ipc::send(CONTROL_FD, &buffer[..length], None) {
            Ok(()) | Err(_) => SETUP_FAILED,
        }
    }
}

impl From<Malformed> for Failure<'_> {
    fn from(_: Malformed) -> Self {
        Self { step: Step::Plan, errno: Errno::EPROTO, detail: b"malformed plan" }
    }
}

/// Names the step in which a call failed.
pub(crate) trait At<T> {
    /// At this step.
    fn at(self, step: Step) -> Result<T, Failure<'static>>;
    /// At this step, with the path or name.
    fn at_path(self, step: Step, detail: &[u8]) -> Result<T, Failure<'_>>;
}

impl<T> At<T> for crate::sys::Result<T> {
    fn at(self, step: Step) -> Result<T, Failure<'static>> {
        self.map_err(|errno| Failure { step, errno, detail: b"" })
    }

    fn at_path(self, step: Step, detail: &[u8]) -> Result<T, Failure<'_>> {
        self.map_err(|errno| Failure { step, errno, detail })
    }
}
