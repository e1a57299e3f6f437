//! Control groups: made and limited before the launch, read while it runs, removed at its end.
//!
//! No crate is used: a run needs one `mkdir` and a few writes per hierarchy, on hosts that mix v1 controllers with a
//! bare v2 tree, and it must enter the groups without the host-wide lock that moving a pid takes.

mod error;
mod file;
pub mod layout;
mod oom;
mod stale;
#[cfg(test)]
mod tests;
mod usage;
mod v1;
mod v2;

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::poll::PollFlags;
use policies::limits::Limits;

pub use error::LimitError;
pub use layout::{Controller, Layout};
pub use oom::OomEvents;
pub use stale::clear_stale;
pub use usage::{Live, Usage, live};

use super::enforcement::Gap;

/// A CPU quota: `quota_us` of CPU time in each `period_us` of wall time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Quota {
    quota_us: u64,
    period_us: u64,
}

impl Quota {
    /// The kernel takes no quota below this, in microseconds.
    const LEAST_US: u64 = 1_000;
    /// Short, as a throttled process stalls for the rest of a period; in microseconds.
    const PERIOD_US: u64 = 20_000;

    /// For a percentage of one core. Below 5 % the period grows instead of the quota falling under the least one.
    fn of_percent(percent: u32) -> Self {
        let percent = u64::from(percent.max(1));
        let period_us = Self::PERIOD_US.max(Self::LEAST_US.div_ceil(percent) * 100);
        Self { quota_us: period_us * percent / 100, period_us }
    }
}

/// The limits in the units of the control files.
#[derive(Debug)]
struct Wanted {
    memory_bytes: u64,
    cpu: Quota,
    tasks: u64,
}

/// A controller whose limit the host refused.
#[derive(Clone, Debug)]
pub(crate) struct Missing {
    controller: Controller,
    reason: String,
}

impl Missing {
    fn refused(controller: Controller, step: &str, path: &Path, source: &io::Error) -> Self {
        Self { controller, reason: format!("failed to {step} {}: {source}", path.display()) }
    }
}

/// The control groups of one run. Dropping them removes them; [`Groups::remove`] also says what stayed.
#[derive(Debug)]
pub struct Groups {
    v1: Vec<v1::Group>,
    v2: Option<v2::Group>,
    missing: Vec<Missing>,
}

impl Groups {
    /// Makes a group called `name` in every hierarchy that is needed, and writes the limits. `extra_tasks` are ours
    /// and come on top of the limit: the shim is one.
    ///
    /// A limit that this host cannot set (read-only cgroups, no such controller) is no error here;
    /// [`Groups::control`] tells, and the caller decides. Leftovers of a dead run under the same name are cleared, its
    /// processes killed: whoever calls this owns the name.
    pub fn create(
        layout: &Layout,
        name: &str,
        limits: &Limits,
        extra_tasks: u32,
    ) -> Result<Self, LimitError> {
        let wanted = Wanted {
            memory_bytes: limits.memory_mb.saturating_mul(1 << 20),
            cpu: Quota::of_percent(limits.cpu_percent),
            tasks: u64::from(limits.tasks) + u64::from(extra_tasks),
        };
        let missing = layout
            .absent
            .iter()
            .map(|(controller, reason)| Missing { controller: *controller, reason: reason.clone() })
            .collect();
        // Filled step by step, so that a failure drops, and so removes, what was made before it.
        let mut groups = Self { v1: Vec::new(), v2: None, missing };
        if let Some(unified) = &layout.v2 {
            groups.v2 = v2::Group::create(unified, name, &wanted, &mut groups.missing)?;
        }
        for hierarchy in &layout.v1 {
            // v2 counts CPU time without a controller, so a hierarchy that only counts is not needed beside it.
            let limits = hierarchy.controllers.iter().any(|c| *c != Controller::Cpuacct);
            if limits || groups.v2.is_none() {
                let group = v1::Group::create(hierarchy, name, &wanted, &mut groups.missing)?;
                groups.v1.extend(group);
            }
        }
        Ok(groups)
    }

    /// The v2 group, for `CLONE_INTO_CGROUP`.
    #[must_use]
    pub fn clone_into(&self) -> Option<BorrowedFd<'_>> {
        self.v2.as_ref().map(|group| group.fd.as_fd())
    }

    /// The `tasks` files of the v1 groups. A task joins by writing "0" to each, before it has threads.
    #[must_use]
    pub fn join_fds(&self) -> Vec<BorrowedFd<'_>> {
        self.v1.iter().map(|group| group.tasks.as_fd()).collect()
    }

    /// The control file that holds a limit, with its version: `cgroup v1 memory.limit_in_bytes`; or why there is
    /// none.
    pub fn control(&self, controller: Controller) -> Result<&'static str, Gap> {
        let v2 = self.v2.as_ref().is_some_and(|group| group.active.contains(&controller));
        let v1 = self.v1.iter().any(|group| group.active.contains(&controller));
        match (controller, v1, v2) {
            (Controller::Memory, _, true) => Ok("cgroup v2 memory.max"),
            (Controller::Memory, true, _) => Ok("cgroup v1 memory.limit_in_bytes"),
            (Controller::Cpu, _, true) => Ok("cgroup v2 cpu.max"),
            (Controller::Cpu, true, _) => Ok("cgroup v1 cpu.cfs_quota_us"),
            (Controller::Pids, _, true) => Ok("cgroup v2 pids.max"),
            (Controller::Pids, true, _) => Ok("cgroup v1 pids.max"),
            (Controller::Cpuacct, _, true) => Ok("cgroup v2 cpu.stat"),
            (Controller::Cpuacct, true, _) => Ok("cgroup v1 cpuacct.usage"),
            (_, false, false) => Err(self.gap(controller)),
        }
    }

    /// Whether the kernel enforces a controller's limit.
    #[must_use]
    pub fn holds(&self, controller: Controller) -> bool {
        self.control(controller).is_ok()
    }

    /// Why a controller's limit could not be set.
    fn gap(&self, controller: Controller) -> Gap {
        let reason =
            self.missing.iter().find(|missing| missing.controller == controller).map_or_else(
                || format!("the {} controller is not available", controller.name()),
                |missing| missing.reason.clone(),
            );
        Gap { reason }
    }

    /// What a poll loop watches to learn of an OOM at once; `None` without a memory controller.
    pub fn oom_events(&self) -> Result<Option<OomEvents>, LimitError> {
        let v2 = self.v2.as_ref().filter(|group| group.active.contains(&Controller::Memory));
        if let Some(group) = v2 {
            let path = group.dir.join("memory.events");
            let file = File::open(&path).map_err(|source| LimitError::OomEvent { path, source })?;
            let events = OomEvents { file, events: PollFlags::POLLPRI };
            // A file that was never read counts as changed.
            events.drain();
            return Ok(Some(events));
        }
        match self.v1.iter().find(|group| group.active.contains(&Controller::Memory)) {
            Some(group) => {
                let event = group.oom_event()?;
                Ok(Some(OomEvents {
                    file: File::from(OwnedFd::from(event)),
                    events: PollFlags::POLLIN,
                }))
            }
            None => Ok(None),
        }
    }

    /// Kills everything in the groups at once; false where there is no v2 group to do it.
    pub fn kill(&self) -> Result<bool, LimitError> {
        self.signal("kill", v2::Group::kill)
    }

    /// Takes the CPU quota away, so that processes that are being killed can get the CPU time that dying takes: a
    /// throttled tree of 64 busy processes otherwise needs a second for it. A host that refuses only makes the end slower.
    pub fn lift_cpu(&self) {
        let v1 =
            self.v1.iter().map(|group| (&group.active, group.dir.join("cpu.cfs_quota_us"), "-1"));
        let v2 = self.v2.iter().map(|group| (&group.active, group.dir.join("cpu.max"), "max"));
        for (active, path, unlimited) in v1.chain(v2) {
            if active.contains(&Controller::Cpu)
                && let Err(error) = file::write(&path, unlimited)
            {
                tracing::debug!(path = %path.display(), %error, "the CPU quota stays");
            }
        }
    }

    /// Stops everything in the groups, or continues it; false where there is no v2 group to do it. Returns before
    /// the last process has stopped.
    pub fn freeze(&self, frozen: bool) -> Result<bool, LimitError> {
        self.signal(if frozen { "freeze" } else { "thaw" }, |group| group.freeze(frozen))
    }

    fn signal(
        &self,
        action: &'static str,
        act: impl FnOnce(&v2::Group) -> io::Result<()>,
    ) -> Result<bool, LimitError> {
        let Some(group) = &self.v2 else {
            return Ok(false);
        };
        act(group).map(|()| true).map_err(|source| LimitError::Signal {
            action,
            path: group.dir.clone(),
            source,
        })
    }

    /// The directories, to be noted where a later process can find them after a crash.
    pub fn dirs(&self) -> impl Iterator<Item = &Path> {
        self.v2.iter().map(|group| &*group.dir).chain(self.v1.iter().map(|group| &*group.dir))
    }

    /// Removes the groups, whose processes must be dead. Returns what stayed, with the reason.
    #[must_use = "what stayed is to be reported"]
    pub fn remove(mut self) -> Vec<(PathBuf, io::Error)> {
        self.remove_all()
    }

    fn remove_all(&mut self) -> Vec<(PathBuf, io::Error)> {
        let v1 = self.v1.drain(..).map(|group| group.dir);
        let dirs: Vec<PathBuf> = v1.chain(self.v2.take().map(|group| group.dir)).collect();
        dirs.into_iter()
            .filter_map(|dir| remove_dir(&dir).err().map(|error| (dir, error)))
            .collect()
    }
}

impl Drop for Groups {
    fn drop(&mut self) {
        for (dir, error) in self.remove_all() {
            tracing::warn!("failed to remove cgroup {}: {error}", dir.display());
        }
    }
}

/// Makes a group. A directory of that name is a dead run's and is cleared first.
fn make(dir: &Path) -> io::Result<()> {
    let builder = {
        let mut builder = DirBuilder::new();
        builder.mode(0o755);
        builder
    };
    match builder.create(dir) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            stale::clear(dir)?;
            builder.create(dir)
        }
        result => result,
    }
}

/// Writes the values of one controller. False, with the reason in `missing`, where the host refuses a needed one.
fn limit(
    dir: &Path,
    controller: Controller,
    values: &[(&str, String, bool)],
    missing: &mut Vec<Missing>,
) -> Result<bool, LimitError> {
    for (name, value, optional) in values {
        let path = dir.join(name);
        match file::write(&path, value) {
            Ok(()) => {}
            Err(source) if *optional && source.kind() == io::ErrorKind::NotFound => {}
            Err(source) if lacking(&source) => {
                let step = format!("write {value} to");
                missing.push(Missing::refused(controller, &step, &path, &source));
                return Ok(false);
            }
            Err(source) => {
                return Err(LimitError::Write { path, value: value.clone(), source });
            }
        }
    }
    Ok(true)
}

/// Whether an error says that the host cannot, rather than that something went wrong. EINVAL is what a v1 cpu quota
/// above the parent's gets.
fn lacking(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(
            libc::EROFS
                | libc::EACCES
                | libc::EPERM
                | libc::ENOENT
                | libc::EINVAL
                | libc::ENODEV
                | libc::EOPNOTSUPP
        )
    )
}

/// rmdir(2), again while the last of its processes is still on its way out: a task leaves its group a little after
/// its parent could reap it. 110 ms at most.
fn remove_dir(dir: &Path) -> io::Result<()> {
    let mut pause = Duration::from_micros(100);
    loop {
        match fs::remove_dir(dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error)
                if error.kind() == io::ErrorKind::ResourceBusy
                    && pause < Duration::from_millis(100) =>
            {
                std::thread::sleep(pause);
                pause *= 2;
            }
            result => return result,
        }
    }
}
