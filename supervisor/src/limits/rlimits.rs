//! Resource limits: the per-process half of the limits, and all of it where there are no control groups.
//!
//! # References
//! [`getrlimit(2)`](https://man7.org/linux/man-pages/man2/getrlimit.2.html)

use nix::sys::resource::{Resource, getrlimit};
use policies::limits::Limits;

use super::cgroup::{Controller, Groups};

/// One resource limit, ready for prlimit(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rlimit {
    /// `RLIMIT_*` of the kernel.
    pub resource: u32,
    /// Soft limit, in the unit of the resource.
    pub soft: u64,
    /// Hard limit, never below `soft`.
    pub hard: u64,
    /// `RLIMIT_NPROC`.
    pub name: &'static str,
    /// What was wanted, where our own hard limit is lower and lowering is all that is allowed.
    pub wanted: Option<u64>,
}

/// What the kernel's control groups already hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// Memory of the tree.
    pub memory: bool,
    /// Tasks of the tree.
    pub tasks: bool,
}

impl Held {
    /// By these groups.
    #[must_use]
    pub fn by(groups: &Groups) -> Self {
        Self { memory: groups.holds(Controller::Memory), tasks: groups.holds(Controller::Pids) }
    }
}

/// Address space that counts as data is reserved far beyond what is touched, by thread stacks and collectors: under a
/// memory control group this only stops an absurd reservation.
const GENEROUS_DATA: u64 = 4;
/// node needs 48 MiB and a JVM with a small heap 94 MiB of `RLIMIT_DATA` to start at all.
const LEAST_DATA_MB: u64 = 128;
/// Tasks that `RLIMIT_NPROC` allows beyond a `pids.max` that refuses first.
const BEHIND_PIDS: u64 = 16;
/// In bytes; the kernel's own default, fixed, so that a run does not depend on who started it.
const STACK: u64 = 8 << 20;
/// In bytes; enough to keep keys out of swap.
const MEMLOCK: u64 = 64 << 10;

/// The resource limits of a run. Set inside the run's own user namespace, so that `RLIMIT_NPROC` counts this run alone.
///
/// None is above our own hard limit: raising one needs `CAP_SYS_RESOURCE` in the initial user namespace, which a
/// container's root lacks. [`Rlimit::wanted`] tells where that made a difference. There is no `RLIMIT_AS`: node and
/// every JVM reserve gigabytes that they never touch. There is no `RLIMIT_CPU`: it counts per process and in whole
/// seconds.
#[must_use]
pub fn compile(limits: &Limits, held: Held) -> Vec<Rlimit> {
    let mebibytes = |mb: u64| mb.saturating_mul(1 << 20);
    let data = if held.memory {
        mebibytes(limits.memory_mb.max(LEAST_DATA_MB)).saturating_mul(GENEROUS_DATA)
    } else {
        mebibytes(limits.memory_mb)
    };
    let tasks = u64::from(limits.tasks) + if held.tasks { BEHIND_PIDS } else { 0 };
    let wanted = [
        // In tasks. Beside pids.max it stands a little higher: only pids.max counts what it refuses.
        (Resource::RLIMIT_NPROC, libc::RLIMIT_NPROC, "RLIMIT_NPROC", tasks),
        (
            Resource::RLIMIT_NOFILE,
            libc::RLIMIT_NOFILE,
            "RLIMIT_NOFILE",
            u64::from(limits.open_files),
        ),
        (Resource::RLIMIT_FSIZE, libc::RLIMIT_FSIZE, "RLIMIT_FSIZE", mebibytes(limits.file_mb)),
        (Resource::RLIMIT_CORE, libc::RLIMIT_CORE, "RLIMIT_CORE", 0),
        (Resource::RLIMIT_DATA, libc::RLIMIT_DATA, "RLIMIT_DATA", data),
        (Resource::RLIMIT_MEMLOCK, libc::RLIMIT_MEMLOCK, "RLIMIT_MEMLOCK", MEMLOCK),
        (Resource::RLIMIT_STACK, libc::RLIMIT_STACK, "RLIMIT_STACK", STACK),
        // Kernel memory that no control group of v1 counts.
        (Resource::RLIMIT_MSGQUEUE, libc::RLIMIT_MSGQUEUE, "RLIMIT_MSGQUEUE", 0),
        (Resource::RLIMIT_NICE, libc::RLIMIT_NICE, "RLIMIT_NICE", 0),
        (Resource::RLIMIT_RTPRIO, libc::RLIMIT_RTPRIO, "RLIMIT_RTPRIO", 0),
    ];
    wanted
        .into_iter()
        .map(|(ours, resource, name, value)| {
            // It cannot fail for a known resource; zero would then be the safe side.
            let hard = getrlimit(ours).map_or(0, |(_, hard)| hard);
            let limit = value.min(hard);
            Rlimit {
                resource,
                soft: limit,
                hard: limit,
                name,
                wanted: (limit < value).then_some(value),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::limits::testing::LIMITS;

    fn value(rlimits: &[Rlimit], name: &str) -> u64 {
        rlimits.iter().find(|rlimit| rlimit.name == name).unwrap().hard
    }

    #[test]
    fn data_is_the_memory_limit_only_without_a_memory_group() {
        let alone = compile(&LIMITS, Held { memory: false, tasks: false });
        assert_eq!(value(&alone, "RLIMIT_DATA"), 256 << 20);
        let grouped = compile(&LIMITS, Held { memory: true, tasks: true });
        assert!(value(&grouped, "RLIMIT_DATA") >= 1 << 30);
    }

    #[test]
    fn soft_and_hard_are_one_and_within_our_own() {
        for rlimit in compile(&LIMITS, Held { memory: false, tasks: false }) {
            assert_eq!(rlimit.soft, rlimit.hard, "{rlimit:?}");
            assert_eq!(rlimit.wanted, None, "{rlimit:?}");
        }
        let greedy = Limits { open_files: u32::MAX, ..LIMITS };
        let rlimits = compile(&greedy, Held { memory: true, tasks: true });
        let files = rlimits.iter().find(|rlimit| rlimit.name == "RLIMIT_NOFILE").unwrap();
        assert_eq!(files.hard, getrlimit(Resource::RLIMIT_NOFILE).unwrap().1);
        assert_eq!(files.wanted, Some(u64::from(u32::MAX)));
    }

    #[test]
    fn the_numbers_are_the_kernels() {
        // prlimit(1) knows the names; `true` under all of them proves that none is refused.
        let mut command = Command::new("prlimit");
        for rlimit in compile(&LIMITS, Held { memory: false, tasks: false }) {
            let name = rlimit.name.trim_start_matches("RLIMIT_").to_lowercase();
            command.arg(format!("--{name}={}:{}", rlimit.soft, rlimit.hard));
        }
        let done = command.arg("cat").arg("/proc/self/limits").output().unwrap();
        assert!(done.status.success(), "{done:?}");
        let text = String::from_utf8(done.stdout).unwrap();
        let line = text.lines().find(|line| line.starts_with("Max file size")).unwrap();
        assert_eq!(line.split_whitespace().nth(3), Some("104857600"));
    }
}
