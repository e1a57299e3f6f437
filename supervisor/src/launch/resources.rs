//! What a run takes from the host before it starts: a slot, control groups, a disk, numbers.

use std::io;
use std::os::fd::BorrowedFd;
use std::path::PathBuf;

use policies::limits::{Enforcement, LimitKind};
use policies::plan::{Plan, Storage};

use super::LaunchError;
use crate::bundle::Bundle;
use crate::confine::{Host, Rlimit};
use crate::data::{self, Attached, Owner};
use crate::host;
use crate::limits::cgroup::{Groups, Layout, OomEvents};
use crate::limits::rlimits::{self, Held};
use crate::state::Dirs;
use crate::state::config::{Config, Weaker};
use crate::state::slot::Slot;

/// PID 1 of the sandbox is not the extension's.
const OWN_TASKS: u32 = 1;

/// Everything that is given back at the end.
#[derive(Debug)]
pub(super) struct Resources {
    pub(super) slot: Slot,
    pub(super) oom: Option<OomEvents>,
    pub(super) data: Option<Attached>,
    pub(super) rlimits: Vec<rlimits::Rlimit>,
    /// Each limit, how firmly it holds, and by what.
    pub(super) enforcement: Vec<(LimitKind, Enforcement, String)>,
    last_capability: u32,
    staging: PathBuf,
}

impl Resources {
    /// Takes a slot, makes the groups, attaches persistent data.
    pub(super) fn take(
        plan: &Plan,
        run_id: &str,
        config: &Config,
        dirs: &Dirs,
    ) -> Result<(Self, Groups), LaunchError> {
        let slot = Slot::acquire(dirs)?;
        let groups =
            Groups::create(&Layout::detect(), &slot.group_name(), &plan.limits, OWN_TASKS)?;
        let enforcement: Vec<_> = LimitKind::ALL
            .into_iter()
            .map(|kind| {
                let (enforcement, mechanism) = groups.enforcement(kind, plan.storage);
                (kind, enforcement, mechanism)
            })
            .collect();
        if config.limits.weaker == Weaker::Refuse {
            refuse_weaker(&enforcement)?;
        }
        let data = match plan.storage {
            Storage::Persistent => Some(data::attach(
                &dirs.state,
                &plan.extension.id,
                plan.limits.disk_mb,
                Owner { run_id, host_uid: slot.extension_id() },
            )?),
            Storage::None | Storage::Ephemeral => None,
        };
        let resources = Self {
            oom: groups.oom_events()?,
            rlimits: rlimits::compile(&plan.limits, Held::by(&groups)),
            last_capability: host::last_capability()?,
            staging: dirs.staging(),
            enforcement,
            data,
            slot,
        };
        Ok((resources, groups))
    }

    /// What the compiler of the plan needs of them.
    pub(super) fn host<'a>(
        &'a self,
        groups: &'a Groups,
        bundle: &'a Bundle,
    ) -> Result<HostParts<'a>, LaunchError> {
        Ok(HostParts {
            resources: self,
            bundle: bundle.dir()?,
            join: groups.join_fds(),
            rlimits: self
                .rlimits
                .iter()
                .map(|limit| Rlimit {
                    resource: limit.resource,
                    soft: limit.soft,
                    hard: limit.hard,
                    name: limit.name,
                })
                .collect(),
        })
    }

    /// Gives the slot back, unless a control group would not go: then the slot's file stays for the next owner of the
    /// number, or `gc`, to clear it by.
    pub(super) fn give_back(self, left: &[(PathBuf, io::Error)]) {
        for (path, error) in left {
            tracing::warn!(path = %path.display(), %error, "a control group stays until gc");
        }
        if !left.is_empty() {
            self.slot.abandon();
        }
    }
}

fn refuse_weaker(enforcement: &[(LimitKind, Enforcement, String)]) -> Result<(), LaunchError> {
    let weaker: Vec<String> = enforcement
        .iter()
        // The wall clock is the supervisor's by nature.
        .filter(|(kind, held, _)| *kind != LimitKind::Timeout && *held != Enforcement::Kernel)
        .map(|(kind, held, by)| format!("{}: {} by {by}", kind.name(), held.name()))
        .collect();
    if weaker.is_empty() { Ok(()) } else { Err(LaunchError::Weaker { weaker }) }
}

/// Borrowed parts of [`Resources`], in the form that the compiler takes.
#[derive(Debug)]
pub(super) struct HostParts<'a> {
    resources: &'a Resources,
    bundle: BorrowedFd<'a>,
    join: Vec<BorrowedFd<'a>>,
    rlimits: Vec<Rlimit>,
}

impl<'a> HostParts<'a> {
    /// As one value.
    pub(super) fn as_host(&'a self) -> Host<'a> {
        let resources = self.resources;
        Host {
            bundle: self.bundle,
            staging: &resources.staging,
            shim_id: resources.slot.shim_id(),
            extension_id: resources.slot.extension_id(),
            join: &self.join,
            data: resources.data.as_ref().map(Attached::mount_fd),
            last_capability: resources.last_capability,
            rlimits: &self.rlimits,
        }
    }
}
