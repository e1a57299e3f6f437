//! The complete, serialisable description of one sandbox: pure data, derived before anything runs.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::limits::Limits;
use crate::violation::{Code, Severity};

pub mod derive;
pub mod egress;
mod env;
mod landlock;
mod seccomp;

pub(crate) use seccomp::NETWORK;
#[cfg(test)]
pub(crate) use seccomp::derive as seccomp_of;

mod tree;

/// Everything that a launch needs to know, and all that `explain` prints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// Which extension this is.
    pub extension: ExtensionRef,
    /// Entry command and its arguments; the first is looked up in `PATH` inside the sandbox.
    pub command: Vec<String>,
    /// The whole environment.
    pub env: BTreeMap<String, String>,
    /// Working directory, absolute, inside the sandbox.
    pub workdir: String,
    /// Host name inside the sandbox.
    pub hostname: String,
    /// User and group id of the extension as it sees itself.
    pub inside_id: u32,
    /// Whose `/usr` the extension sees.
    pub runtime: Runtime,
    /// What `/data` is.
    pub storage: Storage,
    /// The file tree, in the order in which it is built.
    pub tree: Vec<TreeEntry>,
    /// What Landlock allows beneath each path; everything else is denied.
    pub landlock: Vec<PathRule>,
    /// The system calls.
    pub seccomp: Seccomp,
    /// What it may reach over the network; none is no network at all.
    pub egress: Option<egress::Egress>,
    /// The limits.
    pub limits: Limits,
}

/// Identity of an extension.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExtensionRef {
    /// `publisher.name`.
    pub id: String,
    /// For people.
    pub name: String,
    /// Semantic version.
    pub version: String,
    /// The part of the id before the first dot.
    pub publisher: String,
    /// `community`, `professional` or `enterprise`.
    pub tier: String,
}

/// Whose programs and libraries the extension sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Runtime {
    /// The host's `/usr`, read-only.
    Host,
    /// The bundle's `rootfs/`, read-only.
    Bundle,
}

/// What `/data` is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Storage {
    /// There is no `/data`.
    None,
    /// Memory, gone at the end of the run.
    Ephemeral,
    /// Kept between runs.
    Persistent,
}

/// One step of building the file tree. Targets are absolute inside the sandbox; parents come first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum TreeEntry {
    /// A directory on the root tmpfs, mode 0755.
    Dir {
        /// Where.
        target: String,
    },
    /// A small read-only file on the root tmpfs, mode 0644.
    File {
        /// Where.
        target: String,
        /// Its text.
        text: String,
    },
    /// A symbolic link.
    Symlink {
        /// Where.
        target: String,
        /// What it says.
        to: String,
    },
    /// What the host has at this path: its directory or file bound read-only, or its symbolic link copied; nothing
    /// where the host has nothing.
    Mirror {
        /// Path on the host and in the sandbox.
        target: String,
        /// Whether programs may be executed from it.
        exec: bool,
    },
    /// Everything at the top of the bundle's `rootfs/`, each bound read-only (links copied), but for the names that
    /// the sandbox itself provides.
    RootfsOfBundle,
    /// The bundle's folder, read-only.
    Bundle {
        /// Where.
        target: String,
    },
    /// A host directory or file that the manifest asked for and the policy allows.
    HostPath {
        /// Canonical path on the host; the same inside.
        target: String,
        /// Whether it may be written.
        write: bool,
    },
    /// A tmpfs with a size limit, noexec, nosuid, nodev.
    Tmpfs {
        /// Where.
        target: String,
        /// Its size limit, in MiB.
        size_mb: u64,
        /// Permission bits of its root.
        mode: u32,
    },
    /// `/data`, by [`Plan::storage`].
    Data {
        /// Where.
        target: String,
    },
    /// A private `/proc` of the new pid namespace, read-only once set up.
    Proc,
    /// Device nodes: null, zero, full, random, urandom, and the usual links.
    Dev,
    /// A path under `/proc` that reads as empty.
    Mask {
        /// Where.
        target: String,
    },
    /// An empty file or directory that nothing needs; touching it is recorded. Skipped where the target exists.
    Tripwire {
        /// Where.
        target: String,
        /// Whether it is a directory.
        dir: bool,
    },
}

impl TreeEntry {
    /// Where the entry is; none for [`TreeEntry::RootfsOfBundle`], which is in several places.
    #[must_use]
    pub fn target(&self) -> Option<&str> {
        match self {
            Self::Dir { target }
            | Self::File { target, .. }
            | Self::Symlink { target, .. }
            | Self::Mirror { target, .. }
            | Self::Bundle { target }
            | Self::HostPath { target, .. }
            | Self::Tmpfs { target, .. }
            | Self::Data { target }
            | Self::Mask { target }
            | Self::Tripwire { target, .. } => Some(target),
            Self::Proc => Some("/proc"),
            Self::Dev => Some("/dev"),
            Self::RootfsOfBundle => None,
        }
    }
}

/// What Landlock allows beneath a path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PathRule {
    /// Absolute, inside the sandbox. A rule whose path was skipped in the tree is skipped too.
    pub path: String,
    /// What is allowed.
    pub access: PathAccess,
}

/// The combinations of Landlock access rights that the product uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PathAccess {
    /// Read files, list directories.
    Read,
    /// Read and execute.
    ReadExec,
    /// Read, write, create, remove, rename, truncate; never execute, never make devices.
    ReadWrite,
    /// Read and write existing files and use their ioctls: device nodes.
    Device,
}

/// The system call policy of one sandbox. Everything not in `allow` is denied and recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Seccomp {
    /// What is allowed, ascending by number.
    pub allow: Vec<AllowedSyscall>,
    /// What gets an errno at once, unrecorded, because libraries depend on that answer (`clone3`), ascending.
    pub errno: Vec<ErrnoSyscall>,
    /// How a denied call is classified and answered; a call without a line here is `syscall-denied` with EPERM.
    pub deny: Vec<DeniedSyscall>,
}

/// An allowed system call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AllowedSyscall {
    /// Number in the x86-64 table.
    pub nr: i64,
    /// Name.
    pub name: Cow<'static, str>,
    /// Group of the policy that allowed it.
    pub group: Cow<'static, str>,
    /// Allowed if any of these holds; always where empty.
    pub when: Vec<Vec<ArgTest>>,
}

/// A test of one argument; the tests of one list must all hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ArgTest {
    /// Position, from 0.
    pub arg: u8,
    /// How it is compared.
    pub op: ArgOp,
    /// With what.
    pub value: u64,
    /// Whether all 64 bits are compared, or the lower 32 as the kernel does for `int` arguments.
    pub wide: bool,
}

/// How an argument is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", tag = "test", content = "mask")]
pub enum ArgOp {
    /// Equal.
    Eq,
    /// Not equal.
    Ne,
    /// Less than or equal.
    Le,
    /// Greater than or equal.
    Ge,
    /// Equal after `and` with the mask.
    MaskedEq(u64),
}

/// A system call with a fixed, unrecorded answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ErrnoSyscall {
    /// Number in the x86-64 table.
    pub nr: i64,
    /// Name.
    pub name: Cow<'static, str>,
    /// The errno.
    pub errno: u16,
}

/// How a denied system call is classified and answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeniedSyscall {
    /// Number in the x86-64 table.
    pub nr: i64,
    /// Name.
    pub name: Cow<'static, str>,
    /// Only where these hold; the first matching line of a number decides.
    pub when: Vec<ArgTest>,
    /// The code it is recorded under.
    pub code: Code,
    /// Its severity.
    pub severity: Severity,
    /// The errno that the caller gets.
    pub errno: u16,
}

impl DeniedSyscall {
    /// Where the line stands: `seccomp/denied.toml:mount`.
    #[must_use]
    pub fn rule(&self) -> String {
        format!("seccomp/denied.toml:{}", self.name)
    }
}
