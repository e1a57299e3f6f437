//! Resource limits.

use shim::step::Step;
use shim::wire::Reader;

use crate::failure::{At, Failure};
use crate::sys::lockdown;

/// Inside the own user namespace, so that `RLIMIT_NPROC` counts this sandbox's tasks and nobody else's.
pub(crate) fn apply(plan: &mut Reader<'static>) -> Result<(), Failure<'static>> {
    for _ in 0..plan.u32()? {
        let resource = plan.u32()?;
        let (soft, hard) = (plan.u64()?, plan.u64()?);
        let name = plan.str()?;
        lockdown::set_rlimit(resource, soft, hard).at_path(Step::Rlimits, name.bytes())?;
    }
    Ok(())
}
