use std::collections::BTreeSet;

use super::{parse_denied, parse_group, syscall_name, syscall_number};
use crate::plan::{ArgOp, ArgTest, Seccomp};
use crate::set::PolicySet;
use crate::tier::Tier;
use crate::violation::{Code, Layer, Severity};

fn seccomp() -> Seccomp {
    let policies = PolicySet::embedded();
    crate::plan::seccomp_of(policies.tier(Tier::Community), &policies, false)
}

fn nr(name: &str) -> i64 {
    syscall_number(name).unwrap_or_else(|| panic!("no {name}"))
}

#[test]
fn names_and_numbers_agree() {
    assert_eq!(syscall_name(0), Some("read"));
    assert_eq!(syscall_number("clone3"), Some(435));
    assert_eq!(syscall_name(-1), None);
    assert_eq!(syscall_name(0x4000_0027), None);
    assert_eq!(syscall_name(i64::MAX), None);
    for call in syscalls::x86_64::Sysno::iter() {
        assert_eq!(syscall_number(call.name()), Some(i64::from(call.id())));
    }
}

#[test]
fn every_line_has_a_reason() {
    let policies = PolicySet::embedded();
    for group in policies.groups() {
        for line in group.allow.iter() {
            assert!(line.reason.len() > 10, "{} in {}", line.name, group.name);
        }
    }
    let denied = policies.denied();
    assert!(denied.deny.iter().all(|line| line.reason.len() > 10));
    assert!(denied.errno.iter().all(|line| line.reason.len() > 10));
}

#[test]
fn every_group_is_used_and_no_call_is_in_two() {
    let policies = PolicySet::embedded();
    // The group of egress comes with a plan's egress, and widens `socket`.
    let of_tiers = || policies.groups().iter().filter(|group| group.name != crate::plan::NETWORK);
    assert_eq!(of_tiers().count() + 1, policies.groups().len());
    for group in of_tiers() {
        let used = policies.tiers().iter().any(|tier| tier.seccomp.contains(&group.name));
        assert!(used, "no tier uses {}", group.name);
    }
    let calls: Vec<i64> =
        of_tiers().flat_map(|group| group.allow.iter().map(|line| line.nr)).collect();
    assert_eq!(calls.iter().collect::<BTreeSet<_>>().len(), calls.len());
}

#[test]
fn allow_errno_and_deny_do_not_contradict() {
    let policy = seccomp();
    for line in &policy.deny {
        assert_eq!(line.code.layer(), Layer::Seccomp);
        let allowed = policy.allow.iter().find(|allow| allow.nr == line.nr);
        assert!(allowed.is_none_or(|allow| !allow.when.is_empty()), "{} always allowed", line.name);
        assert!(policy.errno.iter().all(|errno| errno.nr != line.nr), "{}", line.name);
    }
    // A call that is allowed sometimes needs a line for the other times.
    for line in policy.allow.iter().filter(|line| !line.when.is_empty()) {
        let fallback = policy.deny.iter().any(|deny| deny.nr == line.nr && deny.when.is_empty());
        assert!(fallback, "{} has no last line in denied.toml", line.name);
    }
}

#[test]
fn no_deny_line_is_out_of_reach() {
    let policy = seccomp();
    for (index, line) in policy.deny.iter().enumerate() {
        for test in &line.when {
            let known = matches!(test.op, ArgOp::Eq | ArgOp::MaskedEq(_));
            assert!(known, "{}: the check below knows only these", line.name);
        }
        let mut args = [0; 6];
        for test in &line.when {
            args[usize::from(test.arg)] = test.value;
        }
        if line.when.is_empty() {
            let telling = if line.name == "ioctl" { 0x5412 } else { 0x7fff_fffe };
            args = [telling; 6];
        }
        let found = policy.classify(line.nr, &args).expect("a line");
        assert!(
            std::ptr::eq(found, &raw const policy.deny[index]),
            "{} {:?}",
            line.name,
            line.when
        );
        assert!(!policy.allows(line.nr, &args), "{} is allowed", line.name);
    }
}

#[test]
fn arguments_decide() {
    let policy = seccomp();
    let check = |name: &str, args: &[u64], allowed: bool| {
        let mut all = [0; 6];
        all[..args.len()].copy_from_slice(args);
        assert_eq!(policy.allows(nr(name), &all), allowed, "{name} {args:x?}");
    };
    // CLONE_VM|FS|FILES|SIGHAND|THREAD|SYSVSEM|SETTLS|PARENT_SETTID|CHILD_CLEARTID, as pthread_create passes them.
    check("clone", &[0x003d_0f00], true);
    check("clone", &[17], true);
    for flag in [0x2_0000, 0x200_0000, 0x400_0000, 0x800_0000, 0x1000_0000, 0x2000_0000_u64] {
        check("clone", &[flag | 0x11], false);
    }
    check("clone", &[0x4000_0000 | 0x11], false);
    check("clone", &[0x1_0000_0011], true);
    check("socket", &[1, 1], true);
    check("socket", &[0xdead_0000_0000_0001, 1], true);
    check("socket", &[2, 1], false);
    check("socket", &[10, 2], false);
    check("ioctl", &[0, 0x5401], true);
    check("ioctl", &[0, 0x5412], false);
    check("ioctl", &[0, 0xffff_ffff_0000_5412], false);
    check("prctl", &[15], true);
    check("prctl", &[22, 2], false);
    check("prctl", &[47, 1], true);
    check("prctl", &[47, 2], false);
    check("personality", &[0xffff_ffff], true);
    check("personality", &[0x0004_0000], false);
    check("mknodat", &[0, 0, 0o010_644], true);
    check("mknodat", &[0, 0, 0o020_644], false);
    check("mknod", &[0, 0o060_644], false);
}

#[test]
fn denials_are_classified() {
    let policy = seccomp();
    let check = |name: &str, first: u64, code, severity, errno| {
        let line = policy.classify(nr(name), &[first, 0, 0, 0, 0, 0]).expect(name);
        assert_eq!((line.code, line.severity, line.errno), (code, severity, errno), "{name}");
        assert_eq!(line.rule(), format!("seccomp/denied.toml:{name}"));
    };
    check("mount", 0, Code::MountAttempt, Severity::Critical, 1);
    check("unshare", 0x1000_0000, Code::NamespaceAttempt, Severity::Critical, 1);
    check("ptrace", 16, Code::ProcessInspection, Severity::Critical, 1);
    check("bpf", 0, Code::KernelTampering, Severity::Critical, 1);
    check("seccomp", 1, Code::RecorderTampering, Severity::Critical, 1);
    check("prctl", 22, Code::RecorderTampering, Severity::Critical, 1);
    check("prctl", 41, Code::SyscallProbe, Severity::Info, 22);
    check("socket", 2, Code::NetworkDenied, Severity::Warning, 1);
    check("socket", 16, Code::SyscallProbe, Severity::Info, 97);
    check("socket", 17, Code::NetworkDenied, Severity::Critical, 1);
    check("io_uring_setup", 8, Code::SyscallProbe, Severity::Info, 38);
    check("get_mempolicy", 0, Code::SyscallProbe, Severity::Info, 38);
    check("userfaultfd", 0, Code::SyscallDenied, Severity::Warning, 1);
    // A JVM asks with bare flags; what wants to connect sets SOCK_CLOEXEC or names the protocol.
    for (kind, protocol, severity) in
        [(1, 0, Severity::Info), (0x8_0001, 0, Severity::Warning), (1, 6, Severity::Warning)]
    {
        let line = policy.classify(nr("socket"), &[2, kind, protocol, 0, 0, 0]).expect("a line");
        assert_eq!((line.code, line.severity), (Code::NetworkDenied, severity));
    }
    assert_eq!(policy.classify(nr("ustat"), &[0; 6]), None);
    assert_eq!(policy.classify(9999, &[0; 6]), None);
    assert_eq!(policy.errno.iter().map(|line| line.name.as_ref()).collect::<Vec<_>>(), ["clone3"]);
}

#[test]
fn the_launch_can_get_to_its_exec() {
    let policy = seccomp();
    for name in ["execve", "execveat", "sendmsg", "close", "exit_group", "write"] {
        let line = policy.allow.iter().find(|line| line.name == name).expect(name);
        assert!(line.when.is_empty(), "{name}");
    }
}

#[test]
fn wide_tests_see_all_bits() {
    let test = |op, value, wide| ArgTest { arg: 0, op, value, wide };
    let args = [0x1_0000_0005, 0, 0, 0, 0, 0];
    assert!(test(ArgOp::Eq, 5, false).holds(&args));
    assert!(!test(ArgOp::Eq, 5, true).holds(&args));
    assert!(test(ArgOp::Le, 5, false).holds(&args) && test(ArgOp::Ge, 6, true).holds(&args));
    assert!(test(ArgOp::MaskedEq(4), 4, false).holds(&args));
    assert!(!ArgTest { arg: 6, op: ArgOp::Ne, value: 0, wide: true }.holds(&args));
}

#[test]
fn bad_lines_are_refused_with_their_place() {
    let allow = |rest: &str| format!("[[allow]]\nsyscalls = [\"read\"]\n{rest}\nreason = \"x\"\n");
    let cases = [
        (
            String::from("[[allow]]\nsyscalls = [\"reed\"]\nreason = \"x\"\n"),
            "unknown-syscall@2:13",
        ),
        (String::from("[[allow]]\nsyscalls = [\"read\"]\n"), "missing-key@1:1"),
        (String::from("[[allow]]\nsyscalls = [\"read\"]\nreason = \" \"\n"), "bad-text@3:10"),
        (
            String::from("[[allow]]\nsyscalls = [\"read\", \"read\"]\nreason = \"x\"\n"),
            "duplicate-syscall@2:21",
        ),
        (allow("when = []"), "bad-argument-test@1:1"),
        (allow("when = [[]]"), "bad-argument-test@3:9"),
        (allow("when = [{ arg = 0, op = \"eq\", value = 1 }]"), "wrong-type@3:9"),
        (allow("when = [[{ arg = 6, op = \"eq\", value = 1 }]]"), "number-out-of-range@3:18"),
        (allow("when = [[{ arg = 0, op = \"is\", value = 1 }]]"), "unknown-value@3:26"),
        (allow("when = [[{ arg = 0, op = \"masked-eq\", value = 1 }]]"), "bad-argument-test@3:10"),
        (
            allow("when = [[{ arg = 0, op = \"masked-eq\", mask = 2, value = 1 }]]"),
            "bad-argument-test@3:10",
        ),
        (
            allow("when = [[{ arg = 0, op = \"eq\", value = 0x1_0000_0000 }]]"),
            "number-out-of-range@3:40",
        ),
        (allow("comment = \"x\""), "unknown-key@3:1"),
        (String::new(), "missing-key@1:1"),
    ];
    for (text, expected) in cases {
        let found = parse_group("files", "seccomp/files.toml", text.as_bytes()).unwrap_err();
        let first = &found.0[0];
        assert_eq!(format!("{}@{}:{}", first.code, first.line, first.column), expected, "{text}");
    }
    let deny = "[[deny]]\nsyscalls = [\"mount\"]\ncode = \"mount-attempt\"\nerrno = \"EPERM\"\nreason = \"x\"\n";
    assert_eq!(parse_denied("d", deny.as_bytes()).unwrap().deny[0].severity, Severity::Critical);
    for (from, to, expected) in [
        ("EPERM", "EWHAT", "unknown-value"),
        ("mount-attempt", "memory-limit", "unknown-value"),
        ("mount-attempt", "nonsense", "unknown-value"),
    ] {
        let found = parse_denied("d", deny.replace(from, to).as_bytes()).unwrap_err();
        assert_eq!(found.0[0].code, expected);
    }
    let twice = parse_denied("d", deny.repeat(2).as_bytes()).unwrap_err();
    assert_eq!((twice.0[0].code, twice.0[0].line), ("duplicate-syscall", 7));
}

#[test]
fn egress_adds_tcp_and_udp_sockets_and_nothing_else() {
    let policies = PolicySet::embedded();
    let tier = policies.tier(Tier::Community);
    let (without, with) = (seccomp(), crate::plan::seccomp_of(tier, &policies, true));
    let socket = nr("socket");
    let (flags, raw, seqpacket) = (0x80800, 3, 5);
    for (family, kind, protocol, allowed) in [
        (2, 1, 0, true),
        (2, 1 | flags, 6, true),
        (10, 2 | flags, 17, true),
        (10, 2, 0, true),
        (2, 1, 17, false),
        (2, 1, 132, false),
        (2, 1, 262, false),
        (2, 2, 1, false),
        (10, 2, 58, false),
        (2, 2, 136, false),
        (2, raw, 0, false),
        (2, raw, 17, false),
        (10, raw | flags, 58, false),
        (2, seqpacket, 132, false),
        (2, 1 | 0x10, 0, false),
        (16, raw, 0, false),
        (17, raw, 3, false),
        (40, 1, 0, false),
    ] {
        let args = [family, kind, protocol, 0, 0, 0];
        assert_eq!(with.allows(socket, &args), allowed, "{args:?}");
        assert!(!without.allows(socket, &args), "{args:?}");
        if !allowed {
            assert!(with.classify(socket, &args).is_some(), "{args:?}");
        }
    }
    assert!(with.allows(socket, &[1, 1, 0, 0, 0, 0]), "AF_UNIX");
    assert!(!with.allows(nr("socketpair"), &[2, 1, 0, 0, 0, 0]));
    let numbers: BTreeSet<i64> = with.allow.iter().map(|line| line.nr).collect();
    assert_eq!(numbers.len(), with.allow.len(), "one line a number");
    assert_eq!(with.allow.len(), without.allow.len());
}
