//! Tier files.

use std::borrow::Cow;

use crate::decision::ReviewLevel;
use crate::diag::{Diagnostics, code, nearest};
use crate::document::{Reader, Section, shorten};
use crate::limits::Limits;
use crate::permission::Permission;
use crate::plan::egress::NetworkLimits;
use crate::tier::{
    CheckPolicy, Isolation, RegistrationPolicy, ReviewPolicy, SbomPolicy, SignaturePolicy, Tier,
    TierPolicy,
};

/// Tier files are a page long.
const MAX_BYTES: usize = 64 * 1024;

/// The highest value that any limit of the kernel interfaces below takes without overflow, in MiB: 1 PiB.
const MAX_MB: u64 = 1 << 30;

/// Reads the policy file of `tier`.
pub(crate) fn parse(tier: Tier, file: &str, bytes: &[u8]) -> Result<TierPolicy, Diagnostics> {
    let (mut reader, document) = Reader::open(file, bytes, MAX_BYTES)?;
    let keys = ["tier", "limits", "trust", "network", "sandbox", "permissions"];
    let root = reader.root(&document, &keys);
    for key in keys {
        reader.require(root, key);
    }
    let head = reader.section(root, "tier", &["name", "default_isolation"]);
    name(&mut reader, head, tier);
    let default_isolation =
        required_word(&mut reader, head, "default_isolation", &Isolation::WORDS);
    let limits = limits(&mut reader, root);
    let trust = trust(&mut reader, root);
    let mut keys = vec!["any_domain", "private_addresses"];
    keys.extend(NetworkLimits::KEYS);
    let section = reader.section(root, "network", &keys);
    let any_domain = truth(&mut reader, section, "any_domain");
    let private_addresses = truth(&mut reader, section, "private_addresses");
    let network = network(&mut reader, section);
    let sandbox = reader.section(root, "sandbox", &["memfd_exec", "seccomp", "file_roots"]);
    let memfd_exec = truth(&mut reader, sandbox, "memfd_exec");
    let seccomp = texts(&mut reader, sandbox, "seccomp");
    let file_roots = file_roots(&mut reader, sandbox);
    let permissions = permissions(&mut reader, root);
    if let (false, Some(default_isolation), Some(trust), Some(limits)) =
        (reader.failed(), default_isolation, trust, limits)
    {
        return Ok(TierPolicy {
            tier,
            default_isolation,
            limits,
            signature: trust.signature,
            review: trust.review,
            review_level: trust.review_level,
            registration: trust.registration,
            max_vulnerability_score: trust.max_vulnerability_score,
            vulnerability_check_days: trust.vulnerability_check_days,
            vulnerability_check: trust.vulnerability_check,
            sbom: trust.sbom,
            any_domain,
            private_addresses,
            network,
            memfd_exec,
            seccomp: seccomp.into(),
            file_roots: file_roots.into(),
            permissions: permissions.into(),
        });
    }
    Err(reader.into_diagnostics())
}

/// The section `[trust]`.
struct Trust {
    signature: SignaturePolicy,
    review: ReviewPolicy,
    review_level: ReviewLevel,
    registration: RegistrationPolicy,
    max_vulnerability_score: u8,
    vulnerability_check_days: u32,
    vulnerability_check: CheckPolicy,
    sbom: SbomPolicy,
}

fn trust(reader: &mut Reader<'_>, root: Section<'_, '_>) -> Option<Trust> {
    let keys = [
        "signature",
        "review",
        "review_level",
        "registration",
        "max_vulnerability_score",
        "vulnerability_check_days",
        "vulnerability_check",
        "sbom",
    ];
    let section = reader.section(root, "trust", &keys);
    let signature = required_word(reader, section, "signature", &SignaturePolicy::WORDS);
    let review = required_word(reader, section, "review", &ReviewPolicy::WORDS);
    let review_level = required_word(reader, section, "review_level", &ReviewLevel::WORDS);
    let registration = required_word(reader, section, "registration", &RegistrationPolicy::WORDS);
    let score = number(reader, section, "max_vulnerability_score", 0, 100);
    let days = number(reader, section, "vulnerability_check_days", 1, 3650);
    let check = required_word(reader, section, "vulnerability_check", &CheckPolicy::WORDS);
    let sbom = required_word(reader, section, "sbom", &SbomPolicy::WORDS);
    Some(Trust {
        signature: signature?,
        review: review?,
        review_level: review_level?,
        registration: registration?,
        max_vulnerability_score: u8::try_from(score).unwrap_or(0),
        vulnerability_check_days: u32::try_from(days).unwrap_or(1),
        vulnerability_check: check?,
        sbom: sbom?,
    })
}

fn name(reader: &mut Reader<'_>, head: Section<'_, '_>, tier: Tier) {
    let Some(found) = reader.required_text(head, "name") else {
        return;
    };
    if found.value != tier.name() {
        let message = format!("`name` is \"{}\" in the file of {tier}", shorten(found.value));
        reader.report(found.span, code::UNKNOWN_VALUE, message, "the file name decides");
    }
}

fn required_word<T: Copy>(
    reader: &mut Reader<'_>,
    section: Section<'_, '_>,
    key: &str,
    words: &[(&'static str, T)],
) -> Option<T> {
    reader.require(section, key);
    reader.word(section, key, words)
}

fn number(reader: &mut Reader<'_>, section: Section<'_, '_>, key: &str, min: u64, max: u64) -> u64 {
    reader.require(section, key);
    reader.number(section, key, min..=max).map_or(0, |found| found.value)
}

fn truth(reader: &mut Reader<'_>, section: Section<'_, '_>, key: &str) -> bool {
    reader.require(section, key);
    reader.truth(section, key).unwrap_or(false)
}

fn limits(reader: &mut Reader<'_>, root: Section<'_, '_>) -> Option<Limits> {
    let section = reader.section(root, "limits", &Limits::KEYS);
    let mut value = |key, max| number(reader, section, key, 1, max);
    let limits = Limits {
        memory_mb: value("memory_mb", MAX_MB),
        cpu_percent: u32::try_from(value("cpu_percent", 100_000)).ok()?,
        disk_mb: value("disk_mb", MAX_MB),
        tmp_mb: value("tmp_mb", MAX_MB),
        timeout_ms: value("timeout_ms", 30 * 86_400_000),
        grace_ms: value("grace_ms", 3_600_000),
        tasks: u32::try_from(value("tasks", 1 << 22)).ok()?,
        open_files: u32::try_from(value("open_files", 1 << 20)).ok()?,
        file_mb: value("file_mb", MAX_MB),
    };
    Some(limits)
}

fn network(reader: &mut Reader<'_>, section: Section<'_, '_>) -> NetworkLimits {
    let mut value = |key, max| number(reader, section, key, 1, max);
    let narrow = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
    NetworkLimits {
        connections: narrow(value("connections", 1 << 16)),
        connections_total: value("connections_total", 1 << 40),
        traffic_mb: value("traffic_mb", MAX_MB),
        names_per_wildcard: narrow(value("names_per_wildcard", 1 << 16)),
        idle_ms: value("idle_ms", 86_400_000),
    }
}

fn texts(reader: &mut Reader<'_>, section: Section<'_, '_>, key: &str) -> Vec<Cow<'static, str>> {
    reader.require(section, key);
    let Some(list) = reader.texts(section, key, 64) else {
        return Vec::new();
    };
    list.value.into_iter().map(|found| Cow::Owned(found.value.to_owned())).collect()
}

fn file_roots(reader: &mut Reader<'_>, section: Section<'_, '_>) -> Vec<Cow<'static, str>> {
    reader.require(section, "file_roots");
    let Some(list) = reader.texts(section, "file_roots", 64) else {
        return Vec::new();
    };
    let mut roots = Vec::with_capacity(list.value.len());
    for found in list.value {
        let inner = found.value.strip_prefix('/').and_then(|rest| rest.strip_suffix('/'));
        let plain = |part: &str| !part.is_empty() && part != "." && part != "..";
        if inner.is_some_and(|inner| inner.split('/').all(plain)) {
            roots.push(Cow::Owned(found.value.to_owned()));
        } else {
            let message = format!("\"{}\" is not a folder", shorten(found.value));
            let hint = "absolute, with a slash at the end, below /, without . and ..";
            reader.report(found.span, code::BAD_PATH, message, hint);
        }
    }
    roots
}

fn permissions(reader: &mut Reader<'_>, root: Section<'_, '_>) -> Vec<Permission> {
    let section = reader.section(root, "permissions", &["allow"]);
    reader.require(section, "allow");
    permission_list(reader, section, "allow")
}

/// A list of permissions without repetition, for tiers and manifests.
pub(crate) fn permission_list(
    reader: &mut Reader<'_>,
    section: Section<'_, '_>,
    key: &str,
) -> Vec<Permission> {
    let Some(list) = reader.texts(section, key, 256) else {
        return Vec::new();
    };
    let mut permissions = Vec::with_capacity(list.value.len());
    for found in list.value {
        match Permission::parse(found.value) {
            Some(permission) if permissions.contains(&permission) => {
                let message = format!("{} is named twice", permission.name());
                reader.report(found.span, code::DUPLICATE_ENTRY, message, "");
            }
            Some(permission) => permissions.push(permission),
            None => {
                let known = Permission::ALL.iter().map(|permission| permission.name());
                let hint = nearest(found.value, known).map_or_else(
                    || String::from("`sandboxctl tiers` lists the permissions of each tier"),
                    |near| format!("did you mean {near}?"),
                );
                let message = format!("there is no permission \"{}\"", shorten(found.value));
                reader.report(found.span, code::UNKNOWN_PERMISSION, message, hint);
            }
        }
    }
    permissions
}
