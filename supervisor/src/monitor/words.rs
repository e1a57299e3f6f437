//! A system call in words: its architecture, its name, and the argument that makes the difference.

use std::borrow::Cow;

use syscalls::{Sysno, x86};

use super::decode::names::{self, Names};

/// `AUDIT_ARCH_X86_64`: `EM_X86_64`, 64 bit, little endian.
const AUDIT_ARCH_X86_64: u32 = 0xc000_003e;
/// `AUDIT_ARCH_I386`: `EM_386`, little endian.
const AUDIT_ARCH_I386: u32 = 0x4000_0003;
/// `__X32_SYSCALL_BIT`.
const X32_BIT: i32 = 0x4000_0000;

/// The entry through which a call came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// The one that the policy speaks about.
    X86_64,
    /// `int 0x80`.
    I386,
    /// The x32 numbers of the 64-bit entry.
    X32,
    /// Anything else, as the kernel's audit architecture.
    Other(u32),
}

impl Entry {
    /// From the audit architecture and the number of a notification.
    #[must_use]
    pub fn of(arch: u32, nr: i32) -> Self {
        match arch {
            AUDIT_ARCH_X86_64 if nr & X32_BIT != 0 && nr >= 0 => Self::X32,
            AUDIT_ARCH_X86_64 => Self::X86_64,
            AUDIT_ARCH_I386 => Self::I386,
            other => Self::Other(other),
        }
    }

    /// The name in records.
    #[must_use]
    pub fn name(self) -> Cow<'static, str> {
        match self {
            Self::X86_64 => "x86_64".into(),
            Self::I386 => "i386".into(),
            Self::X32 => "x32".into(),
            Self::Other(arch) => format!("{arch:#010x}").into(),
        }
    }
}

/// The name of a system call, or `syscall_N` for a number that the table does not have.
#[must_use]
pub fn syscall_name(entry: Entry, nr: i32) -> Cow<'static, str> {
    let number = if entry == Entry::X32 { nr & !X32_BIT } else { nr };
    let name = usize::try_from(number).ok().and_then(|number| match entry {
        Entry::X86_64 => Sysno::new(number).map(|sysno| sysno.name()),
        Entry::I386 => x86::Sysno::new(number).map(|sysno| sysno.name()),
        // From 512 on, x32 has numbers of its own.
        Entry::X32 if number < 512 => Sysno::new(number).map(|sysno| sysno.name()),
        Entry::X32 | Entry::Other(_) => None,
    });
    match name {
        // `r#break` is how a raw identifier prints.
        Some(name) => name.strip_prefix("r#").unwrap_or(name).into(),
        None => format!("syscall_{number}").into(),
    }
}

/// What the decisive argument says; empty where none is. Registers only: memory of the caller is never read, since it
/// could say one thing to us and another to the kernel.
#[must_use]
pub fn detail(nr: i32, args: &[u64; 6]) -> Cow<'static, str> {
    let Some(sysno) = usize::try_from(nr).ok().and_then(Sysno::new) else {
        return "".into();
    };
    match sysno {
        Sysno::socket | Sysno::socketpair => socket(args[0], args[1]),
        Sysno::clone | Sysno::unshare => namespaces(args[0]),
        Sysno::setns => namespaces(args[1]),
        Sysno::ioctl => named(names::IOCTL, low(args[1]), "ioctl"),
        Sysno::prctl => named(names::PRCTL, low(args[0]), "PR"),
        Sysno::ptrace => named(names::PTRACE, low(args[0]), "PTRACE"),
        Sysno::personality => format!("{:#x}", low(args[0])).into(),
        _ => "".into(),
    }
}

/// The kernel takes these arguments as 32-bit integers: what the upper half holds does not matter to it.
fn low(arg: u64) -> u64 {
    arg & 0xffff_ffff
}

fn named(table: Names, value: u64, prefix: &'static str) -> Cow<'static, str> {
    table
        .iter()
        .find(|(number, _)| u64::from(*number) == value)
        .map_or_else(|| format!("{prefix} {value:#x}").into(), |(_, name)| (*name).into())
}

fn socket(family: u64, kind: u64) -> Cow<'static, str> {
    let family = named(names::FAMILY, low(family), "AF");
    // The upper bits are SOCK_CLOEXEC and SOCK_NONBLOCK.
    match named(names::SOCKET_TYPES, kind & 0xf, "SOCK") {
        Cow::Borrowed(kind) => format!("{family} {kind}").into(),
        Cow::Owned(_) => family,
    }
}

fn namespaces(flags: u64) -> Cow<'static, str> {
    let mut text = String::new();
    for (flag, name) in NAMESPACES {
        if flags & flag != 0 {
            if !text.is_empty() {
                text.push('|');
            }
            text.push_str(name);
        }
    }
    text.into()
}

/// `sched.h`. Other flags of `clone` are no reason for a refusal and would make equal attempts look different.
const NAMESPACES: [(u64, &str); 8] = [
    (0x0002_0000, "CLONE_NEWNS"),
    (0x0200_0000, "CLONE_NEWCGROUP"),
    (0x0400_0000, "CLONE_NEWUTS"),
    (0x0800_0000, "CLONE_NEWIPC"),
    (0x1000_0000, "CLONE_NEWUSER"),
    (0x2000_0000, "CLONE_NEWPID"),
    (0x4000_0000, "CLONE_NEWNET"),
    (0x0000_0080, "CLONE_NEWTIME"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_and_names() {
        assert_eq!(Entry::of(0xc000_003e, 165), Entry::X86_64);
        assert_eq!(Entry::of(0xc000_003e, 0x4000_0027), Entry::X32);
        assert_eq!(Entry::of(0x4000_0003, 21), Entry::I386);
        assert_eq!(Entry::of(0xc000_00b7, 1).name(), "0xc00000b7");
        assert_eq!(syscall_name(Entry::X86_64, 165), "mount");
        assert_eq!(syscall_name(Entry::I386, 21), "mount");
        assert_eq!(syscall_name(Entry::I386, 17), "break");
        assert_eq!(syscall_name(Entry::X32, 0x4000_0027), "getpid");
        assert_eq!(syscall_name(Entry::X86_64, 9999), "syscall_9999");
        assert_eq!(syscall_name(Entry::X86_64, -1), "syscall_-1");
        // An x86-64 number of -1 carries the x32 bit too.
        assert_eq!(Entry::of(0xc000_003e, -1), Entry::X86_64);
    }

    #[test]
    fn details() {
        let nr = |sysno: Sysno| sysno.id();
        let args = |a, b| [a, b, 0, 0, 0, 0];
        assert_eq!(detail(nr(Sysno::socket), &args(2, 0x80003)), "AF_INET SOCK_RAW");
        assert_eq!(detail(nr(Sysno::socket), &args(99, 1)), "AF 0x63 SOCK_STREAM");
        assert_eq!(detail(nr(Sysno::unshare), &args(0x1002_0000, 0)), "CLONE_NEWNS|CLONE_NEWUSER");
        assert_eq!(detail(nr(Sysno::setns), &args(5, 0x4000_0000)), "CLONE_NEWNET");
        assert_eq!(detail(nr(Sysno::ioctl), &args(0, 0xffff_ffff_0000_5412)), "TIOCSTI");
        assert_eq!(detail(nr(Sysno::prctl), &args(22, 2)), "PR_SET_SECCOMP");
        assert_eq!(detail(nr(Sysno::mount), &args(1, 2)), "");
        assert_eq!(detail(-1, &args(1, 2)), "");
    }
}
