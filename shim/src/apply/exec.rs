//! The entry command.

use core::convert::Infallible;

use shim::step::Step;
use shim::wire::{Malformed, Reader};

use crate::failure::{At, Failure};
use crate::sys::Errno;
use crate::sys::fs;
use crate::sys::process::{self, Vector};

/// The most arguments and the most variables, terminating null included; the policy refuses more.
const MOST: usize = 512;

/// chdir(2) as the extension, under Landlock.
pub(crate) fn enter_workdir(plan: &mut Reader<'static>) -> Result<(), Failure<'static>> {
    let path = plan.str()?;
    fs::chdir(path.into()).at_path(Step::Workdir, path.bytes())
}

/// Tries each candidate path in turn, as execvp(3) does: "not here" goes on, anything else is the answer.
pub(crate) fn apply(plan: &mut Reader<'static>) -> Result<Infallible, Failure<'static>> {
    let argv = vector(plan)?;
    let envp = vector(plan)?;
    let mut failure = Err(Errno::ENOENT).at(Step::Exec);
    for _ in 0..plan.u32()? {
        let path = plan.str()?;
        let errno = process::execve(path.into(), argv.entries(), envp.entries());
        match errno {
            Errno::ENOENT | Errno::ENOTDIR => {}
            Errno::EACCES => failure = Err(errno).at_path(Step::Exec, path.bytes()),
            _ => return Err(errno).at_path(Step::Exec, path.bytes()),
        }
    }
    failure
}

fn vector(plan: &mut Reader<'static>) -> Result<Vector<MOST>, Failure<'static>> {
    let mut vector = Vector::new();
    for _ in 0..plan.u32()? {
        if !vector.push(plan.str()?) {
            return Err(Malformed.into());
        }
    }
    Ok(vector)
}
