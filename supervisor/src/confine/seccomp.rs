//! The system call filter as a BPF program.
//!
//! Two parts in one program. Numbers that are allowed whatever their arguments, which is nearly all, are found by binary
//! search over ranges, about a hundred instructions: seccompiler's own form is a chain of one test a number, 1600
//! instructions, and costs 0.6 ms more to install. What is left, the few calls with argument rules and every denied one,
//! falls through to a program of seccompiler. Its default action becomes user notification, which it cannot express: it
//! is compiled as a trace action with a marked value, and the constant of those return instructions is replaced.

use std::collections::BTreeMap;

use policies::plan::{ArgOp, ArgTest, Seccomp};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};

use super::ConfineError;

/// The marked value: 16 bits that no policy produces, since policies have no trace action.
const MARK: u32 = 0x7ab1;

/// Return values, from linux/seccomp.h.
const RET_TRACE: u32 = 0x7ff0_0000;
const RET_USER_NOTIF: u32 = 0x7fc0_0000;
const RET_ALLOW: u32 = 0x7fff_0000;
const RET_ERRNO: u32 = 0x0005_0000;
const RET_KILL_PROCESS: u32 = 0x8000_0000;

/// From linux/audit.h: `EM_X86_64`, 64-bit, little-endian.
const AUDIT_ARCH_X86_64: u32 = 0xc000_003e;

/// Offsets in struct seccomp_data.
const NR: u32 = 0;
const ARCH: u32 = 4;

/// Instruction codes, from linux/filter.h.
const LD_W_ABS: u16 = 0x20;
const JMP_JA: u16 = 0x05;
const JMP_JEQ_K: u16 = 0x15;
const JMP_JGE_K: u16 = 0x35;
const RET_K: u16 = 0x06;

/// The kernel's own bound on a program, `BPF_MAXINSNS`.
const MOST: usize = 4096;

/// One instruction: code, jump if true, jump if false, constant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Instruction {
    code: u16,
    jt: u8,
    jf: u8,
    k: u32,
}

/// What happens to a number before any argument is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Allow,
    Errno(u16),
    /// On to the second part.
    Rest,
}

/// Compiles the policy into instructions as bytes, struct sock_filter each.
///
/// # Errors
/// [`ConfineError::Filter`] where a rule cannot be expressed or the program would be too long.
pub fn compile(policy: &Seccomp) -> Result<Vec<u8>, ConfineError> {
    let rest = arguments(policy)?;
    let mut program = vec![
        load(ARCH),
        // A foreign architecture numbers its calls differently; it is recorded and refused like any denied call.
        Instruction { code: JMP_JEQ_K, jt: 1, jf: 0, k: AUDIT_ARCH_X86_64 },
        ret(RET_USER_NOTIF),
        load(NR),
    ];
    let ranges = ranges(policy)?;
    let search = search(&ranges);
    let start_of_rest = program.len() + search.len();
    for (index, step) in search.into_iter().enumerate() {
        let at = program.len();
        debug_assert_eq!(at, 4 + index);
        program.push(match step {
            Step::Done(instruction) => instruction,
            Step::Rest => {
                let distance = u32::try_from(start_of_rest - at - 1).map_err(too_long)?;
                Instruction { code: JMP_JA, jt: 0, jf: 0, k: distance }
            }
        });
    }
    program.extend(rest);
    if program.len() > MOST {
        return Err(ConfineError::Filter { reason: format!("{} instructions", program.len()) });
    }
    Ok(program.into_iter().flat_map(bytes).collect())
}

fn too_long(_: std::num::TryFromIntError) -> ConfineError {
    ConfineError::Filter { reason: "the program is too long".to_owned() }
}

fn bytes(instruction: Instruction) -> [u8; 8] {
    let [c0, c1] = instruction.code.to_ne_bytes();
    let [k0, k1, k2, k3] = instruction.k.to_ne_bytes();
    [c0, c1, instruction.jt, instruction.jf, k0, k1, k2, k3]
}

const fn load(offset: u32) -> Instruction {
    Instruction { code: LD_W_ABS, jt: 0, jf: 0, k: offset }
}

const fn ret(value: u32) -> Instruction {
    Instruction { code: RET_K, jt: 0, jf: 0, k: value }
}

/// First numbers of ranges with one verdict each, ascending, the first at 0.
fn ranges(policy: &Seccomp) -> Result<Vec<(u32, Verdict)>, ConfineError> {
    let mut verdicts = BTreeMap::new();
    let number = |nr: i64| {
        u32::try_from(nr).map_err(|_| ConfineError::Filter { reason: format!("number {nr}") })
    };
    for call in &policy.errno {
        verdicts.insert(number(call.nr)?, Verdict::Errno(call.errno));
    }
    for call in policy.allow.iter().filter(|call| call.when.is_empty()) {
        if verdicts.insert(number(call.nr)?, Verdict::Allow).is_some() {
            let reason = format!("two lines for {}", call.name);
            return Err(ConfineError::Filter { reason });
        }
    }
    let mut ranges = vec![(0, Verdict::Rest)];
    for (nr, verdict) in verdicts {
        match ranges.last_mut() {
            Some((start, last)) if *start == nr => *last = verdict,
            _ => ranges.push((nr, verdict)),
        }
        ranges.push((nr + 1, Verdict::Rest));
    }
    ranges.dedup_by_key(|(_, verdict)| *verdict);
    Ok(ranges)
}

/// An instruction of the search, or the jump to the second part, whose distance is not known yet.
enum Step {
    Done(Instruction),
    Rest,
}

/// A balanced tree of comparisons: `nr >= middle` goes right. The left half follows at once, so its distance is 0; the
/// right half is reached by a jump, through an extra instruction where a byte cannot hold the distance.
fn search(ranges: &[(u32, Verdict)]) -> Vec<Step> {
    match ranges {
        [] => vec![Step::Rest],
        [(_, verdict)] => vec![match verdict {
            Verdict::Allow => Step::Done(ret(RET_ALLOW)),
            Verdict::Errno(errno) => Step::Done(ret(RET_ERRNO | u32::from(*errno))),
            Verdict::Rest => Step::Rest,
        }],
        _ => {
            let (left, right) = ranges.split_at(ranges.len() / 2);
            let middle = right.first().map_or(0, |(start, _)| *start);
            let left = search(left);
            let mut steps = Vec::with_capacity(left.len() + 2);
            let jump = Instruction { code: JMP_JGE_K, jt: 0, jf: 0, k: middle };
            if let Ok(distance) = u8::try_from(left.len()) {
                steps.push(Step::Done(Instruction { jt: distance, ..jump }));
            } else {
                let distance = u32::try_from(left.len()).unwrap_or(u32::MAX);
                steps.push(Step::Done(Instruction { jf: 1, ..jump }));
                steps.push(Step::Done(Instruction { code: JMP_JA, jt: 0, jf: 0, k: distance }));
            }
            steps.extend(left);
            steps.extend(search(right));
            steps
        }
    }
}

/// The second part: seccompiler's program for the calls with argument rules.
fn arguments(policy: &Seccomp) -> Result<Vec<Instruction>, ConfineError> {
    let filter =
        |error: seccompiler::BackendError| ConfineError::Filter { reason: error.to_string() };
    let mut rules = BTreeMap::new();
    for call in policy.allow.iter().filter(|call| !call.when.is_empty()) {
        let mut alternatives = Vec::with_capacity(call.when.len());
        for tests in &call.when {
            let conditions = tests.iter().map(condition).collect::<Result<_, _>>();
            alternatives.push(SeccompRule::new(conditions.map_err(filter)?).map_err(filter)?);
        }
        rules.insert(call.nr, alternatives);
    }
    if rules.is_empty() {
        return Ok(vec![ret(RET_USER_NOTIF)]);
    }
    let filter = SeccompFilter::new(
        rules,
        SeccompAction::Trace(MARK),
        SeccompAction::Allow,
        TargetArch::x86_64,
    )
    .map_err(filter)?;
    let program = BpfProgram::try_from(filter)
        .map_err(|error| ConfineError::Filter { reason: error.to_string() })?;
    notify(&program)
}

fn condition(test: &ArgTest) -> Result<SeccompCondition, seccompiler::BackendError> {
    let length = if test.wide { SeccompCmpArgLen::Qword } else { SeccompCmpArgLen::Dword };
    let op = match test.op {
        ArgOp::Eq => SeccompCmpOp::Eq,
        ArgOp::Ne => SeccompCmpOp::Ne,
        ArgOp::Le => SeccompCmpOp::Le,
        ArgOp::Ge => SeccompCmpOp::Ge,
        ArgOp::MaskedEq(mask) => SeccompCmpOp::MaskedEq(mask),
    };
    SeccompCondition::new(test.arg, length, op, test.value)
}

/// Replaces the marked returns, and the one that would kill on a foreign architecture, by notification. At least one
/// must be there, or denied calls would pass unrecorded.
fn notify(program: &BpfProgram) -> Result<Vec<Instruction>, ConfineError> {
    let mut replaced = 0_usize;
    let instructions = program
        .iter()
        .map(|instruction| {
            let k = match instruction.k {
                k if instruction.code != RET_K => k,
                k if k == RET_TRACE | MARK || k == RET_KILL_PROCESS => {
                    replaced += 1;
                    RET_USER_NOTIF
                }
                k => k,
            };
            Instruction { code: instruction.code, jt: instruction.jt, jf: instruction.jf, k }
        })
        .collect();
    if replaced == 0 {
        let reason = "no default action found to turn into a notification".to_owned();
        return Err(ConfineError::Filter { reason });
    }
    Ok(instructions)
}

#[cfg(test)]
mod tests;
