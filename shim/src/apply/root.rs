//! The tmpfs that becomes the root.

use shim::step::Step;
use shim::wire::Reader;

use crate::failure::{At, Failure};
use crate::sys::fs::{self, Path};

/// Private propagation first, recursively: nothing that is mounted from here on may reach the host. The staging
/// directory is the supervisor's own, and the mount over it exists in this namespace only.
///
/// The tmpfs allows device nodes, because `/dev` is a directory of it: a mount of its own would cost a launch 25 us. The
/// extension can neither make nodes nor write here.
///
/// Without access times: PID 2 walks links of this tree while PID 1 makes the mount read-only, and the kernel refuses that
/// with EBUSY during the write that updates the access time of a link.
pub(crate) fn apply(plan: &mut Reader<'static>) -> Result<(), Failure<'static>> {
    let staging = Path::from(plan.str()?);
    let options = Path::from(plan.str()?);
    fs::mount(None, Path::fixed(c"/"), None, fs::MS_REC | fs::MS_PRIVATE, None).at(Step::Root)?;
    let flags = fs::MS_NOSUID | fs::MS_NOEXEC | fs::MS_NOATIME;
    let tmpfs = Path::fixed(c"tmpfs");
    fs::mount(Some(tmpfs), staging, Some(tmpfs), flags, Some(options))
        .at_path(Step::Root, staging.bytes())?;
    fs::chdir(staging).at_path(Step::Root, staging.bytes())
}
