//! A picture of what a host has that runs must leave as it was.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket,
};
use serde_json::{Value, json};

/// Settings that hostile programs like to change, and that ours are made in a namespace.
const SYSCTLS: [&str; 10] = [
    "kernel/core_pattern",
    "kernel/hostname",
    "kernel/modprobe",
    "kernel/randomize_va_space",
    "kernel/sysrq",
    "kernel/pid_max",
    "net/ipv4/ip_forward",
    "net/ipv6/conf/all/forwarding",
    "vm/memfd_noexec",
    "vm/overcommit_memory",
];

/// How long what the kernel gives back behind our back may take: loop devices, dead control groups.
const SETTLING: Duration = Duration::from_secs(10);

/// What a host has, by kind. Compared as sets of lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    kinds: BTreeMap<String, BTreeSet<String>>,
}

impl Snapshot {
    /// Looks at this host.
    #[must_use]
    pub fn take() -> Self {
        let mut kinds = BTreeMap::new();
        let mut add = |kind: &str, lines: BTreeSet<String>| {
            kinds.insert(kind.to_owned(), lines);
        };
        add("top folders", names(Path::new("/")));
        add("mounts", mounts());
        add("network namespaces", network_namespaces());
        add("nft tables", command_lines("nft", &["list", "tables"]));
        add("interfaces", names(Path::new("/sys/class/net")));
        add("control groups", control_groups());
        add("loop devices", loop_devices());
        add("settings", settings());
        add("kernel audit", audit());
        add("processes", processes());
        add("run slots", names(Path::new("/run/sandboxctl/slots")));
        Self { kinds }
    }

    /// What the other has and this one has not, and the other way round, one line each. Empty if they are equal.
    #[must_use]
    pub fn differences(&self, later: &Self) -> Vec<String> {
        let mut lines = Vec::new();
        let none = BTreeSet::new();
        let all: BTreeSet<&String> = self.kinds.keys().chain(later.kinds.keys()).collect();
        for kind in all {
            let before = self.kinds.get(kind).unwrap_or(&none);
            let after = later.kinds.get(kind).unwrap_or(&none);
            lines.extend(after.difference(before).map(|line| format!("{kind}: new: {line}")));
            lines.extend(before.difference(after).map(|line| format!("{kind}: gone: {line}")));
        }
        lines
    }

    /// The differences to now, after the kernel had time to give back what it gives back asynchronously.
    #[must_use]
    pub fn differences_to_now(&self) -> Vec<String> {
        let began = Instant::now();
        loop {
            let differences = self.differences(&Self::take());
            if differences.is_empty() || began.elapsed() > SETTLING {
                return differences;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Goes on only if the host is as it was.
    ///
    /// # Panics
    /// With every difference, otherwise.
    #[track_caller]
    pub fn assert_unchanged(&self) {
        let differences = self.differences_to_now();
        assert!(differences.is_empty(), "the host has changed:\n  {}", differences.join("\n  "));
    }

    /// As JSON, for a file.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!(self.kinds)
    }

    /// From JSON; `None` where it is no snapshot.
    #[must_use]
    pub fn from_json(value: &Value) -> Option<Self> {
        let mut kinds = BTreeMap::new();
        for (kind, lines) in value.as_object()? {
            let lines = lines.as_array()?.iter().map(|line| line.as_str().map(str::to_owned));
            kinds.insert(kind.clone(), lines.collect::<Option<_>>()?);
        }
        Some(Self { kinds })
    }
}

fn mounts() -> BTreeSet<String> {
    let text = fs::read_to_string("/proc/self/mountinfo").unwrap();
    // Without the ids in front, which say nothing.
    text.lines().map(|line| line.splitn(3, ' ').nth(2).unwrap_or(line).to_owned()).collect()
}

/// By inode, with the programs in each, so that a difference names who is left.
fn network_namespaces() -> BTreeSet<String> {
    let mut all: BTreeSet<String> = each_process()
        .filter_map(|pid| fs::read_link(format!("/proc/{pid}/ns/net")).ok())
        .map(|link| link.to_string_lossy().into_owned())
        .collect();
    all.extend(names(Path::new("/run/netns")));
    all
}

fn control_groups() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut folders = vec![Path::new("/sys/fs/cgroup").to_owned()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries.flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                if entry.file_name().to_string_lossy().starts_with("sandboxctl") {
                    found.insert(entry.path().display().to_string());
                }
                folders.push(entry.path());
            }
        }
    }
    found
}

fn loop_devices() -> BTreeSet<String> {
    let backing = |name: &String| {
        let file = fs::read_to_string(format!("/sys/block/{name}/loop/backing_file")).ok()?;
        Some(format!("{name} {}", file.trim()))
    };
    names(Path::new("/sys/block")).iter().filter_map(backing).collect()
}

fn settings() -> BTreeSet<String> {
    SYSCTLS
        .iter()
        .filter_map(|name| {
            let value = fs::read_to_string(Path::new("/proc/sys").join(name)).ok()?;
            Some(format!("{name} = {}", value.trim()))
        })
        .collect()
}

/// The kernel's audit switch: `AUDIT_GET`, see audit(7)'s `linux/audit.h`. What is left on costs every later process.
fn audit() -> BTreeSet<String> {
    audit_status().map_or_else(
        |errno| BTreeSet::from([format!("unknown: {errno}")]),
        |(enabled, backlog_limit)| {
            BTreeSet::from([
                format!("enabled = {enabled}"),
                format!("backlog_limit = {backlog_limit}"),
            ])
        },
    )
}

fn audit_status() -> nix::Result<(u32, u32)> {
    const AUDIT_GET: u16 = 1000;
    const NLM_F_REQUEST: u16 = 1;
    let kind = (AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC);
    let socket = socket(kind.0, kind.1, kind.2, SockProtocol::NetlinkAudit)?;
    let mut request = [0_u8; 16];
    request[..4].copy_from_slice(&16_u32.to_ne_bytes());
    request[4..6].copy_from_slice(&AUDIT_GET.to_ne_bytes());
    request[6..8].copy_from_slice(&NLM_F_REQUEST.to_ne_bytes());
    send(socket.as_raw_fd(), &request, MsgFlags::empty())?;
    let mut answer = [0_u8; 512];
    let length = recv(socket.as_raw_fd(), &mut answer, MsgFlags::empty())?;
    let kind = u16::from_ne_bytes([answer[4], answer[5]]);
    if kind != AUDIT_GET || length < 40 {
        return Err(nix::errno::Errno::EPERM);
    }
    // struct audit_status after the header: mask, enabled, failure, pid, rate_limit, backlog_limit.
    let field = |index: usize| {
        let at = 16 + 4 * index;
        u32::from_ne_bytes([answer[at], answer[at + 1], answer[at + 2], answer[at + 3]])
    };
    Ok((field(1), field(5)))
}

fn processes() -> BTreeSet<String> {
    each_process()
        .filter_map(|pid| {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
            let field = |name: &str| {
                status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("").trim()
            };
            let name = field("Name:");
            // Ids of runs begin at 0x7000_0000 and end far below the next range.
            let id: u32 = field("Uid:").split_whitespace().next()?.parse().ok()?;
            let ours = name.starts_with("sandboxctl") || (0x7000_0000..0x7001_0000).contains(&id);
            // The dead wait for whoever is PID 1 of this host.
            let dead = field("State:").starts_with('Z');
            (ours && !dead).then(|| format!("{pid} {name} of user {id}"))
        })
        .collect()
}

fn each_process() -> impl Iterator<Item = u32> {
    fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str().and_then(|name| name.parse().ok()))
}

fn names(dir: &Path) -> BTreeSet<String> {
    let Ok(entries) = fs::read_dir(dir) else { return BTreeSet::new() };
    entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

fn command_lines(program: &str, arguments: &[&str]) -> BTreeSet<String> {
    let Ok(output) = Command::new(program).args(arguments).output() else {
        return BTreeSet::new();
    };
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}
