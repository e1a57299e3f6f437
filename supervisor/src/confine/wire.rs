//! The whole plan as bytes and descriptors, in the order in which the shim reads it.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use policies::plan::{PathAccess, PathRule, Plan};
use shim::wire::Writer;

use super::landlock::{Abi, Landlock};
use super::tree::{self, Disks, Resolved};
use super::{ConfineError, landlock, seccomp};

/// Options of the root tmpfs: it holds directories, links and a few small files.
const ROOT_OPTIONS: &[u8] = b"size=4m,nr_inodes=2k,mode=755";

/// Settings of the sandbox's own pid namespace. 2: memory files are never executable (Linux 6.3).
const SYSCTLS: [(&str, &str); 1] = [("/proc/sys/vm/memfd_noexec", "2")];

/// What this host contributes to a sandbox.
#[derive(Debug)]
pub struct Host<'a> {
    /// The bundle's folder.
    pub bundle: BorrowedFd<'a>,
    /// An existing, empty directory to mount the new root on, inside the new mount namespace.
    pub staging: &'a Path,
    /// The host's id for PID 1.
    pub shim_id: u32,
    /// The host's id for the extension.
    pub extension_id: u32,
    /// `tasks` files of version 1 control groups to join.
    pub join: &'a [BorrowedFd<'a>],
    /// The detached mount of a persistent `/data`.
    pub data: Option<BorrowedFd<'a>>,
    /// The highest capability of this kernel.
    pub last_capability: u32,
    /// Resource limits.
    pub rlimits: &'a [Rlimit],
}

/// One resource limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rlimit {
    /// `RLIMIT_*`, from asm-generic/resource.h.
    pub resource: u32,
    /// What applies.
    pub soft: u64,
    /// What it could be raised to; the same, so that it cannot.
    pub hard: u64,
    /// For errors and `explain`.
    pub name: &'static str,
}

/// A plan that only has to be applied.
#[derive(Debug)]
pub struct Compiled<'a> {
    /// For the shim's socket.
    pub bytes: Vec<u8>,
    /// The Landlock version that applies.
    pub abi: Abi,
    /// The filter's number of instructions.
    pub instructions: usize,
    /// Filesystems whose fullness can be asked.
    pub disks: Disks,
    fds: Fds<'a>,
}

impl Compiled<'_> {
    /// What is still needed once the shim has its copies of the descriptors.
    #[must_use]
    pub fn into_disks(self) -> Disks {
        self.disks
    }

    /// The descriptors that the bytes refer to, in order.
    #[must_use]
    pub fn fds(&self) -> Vec<BorrowedFd<'_>> {
        self.fds.list.iter().map(PlanFd::as_fd).collect()
    }
}

/// Descriptors by position.
#[derive(Debug, Default)]
pub(super) struct Fds<'a> {
    list: Vec<PlanFd<'a>>,
}

#[derive(Debug)]
enum PlanFd<'a> {
    Own(OwnedFd),
    Borrow(BorrowedFd<'a>),
}

impl PlanFd<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Own(fd) => fd.as_fd(),
            Self::Borrow(fd) => *fd,
        }
    }
}

impl<'a> Fds<'a> {
    /// Adds one that lives as long as the compiled plan; gives its position.
    pub(super) fn own(&mut self, fd: OwnedFd) -> u32 {
        self.push(PlanFd::Own(fd))
    }

    /// Adds one that somebody else keeps; gives its position.
    pub(super) fn borrow(&mut self, fd: BorrowedFd<'a>) -> u32 {
        self.push(PlanFd::Borrow(fd))
    }

    fn push(&mut self, fd: PlanFd<'a>) -> u32 {
        let position = u32::try_from(self.list.len()).unwrap_or(u32::MAX);
        self.list.push(fd);
        position
    }
}

/// Compiles a plan for this host.
///
/// # Errors
/// [`ConfineError`]; nothing was started.
pub fn compile<'a>(plan: &Plan, host: &Host<'a>) -> Result<Compiled<'a>, ConfineError> {
    let mut out = Writer::new();
    let mut fds = Fds::default();
    let Landlock { ruleset, abi } = landlock::compile(landlock::Ports::of(plan))?;
    let filter = seccomp::compile(&plan.seccomp)?;

    out.list(host.join.iter(), |out, fd| {
        out.u32(fds.borrow(*fd));
    });
    out.bytes(plan.hostname.as_bytes());
    out.str(host.staging.as_os_str().as_encoded_bytes()).str(ROOT_OPTIONS);
    let tree = tree::compile(plan, host, &mut out, &mut fds)?;
    out.list(SYSCTLS.iter(), |out, (path, value)| {
        out.str(path.as_bytes()).bytes(value.as_bytes());
    });
    out.u32(host.shim_id);
    out.bytes(format!("{} {} 1\n", plan.inside_id, host.extension_id).as_bytes());

    out.u32(fds.own(ruleset));
    let rules = rules(plan, &tree);
    out.list(rules.iter(), |out, rule| {
        let rights = abi.rights(rule.access);
        out.u64(rights.dir).u64(rights.file).str(rule.path.as_bytes());
    });
    out.list(host.rlimits.iter(), |out, limit| {
        out.u32(limit.resource).u64(limit.soft).u64(limit.hard).str(limit.name.as_bytes());
    });
    out.u32(plan.inside_id);
    out.u32(host.last_capability);
    out.u32(abi.restrict_flags());
    out.str(plan.workdir.as_bytes());
    out.bytes(&filter);
    out.list(plan.command.iter(), |out, argument| {
        out.str(argument.as_bytes());
    });
    out.list(plan.env.iter(), |out, (name, value)| {
        out.str(format!("{name}={value}").as_bytes());
    });
    out.list(candidates(plan).iter(), |out, path| {
        out.str(path.as_bytes());
    });

    let bytes = out.finish().ok_or(ConfineError::TooLarge)?;
    let instructions = filter.len() / 8;
    Ok(Compiled { bytes, abi, instructions, disks: tree.disks, fds })
}

/// The plan's rules but for what was not bound, and one for each entry of a bundle's rootfs.
fn rules(plan: &Plan, tree: &Resolved) -> Vec<PathRule> {
    let planned = plan.landlock.iter().filter(|rule| !tree.unruled.contains(&rule.path)).cloned();
    let rootfs = tree
        .rootfs
        .iter()
        .map(|path| PathRule { path: path.clone(), access: PathAccess::ReadExec });
    planned.chain(rootfs).collect()
}

/// Where the entry command may be, as execvp(3) looks for it.
fn candidates(plan: &Plan) -> Vec<String> {
    let Some(program) = plan.command.first() else {
        return Vec::new();
    };
    if program.contains('/') {
        return vec![program.clone()];
    }
    let path = plan.env.get("PATH").map_or("/usr/bin:/bin", String::as_str);
    path.split(':').filter(|dir| !dir.is_empty()).map(|dir| format!("{dir}/{program}")).collect()
}
