//! The catalogue of known-bad actions: what each does, which layer is to refuse it, and what its record must say. Data;
//! [`probe`](super::probe) carries it out, [`judge`](super::judge) compares.
//!
//! No two actions of one sandbox are aimed at the same object with the same code, so each record belongs to one action.

mod files;
mod limits;
mod network;
mod syscalls;
mod unrecorded;

use std::ffi::CStr;

use policies::limits::LimitKind;
use policies::violation::{Code, Object};

/// The names that the sandbox with a network may use. `.invalid` exists nowhere (RFC 6761): should a check be missing,
/// nothing is reached.
pub const ALLOWED: &str = "allowed.example.invalid";
/// What stands for many names; the tier bounds how many.
pub const WILDCARD: &str = "wild.example.invalid";

/// The sandbox that an action is done in. Each is a run of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Sandbox {
    /// No network; an unconnected TCP socket of the host as standard input.
    Closed,
    /// No network; an unconnected Unix socket of the host as standard input.
    Inherited,
    /// With a network: [`ALLOWED`] on ports 80 and 443, and everything beneath [`WILDCARD`].
    Network,
    /// Little memory.
    Memory,
    /// Few tasks.
    Tasks,
    /// A small `/data`.
    Disk,
    /// A small `/tmp`.
    Temporary,
    /// Little time.
    Time,
    /// Little CPU.
    Cpu,
}

impl Sandbox {
    /// All, in the order in which they run.
    pub const ALL: [Self; 9] = [
        Self::Closed,
        Self::Inherited,
        Self::Network,
        Self::Memory,
        Self::Tasks,
        Self::Disk,
        Self::Temporary,
        Self::Time,
        Self::Cpu,
    ];

    /// The word on the command line of the probe and in results.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Inherited => "inherited",
            Self::Network => "network",
            Self::Memory => "memory",
            Self::Tasks => "tasks",
            Self::Disk => "disk",
            Self::Temporary => "temporary",
            Self::Time => "time",
            Self::Cpu => "cpu",
        }
    }

    /// The inverse of [`Self::name`].
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|sandbox| sandbox.name() == name)
    }
}

/// One known-bad action.
#[derive(Clone, Copy, Debug)]
pub struct Action {
    /// Kebab-case, unique.
    pub name: &'static str,
    /// Why it is bad, in one line.
    pub why: &'static str,
    /// Where it is done.
    pub sandbox: Sandbox,
    /// What is done.
    pub act: Act,
    /// What the record must say.
    pub record: Expected,
}

/// What the record of an action must say.
#[derive(Clone, Copy, Debug)]
pub enum Expected {
    /// A violation with this code, aimed at this.
    Violation(Code, Aim),
    /// Refused without a record, by design.
    Nothing {
        /// What refuses it, in words: `read-only mount`.
        by: &'static str,
        /// Why there is no record.
        reason: &'static str,
    },
}

/// An argument of a system call.
#[derive(Clone, Copy, Debug)]
pub enum Arg {
    /// A number.
    Number(isize),
    /// The address of a text.
    Text(&'static CStr),
    /// The address of zeroes.
    Zeroes,
}

/// What an action does. Each is harmless should it be let through.
#[derive(Clone, Copy, Debug)]
pub enum Act {
    /// A system call; arguments that are not given are 0.
    Call(i64, &'static [Arg]),
    /// A system call without arguments through `int 0x80`.
    I386(u32),
    /// Executes a script that it has written to this folder.
    ExecuteFrom(&'static str),
    /// Connects standard input, a TCP socket, to the port of 127.0.0.1 on which the supervising selftest listens: were it let
    /// through, it would succeed.
    ConnectInherited,
    /// Binds standard input, a TCP socket, to this port of 127.0.0.1, which needs no privilege.
    BindInherited(u16),
    /// Connects standard input, a Unix socket, to the abstract socket on which the supervising selftest listens.
    AbstractSocket,
    /// A TCP connection to an address.
    Connect(&'static str),
    /// A UDP packet to an address.
    Datagram(&'static str),
    /// A TCP connection to a port of an allowed name.
    ConnectName(&'static str, u16),
    /// A UDP packet to a port of an allowed name.
    DatagramName(&'static str, u16),
    /// A lookup.
    Lookup(&'static str),
    /// More lookups beneath [`WILDCARD`] than the tier has names.
    ManyNames,
    /// A packet to the resolver that is no query.
    NoQuery,
    /// A connection to an allowed name and port that says this first.
    Say(&'static str, u16, Words),
    /// One connection more than the tier allows at once.
    ManyConnections,
    /// Takes memory until it is refused or killed.
    Eat,
    /// Forks until that is refused.
    Fork,
    /// Writes to this folder until that is refused.
    Fill(&'static str),
    /// Sleeps beyond the time limit.
    Sleep,
    /// Spins for longer than the CPU limit lets it.
    Spin,
}

/// The first bytes of a connection.
#[derive(Clone, Copy, Debug)]
pub enum Words {
    /// A TLS client hello, for a server name or without one.
    Hello(Option<&'static str>),
    /// Something else.
    Plain(&'static str),
}

/// What a record must be aimed at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aim {
    /// A system call of x86-64: name and decisive argument.
    Syscall(&'static str, &'static str),
    /// A system call of a foreign architecture: architecture and number.
    Foreign(&'static str, i64),
    /// A path and the missing access.
    Path(&'static str, &'static str),
    /// A port, whichever, and the missing access.
    Port(&'static str),
    /// A scope.
    Scope(&'static str),
    /// A name.
    Name(&'static str),
    /// Any name beneath this.
    NameBeneath(&'static str),
    /// An address, a port, a protocol.
    Address(&'static str, u16, &'static str),
    /// A host, a port, a protocol, and what made the difference.
    Host(&'static str, u16, &'static str, &'static str),
    /// A limit; `/tmp` has no kind of its own and is told by its value.
    Limit(LimitKind, Space),
}

/// Which space a limit is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Space {
    /// The limit's own.
    Own,
    /// `/tmp`.
    Temporary,
}

impl Aim {
    /// Whether a record is aimed at this.
    #[must_use]
    pub fn hits(self, object: &Object) -> bool {
        match (self, object) {
            (Self::Syscall(name, detail), Object::Syscall { name: n, arch, detail: d, .. }) => {
                n == name && arch == "x86_64" && d == detail
            }
            (Self::Foreign(arch, nr), Object::Syscall { arch: a, nr: n, .. }) => {
                a == arch && *n == nr
            }
            (Self::Path(path, access), Object::Path { path: p, access: a }) => {
                p == path && a == access
            }
            (Self::Port(access), Object::Port { access: a, .. })
            | (Self::Scope(access), Object::Scope { access: a, .. }) => a == access,
            (Self::Name(name), Object::Name { name: n }) => n == name,
            (Self::NameBeneath(domain), Object::Name { name }) => {
                name.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'))
            }
            (
                Self::Address(address, port, protocol),
                Object::Endpoint { address: a, port: p, protocol: q, .. },
            ) => a == address && *p == port && q == protocol,
            (
                Self::Host(host, port, protocol, detail),
                Object::Endpoint { host: h, port: p, protocol: q, detail: d, .. },
            ) => h == host && *p == port && q == protocol && d == detail,
            (Self::Limit(kind, space), Object::Limit { kind: k, value }) => {
                *k == kind && (space == Space::Temporary) == value.ends_with(" of /tmp")
            }
            _ => false,
        }
    }
}

/// Every action, sandbox by sandbox, in the order in which they are done.
#[must_use]
pub fn all() -> Vec<Action> {
    let [confinement, kernel, sockets] = syscalls::ACTIONS;
    let parts = [
        confinement,
        kernel,
        sockets,
        files::ACTIONS,
        network::ACTIONS,
        limits::ACTIONS,
        unrecorded::ACTIONS,
    ];
    let mut all = parts.concat();
    all.sort_by_key(|action| action.sandbox);
    all
}

/// The actions of one sandbox.
#[must_use]
pub fn of(sandbox: Sandbox) -> Vec<Action> {
    all().into_iter().filter(|action| action.sandbox == sandbox).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_there_are_many() {
        let names: BTreeSet<&str> = all().iter().map(|action| action.name).collect();
        assert_eq!(names.len(), all().len());
        let recorded = |action: &&Action| matches!(action.record, Expected::Violation(..));
        assert!(all().iter().filter(recorded).count() >= 60);
        for action in all() {
            assert!(!action.why.is_empty() && !action.why.ends_with('.'), "{}", action.name);
            assert_eq!(Sandbox::from_name(action.sandbox.name()), Some(action.sandbox));
        }
    }

    /// So that each record belongs to one action.
    #[test]
    fn no_two_actions_of_a_sandbox_leave_the_same_record() {
        let all = all();
        for (at, one) in all.iter().enumerate() {
            for other in &all[at + 1..] {
                let (Expected::Violation(code, aim), Expected::Violation(code2, aim2)) =
                    (one.record, other.record)
                else {
                    continue;
                };
                let same = one.sandbox == other.sandbox && code == code2 && aim == aim2;
                assert!(!same, "{} and {}", one.name, other.name);
            }
        }
    }
}
