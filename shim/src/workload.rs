//! PID 2: gives up everything, then becomes the extension.

use shim::step::Step;
use shim::wire::{CONTROL_FD, Reader};

use crate::apply::{descriptors, exec, landlock, privileges, rlimits, seccomp, session};
use crate::failure::{At, Failure};
use crate::sys::{self, Errno, fs};

/// The workload's half of [`Step::ORDER`]. Never returns: it executes the entry command or reports and exits.
pub(crate) fn launch(plan: &mut Reader<'static>, gate: i32) -> ! {
    let failure = match confine(plan, gate) {
        Ok(never) => match never {},
        Err(failure) => failure,
    };
    sys::start::exit(failure.send())
}

fn confine(
    plan: &mut Reader<'static>,
    gate: i32,
) -> Result<core::convert::Infallible, Failure<'static>> {
    session::apply()?;
    privileges::skip_shim(plan)?;
    let ruleset = landlock::add_rules(plan)?;
    wait_for_release(gate)?;
    rlimits::apply(plan)?;
    privileges::become_extension(plan)?;
    privileges::drop_capabilities(plan)?;
    sys::lockdown::no_new_privs().at(Step::NoNewPrivs)?;
    landlock::enforce(plan, ruleset)?;
    exec::enter_workdir(plan)?;
    descriptors::apply()?;
    let listener = seccomp::apply(plan)?;
    seccomp::hand_over(listener)?;
    exec::apply(plan)
}

/// Blocks until PID 1 has mapped the user namespace; end of file cannot happen, as this process holds the gate too, but
/// then PID 1 is dead and so is this process.
fn wait_for_release(gate: i32) -> Result<(), Failure<'static>> {
    let mut count = [0; 8];
    loop {
        match fs::read(gate, &mut count) {
            Err(Errno::EINTR) => {}
            other => return other.map(drop).at(Step::Released),
        }
    }
}

/// Kept in one place because three modules must agree: nothing above stdio but the control socket survives.
pub(crate) const FIRST_CLOSED_FD: i32 = CONTROL_FD + 1;
