//! Files of system calls.

use std::borrow::Cow;
use std::ops::Range;

use toml::Spanned;
use toml::de::DeValue;

use crate::diag::{Diagnostics, code, nearest};
use crate::document::{Found, Reader, Section, shorten};
use crate::plan::{ArgOp, ArgTest};
use crate::seccomp::{
    AllowLine, DeniedPolicy, DenyLine, ErrnoLine, SyscallGroup, errno, syscall_number,
};
use crate::violation::{Code, Layer, Severity};

/// The longest such file is a few pages.
const MAX_BYTES: usize = 256 * 1024;

pub(crate) const SEVERITIES: [(&str, Severity); 3] =
    [("INFO", Severity::Info), ("WARNING", Severity::Warning), ("CRITICAL", Severity::Critical)];

/// Reads the allow lines of the group `name`.
pub(crate) fn parse_group(
    name: &str,
    file: &str,
    bytes: &[u8],
) -> Result<SyscallGroup, Diagnostics> {
    let (mut reader, document) = Reader::open(file, bytes, MAX_BYTES)?;
    let root = reader.root(&document, &["allow"]);
    reader.require(root, "allow");
    let mut allow: Vec<AllowLine> = Vec::new();
    for line in reader.sections(root, "allow", &["syscalls", "when", "reason"]) {
        let reason = reason(&mut reader, line);
        let when = alternatives(&mut reader, line);
        for (nr, found) in calls(&mut reader, line) {
            if allow.iter().any(|other| other.nr == nr) {
                duplicate(&mut reader, &found, "is allowed twice");
                continue;
            }
            allow.push(AllowLine {
                nr,
                name: Cow::Owned(found.value.to_owned()),
                when: when.clone().into(),
                reason: reason.clone(),
            });
        }
    }
    if reader.failed() {
        return Err(reader.into_diagnostics());
    }
    Ok(SyscallGroup { name: Cow::Owned(name.to_owned()), allow: allow.into() })
}

/// Reads `seccomp/denied.toml`.
pub(crate) fn parse_denied(file: &str, bytes: &[u8]) -> Result<DeniedPolicy, Diagnostics> {
    let (mut reader, document) = Reader::open(file, bytes, MAX_BYTES)?;
    let root = reader.root(&document, &["errno", "deny"]);
    let mut errno: Vec<ErrnoLine> = Vec::new();
    for line in reader.sections(root, "errno", &["syscalls", "errno", "reason"]) {
        let reason = reason(&mut reader, line);
        let number = errno_of(&mut reader, line);
        for (nr, found) in calls(&mut reader, line) {
            if errno.iter().any(|other| other.nr == nr) {
                duplicate(&mut reader, &found, "stands in two lines");
                continue;
            }
            let name = Cow::Owned(found.value.to_owned());
            errno.push(ErrnoLine { nr, name, errno: number, reason: reason.clone() });
        }
    }
    let mut deny: Vec<DenyLine> = Vec::new();
    let keys = ["syscalls", "when", "code", "severity", "errno", "reason"];
    for line in reader.sections(root, "deny", &keys) {
        let reason = reason(&mut reader, line);
        let when =
            reader.array(line, "when").map_or_else(Vec::new, |list| conjunction(&mut reader, list));
        let code = code_of(&mut reader, line);
        let severity = reader.word(line, "severity", &SEVERITIES).unwrap_or(code.severity());
        let number = errno_of(&mut reader, line);
        for (nr, found) in calls(&mut reader, line) {
            let shadows = |other: &DenyLine| {
                other.nr == nr && (other.when.is_empty() || *other.when == *when)
            };
            if deny.iter().any(shadows) {
                duplicate(&mut reader, &found, "never gets to this line");
                continue;
            }
            deny.push(DenyLine {
                nr,
                name: Cow::Owned(found.value.to_owned()),
                when: when.clone().into(),
                code,
                severity,
                errno: number,
                reason: reason.clone(),
            });
        }
    }
    if reader.failed() {
        return Err(reader.into_diagnostics());
    }
    Ok(DeniedPolicy { errno: errno.into(), deny: deny.into() })
}

fn duplicate(reader: &mut Reader<'_>, found: &Found<&str>, what: &str) {
    let message = format!("{} {what}", found.value);
    reader.report(found.span.clone(), code::DUPLICATE_SYSCALL, message, "");
}

/// The reason of a line. Mandatory: a line that nobody can explain is a line that nobody can remove.
pub(crate) fn reason(reader: &mut Reader<'_>, line: Section<'_, '_>) -> Cow<'static, str> {
    let Some(found) = reader.required_text(line, "reason") else {
        return Cow::Borrowed("");
    };
    if found.value.trim().is_empty() {
        reader.report(found.span, code::BAD_TEXT, "`reason` is empty", "say who needs the line");
    }
    Cow::Owned(found.value.to_owned())
}

fn calls<'r>(reader: &mut Reader<'_>, line: Section<'r, '_>) -> Vec<(i64, Found<&'r str>)> {
    reader.require(line, "syscalls");
    let Some(list) = reader.texts(line, "syscalls", 512) else {
        return Vec::new();
    };
    let mut calls = Vec::with_capacity(list.value.len());
    for found in list.value {
        if let Some(nr) = syscall_number(found.value) {
            calls.push((nr, found));
            continue;
        }
        let known = syscalls::x86_64::Sysno::iter().map(|call| call.name());
        let hint = nearest(found.value, known)
            .map_or_else(String::new, |near| format!("did you mean `{near}`?"));
        let message = format!("x86-64 has no system call `{}`", shorten(found.value));
        reader.report(found.span, code::UNKNOWN_SYSCALL, message, hint);
    }
    calls
}

fn errno_of(reader: &mut Reader<'_>, line: Section<'_, '_>) -> u16 {
    let Some(found) = reader.required_text(line, "errno") else {
        return errno::EPERM;
    };
    errno::number(found.value).unwrap_or_else(|| {
        let message = format!("`errno` is \"{}\"", shorten(found.value));
        let hint =
            "EPERM, EACCES, ENOSYS, EINVAL, EOPNOTSUPP, EAFNOSUPPORT, ENOENT, EAGAIN or ENOMEM";
        reader.report(found.span, code::UNKNOWN_VALUE, message, hint);
        errno::EPERM
    })
}

fn code_of(reader: &mut Reader<'_>, line: Section<'_, '_>) -> Code {
    let Some(found) = reader.required_text(line, "code") else {
        return Code::SyscallDenied;
    };
    let mut codes = Code::ALL.iter().filter(|code| code.layer() == Layer::Seccomp);
    codes.clone().find(|code| code.text() == found.value).copied().unwrap_or_else(|| {
        let known: Vec<&str> = codes.by_ref().map(|code| code.text()).collect();
        let message = format!("`code` is \"{}\"", shorten(found.value));
        let hint = format!("one of {}", known.join(", "));
        reader.report(found.span, code::UNKNOWN_VALUE, message, hint);
        Code::SyscallDenied
    })
}

fn alternatives<'a>(
    reader: &mut Reader<'a>,
    line: Section<'_, 'a>,
) -> Vec<Cow<'static, [ArgTest]>> {
    let Some(list) = reader.array(line, "when") else {
        return Vec::new();
    };
    if list.is_empty() {
        empty(reader, Reader::start(line));
    }
    let mut alternatives = Vec::with_capacity(list.len());
    for item in list {
        match item.get_ref() {
            DeValue::Array(tests) if tests.is_empty() => empty(reader, item.span()),
            DeValue::Array(tests) => alternatives.push(conjunction(reader, tests).into()),
            _ => {
                let message = "`when` is a list of lists of tests";
                let hint = "[[{ arg = 0, op = \"eq\", value = 1 }]]: the inner tests must all hold";
                reader.report(item.span(), code::WRONG_TYPE, message, hint);
            }
        }
    }
    alternatives
}

/// An empty list of tests would read as "always".
fn empty(reader: &mut Reader<'_>, span: Range<usize>) {
    let hint = "leave `when` out to allow the call always";
    reader.report(span, code::BAD_ARGUMENT_TEST, "an empty list of tests", hint);
}

fn conjunction<'a>(reader: &mut Reader<'a>, list: &[Spanned<DeValue<'a>>]) -> Vec<ArgTest> {
    let mut tests = Vec::with_capacity(list.len());
    for item in list {
        let keys = ["arg", "op", "value", "mask", "wide"];
        let Some(section) = reader.item(item, "when", &keys) else {
            continue;
        };
        tests.extend(test(reader, section));
    }
    tests
}

fn test<'a>(reader: &mut Reader<'a>, section: Section<'_, 'a>) -> Option<ArgTest> {
    for key in ["arg", "op", "value"] {
        reader.require(section, key);
    }
    let arg = reader.number(section, "arg", 0..=5);
    let wide = reader.truth(section, "wide").unwrap_or(false);
    let max = if wide { u64::MAX } else { u64::from(u32::MAX) };
    let value = reader.number(section, "value", 0..=max);
    let mask = reader.number(section, "mask", 1..=max);
    let words = [
        ("eq", ArgOp::Eq),
        ("ne", ArgOp::Ne),
        ("le", ArgOp::Le),
        ("ge", ArgOp::Ge),
        ("masked-eq", ArgOp::MaskedEq(mask.as_ref().map_or(u64::MAX, |mask| mask.value))),
    ];
    let op = reader.word(section, "op", &words)?;
    let (arg, value) = (arg?, value?.value);
    let (masked, at) = (matches!(op, ArgOp::MaskedEq(_)), Reader::start(section));
    if masked != mask.is_some() {
        let message = "`mask` and op \"masked-eq\" go together";
        reader.report(at, code::BAD_ARGUMENT_TEST, message, "");
        return None;
    }
    if mask.is_some_and(|mask| value & !mask.value != 0) {
        let message = "`value` has bits outside of `mask`: the test never holds";
        reader.report(at, code::BAD_ARGUMENT_TEST, message, "");
        return None;
    }
    Some(ArgTest { arg: u8::try_from(arg.value).ok()?, op, value, wide })
}
