//! Turns the policy files into Rust constants, so that no TOML is parsed at a launch.
//!
//! Only the shape is read here; the strict parser of the crate reads the same files in a test and must get the same
//! values. Names of system calls, codes, permissions and errnos become paths: a wrong one does not compile.

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

use toml::{Table, Value};

type Error = Box<dyn std::error::Error>;

fn main() -> Result<(), Error> {
    println!("cargo::rerun-if-changed=build.rs");
    for watched in ["tiers", "seccomp", "rootfs.toml", "reactions.toml"] {
        println!("cargo::rerun-if-changed={watched}");
    }
    let mut out = String::from(
        "use std::borrow::Cow;\n\
         use syscalls::x86_64::Sysno;\n\
         use crate::limits::Limits;\n\
         use crate::permission::Permission;\n\
         use crate::plan::egress::NetworkLimits;\n\
         use crate::plan::{ArgOp, ArgTest};\n\
         use crate::reaction::{ReactionAction, ReactionRule, ReactionRules};\n\
         use crate::rootfs::{FileLine, LinkLine, MaskLine, MirrorLine, Rootfs, TripwireLine};\n\
         use crate::seccomp::{AllowLine, DeniedPolicy, DenyLine, ErrnoLine, SyscallGroup, errno};\n\
         use crate::set::PolicySet;\n\
         use crate::decision::ReviewLevel;\n\
         use crate::tier::{CheckPolicy, Isolation, RegistrationPolicy, ReviewPolicy, SbomPolicy};\n\
         use crate::tier::{SignaturePolicy, Tier, TierPolicy};\n\
         use crate::violation::{Code, Severity};\n\n\
         pub(super) static SET: PolicySet = PolicySet {\n",
    );
    out.push_str("tiers: [\n");
    for name in ["community", "professional", "enterprise"] {
        tier(&mut out, &read(&format!("tiers/{name}.toml"))?)?;
    }
    out.push_str("],\ngroups: Cow::Borrowed(&[\n");
    let mut names: Vec<String> = fs::read_dir("seccomp")?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter_map(|name| name.strip_suffix(".toml").map(str::to_owned))
        .filter(|name| name != "denied")
        .collect();
    names.sort();
    for name in names {
        group(&mut out, &name, &read(&format!("seccomp/{name}.toml"))?)?;
    }
    out.push_str("]),\n");
    denied(&mut out, &read("seccomp/denied.toml")?)?;
    rootfs(&mut out, &read("rootfs.toml")?)?;
    reactions(&mut out, &read("reactions.toml")?)?;
    out.push_str("};\n");
    fs::write(Path::new(&env::var("OUT_DIR")?).join("embedded.rs"), out)?;
    Ok(())
}

fn read(path: &str) -> Result<Table, Error> {
    let text =
        fs::read_to_string(path).map_err(|error| format!("failed to read {path}: {error}"))?;
    text.parse().map_err(|error| format!("failed to parse {path}: {error}").into())
}

fn tier(out: &mut String, file: &Table) -> Result<(), Error> {
    let (head, limits) = (table(file, "tier")?, table(file, "limits")?);
    let (trust, sandbox) = (table(file, "trust")?, table(file, "sandbox")?);
    writeln!(out, "TierPolicy {{ tier: Tier::{},", pascal(text(head, "name")?))?;
    writeln!(out, "default_isolation: Isolation::{},", pascal(text(head, "default_isolation")?))?;
    out.push_str("limits: Limits {");
    for (key, value) in limits {
        write!(out, "{key}: {value},")?;
    }
    out.push_str("},\n");
    writeln!(out, "signature: SignaturePolicy::{},", pascal(text(trust, "signature")?))?;
    for (key, kind) in [
        ("review", "ReviewPolicy"),
        ("review_level", "ReviewLevel"),
        ("registration", "RegistrationPolicy"),
        ("vulnerability_check", "CheckPolicy"),
        ("sbom", "SbomPolicy"),
    ] {
        writeln!(out, "{key}: {kind}::{},", pascal(text(trust, key)?))?;
    }
    for key in ["max_vulnerability_score", "vulnerability_check_days"] {
        writeln!(out, "{key}: {},", get(trust, key)?)?;
    }
    let network = table(file, "network")?;
    out.push_str("network: NetworkLimits {");
    for (key, value) in network.iter().filter(|(_, value)| value.is_integer()) {
        write!(out, "{key}: {value},")?;
    }
    out.push_str("},\n");
    for key in ["any_domain", "private_addresses"] {
        writeln!(out, "{key}: {},", get(network, key)?)?;
    }
    writeln!(out, "memfd_exec: {},", get(sandbox, "memfd_exec")?)?;
    for key in ["seccomp", "file_roots"] {
        write!(out, "{key}: Cow::Borrowed(&[")?;
        for item in texts(sandbox, key)? {
            write!(out, "Cow::Borrowed({item:?}),")?;
        }
        out.push_str("]),\n");
    }
    out.push_str("permissions: Cow::Borrowed(&[");
    for name in texts(table(file, "permissions")?, "allow")? {
        write!(out, "Permission::{},", pascal(name))?;
    }
    out.push_str("]) },\n");
    Ok(())
}

fn group(out: &mut String, name: &str, file: &Table) -> Result<(), Error> {
    writeln!(out, "SyscallGroup {{ name: Cow::Borrowed({name:?}), allow: Cow::Borrowed(&[")?;
    for line in tables(file, "allow")? {
        let mut when = String::new();
        for all in line.get("when").and_then(Value::as_array).into_iter().flatten() {
            write!(when, "Cow::Borrowed(&[{}]),", tests(all)?)?;
        }
        let reason = text(line, "reason")?;
        for call in texts(line, "syscalls")? {
            writeln!(
                out,
                "AllowLine {{ {}, when: Cow::Borrowed(&[{when}]), reason: Cow::Borrowed({reason:?}) }},",
                number(call)
            )?;
        }
    }
    out.push_str("]) },\n");
    Ok(())
}

fn denied(out: &mut String, file: &Table) -> Result<(), Error> {
    out.push_str("denied: DeniedPolicy { errno: Cow::Borrowed(&[\n");
    for line in tables(file, "errno")? {
        let (reason, errno) = (text(line, "reason")?, text(line, "errno")?);
        for call in texts(line, "syscalls")? {
            writeln!(
                out,
                "ErrnoLine {{ {}, errno: errno::{errno}, reason: Cow::Borrowed({reason:?}) }},",
                number(call)
            )?;
        }
    }
    out.push_str("]), deny: Cow::Borrowed(&[\n");
    for line in tables(file, "deny")? {
        let (reason, errno) = (text(line, "reason")?, text(line, "errno")?);
        let code = format!("Code::{}", pascal(text(line, "code")?));
        let severity = match line.get("severity").and_then(Value::as_str) {
            Some(severity) => format!("Severity::{}", pascal(severity)),
            None => format!("{code}.severity()"),
        };
        let when = line.get("when").map_or(Ok(String::new()), tests)?;
        for call in texts(line, "syscalls")? {
            writeln!(
                out,
                "DenyLine {{ {}, when: Cow::Borrowed(&[{when}]), code: {code}, severity: {severity}, \
                 errno: errno::{errno}, reason: Cow::Borrowed({reason:?}) }},",
                number(call)
            )?;
        }
    }
    out.push_str("]) },\n");
    Ok(())
}

fn rootfs(out: &mut String, file: &Table) -> Result<(), Error> {
    out.push_str("rootfs: Rootfs {\n");
    let kinds = [
        ("mirror", "MirrorLine"),
        ("file", "FileLine"),
        ("link", "LinkLine"),
        ("mask", "MaskLine"),
        ("tripwire", "TripwireLine"),
    ];
    for (key, kind) in kinds {
        writeln!(out, "{key}: Cow::Borrowed(&[")?;
        for line in tables(file, key)? {
            write!(out, "{kind} {{")?;
            for (field, value) in line {
                match value {
                    Value::String(text) => write!(out, "{field}: Cow::Borrowed({text:?}),")?,
                    other => write!(out, "{field}: {other},")?,
                }
            }
            out.push_str("},\n");
        }
        out.push_str("]),\n");
    }
    out.push_str("},\n");
    Ok(())
}

fn reactions(out: &mut String, file: &Table) -> Result<(), Error> {
    out.push_str("reactions: ReactionRules { rules: Cow::Borrowed(&[\n");
    for rule in tables(file, "rule")? {
        writeln!(out, "ReactionRule {{ name: Cow::Borrowed({:?}),", text(rule, "name")?)?;
        for (key, kind) in
            [("codes", "Code"), ("layers", "crate::violation::Layer"), ("tiers", "Tier")]
        {
            write!(out, "{key}: Cow::Borrowed(&[")?;
            if rule.contains_key(key) {
                for word in texts(rule, key)? {
                    write!(out, "{kind}::{},", pascal(word))?;
                }
            }
            out.push_str("]),\n");
        }
        let severity = rule.get("severity").and_then(Value::as_str).unwrap_or("INFO");
        writeln!(out, "severity: Severity::{},", pascal(severity))?;
        let count = rule.get("count").and_then(Value::as_integer).unwrap_or(1);
        let window = rule.get("window_s").and_then(Value::as_integer);
        writeln!(out, "count: {count}, window_s: {window:?},")?;
        writeln!(out, "action: ReactionAction::{},", pascal(text(rule, "action")?))?;
        writeln!(out, "reason: Cow::Borrowed({:?}) }},", text(rule, "reason")?)?;
    }
    out.push_str("]) },\n");
    Ok(())
}

/// A list of argument tests as Rust.
fn tests(list: &Value) -> Result<String, Error> {
    let mut out = String::new();
    for test in list.as_array().ok_or("`when` is no list")? {
        let test = test.as_table().ok_or("a test is no table")?;
        let op = match text(test, "op")? {
            "masked-eq" => format!("MaskedEq({})", get(test, "mask")?),
            word => pascal(word),
        };
        let wide = test.get("wide").and_then(Value::as_bool).unwrap_or(false);
        let (arg, value) = (get(test, "arg")?, get(test, "value")?);
        write!(out, "ArgTest {{ arg: {arg}, op: ArgOp::{op}, value: {value}, wide: {wide} }},")?;
    }
    Ok(out)
}

/// `READ_WORK_ORDERS`, `trusted-issuer`, `community` as the name of a variant.
fn pascal(word: &str) -> String {
    let mut name = String::with_capacity(word.len());
    for part in word.split(['-', '_']) {
        let mut letters = part.chars();
        name.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        name.extend(letters.map(|letter| letter.to_ascii_lowercase()));
    }
    name
}

fn number(call: &str) -> String {
    format!("nr: Sysno::{call}.id() as i64, name: Cow::Borrowed({call:?})")
}

fn get<'t>(table: &'t Table, key: &str) -> Result<&'t Value, Error> {
    table.get(key).ok_or_else(|| format!("no key `{key}`").into())
}

fn table<'t>(file: &'t Table, key: &str) -> Result<&'t Table, Error> {
    get(file, key)?.as_table().ok_or_else(|| format!("`{key}` is no table").into())
}

fn tables<'t>(file: &'t Table, key: &str) -> Result<Vec<&'t Table>, Error> {
    let list = get(file, key)?.as_array().ok_or_else(|| format!("`{key}` is no list"))?;
    list.iter().map(|item| item.as_table().ok_or_else(|| "no table".into())).collect()
}

fn text<'t>(table: &'t Table, key: &str) -> Result<&'t str, Error> {
    get(table, key)?.as_str().ok_or_else(|| format!("`{key}` is no text").into())
}

fn texts<'t>(table: &'t Table, key: &str) -> Result<Vec<&'t str>, Error> {
    let list = get(table, key)?.as_array().ok_or_else(|| format!("`{key}` is no list"))?;
    list.iter().map(|item| item.as_str().ok_or_else(|| "no text".into())).collect()
}
