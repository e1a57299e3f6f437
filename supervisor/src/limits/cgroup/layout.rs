//! What this host offers: which controller lies in which hierarchy, and where our own group is in it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use nix::sys::statfs::{CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC, FsType, statfs};

/// Where a distribution mounts cgroups.
const ROOT: &str = "/sys/fs/cgroup";

/// A resource controller that the product uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Controller {
    /// Memory of a group.
    Memory,
    /// CPU bandwidth of a group.
    Cpu,
    /// Number of tasks of a group.
    Pids,
    /// CPU time used by a group; v1 only, `cpu.stat` of v2 needs no controller.
    Cpuacct,
}

impl Controller {
    /// Every controller.
    pub const ALL: [Self; 4] = [Self::Memory, Self::Cpu, Self::Pids, Self::Cpuacct];
    /// Those that carry a limit.
    pub const LIMITING: [Self; 3] = [Self::Memory, Self::Cpu, Self::Pids];

    /// The kernel's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Cpu => "cpu",
            Self::Pids => "pids",
            Self::Cpuacct => "cpuacct",
        }
    }
}

/// Our own group in one v1 hierarchy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hierarchy {
    /// The directory beneath which groups are made.
    pub parent: PathBuf,
    /// The controllers that are mounted together here.
    pub controllers: BTreeSet<Controller>,
}

/// Our own group in the v2 tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unified {
    /// Where the tree is mounted.
    pub mount: PathBuf,
    /// Our own group.
    pub own: PathBuf,
    /// The controllers that the tree could pass down to a group; empty for the bare tree of a hybrid host.
    pub controllers: BTreeSet<Controller>,
}

/// The cgroups of a host, as far as they concern the limits of a run.
///
/// v1, hybrid and v2 are not cases but what results: a controller is either in a v1 hierarchy or in the v2 tree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    /// v1 hierarchies with at least one controller of ours.
    pub v1: Vec<Hierarchy>,
    /// The v2 tree.
    pub v2: Option<Unified>,
    /// Controllers that could not be found, each with the reason.
    pub absent: Vec<(Controller, String)>,
}

impl Layout {
    /// Looks at this host. Reads a handful of small files, changes nothing; whether a group can be *made* only
    /// [`Groups::create`](super::Groups::create) finds out, by doing it.
    #[must_use]
    pub fn detect() -> Self {
        match fs::read_to_string("/proc/self/cgroup") {
            Ok(own) => Self::at(Path::new(ROOT), &own),
            Err(source) => Self::none(&format!("failed to read /proc/self/cgroup: {source}")),
        }
    }

    /// The layout beneath a mount root, for a process whose `/proc/self/cgroup` reads `own`.
    #[must_use]
    pub fn at(root: &Path, own: &str) -> Self {
        let mut layout = Self::default();
        for line in own.lines() {
            let mut parts = line.splitn(3, ':');
            let (Some(_), Some(names), Some(path)) = (parts.next(), parts.next(), parts.next())
            else {
                continue;
            };
            if names.is_empty() {
                layout.v2 = unified(root, path);
            } else {
                layout.add_v1(root, names, path);
            }
        }
        for controller in Controller::LIMITING {
            let known = layout.has(controller)
                || layout.absent.iter().any(|(absent, _)| *absent == controller);
            if !known {
                let reason =
                    format!("no mounted cgroup hierarchy has the {} controller", controller.name());
                layout.absent.push((controller, reason));
            }
        }
        layout
    }

    /// A host without any cgroups.
    #[must_use]
    pub fn none(reason: &str) -> Self {
        let absent = Controller::LIMITING.map(|controller| (controller, reason.to_owned()));
        Self { absent: absent.into(), ..Self::default() }
    }

    /// Whether a controller lies in some hierarchy.
    #[must_use]
    pub fn has(&self, controller: Controller) -> bool {
        self.v1.iter().any(|hierarchy| hierarchy.controllers.contains(&controller))
            || self.v2.as_ref().is_some_and(|v2| v2.controllers.contains(&controller))
    }

    /// In a word: `v1`, `v2`, `hybrid` or `none`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match (self.v1.is_empty(), &self.v2) {
            (true, None) => "none",
            (true, Some(_)) => "v2",
            (false, None) => "v1",
            (false, Some(_)) => "hybrid",
        }
    }

    fn add_v1(&mut self, root: &Path, names: &str, path: &str) {
        let controllers: BTreeSet<Controller> = Controller::ALL
            .into_iter()
            .filter(|controller| names.split(',').any(|name| name == controller.name()))
            .collect();
        let Some(first) = controllers.first() else {
            return;
        };
        // Co-mounted controllers have a link for each single name, so the first one finds the directory.
        match own_group(&root.join(first.name()), path, CGROUP_SUPER_MAGIC, first.name()) {
            Some(own) => self.v1.push(Hierarchy { parent: own.group, controllers }),
            None => self.absent.extend(controllers.into_iter().map(|controller| {
                let reason = format!("the cgroup v1 hierarchy of {names} is not mounted");
                (controller, reason)
            })),
        }
    }
}

/// The v2 tree: mounted at the root itself, or beside v1 hierarchies.
fn unified(root: &Path, path: &str) -> Option<Unified> {
    let own = if filesystem(root) == Some(CGROUP2_SUPER_MAGIC) {
        own_group(root, path, CGROUP2_SUPER_MAGIC, "cgroup2")?
    } else {
        own_group(&root.join("unified"), path, CGROUP2_SUPER_MAGIC, "cgroup2")?
    };
    // Of the mount's root, not of our own group: what the groups between do not pass down yet can be enabled.
    let names = fs::read_to_string(own.mount.join("cgroup.controllers")).unwrap_or_default();
    let controllers = Controller::LIMITING
        .into_iter()
        .filter(|controller| names.split_ascii_whitespace().any(|name| name == controller.name()))
        .collect();
    Some(Unified { mount: own.mount, own: own.group, controllers })
}

struct Own {
    mount: PathBuf,
    group: PathBuf,
}

/// Our own group beneath the usual mount point, else beneath whatever mount the kernel lists.
fn own_group(usual: &Path, path: &str, magic: FsType, controller: &str) -> Option<Own> {
    // A path with ".." lies outside of our cgroup namespace: no directory here is ours.
    if path.split('/').any(|part| part == "..") {
        return None;
    }
    let group = usual.join(path.trim_start_matches('/'));
    if filesystem(&group) == Some(magic) {
        return Some(Own { mount: usual.to_owned(), group });
    }
    // Containers without a cgroup namespace see their own group as the root of the mount, and other places are
    // possible. mountinfo grows with the host, so it is read only here.
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    mounts
        .lines()
        .find_map(|line| mounted_group(line, path, controller))
        .filter(|own| filesystem(&own.group) == Some(magic))
}

/// The directory of the group `path` if `line` of mountinfo mounts its hierarchy and shows it.
///
/// # References
/// [`proc_pid_mountinfo(5)`](https://man7.org/linux/man-pages/man5/proc_pid_mountinfo.5.html)
fn mounted_group(line: &str, path: &str, controller: &str) -> Option<Own> {
    let (left, right) = line.split_once(" - ")?;
    let mut right = right.split(' ');
    let (kind, options) = (right.next()?, right.nth(1)?);
    let matches = match kind {
        "cgroup2" => controller == "cgroup2",
        "cgroup" => options.split(',').any(|option| option == controller),
        _ => false,
    };
    if !matches {
        return None;
    }
    let mut left = left.split(' ').skip(3);
    let (root, mount) = (Path::new(left.next()?), PathBuf::from(unescape(left.next()?)));
    let beneath = Path::new(path).strip_prefix(root).ok()?;
    Some(Own { group: mount.join(beneath), mount })
}

/// Undoes the octal escapes of mountinfo.
fn unescape(field: &str) -> String {
    field.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")
}

fn filesystem(path: &Path) -> Option<FsType> {
    statfs(path).ok().map(|stat| stat.filesystem_type())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_host_has_every_limiting_controller_somewhere_or_says_why_not() {
        let layout = Layout::detect();
        for controller in Controller::LIMITING {
            let absent = layout.absent.iter().find(|(absent, _)| *absent == controller);
            assert_ne!(layout.has(controller), absent.is_some(), "{controller:?} in {layout:?}");
        }
    }

    #[test]
    fn nothing_mounted_is_named_for_each_controller() {
        let layout = Layout::at(Path::new("/proc/self/no-cgroups"), "");
        assert_eq!(layout.kind(), "none");
        assert_eq!(layout.absent.len(), 3);
        assert_eq!(layout.absent[0].1, "no mounted cgroup hierarchy has the memory controller");
    }

    #[test]
    fn a_group_outside_of_the_namespace_is_not_ours() {
        let layout = Layout::at(Path::new(ROOT), "4:memory:/../other\n0::/../../x\n");
        assert_eq!(layout.kind(), "none");
        assert_eq!(layout.absent[0].1, "the cgroup v1 hierarchy of memory is not mounted");
    }

    #[test]
    fn a_container_without_namespace_is_found_through_its_mount() {
        let line = "40 31 0:30 /docker/abc /sys/fs/cgroup/cpu\\040x ro,nosuid - cgroup cgroup rw,cpu,cpuacct";
        let own = mounted_group(line, "/docker/abc/inner", "cpu").unwrap();
        assert_eq!(own.group, Path::new("/sys/fs/cgroup/cpu x/inner"));
        assert!(mounted_group(line, "/docker/other", "cpu").is_none());
        assert!(mounted_group(line, "/docker/abc", "memory").is_none());
        let line = "41 31 0:38 / /cg rw - cgroup2 cgroup2 rw,nsdelegate";
        assert_eq!(mounted_group(line, "/a", "cgroup2").unwrap().group, Path::new("/cg/a"));
    }
}
