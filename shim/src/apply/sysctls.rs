//! Kernel settings that belong to the new pid namespace.

use shim::step::Step;
use shim::wire::Reader;

use crate::failure::{At, Failure};
use crate::sys::Errno;
use crate::sys::fs;

/// Each is a path and a value. A kernel that lacks one (`vm.memfd_noexec` came with 6.3) has no such file; the
/// supervisor knows and reports that.
pub(crate) fn apply(plan: &mut Reader<'static>) -> Result<(), Failure<'static>> {
    for _ in 0..plan.u32()? {
        let path = plan.str()?;
        let value = plan.bytes()?;
        match fs::write_file(path.into(), fs::O_WRONLY, 0, value) {
            Err(Errno::ENOENT) => {}
            other => other.at_path(Step::Sysctls, path.bytes())?,
        }
    }
    Ok(())
}
