//! `sandboxctl explain`.

mod network;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::ExitCode;

use policies::decision::Decision;
use policies::limits::{Enforcement, LimitKind};
use policies::plan::{AllowedSyscall, PathAccess, Plan, TreeEntry};
use policies::reaction::ReactionRule;
use serde::Serialize;

use super::args::ExplainArgs;
use super::check::{self, dev};
use super::output::{Table, json, text_out};
use super::{Failure, admitted, reactions};
use crate::admit::Rules;
use crate::bundle::Purpose;
use crate::confine::landlock::Abi;
use crate::egress::ranges::Ranges;
use crate::limits::cgroup::{Groups, Layout};
use crate::limits::rlimits::{self, Held};
use crate::state::Dirs;

/// The effective sandbox: the plan, and what this host makes of it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Explanation<'a> {
    decision: &'a Decision,
    plan: &'a Plan,
    landlock_abi: Option<u32>,
    limits: Vec<LimitLine>,
    rlimits: Vec<RlimitLine>,
    host_ids: &'static str,
    /// The rules of its tier.
    reactions: Vec<&'a ReactionRule>,
    /// As nft prints it; none without a network.
    #[serde(skip_serializing_if = "Option::is_none")]
    packet_filter: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LimitLine {
    kind: LimitKind,
    value: String,
    enforcement: Enforcement,
    mechanism: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RlimitLine {
    name: &'static str,
    value: u64,
}

const HOST_IDS: &str = "two unused host ids for each run, from 1879048192 up; never 0";

pub(super) fn main(args: &ExplainArgs, dirs: &Dirs) -> Result<ExitCode, Failure> {
    let rules = Rules::load(dirs).map_err(|error| admitted(&error))?;
    let decided = rules
        .decide(&args.of.bundle, dev(args.of.dev), Purpose::Look)
        .map_err(|error| admitted(&error))?;
    if let Some(destination) = &args.why {
        return network::why(&decided, destination, args.of.json);
    }
    let plan = &decided.plan;
    let ranges = &rules.config.egress;
    let (limits, rlimits) = limits(plan)?;
    let explanation = Explanation {
        decision: &decided.decision,
        plan,
        landlock_abi: Abi::of_this_kernel().ok().map(Abi::number),
        limits,
        rlimits,
        host_ids: HOST_IDS,
        reactions: rules
            .policies
            .reactions()
            .rules
            .iter()
            .filter(|rule| rule.applies_to(decided.manifest.tier))
            .collect(),
        packet_filter: network::filter(plan, ranges),
    };
    if args.of.json { json(&explanation) } else { text_out(&render(&explanation, ranges)) }
}

/// What would hold each limit here: by making the groups of a run and removing them again.
fn limits(plan: &Plan) -> Result<(Vec<LimitLine>, Vec<RlimitLine>), Failure> {
    let name = format!("sandboxctl-explain-{}", std::process::id());
    let groups = Groups::create(&Layout::detect(), &name, &plan.limits, 1).map_err(Failure::new)?;
    let lines = LimitKind::ALL
        .into_iter()
        .map(|kind| {
            let (enforcement, mechanism) = groups.enforcement(kind, plan.storage);
            LimitLine { kind, value: value(kind, plan), enforcement, mechanism }
        })
        .collect();
    let rlimits = rlimits::compile(&plan.limits, Held::by(&groups))
        .into_iter()
        .map(|limit| RlimitLine { name: limit.name, value: limit.hard })
        .collect();
    if let Some((path, error)) = groups.remove().into_iter().next() {
        return Err(Failure::new(format!("failed to remove {}: {error}", path.display())));
    }
    Ok((lines, rlimits))
}

/// A limit with its unit.
fn value(kind: LimitKind, plan: &Plan) -> String {
    let limits = &plan.limits;
    match kind {
        LimitKind::Memory => format!("{} MB", limits.memory_mb),
        LimitKind::Cpu => format!("{} % of one core", limits.cpu_percent),
        LimitKind::Disk => format!("{} MB", limits.disk_mb),
        LimitKind::Timeout => {
            format!("{} ms, of which {} ms grace", limits.timeout_ms, limits.grace_ms)
        }
        LimitKind::Tasks => limits.tasks.to_string(),
    }
}

fn render(explanation: &Explanation<'_>, ranges: &Ranges) -> String {
    let plan = explanation.plan;
    let extension = &plan.extension;
    let mut text = format!(
        "{} {} ({}), tier {}: {}",
        extension.id,
        extension.version,
        extension.name,
        extension.tier,
        check::render(explanation.decision)
    );
    section(&mut text, "command", &[plan.command.join(" "), format!("in {}", plan.workdir)]);
    let ids = [
        format!("{0}:{0} inside; on the host {1}", plan.inside_id, explanation.host_ids),
        "no capabilities, no_new_privs, own session, host name \"".to_owned()
            + &plan.hostname
            + "\"",
    ];
    section(&mut text, "identity", &ids);
    let net = if plan.egress.is_some() { "net (loopback only)" } else { "net (empty)" };
    let namespaces = format!("mount, pid, {net}, ipc, uts, cgroup; user entered last");
    section(&mut text, "namespaces", &[namespaces]);
    let env: Vec<String> = plan.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
    section(&mut text, "environment", &env);
    section(&mut text, "files", &tree(plan));
    section(&mut text, "tripwires", &tripwires(plan));
    let abi = explanation.landlock_abi.map_or_else(
        || "landlock (missing on this host)".to_owned(),
        |abi| format!("landlock (ABI {abi} here)"),
    );
    section(&mut text, &abi, &landlock(plan));
    section(&mut text, "system calls", &seccomp(plan));
    text.push_str("\nlimits\n");
    let mut table = Table::default();
    for line in &explanation.limits {
        table.row([line.kind.name(), &line.value, line.enforcement.name(), &line.mechanism]);
    }
    for line in &explanation.rlimits {
        let value =
            if line.value == u64::MAX { "unlimited".to_owned() } else { line.value.to_string() };
        table.row([line.name, value.as_str(), "kernel", "setrlimit, per process"]);
    }
    text.push_str(&table.render(2));
    section(&mut text, "network", &network::lines(plan, ranges));
    let reactions = reactions::render(explanation.reactions.iter().copied());
    section(&mut text, "reactions", &reactions.lines().map(str::to_owned).collect::<Vec<_>>());
    if let Some(filter) = &explanation.packet_filter {
        let lines: Vec<String> = filter.lines().map(str::to_owned).collect();
        section(&mut text, "packet filter, inside the network namespace", &lines);
    }
    text
}

fn section(text: &mut String, title: &str, lines: &[String]) {
    // Writing to a String cannot fail.
    writeln!(text, "\n{title}").unwrap_or_default();
    for line in lines {
        writeln!(text, "  {line}").unwrap_or_default();
    }
}

fn tree(plan: &Plan) -> Vec<String> {
    plan.tree
        .iter()
        .filter_map(|entry| match entry {
            TreeEntry::Dir { .. } | TreeEntry::Tripwire { .. } => None,
            TreeEntry::File { target, .. } => Some(format!("{target}  generated")),
            TreeEntry::Symlink { target, to } => Some(format!("{target} -> {to}")),
            TreeEntry::Mirror { target, .. } if absent(target) => None,
            TreeEntry::Mirror { target, exec } => {
                if let Ok(to) = std::fs::read_link(target) {
                    return Some(format!("{target} -> {}", to.display()));
                }
                let exec = if *exec { ", executable" } else { ", noexec" };
                Some(format!("{target}  the host's, read-only{exec}"))
            }
            TreeEntry::RootfsOfBundle => Some("/  the bundle's rootfs/, read-only".to_owned()),
            TreeEntry::Bundle { target } => Some(format!("{target}  the bundle, read-only")),
            TreeEntry::HostPath { target, write } => {
                let mode = if *write { "read and write, noexec" } else { "read-only, noexec" };
                Some(format!("{target}  the host's, {mode}"))
            }
            TreeEntry::Tmpfs { target, size_mb, .. } => {
                Some(format!("{target}  memory, at most {size_mb} MB, noexec"))
            }
            TreeEntry::Data { target } => {
                let storage = format!("{:?}", plan.storage).to_lowercase();
                let size = plan.limits.disk_mb;
                Some(format!("{target}  {storage}, at most {size} MB, noexec"))
            }
            TreeEntry::Proc => Some("/proc  of its own pid namespace, read-only".to_owned()),
            TreeEntry::Dev => Some("/dev  null, zero, full, random, urandom".to_owned()),
            TreeEntry::Mask { target } => Some(format!("{target}  hidden")),
        })
        .collect()
}

/// What the host does not have is left out of the sandbox, and its rule with it.
fn absent(path: &str) -> bool {
    std::fs::symlink_metadata(path).is_err()
}

fn tripwires(plan: &Plan) -> Vec<String> {
    let targets = plan.tree.iter().filter_map(|entry| match entry {
        TreeEntry::Tripwire { target, .. } => Some(target.as_str()),
        _ => None,
    });
    vec![targets.collect::<Vec<_>>().join(" ")]
}

fn landlock(plan: &Plan) -> Vec<String> {
    let skipped = |path: &str| {
        let mirrored =
            |entry: &TreeEntry| matches!(entry, TreeEntry::Mirror { target, .. } if target == path);
        absent(path) && plan.tree.iter().any(mirrored)
    };
    let rest = if plan.egress.is_some() {
        "everything else  denied; TCP ports are the packet filter's"
    } else {
        "everything else  denied, TCP ports too"
    };
    let rules = plan.landlock.iter().filter(|rule| !skipped(&rule.path)).map(|rule| {
        let access = match rule.access {
            PathAccess::Read => "read",
            PathAccess::ReadExec => "read, execute",
            PathAccess::ReadWrite => "read, write",
            PathAccess::Device => "read, write, ioctl; no new entries",
        };
        format!("{}  {access}", rule.path)
    });
    rules.chain([rest.to_owned()]).collect()
}

fn seccomp(plan: &Plan) -> Vec<String> {
    let mut groups: BTreeMap<&str, Vec<&AllowedSyscall>> = BTreeMap::new();
    for call in &plan.seccomp.allow {
        groups.entry(call.group.as_ref()).or_default().push(call);
    }
    let mut lines: Vec<String> = groups
        .iter()
        .map(|(group, calls)| {
            let conditional = calls.iter().filter(|call| !call.when.is_empty());
            let names: Vec<&str> = conditional.map(|call| call.name.as_ref()).collect();
            if names.is_empty() {
                format!("{group}: {} calls", calls.len())
            } else {
                format!("{group}: {} calls, by argument: {}", calls.len(), names.join(" "))
            }
        })
        .collect();
    let errno: Vec<String> = plan
        .seccomp
        .errno
        .iter()
        .map(|call| {
            let errno = policies::seccomp::errno::name(call.errno);
            format!("{} ({})", call.name, errno.unwrap_or("errno"))
        })
        .collect();
    lines.push(format!("refused, not recorded: {}", errno.join(" ")));
    lines.push("everything else: refused with an errno and recorded".to_owned());
    lines
}
