//! The checks of `doctor`: each says what is there, what that means for a run, and what to do where it is missing.

use std::fs;
use std::path::Path;

use caps::{CapSet, Capability};
use policies::limits::{Enforcement, LimitKind, Limits};
use policies::plan::Storage;
use serde::Serialize;

use crate::confine::landlock::Abi;
use crate::limits::cgroup::{Groups, Layout};
use crate::monitor::audit::AuditSession;
use crate::monitor::audit_state::AuditError;
use crate::monitor::coverage::{AuditMode, Coverage};
use crate::state::{Dirs, private_dir};

/// How much a lack matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// There.
    Ok,
    /// Missing; runs go on with less, and their reports say so.
    Weaker,
    /// Missing; no run is possible.
    Missing,
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Check {
    /// Stable name.
    pub name: &'static str,
    /// The outcome.
    pub status: Status,
    /// What was found.
    pub found: String,
    /// What to do; empty where nothing is lacking.
    pub advice: String,
}

impl Check {
    fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, status: Status::Ok, found: found.into(), advice: String::new() }
    }

    fn lacks(
        name: &'static str,
        status: Status,
        found: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self { name, status, found: found.into(), advice: advice.into() }
    }
}

/// Every check, in the order in which a launch needs the things.
#[must_use]
pub fn examine(dirs: &Dirs) -> Vec<Check> {
    let mut checks = vec![kernel(), privileges(), namespaces(), landlock(), seccomp()];
    checks.push(recording(dirs));
    checks.extend(limits());
    checks.push(persistent_data());
    checks.push(egress());
    checks.push(memfd());
    checks.extend(folders(dirs));
    checks.push(runtimes());
    checks
}

/// CLONE_INTO_CGROUP is 5.7, WAIT_KILLABLE_RECV 5.19, mount_setattr 5.12: 5.19 has all that a launch calls.
const OLDEST: (u8, u8) = (5, 19);

fn kernel() -> Check {
    match procfs::sys::kernel::Version::current() {
        Ok(version) => {
            let found = format!("Linux {}.{}.{}", version.major, version.minor, version.patch);
            if (version.major, version.minor) >= OLDEST {
                Check::ok("kernel", found)
            } else {
                let advice = format!("Linux {}.{} or newer is needed", OLDEST.0, OLDEST.1);
                Check::lacks("kernel", Status::Missing, found, advice)
            }
        }
        Err(error) => {
            let advice = "/proc must be mounted";
            Check::lacks("kernel", Status::Missing, error.to_string(), advice)
        }
    }
}

fn privileges() -> Check {
    match super::require_privileges() {
        Ok(()) => {
            let wanted = [
                Capability::CAP_AUDIT_CONTROL,
                Capability::CAP_AUDIT_READ,
                Capability::CAP_MKNOD,
                Capability::CAP_SYS_RESOURCE,
            ];
            let lacking: Vec<String> = wanted
                .into_iter()
                .filter(|wanted| !caps::has_cap(None, CapSet::Effective, *wanted).unwrap_or(false))
                .map(|capability| capability.to_string())
                .collect();
            let found = if lacking.is_empty() {
                "root with every capability that is used".to_owned()
            } else {
                format!("root; not needed, but useful and absent: {}", lacking.join(", "))
            };
            Check::ok("privileges", found)
        }
        Err(error) => {
            let advice = "run as root; in a container: --cap-add SYS_ADMIN and the like";
            Check::lacks("privileges", Status::Missing, error.to_string(), advice)
        }
    }
}

fn namespaces() -> Check {
    let lacking: Vec<&str> = ["mnt", "pid", "net", "ipc", "uts", "user", "cgroup"]
        .into_iter()
        .filter(|name| !Path::new("/proc/self/ns").join(name).exists())
        .collect();
    let limit = fs::read_to_string("/proc/sys/user/max_user_namespaces").unwrap_or_default();
    if !lacking.is_empty() {
        let found = format!("without: {}", lacking.join(", "));
        return Check::lacks("namespaces", Status::Missing, found, "a kernel built with them");
    }
    if limit.trim() == "0" {
        let found = "user.max_user_namespaces is 0";
        let advice = "sysctl -w user.max_user_namespaces=16384";
        return Check::lacks("namespaces", Status::Missing, found, advice);
    }
    Check::ok("namespaces", "mount, pid, net, ipc, uts, cgroup, user")
}

fn landlock() -> Check {
    match Abi::of_this_kernel() {
        Ok(abi) => Check::ok("landlock", abi.handled(crate::confine::landlock::Ports::Denied)),
        Err(error) => {
            let advice = "boot with lsm=landlock,... or a kernel with CONFIG_SECURITY_LANDLOCK";
            Check::lacks("landlock", Status::Missing, error.to_string(), advice)
        }
    }
}

fn seccomp() -> Check {
    let actions = fs::read_to_string("/proc/sys/kernel/seccomp/actions_avail").unwrap_or_default();
    if actions.split_whitespace().any(|action| action == "user_notif") {
        Check::ok("seccomp", "filter with user notification")
    } else {
        let advice = "a kernel with CONFIG_SECCOMP_FILTER, 5.19 or newer";
        Check::lacks("seccomp", Status::Missing, "no user notification", advice)
    }
}

fn recording(dirs: &Dirs) -> Check {
    let abi = Abi::of_this_kernel().map_or(0, Abi::number);
    let coverage = match coverage(dirs, abi) {
        Ok(coverage) => coverage,
        Err(error) => {
            let advice = "path denials stay refused, but may not be recorded";
            return Check::lacks("path denials", Status::Weaker, error.to_string(), advice);
        }
    };
    let found = coverage.reason();
    if coverage == Coverage::Recorded {
        Check::ok("path denials", found)
    } else {
        let advice = "path denials stay refused, but are not recorded; Linux 6.15 or newer and \
                      CAP_AUDIT_CONTROL, CAP_AUDIT_READ in the initial namespaces are needed";
        Check::lacks("path denials", Status::Weaker, found, advice)
    }
}

/// By listening as a run does, and giving everything back.
fn coverage(dirs: &Dirs, abi: u32) -> Result<Coverage, AuditError> {
    // A run's own folders may not be there yet; without the shared one nothing can be asked.
    if let Err(error) = private_dir(&dirs.host) {
        return Err(AuditError::File { step: "create", path: error.path, source: error.source });
    }
    let session = AuditSession::begin(AuditMode::Auto, &dirs.host, abi)?;
    let coverage = session.coverage();
    session.end().map(|()| coverage)
}

/// By making a group, as a run would, and removing it again.
fn limits() -> Vec<Check> {
    let limits = Limits {
        memory_mb: 64,
        cpu_percent: 25,
        disk_mb: 1,
        tmp_mb: 1,
        timeout_ms: 1000,
        grace_ms: 0,
        tasks: 8,
        open_files: 64,
        file_mb: 1,
    };
    let layout = Layout::detect();
    let name = format!("sandboxctl-doctor-{}", std::process::id());
    let groups = match Groups::create(&layout, &name, &limits, 1) {
        Ok(groups) => groups,
        Err(error) => {
            let advice = "limits fall back to resource limits and a guard";
            return vec![Check::lacks("cgroups", Status::Weaker, error.to_string(), advice)];
        }
    };
    let mut checks = vec![Check::ok("cgroups", layout.kind())];
    for (name, kind) in [
        ("memory limit", LimitKind::Memory),
        ("cpu limit", LimitKind::Cpu),
        ("task limit", LimitKind::Tasks),
    ] {
        let (enforcement, mechanism) = groups.enforcement(kind, Storage::None);
        checks.push(if enforcement == Enforcement::Kernel {
            Check::ok(name, mechanism)
        } else {
            let advice = "give a writable cgroup tree with this controller for a kernel limit";
            Check::lacks(name, Status::Weaker, mechanism, advice)
        });
    }
    for (path, error) in groups.remove() {
        let found = format!("failed to remove {}: {error}", path.display());
        checks.push(Check::lacks("cgroups", Status::Weaker, found, "sandboxctl gc"));
    }
    checks
}

/// By setting a network namespace up as a run would; it goes with the thread.
fn egress() -> Check {
    match crate::egress::netns::probe() {
        Ok(()) => Check::ok("egress", "packet filter, routes and packet log by domain"),
        Err(error) => {
            let advice = error.hint().unwrap_or_default();
            Check::lacks("egress", Status::Weaker, error.to_string(), advice)
        }
    }
}

fn persistent_data() -> Check {
    let lacking = crate::data::missing_tools();
    if !Path::new("/dev/loop-control").exists() {
        let advice = "modprobe loop, or give the container /dev/loop-control and loop devices";
        return Check::lacks("persistent data", Status::Weaker, "no loop devices", advice);
    }
    if lacking.is_empty() {
        Check::ok("persistent data", "ext4 images on loop devices")
    } else {
        let found = format!("not found: {}", lacking.join(", "));
        Check::lacks("persistent data", Status::Weaker, found, "apt-get install e2fsprogs")
    }
}

fn memfd() -> Check {
    let ours = fs::read_to_string("/proc/sys/vm/memfd_noexec").unwrap_or_default();
    if ours.trim() == "2" {
        let found =
            "vm.memfd_noexec = 2 here: the sealed program that starts a sandbox is forbidden";
        let advice = "sysctl -w vm.memfd_noexec=1";
        return Check::lacks("memory files", Status::Missing, found, advice);
    }
    if Path::new("/proc/sys/vm/memfd_noexec").exists() {
        Check::ok("memory files", "never executable in a sandbox (vm.memfd_noexec)")
    } else {
        let advice = "Linux 6.3 or newer";
        let found = "a sandbox could execute a memory file of its own (no vm.memfd_noexec)";
        Check::lacks("memory files", Status::Weaker, found, advice)
    }
}

fn folders(dirs: &Dirs) -> Vec<Check> {
    [("state folder", &dirs.state), ("run folder", &dirs.run)]
        .into_iter()
        .map(|(name, dir)| match fs::metadata(dir) {
            Ok(metadata) if metadata.is_dir() => Check::ok(name, dir.display().to_string()),
            Ok(_) => {
                let found = format!("{} is not a folder", dir.display());
                Check::lacks(name, Status::Missing, found, "remove it")
            }
            Err(_) => Check::ok(name, format!("{} (made by the first run)", dir.display())),
        })
        .collect()
}

fn runtimes() -> Check {
    let found: Vec<&str> = ["python3", "node", "java", "perl", "ruby", "bash"]
        .into_iter()
        .filter(|name| Path::new("/usr/bin").join(name).exists())
        .collect();
    if found.is_empty() {
        let advice = "apt-get install python3, or use runtime = \"bundle\"";
        Check::lacks("runtimes", Status::Weaker, "none in /usr/bin", advice)
    } else {
        Check::ok("runtimes", format!("in /usr/bin: {}", found.join(", ")))
    }
}
