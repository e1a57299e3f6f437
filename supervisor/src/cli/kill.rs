//! `sandboxctl kill`: asks live runs to end.

use std::fs;
use std::os::fd::AsFd;
use std::process::ExitCode;

use nix::errno::Errno;
use nix::sys::signal::Signal;

use super::Failure;
use super::args::KillArgs;
use super::output::text_out;
use crate::record::escape::visible;
use crate::state::Dirs;
use crate::state::slot::{self, Holder};
use crate::sys::spawn::{pidfd_open, pidfd_signal};

pub(super) fn main(args: &KillArgs, dirs: &Dirs) -> Result<ExitCode, Failure> {
    let wanted =
        |holder: &Holder| holder.run_id == args.target || holder.extension_id == args.target;
    let found = slot::holders(dirs).map_err(Failure::new)?.into_iter().filter(wanted);
    let mut text = String::new();
    for holder in found {
        if ask(&holder, args.now, dirs)? {
            text.extend(["asked ", &visible(&holder.run_id), " of "]);
            text.extend([&*visible(&holder.extension_id), " to end\n"]);
        }
    }
    if text.is_empty() {
        let message = format!("no live run or extension {}", visible(&args.target));
        return Err(Failure::new(message).hint("sandboxctl ps lists the runs".to_owned()));
    }
    text_out(&text)
}

/// Whether the run was there to be asked.
fn ask(holder: &Holder, now: bool, dirs: &Dirs) -> Result<bool, Failure> {
    let failed = |errno: Errno| {
        let Holder { pid, run_id, .. } = holder;
        Failure::new(format!(
            "failed to signal {pid}, the supervisor of {run_id}: {}",
            errno.desc()
        ))
    };
    let pid = i32::try_from(holder.pid).map_err(Failure::new)?;
    let supervisor = match pidfd_open(pid) {
        Err(Errno::ESRCH) => return Ok(false),
        other => other.map_err(failed)?,
    };
    // Who holds a slot is who the descriptor is of: a pid may be somebody else's by now, or of another pid namespace.
    if !holds_a_slot(pid, dirs) || !slot::holders(dirs).map_err(Failure::new)?.contains(holder) {
        return Ok(false);
    }
    // The second request ends a run at once. Two equal signals would be one.
    let signals: &[Signal] =
        if now { &[Signal::SIGTERM, Signal::SIGINT] } else { &[Signal::SIGTERM] };
    for signal in signals {
        match pidfd_signal(supervisor.as_fd(), *signal) {
            Ok(()) | Err(Errno::ESRCH) => {}
            Err(errno) => return Err(failed(errno)),
        }
    }
    Ok(true)
}

/// Whether the process has a file of the folder of slots open.
fn holds_a_slot(pid: i32, dirs: &Dirs) -> bool {
    let slots = fs::canonicalize(dirs.slots()).unwrap_or_else(|_| dirs.slots());
    let open = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    open.filter_map(|fd| fs::read_link(fd.path()).ok()).any(|file| file.starts_with(&slots))
}
