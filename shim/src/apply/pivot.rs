//! The new root takes the place of the host's tree.

use shim::step::Step;

use crate::failure::{At, Failure};
use crate::sys::fs::{self, Path};

/// pivot_root(".", ".") stacks the old root on the new one and needs no directory to put it; see pivot_root(2), NOTES.
pub(crate) fn apply() -> Result<(), Failure<'static>> {
    let here = Path::fixed(c".");
    fs::pivot_root(here, here).at(Step::Pivot)?;
    fs::detach(here).at(Step::Pivot)?;
    fs::chdir(Path::fixed(c"/")).at(Step::Pivot)
}

/// Makes `/proc` and the root read-only, once the id maps were written through `/proc`. Read-only `/proc` also covers
/// `/proc/sys`, whose files are otherwise guarded by their modes alone.
pub(crate) fn seal() -> Result<(), Failure<'static>> {
    let remount = fs::MS_BIND | fs::MS_REMOUNT | fs::MS_RDONLY | fs::MS_NOSUID | fs::MS_NOEXEC;
    for (path, flags) in [(c"/proc", fs::MS_NODEV), (c"/", 0)] {
        let path = Path::fixed(path);
        fs::mount(None, path, None, remount | flags, None).at_path(Step::Seal, path.bytes())?;
    }
    Ok(())
}
