//! System calls that the filter refuses, with the descriptors, pointers and numbers that make each harmless should it be
//! let through.

mod confinement;
mod kernel;
mod sockets;

use policies::violation::Code;

use super::{Act, Action, Aim, Arg, Expected, Sandbox};

const fn call(
    name: &'static str,
    code: Code,
    (syscall, number): (&'static str, i64),
    detail: &'static str,
    arguments: &'static [Arg],
    why: &'static str,
) -> Action {
    Action {
        name,
        why,
        sandbox: Sandbox::Closed,
        act: Act::Call(number, arguments),
        record: Expected::Violation(code, Aim::Syscall(syscall, detail)),
    }
}

const fn foreign(
    name: &'static str,
    act: Act,
    arch: &'static str,
    number: i64,
    why: &'static str,
) -> Action {
    let record = Expected::Violation(Code::ForeignArchitecture, Aim::Foreign(arch, number));
    Action { name, why, sandbox: Sandbox::Closed, act, record }
}

/// `__X32_SYSCALL_BIT`.
const X32: i64 = 0x4000_0000;

/// The lists, for the catalogue.
pub(super) const ACTIONS: [&[Action]; 3] =
    [confinement::ACTIONS, kernel::ACTIONS, sockets::ACTIONS];
