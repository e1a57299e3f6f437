//! Limits, each in a run of its own.

use policies::limits::LimitKind;
use policies::violation::Code;

use super::{Act, Action, Aim, Expected, Sandbox, Space};

const fn limit(
    name: &'static str,
    sandbox: Sandbox,
    act: Act,
    code: Code,
    kind: LimitKind,
    why: &'static str,
) -> Action {
    let space = match sandbox {
        Sandbox::Temporary => Space::Temporary,
        _ => Space::Own,
    };
    Action { name, why, sandbox, act, record: Expected::Violation(code, Aim::Limit(kind, space)) }
}

pub(super) const ACTIONS: &[Action] = &[
    limit(
        "memory",
        Sandbox::Memory,
        Act::Eat,
        Code::MemoryLimit,
        LimitKind::Memory,
        "takes the host's memory",
    ),
    limit(
        "tasks",
        Sandbox::Tasks,
        Act::Fork,
        Code::TaskLimit,
        LimitKind::Tasks,
        "a fork bomb takes the host's process table",
    ),
    limit(
        "disk-data",
        Sandbox::Disk,
        Act::Fill("/data"),
        Code::DiskLimit,
        LimitKind::Disk,
        "fills the host's disk",
    ),
    limit(
        "disk-tmp",
        Sandbox::Temporary,
        Act::Fill("/tmp"),
        Code::DiskLimit,
        LimitKind::Disk,
        "fills the host's memory with temporary files",
    ),
    limit("time", Sandbox::Time, Act::Sleep, Code::TimeLimit, LimitKind::Timeout, "stays for ever"),
    limit(
        "cpu",
        Sandbox::Cpu,
        Act::Spin,
        Code::CpuThrottled,
        LimitKind::Cpu,
        "takes the CPU from everybody else",
    ),
];
