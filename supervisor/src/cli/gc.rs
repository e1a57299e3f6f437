//! `sandboxctl gc`.

use std::path::PathBuf;
use std::process::ExitCode;

use serde::Serialize;

use super::Failure;
use super::args::GcArgs;
use super::output::{json, text_out};
use crate::limits::cgroup::{Layout, clear_stale};
use crate::monitor::audit;
use crate::state::Dirs;
use crate::state::slot::{Holder, Slot};

/// What was cleared.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Cleared {
    slots: Vec<u32>,
    runs: Vec<Holder>,
    audit_restored: bool,
    audit_rule_removed: bool,
}

pub(super) fn main(args: GcArgs, dirs: &Dirs) -> Result<ExitCode, Failure> {
    let mut cleared = Cleared::default();
    let layout = Layout::detect();
    for mut slot in Slot::stale(dirs).map_err(Failure::new)? {
        let holder = slot.former_holder();
        let noted = holder.iter().flat_map(|holder| &holder.cgroups).map(PathBuf::as_path);
        clear_stale(&layout, &slot.group_name(), noted).map_err(Failure::new)?;
        cleared.slots.push(slot.number());
        cleared.runs.extend(holder);
    }
    cleared.audit_restored = audit::recover(&dirs.host).map_err(Failure::new)?;
    if args.audit_rule {
        cleared.audit_rule_removed = audit::remove_rules(&dirs.host).map_err(Failure::new)?;
    }
    if args.json {
        return json(&cleared);
    }
    let mut text = String::new();
    text.extend(cleared.slots.iter().map(|slot| format!("cleared slot {slot}\n")));
    text.extend(
        cleared
            .runs
            .iter()
            .map(|run| format!("  it was of run {} of {}\n", run.run_id, run.extension_id)),
    );
    if cleared.audit_restored {
        text.push_str("gave the kernel's audit back as it was\n");
    }
    if cleared.audit_rule_removed {
        text.push_str("removed the audit rules never,task\n");
    }
    if text.is_empty() {
        text.push_str("nothing to clear\n");
    }
    text_out(&text)
}
