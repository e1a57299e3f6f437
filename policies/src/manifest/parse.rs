//! From bytes to a manifest, section by section.

use std::collections::BTreeMap;

use semver::Version;

use crate::diag::{Diagnostics, code};
use crate::document::{Found, Reader, Section, shorten};
use crate::limits::Limits;
use crate::manifest::{Files, MAX_BYTES, Manifest, RequestedLimits, Run, network, values};
use crate::permission::Permission;
use crate::plan::{Runtime, Storage};
use crate::set::PolicySet;
use crate::tier::{Isolation, Tier, permission_list};

const RUNTIMES: [(&str, Runtime); 2] = [("host", Runtime::Host), ("bundle", Runtime::Bundle)];
const STORAGES: [(&str, Storage); 3] = [
    ("none", Storage::None),
    ("ephemeral", Storage::Ephemeral),
    ("persistent", Storage::Persistent),
];

pub(super) fn parse(
    file: &str,
    bytes: &[u8],
    policies: &PolicySet,
) -> Result<Manifest, Diagnostics> {
    let (mut reader, document) = Reader::open(file, bytes, MAX_BYTES)?;
    let keys = ["extension", "run", "permissions", "network", "files", "storage", "limits"];
    let root = reader.root(&document, &keys);
    let identity = identity(&mut reader, root);
    let run = run(&mut reader, root);
    let permissions = permissions(&mut reader, root);
    let network = network::rules(&mut reader, root);
    let files = files(&mut reader, root);
    let section = reader.section(root, "storage", &["data"]);
    let storage = reader.word(section, "data", &STORAGES).unwrap_or(Storage::None);
    let tier = identity.as_ref().map(|identity| identity.tier);
    let limits = limits(&mut reader, root, tier, policies);
    match (reader.failed(), identity, run) {
        (false, Some(identity), Some(run)) => Ok(Manifest {
            id: identity.id,
            name: identity.name,
            version: identity.version,
            publisher: identity.publisher,
            tier: identity.tier,
            isolation: identity.isolation,
            run,
            permissions,
            network,
            files,
            storage,
            limits,
        }),
        _ => Err(reader.into_diagnostics()),
    }
}

struct Identity {
    id: String,
    name: String,
    version: Version,
    publisher: String,
    tier: Tier,
    isolation: Option<Isolation>,
}

fn identity(reader: &mut Reader<'_>, root: Section<'_, '_>) -> Option<Identity> {
    let keys = ["id", "name", "version", "publisher", "tier", "isolation"];
    let section = reader.section(root, "extension", &keys);
    if !Reader::has(root, "extension") {
        reader.require(root, "extension");
        return None;
    }
    let id = reader.required_text(section, "id");
    let name = reader.required_text(section, "name");
    let version = reader.required_text(section, "version");
    let publisher = reader.required_text(section, "publisher");
    reader.require(section, "tier");
    let tier = reader.word(section, "tier", &Tier::WORDS);
    let isolation = reader.word(section, "isolation", &Isolation::WORDS);
    let id = id.and_then(|found| values::id(reader, found));
    let name = name.and_then(|found| values::label(reader, "name", found));
    let version = version.and_then(|found| values::version(reader, &found));
    let publisher = publisher.and_then(|found| values::publisher(reader, found));
    if let (Some(id), Some(publisher)) = (&id, &publisher) {
        let prefix = id.value.split('.').next().unwrap_or_default();
        if prefix != publisher.value {
            let message = format!(
                "id \"{}\" does not begin with publisher \"{}\"",
                id.value, publisher.value
            );
            let hint = format!("the id of this publisher begins with \"{}.\"", publisher.value);
            reader.report(id.span.clone(), code::PUBLISHER_MISMATCH, message, hint);
        }
    }
    Some(Identity {
        id: id?.value.to_owned(),
        name: name?.value.to_owned(),
        version: version?,
        publisher: publisher?.value.to_owned(),
        tier: tier?,
        isolation,
    })
}

fn run(reader: &mut Reader<'_>, root: Section<'_, '_>) -> Option<Run> {
    let section = reader.section(root, "run", &["command", "env", "runtime", "workdir"]);
    if !Reader::has(root, "run") {
        reader.require(root, "run");
        return None;
    }
    reader.require(section, "command");
    let list = reader.texts(section, "command", 1024);
    let command = list.and_then(|list| values::command(reader, list));
    let mut env = BTreeMap::new();
    for (name, value) in reader.entries(section, "env") {
        values::env(reader, &name, &value);
        env.insert(name.value.to_owned(), value.value.to_owned());
    }
    let runtime = reader.word(section, "runtime", &RUNTIMES).unwrap_or(Runtime::Host);
    let workdir = reader
        .text(section, "workdir")
        .and_then(|found| values::path(reader, found))
        .map(str::to_owned);
    Some(Run { command: command?, env, runtime, workdir })
}

fn permissions(reader: &mut Reader<'_>, root: Section<'_, '_>) -> Vec<Permission> {
    let section = reader.section(root, "permissions", &["request"]);
    permission_list(reader, section, "request")
}

fn files(reader: &mut Reader<'_>, root: Section<'_, '_>) -> Files {
    let section = reader.section(root, "files", &["read", "write"]);
    let mut list = |key| {
        let Some(list) = reader.texts(section, key, 256) else {
            return Vec::new();
        };
        let mut paths: Vec<String> = Vec::with_capacity(list.value.len());
        for found in list.value {
            let span = found.span.clone();
            let Some(path) = values::glob(reader, found) else {
                continue;
            };
            if paths.iter().any(|other| other == path) {
                let message = format!("\"{}\" stands twice", shorten(path));
                reader.report(span, code::DUPLICATE_ENTRY, message, "keep one of them");
            } else {
                paths.push(path.to_owned());
            }
        }
        paths
    };
    Files { read: list("read"), write: list("write") }
}

fn limits(
    reader: &mut Reader<'_>,
    root: Section<'_, '_>,
    tier: Option<Tier>,
    policies: &PolicySet,
) -> RequestedLimits {
    let section = reader.section(root, "limits", &Limits::KEYS);
    let most = tier.map(|tier| (tier, policies.tier(tier).limits));
    let mut value = |key: &str, of: fn(&Limits) -> u64| -> Option<u64> {
        let Found { value, span } = reader.number(section, key, 1..=u64::from(u32::MAX))?;
        let Some((tier, limits)) = &most else {
            return Some(value);
        };
        let max = of(limits);
        if value > max {
            let message = format!("`{key}` is {value}, more than the {max} of tier {tier}");
            let hint = format!("lower it to {max} or less, or leave it out to get {max}");
            reader.report(span, code::LIMIT_ABOVE_TIER, message, hint);
        }
        Some(value)
    };
    let narrow = |value: Option<u64>| value.and_then(|value| u32::try_from(value).ok());
    RequestedLimits {
        memory_mb: value("memory_mb", |l| l.memory_mb),
        cpu_percent: narrow(value("cpu_percent", |l| l.cpu_percent.into())),
        disk_mb: value("disk_mb", |l| l.disk_mb),
        tmp_mb: value("tmp_mb", |l| l.tmp_mb),
        timeout_ms: value("timeout_ms", |l| l.timeout_ms),
        grace_ms: value("grace_ms", |l| l.grace_ms),
        tasks: narrow(value("tasks", |l| l.tasks.into())),
        open_files: narrow(value("open_files", |l| l.open_files.into())),
        file_mb: value("file_mb", |l| l.file_mb),
    }
}
