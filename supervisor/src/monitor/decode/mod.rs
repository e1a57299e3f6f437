//! The arguments of a refused system call in words, for its record: flags by name, paths, socket addresses.
//!
//! Registers are what the kernel refused. What they point to is read from the waiting process and is *advisory*: another
//! thread could have changed it before the read, or could change it after. Nothing is decided by it. Read and decoded is
//! only the first call of a kind, so a flood costs nothing more.

mod memory;
pub(super) mod names;
mod table;

use nix::unistd::Pid;
use policies::violation::Argument;
use syscalls::Sysno;

use names::Names;
use table::{Kind, parameters};

/// The longest text that a record keeps of an argument, in characters.
const LONGEST: usize = 128;

/// Decodes the arguments of an x86-64 call that `pid` waits in. Empty for calls whose arguments say nothing. The caller
/// checks afterwards that the call still waits, because the pid could be somebody else's otherwise.
#[must_use]
pub fn decode(pid: Pid, nr: i32, args: &[u64; 6]) -> Vec<Argument> {
    let Some(sysno) = usize::try_from(nr).ok().and_then(Sysno::new) else { return Vec::new() };
    let decoded = parameters(sysno).iter().zip(args).enumerate();
    decoded
        .map(|(at, ((name, kind), value))| argument(pid, name, *kind, *value, args, at))
        .collect()
}

fn argument(pid: Pid, name: &str, kind: Kind, value: u64, args: &[u64; 6], at: usize) -> Argument {
    let read = match kind {
        Kind::Text => memory::text(pid, value),
        // The length of an address follows it.
        Kind::Address => memory::address(pid, value, args.get(at + 1).copied().unwrap_or(0)),
        _ => None,
    };
    let advisory = read.is_some();
    let value = read.unwrap_or_else(|| register(kind, value, args));
    let value = value.chars().take(LONGEST).collect();
    Argument { name: name.to_owned(), value, advisory }
}

/// What a register says by itself.
fn register(kind: Kind, value: u64, args: &[u64; 6]) -> String {
    match kind {
        Kind::Number => low(value).cast_signed().to_string(),
        Kind::Mode => format!("{:#o}", low(value)),
        Kind::Descriptor => descriptor(low(value).cast_signed()),
        Kind::One(table) => one(table, low(value)),
        Kind::Flags(table) => flags(table, low(value)),
        Kind::SocketType => socket_type(low(value)),
        Kind::Protocol => protocol(low(args[0]), low(value)),
        // Unreadable, or null.
        Kind::Text | Kind::Address | Kind::Pointer if value == 0 => "null".to_owned(),
        Kind::Hex | Kind::Text | Kind::Address | Kind::Pointer => format!("{value:#x}"),
    }
}

/// The kernel takes these arguments as 32-bit integers: the upper half does not matter to it.
fn low(value: u64) -> u32 {
    let [a, b, c, d, ..] = value.to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}

fn descriptor(fd: i32) -> String {
    if fd == libc::AT_FDCWD { "AT_FDCWD".to_owned() } else { fd.to_string() }
}

fn one(table: Names, value: u32) -> String {
    let found = table.iter().find(|(number, _)| *number == value);
    found.map_or_else(|| format!("{value:#x}"), |(_, name)| (*name).to_owned())
}

/// Known flags by name, the others together as a number.
fn flags(table: Names, value: u32) -> String {
    let mut left = value;
    let mut parts: Vec<String> = Vec::new();
    for (flag, name) in table {
        if *flag != 0 && left & flag == *flag {
            left &= !flag;
            parts.push((*name).to_owned());
        }
    }
    if left != 0 || parts.is_empty() {
        parts.push(if left == 0 { "0".to_owned() } else { format!("{left:#x}") });
    }
    parts.join("|")
}

/// `socket(2)`: the type is in the low bits, flags above it.
fn socket_type(value: u32) -> String {
    let kind = one(names::SOCKET_TYPES, value & 0xf);
    match value & !0xf {
        0 => kind,
        rest => format!("{kind}|{}", flags(names::SOCKET_FLAGS, rest)),
    }
}

/// What a protocol number means depends on the family.
fn protocol(family: u32, value: u32) -> String {
    match i32::try_from(family) {
        Ok(libc::AF_INET | libc::AF_INET6) => one(names::IP_PROTOCOLS, value),
        Ok(libc::AF_NETLINK) => one(names::NETLINK_PROTOCOLS, value),
        _ => value.to_string(),
    }
}

#[cfg(test)]
mod tests;
