//! Host name and supplementary groups.

use shim::step::Step;
use shim::wire::Reader;

use crate::failure::{At, Failure};
use crate::sys::{fs, process};

/// Groups go here and not in the workload, because setgroups(2) is forbidden inside its user namespace, and root's own
/// groups would stay.
pub(crate) fn apply(plan: &mut Reader<'static>) -> Result<(), Failure<'static>> {
    process::set_hostname(plan.bytes()?).at(Step::Identity)?;
    process::clear_groups().at(Step::Identity)?;
    fs::umask(0).at(Step::Identity)
}
