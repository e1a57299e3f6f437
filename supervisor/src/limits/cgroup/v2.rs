//! One group of the v2 tree, and the delegation of controllers to it.
//!
//! # References
//! [cgroup-v2](https://docs.kernel.org/admin-guide/cgroup-v2.html)

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::file::{self, Kept};
use super::layout::{Controller, Unified};
use super::{LimitError, Missing, Wanted, lacking};

/// The leaf that the supervisor moves to where it would keep its own group from passing controllers on.
const LEAF: &str = "supervisor";

/// A group in the v2 tree; without controllers on a hybrid host, where it still kills, freezes and counts CPU time.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) dir: PathBuf,
    /// The controllers whose limit was written.
    pub(super) active: BTreeSet<Controller>,
    /// For `CLONE_INTO_CGROUP`.
    pub(super) fd: File,
    pub(super) memory_now: Kept,
    pub(super) memory_peak: Kept,
    pub(super) memory_events: Kept,
    pub(super) cpu_stat: Kept,
    pub(super) pids_now: Kept,
    pub(super) pids_peak: Kept,
    pub(super) pids_events: Kept,
}

impl Group {
    /// Makes the group and writes its limits. What the host refuses goes to `missing`; `None` if the group itself
    /// was refused.
    pub(super) fn create(
        unified: &Unified,
        name: &str,
        wanted: &Wanted,
        missing: &mut Vec<Missing>,
    ) -> Result<Option<Self>, LimitError> {
        let (parent, passed_on) = delegate(unified, missing);
        let dir = parent.join(name);
        if let Err(source) = super::make(&dir) {
            if !lacking(&source) {
                return Err(LimitError::Create { path: dir, source });
            }
            missing.extend(passed_on.iter().map(|c| Missing::refused(*c, "create", &dir, &source)));
            return Ok(None);
        }
        match Self::limit(dir.clone(), &passed_on, wanted, missing) {
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
        controllers: &BTreeSet<Controller>,
        wanted: &Wanted,
        missing: &mut Vec<Missing>,
    ) -> Result<Self, LimitError> {
        let mut active = BTreeSet::new();
        for &controller in controllers {
            if super::limit(&dir, controller, &values(controller, wanted), missing)? {
                active.insert(controller);
            }
        }
        let fd =
            File::open(&dir).map_err(|source| LimitError::Open { path: dir.clone(), source })?;
        let kept = |name: &str| Kept::new(dir.join(name));
        Ok(Self {
            active,
            fd,
            memory_now: kept("memory.current"),
            memory_peak: kept("memory.peak"),
            memory_events: kept("memory.events"),
            cpu_stat: kept("cpu.stat"),
            pids_now: kept("pids.current"),
            pids_peak: kept("pids.peak"),
            pids_events: kept("pids.events"),
            dir,
        })
    }

    /// Kills every process in the group, at once and without a race against fork. Linux 5.14.
    pub(super) fn kill(&self) -> io::Result<()> {
        file::write(&self.dir.join("cgroup.kill"), "1")
    }

    /// Stops or continues every process in the group; nothing inside can undo it.
    pub(super) fn freeze(&self, frozen: bool) -> io::Result<()> {
        file::write(&self.dir.join("cgroup.freeze"), if frozen { "1" } else { "0" })
    }
}

/// What is written for a controller: the file, the value, and whether the limit stands without it.
fn values(controller: Controller, wanted: &Wanted) -> Vec<(&'static str, String, bool)> {
    match controller {
        Controller::Memory => vec![
            ("memory.max", wanted.memory_bytes.to_string(), false),
            // Absent where the kernel has no swap.
            ("memory.swap.max", "0".to_owned(), true),
            // The run dies as a whole: half of it would only look like a crash.
            ("memory.oom.group", "1".to_owned(), true),
        ],
        Controller::Cpu => {
            vec![("cpu.max", format!("{} {}", wanted.cpu.quota_us, wanted.cpu.period_us), false)]
        }
        Controller::Pids => vec![("pids.max", wanted.tasks.to_string(), false)],
        Controller::Cpuacct => Vec::new(),
    }
}

/// Finds the group beneath which ours gets its controllers, enabling what is not yet passed on.
///
/// A group other than the root cannot both hold processes and pass controllers on, and we are in `unified.own`:
/// 1. `own`, if it passes them on already or lets us enable them;
/// 2. `own`, after moving ourselves to a leaf beneath it, if we are its only process;
/// 3. the nearest ancestor where 1 holds, as a session's shell shares our group. Its bounds are looser than `own`'s.
fn delegate(unified: &Unified, missing: &mut Vec<Missing>) -> (PathBuf, BTreeSet<Controller>) {
    let own = &unified.own;
    if unified.controllers.is_empty() {
        return (own.clone(), BTreeSet::new());
    }
    let mut best = enable(own, &unified.controllers);
    if best.refused.is_empty() {
        return (own.clone(), best.passed_on);
    }
    let mut above: Vec<&Path> =
        own.ancestors().skip(1).take_while(|group| group.starts_with(&unified.mount)).collect();
    // What the groups above do not pass down cannot be enabled here: from the top.
    for group in above.iter().rev() {
        enable(group, &unified.controllers);
    }
    best = enable(own, &unified.controllers);
    if best.busy && alone_in(own) && move_to_leaf(own).is_ok() {
        best = enable(own, &unified.controllers);
    }
    let mut parent = own.as_path();
    if best.busy {
        for group in above.drain(..) {
            let attempt = enable(group, &unified.controllers);
            if attempt.passed_on.len() > best.passed_on.len() {
                parent = group;
                best = attempt;
            }
            if !best.busy {
                break;
            }
        }
    }
    for (controller, source) in &best.refused {
        let path = parent.join("cgroup.subtree_control");
        missing.push(Missing::refused(*controller, "enable it in", &path, source));
    }
    (parent.to_owned(), best.passed_on)
}

/// What a group passes on to its children.
#[derive(Default)]
struct Delegation {
    passed_on: BTreeSet<Controller>,
    refused: Vec<(Controller, io::Error)>,
    /// Something was refused because the group holds processes.
    busy: bool,
}

/// Enables what `group` does not pass on yet.
///
/// Only where it holds no process, or is the root, which has no `cgroup.type`: the kernel refuses `memory` in a group with
/// processes, but takes `cpu` and `pids` and thereby makes it the root of a threaded subtree, whose children cannot be
/// entered.
fn enable(group: &Path, wanted: &BTreeSet<Controller>) -> Delegation {
    let path = group.join("cgroup.subtree_control");
    let now = fs::read_to_string(&path).unwrap_or_default();
    let (passed_on, lacking): (BTreeSet<_>, BTreeSet<_>) = wanted
        .iter()
        .partition(|wanted| now.split_ascii_whitespace().any(|name| name == wanted.name()));
    let mut result = Delegation { passed_on, ..Delegation::default() };
    result.busy = !lacking.is_empty() && group.join("cgroup.type").exists() && !is_empty(group);
    for controller in lacking {
        // One write each: a single refusal would take the others with it.
        let written = if result.busy {
            Err(io::Error::from_raw_os_error(libc::EBUSY))
        } else {
            file::write(&path, &format!("+{}", controller.name()))
        };
        match written {
            Ok(()) => {
                result.passed_on.insert(controller);
            }
            Err(source) => {
                result.busy |= source.kind() == io::ErrorKind::ResourceBusy;
                result.refused.push((controller, source));
            }
        }
    }
    result
}

/// Whether no process is in the group itself. A threaded group, whose list cannot be read, is none for us either.
fn is_empty(group: &Path) -> bool {
    fs::read(group.join("cgroup.procs")).is_ok_and(|pids| pids.is_empty())
}

fn alone_in(group: &Path) -> bool {
    fs::read_to_string(group.join("cgroup.procs"))
        .is_ok_and(|pids| pids.trim_end() == std::process::id().to_string())
}

/// Moves this process to a leaf beneath `group`. The leaf stays when we end: an empty group costs nothing, and the
/// next run needs it again.
fn move_to_leaf(group: &Path) -> io::Result<()> {
    let leaf = group.join(LEAF);
    match fs::create_dir(&leaf) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    file::write(&leaf.join("cgroup.procs"), "0")
}
