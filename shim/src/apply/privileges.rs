//! Who the two processes are.

use shim::step::Step;
use shim::wire::Reader;

use crate::failure::{At, Failure};
use crate::sys::{lockdown, process};

/// The workload is born with the id of PID 1 as its saved group id, by which the kernel's audit can tell it from processes
/// of the host (`audit_filter_task()`): it is still root then. Nothing else looks at that id, and the workload replaces it.
pub(crate) fn mark(plan: &mut Reader<'static>) -> Result<u32, Failure<'static>> {
    let id = plan.u32()?;
    process::save_group(id).at(Step::Clone)?;
    Ok(id)
}

/// PID 1 gives up root: a user id of its own, which is not the extension's, and `CAP_KILL` alone, to forward signals.
pub(crate) fn demote(id: u32) -> Result<(), Failure<'static>> {
    lockdown::keep_capabilities().at(Step::Demote)?;
    process::become_user(id, id).at(Step::Demote)?;
    lockdown::set_capabilities(lockdown::CAP_KILL).at(Step::Demote)?;
    lockdown::no_new_privs().at(Step::Demote)?;
    lockdown::die_with_parent().at(Step::Demote)
}

/// The workload reads past what the plan says to PID 1 alone: the id map.
pub(crate) fn skip_shim(plan: &mut Reader<'static>) -> Result<(), Failure<'static>> {
    plan.bytes()?;
    Ok(())
}

/// The mapped id, inside the user namespace.
pub(crate) fn become_extension(plan: &mut Reader<'static>) -> Result<(), Failure<'static>> {
    let id = plan.u32()?;
    process::become_user(id, id).at(Step::Ids)
}

/// Every set, the bounding set first because it takes a capability. They all apply to the new user namespace only, and
/// still nothing may be left: each is a way into kernel code. Not cleared by the change of id, as root is not mapped.
pub(crate) fn drop_capabilities(plan: &mut Reader<'static>) -> Result<(), Failure<'static>> {
    let last = plan.u32()?;
    for capability in 0..=last {
        lockdown::drop_bounding(capability).at(Step::Capabilities)?;
    }
    lockdown::clear_ambient().at(Step::Capabilities)?;
    lockdown::set_capabilities(0).at(Step::Capabilities)
}
