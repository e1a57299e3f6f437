//! One group of a v1 hierarchy.
//!
//! # References
//! [cgroup-v1](https://docs.kernel.org/admin-guide/cgroup-v1/index.html)

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::fd::AsFd;
use std::path::PathBuf;

use nix::sys::eventfd::{EfdFlags, EventFd};

use super::file::{self, Kept};
use super::layout::{Controller, Hierarchy};
use super::{LimitError, Missing, Quota, Wanted, lacking};

/// A group in one v1 hierarchy, with the limits of the controllers that are mounted there.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) dir: PathBuf,
    /// The controllers whose limit was written, or which only account.
    pub(super) active: BTreeSet<Controller>,
    /// `tasks`, opened by us: the task that writes "0" to it joins, without the host-wide lock that moving a foreign
    /// pid through `cgroup.procs` takes.
    pub(super) tasks: File,
    pub(super) memory_now: Kept,
    pub(super) memory_peak: Kept,
    pub(super) oom_control: Kept,
    pub(super) cpu_stat: Kept,
    pub(super) cpuacct_usage: Kept,
    pub(super) pids_now: Kept,
    pub(super) pids_peak: Kept,
    pub(super) pids_events: Kept,
}

impl Group {
    /// Makes the group and writes its limits. What the host refuses (read-only, no such file) goes to `missing`;
    /// `None` if the group itself was refused.
    pub(super) fn create(
        hierarchy: &Hierarchy,
        name: &str,
        wanted: &Wanted,
        missing: &mut Vec<Missing>,
    ) -> Result<Option<Self>, LimitError> {
        let dir = hierarchy.parent.join(name);
        if let Err(source) = super::make(&dir) {
            if !lacking(&source) {
                return Err(LimitError::Create { path: dir, source });
            }
            missing.extend(
                hierarchy.controllers.iter().map(|c| Missing::refused(*c, "create", &dir, &source)),
            );
            return Ok(None);
        }
        match Self::limit(dir.clone(), hierarchy, wanted, missing) {
            Ok(group) => Ok(Some(group)),
            Err(error) => {
                // The first failure is the one to tell; the directory is empty, so this cannot be refused.
                drop(fs::remove_dir(&dir));
                Err(error)
            }
        }
    }

    fn limit(
        dir: PathBuf,
        hierarchy: &Hierarchy,
        wanted: &Wanted,
        missing: &mut Vec<Missing>,
    ) -> Result<Self, LimitError> {
        let mut active = BTreeSet::new();
        for &controller in &hierarchy.controllers {
            if super::limit(&dir, controller, &values(controller, wanted), missing)? {
                active.insert(controller);
            }
        }
        let path = dir.join("tasks");
        let tasks = File::options()
            .write(true)
            .open(&path)
            .map_err(|source| LimitError::Open { path, source })?;
        let kept = |name: &str| Kept::new(dir.join(name));
        Ok(Self {
            active,
            tasks,
            memory_now: kept("memory.usage_in_bytes"),
            memory_peak: kept("memory.max_usage_in_bytes"),
            oom_control: kept("memory.oom_control"),
            cpu_stat: kept("cpu.stat"),
            cpuacct_usage: kept("cpuacct.usage"),
            pids_now: kept("pids.current"),
            pids_peak: kept("pids.peak"),
            pids_events: kept("pids.events"),
            dir,
        })
    }

    /// An eventfd that the kernel signals at each OOM in the group. At that instant `oom_kill` may still read 0.
    pub(super) fn oom_event(&self) -> Result<EventFd, LimitError> {
        let error =
            |source| LimitError::OomEvent { path: self.dir.join("memory.oom_control"), source };
        let event = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)
            .map_err(|errno| error(errno.into()))?;
        let control = File::open(self.dir.join("memory.oom_control")).map_err(error)?;
        let line = format!("{} {}", raw(&event), raw(&control));
        file::write(&self.dir.join("cgroup.event_control"), &line).map_err(error)?;
        Ok(event)
    }
}

fn raw(fd: &impl AsFd) -> i32 {
    std::os::fd::AsRawFd::as_raw_fd(&fd.as_fd())
}

/// What is written for a controller: the file, the value, and whether the limit stands without it.
fn values(controller: Controller, wanted: &Wanted) -> Vec<(&'static str, String, bool)> {
    match controller {
        Controller::Memory => vec![
            ("memory.limit_in_bytes", wanted.memory_bytes.to_string(), false),
            // Only where swap is accounted; after the plain limit, which it must not be below.
            ("memory.memsw.limit_in_bytes", wanted.memory_bytes.to_string(), true),
        ],
        Controller::Cpu => {
            let Quota { quota_us, period_us } = wanted.cpu;
            vec![
                ("cpu.cfs_period_us", period_us.to_string(), false),
                ("cpu.cfs_quota_us", quota_us.to_string(), false),
            ]
        }
        Controller::Pids => vec![("pids.max", wanted.tasks.to_string(), false)],
        Controller::Cpuacct => Vec::new(),
    }
}
