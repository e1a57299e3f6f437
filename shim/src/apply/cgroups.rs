//! Control groups.

use shim::step::Step;
use shim::wire::{FIRST_PLAN_FD, Reader};

use crate::failure::{At, Failure};
use crate::sys::{fs, process};

/// Joins each version 1 group by writing "0" to its `tasks`, from inside: a supervisor that moves a pid takes a lock
/// that waits for an RCU grace period, up to 25 ms on an idle host. A version 2 group was joined by clone3 itself.
///
/// The namespace comes after joining, so that the groups are its roots and no host path shows in `/proc/self/cgroup`.
pub(crate) fn apply(plan: &mut Reader<'static>) -> Result<(), Failure<'static>> {
    for _ in 0..plan.u32()? {
        let fd = plan_fd(plan)?;
        fs::write(fd, b"0").at_path(Step::Cgroups, b"tasks")?;
        fs::close(fd);
    }
    process::unshare_cgroup_namespace().at(Step::Cgroups)
}

/// The descriptor behind the next position in the plan.
pub(crate) fn plan_fd(plan: &mut Reader<'static>) -> Result<i32, Failure<'static>> {
    let position = i32::try_from(plan.u32()?).map_err(|_| shim::wire::Malformed)?;
    Ok(position.saturating_add(FIRST_PLAN_FD))
}
