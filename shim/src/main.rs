//! PID 1 of a sandbox.
//!
//! It is executed by descriptor inside the new namespaces, still root outside of them, applies one compiled plan in the
//! order of [`shim::step::Step::ORDER`], starts the extension as PID 2, and stays to reap and to forward signals. It
//! decides nothing: what to do stands in the plan. No standard library and no C library, because both cost start-up time
//! and neither is needed.
#![no_std]
#![no_main]
#![deny(unsafe_code)]

mod apply;
mod failure;
mod init;
mod sys;
mod workload;

use core::cell::UnsafeCell;

use shim::wire::{CONTROL_FD, MAX_PLAN, Reader};

use crate::apply::{cgroups, identity, lifeline, pivot, privileges, root, sysctls, tree, userns};
use crate::failure::{At, Failure};
use crate::sys::ipc;
use shim::step::Step;

/// The plan's bytes; they must outlive everything, since they end up as the arguments of execve(2).
struct PlanBuffer(UnsafeCell<[u8; MAX_PLAN]>);

// SAFETY: the shim has one thread.
#[expect(unsafe_code, reason = "a static buffer instead of a heap")]
unsafe impl Sync for PlanBuffer {}

static PLAN: PlanBuffer = PlanBuffer(UnsafeCell::new([0; MAX_PLAN]));

/// Called by `_start`.
extern "C" fn main() -> ! {
    // SAFETY: `main` runs once, on the only thread, so this is the only reference to the buffer.
    #[expect(unsafe_code, reason = "a static buffer instead of a heap")]
    let buffer = unsafe { &mut *PLAN.0.get() };
    let code = match launch(buffer) {
        Ok(code) => code,
        Err(failure) => failure.send(),
    };
    sys::start::exit(code)
}

/// The launch inside the namespaces: the steps of [`Step::ORDER`], nothing else.
fn launch(buffer: &'static mut [u8]) -> Result<i32, Failure<'static>> {
    lifeline::apply()?;
    let length = ipc::receive(CONTROL_FD, buffer).at(Step::Plan)?;
    let mut plan = Reader::new(&buffer[..length])?;
    cgroups::apply(&mut plan)?;
    identity::apply(&mut plan)?;
    root::apply(&mut plan)?;
    tree::apply(&mut plan)?;
    pivot::apply()?;
    sysctls::apply(&mut plan)?;
    let id = privileges::mark(&mut plan)?;
    let gate = ipc::gate().at(Step::Clone)?;
    let workload = match userns::fork().at(Step::Clone)? {
        sys::process::Fork::Child => workload::launch(&mut plan, gate),
        sys::process::Fork::Parent(pid) => pid,
    };
    userns::map(&mut plan, workload)?;
    pivot::seal()?;
    privileges::demote(id)?;
    let signals = init::block_signals().at(Step::Demote)?;
    lifeline::wait_for_go()?;
    userns::release(gate)?;
    init::supervise(workload, signals)
}
