//! What must hold of every set of system call files, overrides of the operator included.

use crate::diag::{Diagnostic, DiagnosticSeverity, code};
use crate::plan::NETWORK;
use crate::seccomp::{DeniedPolicy, SyscallGroup};

/// Needed by the launch between the filter and the extension's first instruction, without any test.
const REQUIRED: [&str; 6] = ["execve", "execveat", "sendmsg", "close", "exit_group", "write"];

/// Own filters and domains outrank ours and hide denials from the record; through `io_uring` no filter sees the calls.
const FORBIDDEN: [&str; 8] = [
    "seccomp",
    "landlock_create_ruleset",
    "landlock_add_rule",
    "landlock_restrict_self",
    "io_uring_setup",
    "io_uring_enter",
    "io_uring_register",
    "clone3",
];

/// Checks one tier's groups together with the denied lines.
pub(crate) fn verify(
    tier_file: &str,
    groups: &[&SyscallGroup],
    denied: &DeniedPolicy,
    problems: &mut Vec<Diagnostic>,
) {
    let mut report = |code, message: String, hint: &str| {
        problems.push(Diagnostic {
            code,
            file: tier_file.to_owned(),
            line: 1,
            column: 1,
            message,
            hint: hint.to_owned(),
            severity: DiagnosticSeverity::Error,
        });
    };
    let lines =
        || groups.iter().flat_map(|group| group.allow.iter().map(move |line| (group, line)));
    for name in REQUIRED {
        if !lines().any(|(_, line)| line.name == name && line.when.is_empty()) {
            let message = format!("its groups do not allow `{name}` unconditionally");
            report(code::REQUIRED_SYSCALL_MISSING, message, "the launch itself needs it");
        }
    }
    for (group, line) in lines() {
        if FORBIDDEN.contains(&line.name.as_ref()) {
            let message = format!("seccomp/{}.toml allows `{}`", group.name, line.name);
            report(code::FORBIDDEN_SYSCALL, message, "it would hide denials from the record");
        }
        if let Some((other, _)) = lines()
            .take_while(|(_, earlier)| !std::ptr::eq(*earlier, line))
            .find(|(_, earlier)| earlier.nr == line.nr)
            // The group of egress widens what another allows by arguments.
            .filter(|(_, earlier)| {
                group.name != NETWORK || line.when.is_empty() || earlier.when.is_empty()
            })
        {
            let message = format!(
                "`{}` is in seccomp/{}.toml and in seccomp/{}.toml",
                line.name, other.name, group.name
            );
            report(code::DUPLICATE_SYSCALL, message, "keep one of them");
        }
        let denied_too = denied.deny.iter().any(|deny| deny.nr == line.nr)
            || denied.errno.iter().any(|errno| errno.nr == line.nr);
        if line.when.is_empty() && denied_too {
            let message =
                format!("`{}` is allowed in seccomp/{}.toml and denied", line.name, group.name);
            report(code::DUPLICATE_SYSCALL, message, "keep one of them");
        }
    }
    if !denied.errno.iter().any(|line| line.name == "clone3") {
        let message = String::from("seccomp/denied.toml has no [[errno]] line for `clone3`");
        report(code::REQUIRED_SYSCALL_MISSING, message, "threads need its ENOSYS");
    }
    for errno in denied.errno.iter() {
        if denied.deny.iter().any(|deny| deny.nr == errno.nr) {
            let message = format!("`{}` has an [[errno]] and a [[deny]] line", errno.name);
            report(code::DUPLICATE_SYSCALL, message, "the [[deny]] line is never reached");
        }
    }
}
