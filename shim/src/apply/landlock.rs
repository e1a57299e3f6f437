//! Path rules.

use shim::step::Step;
use shim::wire::Reader;

use super::cgroups::plan_fd;
use crate::failure::{At, Failure};
use crate::sys::Errno;
use crate::sys::fs::{self, Path};
use crate::sys::lockdown;

/// Adds the rules to the ruleset that the supervisor created: the paths exist only here. A path that the tree skipped
/// has no rule.
pub(crate) fn add_rules(plan: &mut Reader<'static>) -> Result<i32, Failure<'static>> {
    let ruleset = plan_fd(plan)?;
    for _ in 0..plan.u32()? {
        let access = plan.u64()?;
        let file_access = plan.u64()?;
        let path = plan.str()?;
        match open_beneath(path.into()) {
            Ok((fd, dir)) => {
                let access = if dir { access } else { file_access };
                let added = lockdown::landlock_allow(ruleset, fd, access);
                fs::close(fd);
                added.at_path(Step::LandlockRules, path.bytes())?;
            }
            Err(Errno::ENOENT) => {}
            Err(errno) => return Err(errno).at_path(Step::LandlockRules, path.bytes()),
        }
    }
    Ok(ruleset)
}

/// A descriptor for a rule, and whether it is a directory: a file takes no directory rights.
fn open_beneath(path: Path<'_>) -> crate::sys::Result<(i32, bool)> {
    let flags = fs::O_PATH | fs::O_CLOEXEC;
    match fs::open(path, flags | fs::O_DIRECTORY, 0) {
        Ok(fd) => Ok((fd, true)),
        Err(Errno::ENOTDIR) => fs::open(path, flags, 0).map(|fd| (fd, false)),
        Err(errno) => Err(errno),
    }
}

/// Enforces the ruleset, then proves it: the root has no rule, so opening it must fail with EACCES and nothing else.
/// The flags keep this one denial out of the kernel's records.
pub(crate) fn enforce(plan: &mut Reader<'static>, ruleset: i32) -> Result<(), Failure<'static>> {
    let flags = plan.u32()?;
    lockdown::landlock_restrict(ruleset, flags).at(Step::Landlock)?;
    let root = Path::fixed(c"/");
    match fs::open(root, fs::O_RDONLY | fs::O_DIRECTORY | fs::O_CLOEXEC, 0) {
        Err(Errno::EACCES) => Ok(()),
        Err(errno) => Err(errno).at_path(Step::Landlock, b"self-test"),
        Ok(_) => Err(Errno::EPROTO).at_path(Step::Landlock, b"self-test: / could be opened"),
    }
}
