//! The compiled program against two other answers: the policy itself, and seccompiler's compilation of the whole policy.

use policies::plan::{AllowedSyscall, ErrnoSyscall};

use super::*;

fn allowed(nr: i64, when: Vec<Vec<ArgTest>>) -> AllowedSyscall {
    AllowedSyscall { nr, name: format!("call{nr}").into(), group: "test".into(), when }
}

fn equals(arg: u8, value: u64) -> ArgTest {
    ArgTest { arg, op: ArgOp::Eq, value, wide: false }
}

fn sample() -> Seccomp {
    let mut allow: Vec<_> = (0..300)
        .filter(|nr| nr % 7 != 3 && !(40..60).contains(nr) && *nr != 16)
        .map(|nr| allowed(nr, vec![]))
        .collect();
    allow.push(allowed(
        16,
        vec![vec![ArgTest { arg: 1, op: ArgOp::Ne, value: 0x5412, wide: false }]],
    ));
    allow.push(allowed(41, vec![vec![equals(0, 1)], vec![equals(0, 2), equals(1, 5)]]));
    let mask = ArgTest { arg: 0, op: ArgOp::MaskedEq(0x7e02_0000), value: 0, wide: true };
    allow.push(allowed(56, vec![vec![mask]]));
    Seccomp {
        allow,
        errno: vec![ErrnoSyscall { nr: 435, name: "clone3".into(), errno: 38 }],
        deny: vec![],
    }
}

/// What the kernel would do: runs the program on one struct seccomp_data.
fn run(program: &[u8], nr: u32, arch: u32, args: [u64; 6]) -> u32 {
    let mut data = Vec::new();
    data.extend(nr.to_ne_bytes());
    data.extend(arch.to_ne_bytes());
    data.extend(0_u64.to_ne_bytes());
    for arg in args {
        data.extend(arg.to_ne_bytes());
    }
    let (instructions, rest) = program.as_chunks::<8>();
    assert!(rest.is_empty());
    let (mut at, mut accumulator) = (0_usize, 0_u32);
    loop {
        let [c0, c1, jt, jf, k0, k1, k2, k3] = instructions[at];
        let k = u32::from_ne_bytes([k0, k1, k2, k3]);
        at += 1;
        let jump = |taken: bool| usize::from(if taken { jt } else { jf });
        match u16::from_ne_bytes([c0, c1]) {
            LD_W_ABS => {
                let k = usize::try_from(k).unwrap();
                accumulator = u32::from_ne_bytes(data[k..k + 4].try_into().unwrap());
            }
            JMP_JA => at += usize::try_from(k).unwrap(),
            JMP_JEQ_K => at += jump(accumulator == k),
            JMP_JGE_K => at += jump(accumulator >= k),
            0x25 => at += jump(accumulator > k),
            0x54 => accumulator &= k,
            RET_K => return k,
            code => panic!("unexpected instruction {code:#x}"),
        }
    }
}

/// The policy, read directly.
fn expected(policy: &Seccomp, nr: u32, args: [u64; 6]) -> u32 {
    if let Some(call) = policy.errno.iter().find(|call| call.nr == i64::from(nr)) {
        return RET_ERRNO | u32::from(call.errno);
    }
    let holds = |test: &ArgTest| {
        let value = args[usize::from(test.arg)];
        let value = if test.wide { value } else { value & 0xffff_ffff };
        match test.op {
            ArgOp::Eq => value == test.value,
            ArgOp::Ne => value != test.value,
            ArgOp::Le => value <= test.value,
            ArgOp::Ge => value >= test.value,
            ArgOp::MaskedEq(mask) => value & mask == test.value & mask,
        }
    };
    let allowed = policy.allow.iter().find(|call| call.nr == i64::from(nr)).is_some_and(|call| {
        call.when.is_empty() || call.when.iter().any(|tests| tests.iter().all(holds))
    });
    if allowed { RET_ALLOW } else { RET_USER_NOTIF }
}

fn argument_samples() -> Vec<[u64; 6]> {
    let values = [0, 1, 2, 5, 17, 0x5412, 0x1_0000_5412, 0x1000_0000, 0x7e02_0000, u64::MAX];
    values.iter().flat_map(|&a| values.iter().map(move |&b| [a, b, 0, 0, 0, 0])).collect()
}

#[test]
fn every_number_gets_what_the_policy_says() {
    let policy = sample();
    let program = compile(&policy).unwrap();
    for nr in (0..600).chain([0x4000_0000, 0x4000_0027, u32::MAX]) {
        for args in argument_samples() {
            let got = run(&program, nr, AUDIT_ARCH_X86_64, args);
            assert_eq!(got, expected(&policy, nr, args), "number {nr}, arguments {args:x?}");
        }
    }
}

#[test]
fn the_search_agrees_with_seccompiler_on_the_whole_policy() {
    let policy = sample();
    let ours = compile(&policy).unwrap();
    let mut rules = BTreeMap::new();
    for call in &policy.allow {
        let alternatives = call.when.iter().map(|tests| {
            SeccompRule::new(tests.iter().map(|test| condition(test).unwrap()).collect()).unwrap()
        });
        rules.insert(call.nr, alternatives.collect());
    }
    let default = SeccompAction::Trace(MARK);
    let theirs = SeccompFilter::new(rules, default, SeccompAction::Allow, TargetArch::x86_64);
    let theirs = BpfProgram::try_from(theirs.unwrap()).unwrap();
    let theirs: Vec<u8> = notify(&theirs).unwrap().into_iter().flat_map(bytes).collect();
    assert!(ours.len() < theirs.len() / 2, "{} against {}", ours.len(), theirs.len());
    for nr in (0..600).filter(|nr| *nr != 435) {
        for args in argument_samples() {
            assert_eq!(
                run(&ours, nr, AUDIT_ARCH_X86_64, args),
                run(&theirs, nr, AUDIT_ARCH_X86_64, args),
                "number {nr}, arguments {args:x?}"
            );
        }
    }
}

#[test]
fn foreign_architectures_are_never_allowed() {
    let program = compile(&sample()).unwrap();
    for arch in [0x4000_0003, 0, 0xc000_00b7] {
        for nr in 0..600 {
            assert_eq!(run(&program, nr, arch, [0; 6]), RET_USER_NOTIF);
        }
    }
}

#[test]
fn a_policy_without_argument_rules_still_notifies() {
    let policy = Seccomp { allow: vec![allowed(1, vec![])], errno: vec![], deny: vec![] };
    let program = compile(&policy).unwrap();
    assert_eq!(run(&program, 1, AUDIT_ARCH_X86_64, [0; 6]), RET_ALLOW);
    assert_eq!(run(&program, 2, AUDIT_ARCH_X86_64, [0; 6]), RET_USER_NOTIF);
}

#[test]
fn a_number_with_two_answers_is_refused() {
    let mut policy = sample();
    policy.allow.push(allowed(435, vec![]));
    assert!(compile(&policy).is_err());
}
