//! Which system calls the policy files allow, and how the others are classified.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::Serialize;

use crate::plan::{ArgOp, ArgTest, DeniedSyscall, Seccomp};
use crate::violation::{Code, Severity};

pub mod errno;
mod parse;
mod verify;

pub(crate) use parse::{SEVERITIES, parse_denied, parse_group, reason};
pub(crate) use verify::verify;

/// The name of a system call of the x86-64 table.
#[must_use]
pub fn syscall_name(nr: i64) -> Option<&'static str> {
    let id = usize::try_from(nr).ok()?;
    syscalls::x86_64::Sysno::new(id).map(|call| call.name())
}

/// The number of a system call in the x86-64 table.
#[must_use]
pub fn syscall_number(name: &str) -> Option<i64> {
    name.parse::<syscalls::x86_64::Sysno>().ok().map(|call| i64::from(call.id()))
}

/// One file of allowed calls.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SyscallGroup {
    /// File name without `.toml`.
    pub name: Cow<'static, str>,
    /// Its lines, one call each.
    pub allow: Cow<'static, [AllowLine]>,
}

/// One call of an allow line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AllowLine {
    /// Number in the x86-64 table.
    pub nr: i64,
    /// Name.
    pub name: Cow<'static, str>,
    /// Allowed if any of these holds; always where empty.
    pub when: Cow<'static, [Cow<'static, [ArgTest]>]>,
    /// Who needs it, and why that is safe.
    pub reason: Cow<'static, str>,
}

/// `seccomp/denied.toml`: how refused calls are answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeniedPolicy {
    /// Answered at once, unrecorded.
    pub errno: Cow<'static, [ErrnoLine]>,
    /// Recorded; the first matching line of a call decides.
    pub deny: Cow<'static, [DenyLine]>,
}

/// One call that gets its errno at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ErrnoLine {
    /// Number in the x86-64 table.
    pub nr: i64,
    /// Name.
    pub name: Cow<'static, str>,
    /// The errno.
    pub errno: u16,
    /// Why it is not recorded.
    pub reason: Cow<'static, str>,
}

/// One call that is refused and recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DenyLine {
    /// Number in the x86-64 table.
    pub nr: i64,
    /// Name.
    pub name: Cow<'static, str>,
    /// Only where all of these hold.
    pub when: Cow<'static, [ArgTest]>,
    /// The code it is recorded under.
    pub code: Code,
    /// Its severity.
    pub severity: Severity,
    /// The errno that the caller gets.
    pub errno: u16,
    /// Why it is refused.
    pub reason: Cow<'static, str>,
}

impl ArgTest {
    /// Whether the test holds for the arguments of a call.
    #[must_use]
    pub fn holds(&self, args: &[u64; 6]) -> bool {
        const LOW: u64 = 0xFFFF_FFFF;
        let Some(argument) = args.get(usize::from(self.arg)) else {
            return false;
        };
        let width = if self.wide { u64::MAX } else { LOW };
        let (argument, value) = (argument & width, self.value & width);
        match self.op {
            ArgOp::Eq => argument == value,
            ArgOp::Ne => argument != value,
            ArgOp::Le => argument <= value,
            ArgOp::Ge => argument >= value,
            ArgOp::MaskedEq(mask) => argument & mask == value,
        }
    }
}

impl Seccomp {
    /// The line that classifies a denied call; none for a call that no line names, which is `syscall-denied` with EPERM.
    #[must_use]
    pub fn classify(&self, nr: i64, args: &[u64; 6]) -> Option<&DeniedSyscall> {
        let first = self.deny.partition_point(|line| line.nr < nr);
        self.deny[first..]
            .iter()
            .take_while(|line| line.nr == nr)
            .find(|line| line.when.iter().all(|test| test.holds(args)))
    }

    /// Whether the policy lets a call through.
    #[must_use]
    pub fn allows(&self, nr: i64, args: &[u64; 6]) -> bool {
        let Ok(index) = self.allow.binary_search_by_key(&nr, |line| line.nr) else {
            return false;
        };
        let when = &self.allow[index].when;
        when.is_empty() || when.iter().any(|all| all.iter().all(|test| test.holds(args)))
    }
}

#[cfg(test)]
mod tests;
