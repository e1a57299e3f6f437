//! Path rules: the ruleset is created here, at the highest version of this kernel; the paths are added by the shim,
//! because they exist only inside the sandbox.

use std::io;
use std::os::fd::OwnedFd;

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, Ruleset, RulesetAttr,
    Scope,
};
use policies::plan::{PathAccess, Plan};

use super::ConfineError;
use crate::sys;

/// A ruleset without rules: everything it handles is denied.
#[derive(Debug)]
pub struct Landlock {
    /// The descriptor that the shim adds rules to and enforces.
    pub ruleset: OwnedFd,
    /// The version that it was made for.
    pub abi: Abi,
}

/// A Landlock version, as the kernel numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Abi(ABI);

/// Access rights for a rule: one set where the path is a directory, one where it is a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rights {
    /// For a directory and what is beneath it.
    pub dir: u64,
    /// For a file.
    pub file: u64,
}

impl Abi {
    /// What this kernel offers, cut to what the landlock crate knows.
    ///
    /// # Errors
    /// [`ConfineError::LandlockMissing`].
    pub fn of_this_kernel() -> Result<Self, ConfineError> {
        sys::landlock::abi()
            .map(|version| Self(ABI::from(version)))
            .map_err(|errno| ConfineError::LandlockMissing { source: io::Error::from(errno) })
    }

    /// The number.
    #[must_use]
    pub const fn number(self) -> u32 {
        self.0 as u32
    }

    /// Whether the kernel can log denials (ABI 7, Linux 6.15).
    #[must_use]
    pub fn logs(self) -> bool {
        self.0 >= ABI::V7
    }

    /// What is handled, for people.
    #[must_use]
    pub fn handled(self, ports: Ports) -> String {
        let mut handled = vec!["files"];
        if self.0 >= ABI::V4 && ports == Ports::Denied {
            handled.push("TCP ports");
        }
        if self.0 >= ABI::V5 {
            handled.push("device ioctls");
        }
        if self.0 >= ABI::V6 {
            handled.push("signals and abstract sockets");
        }
        format!("ABI {}: {}", self.number(), handled.join(", "))
    }

    /// landlock_restrict_self(2) flags: the shim's own proof, before execve, stays out of the kernel's records;
    /// denials after it are logged, which is not the default.
    #[must_use]
    pub fn restrict_flags(self) -> u32 {
        const LOG_SAME_EXEC_OFF: u32 = 1;
        const LOG_NEW_EXEC_ON: u32 = 2;
        if self.logs() { LOG_SAME_EXEC_OFF | LOG_NEW_EXEC_ON } else { 0 }
    }

    /// The rights of an access class.
    #[must_use]
    pub fn rights(self, access: PathAccess) -> Rights {
        let every = AccessFs::from_all(self.0);
        let dir: BitFlags<AccessFs> = match access {
            PathAccess::Read => AccessFs::ReadFile | AccessFs::ReadDir,
            PathAccess::ReadExec => AccessFs::from_read(self.0),
            // Nothing writable is executable, and device nodes have no place in it.
            PathAccess::ReadWrite => {
                every & !(AccessFs::Execute | AccessFs::MakeChar | AccessFs::MakeBlock)
            }
            PathAccess::Device => {
                (AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::ReadDir | AccessFs::IoctlDev)
                    & every
            }
        };
        Rights { dir: dir.bits(), file: (dir & AccessFs::from_file(self.0)).bits() }
    }
}

/// Whether TCP ports are Landlock's business.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ports {
    /// No port may be bound or connected to.
    Denied,
    /// The packet filter decides, which sees addresses too; programs may talk to themselves over loopback.
    PacketFilter,
}

impl Ports {
    /// For a plan.
    #[must_use]
    pub const fn of(plan: &Plan) -> Self {
        if plan.egress.is_some() { Self::PacketFilter } else { Self::Denied }
    }
}

/// Creates the ruleset. Every right of the version is a hard requirement: a kernel that announces a version and refuses
/// a part of it is an error, never a weaker sandbox.
///
/// # Errors
/// [`ConfineError::LandlockMissing`], [`ConfineError::LandlockRuleset`].
pub fn compile(ports: Ports) -> Result<Landlock, ConfineError> {
    let abi = Abi::of_this_kernel()?;
    let failed = |source| ConfineError::LandlockRuleset { source };
    let mut ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(abi.0))
        .map_err(failed)?;
    if abi.0 >= ABI::V4 && ports == Ports::Denied {
        ruleset = ruleset.handle_access(AccessNet::from_all(abi.0)).map_err(failed)?;
    }
    if abi.0 >= ABI::V6 {
        ruleset = ruleset.scope(Scope::from_all(abi.0)).map_err(failed)?;
    }
    let created = ruleset.create().map_err(failed)?;
    let ruleset = Option::<OwnedFd>::from(created).ok_or_else(|| {
        ConfineError::LandlockMissing { source: io::Error::from(nix::errno::Errno::ENOSYS) }
    })?;
    Ok(Landlock { ruleset, abi })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_writable_is_executable_in_any_version() {
        for version in 1..=10 {
            let abi = Abi(ABI::from(version));
            let execute = BitFlags::from(AccessFs::Execute).bits();
            for access in [PathAccess::ReadWrite, PathAccess::Device, PathAccess::Read] {
                assert_eq!(abi.rights(access).dir & execute, 0, "ABI {version}, {access:?}");
            }
            assert_ne!(abi.rights(PathAccess::ReadExec).file & execute, 0);
            let read_dir = BitFlags::from(AccessFs::ReadDir).bits();
            assert_eq!(abi.rights(PathAccess::ReadWrite).file & read_dir, 0);
        }
    }

    #[test]
    fn the_ruleset_is_made_at_the_version_of_this_kernel() {
        let made = compile(Ports::Denied).unwrap();
        assert_eq!(i64::from(made.abi.number()), i64::from(sys::landlock::abi().unwrap()).min(10));
    }
}
