//! Which mechanism holds each limit on this host, and how firmly.

use policies::limits::{Enforcement, LimitKind};
use policies::plan::Storage;

use super::cgroup::{Controller, Groups};

/// Why the kernel does not hold a limit by a control group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// In words, with path and errno where there is one.
    pub reason: String,
}

impl Groups {
    /// How a limit is enforced, and by what: `(Kernel, "cgroup v1 memory.limit_in_bytes")`. Where a control group
    /// could not be had, the text ends with the reason.
    #[must_use]
    pub fn enforcement(&self, kind: LimitKind, storage: Storage) -> (Enforcement, String) {
        let (controller, fallback, substitute) = match kind {
            LimitKind::Memory => (
                Controller::Memory,
                Enforcement::Guard,
                "RLIMIT_DATA and a guard that samples resident memory",
            ),
            LimitKind::Cpu => (
                Controller::Cpu,
                Enforcement::Guard,
                "a guard that stops and continues the processes",
            ),
            // Hard: the kernel counts per user namespace and id, and each run has one of its own.
            LimitKind::Tasks => (
                Controller::Pids,
                Enforcement::Kernel,
                "RLIMIT_NPROC in the run's own user namespace",
            ),
            LimitKind::Timeout => {
                return (Enforcement::Guard, "timer, then SIGKILL of the pid namespace".to_owned());
            }
            LimitKind::Disk => {
                return match storage {
                    Storage::None => (Enforcement::Kernel, "no /data".to_owned()),
                    Storage::Ephemeral => (Enforcement::Kernel, "size of a tmpfs".to_owned()),
                    Storage::Persistent => {
                        (Enforcement::Kernel, "size of an ext4 image".to_owned())
                    }
                };
            }
        };
        match self.control(controller) {
            Ok(control) => (Enforcement::Kernel, control.to_owned()),
            Err(gap) => (fallback, format!("{substitute}; no cgroup: {}", gap.reason)),
        }
    }
}
