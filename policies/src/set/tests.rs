use super::PolicySet;
use crate::limits::Limits;
use crate::permission::Permission;
use crate::tier::{Isolation, ReviewPolicy, SignaturePolicy, Tier};

const COMMUNITY: &str = include_str!("../../tiers/community.toml");
const FILES: [(&str, &str); 13] = [
    ("tiers/community.toml", COMMUNITY),
    ("tiers/professional.toml", include_str!("../../tiers/professional.toml")),
    ("tiers/enterprise.toml", include_str!("../../tiers/enterprise.toml")),
    ("seccomp/denied.toml", include_str!("../../seccomp/denied.toml")),
    ("seccomp/files.toml", include_str!("../../seccomp/files.toml")),
    ("seccomp/memory.toml", include_str!("../../seccomp/memory.toml")),
    ("seccomp/process.toml", include_str!("../../seccomp/process.toml")),
    ("seccomp/time.toml", include_str!("../../seccomp/time.toml")),
    ("seccomp/ipc.toml", include_str!("../../seccomp/ipc.toml")),
    ("seccomp/network.toml", include_str!("../../seccomp/network.toml")),
    ("seccomp/identity.toml", include_str!("../../seccomp/identity.toml")),
    ("rootfs.toml", include_str!("../../rootfs.toml")),
    ("reactions.toml", include_str!("../../reactions.toml")),
];

fn refused(name: &str, text: &str) -> Vec<String> {
    let problems = PolicySet::with_overrides(&[(name, text.as_bytes())]).unwrap_err();
    problems.iter().map(|d| format!("{}:{}@{}:{}", d.file, d.code, d.line, d.column)).collect()
}

#[test]
fn the_strict_parser_reads_what_the_build_embedded() {
    let files = FILES.map(|(name, text)| (name, text.as_bytes()));
    let parsed = PolicySet::with_overrides(&files).unwrap_or_else(|problems| panic!("{problems}"));
    let embedded = PolicySet::embedded();
    assert_eq!(parsed.tiers(), embedded.tiers());
    assert_eq!(parsed.groups(), embedded.groups());
    assert_eq!(parsed.denied(), embedded.denied());
    assert_eq!(parsed.rootfs(), embedded.rootfs());
    assert_eq!(parsed.reactions(), embedded.reactions());
    assert_eq!(embedded.groups().len() + 6, FILES.len(), "a group is missing in this test");
}

#[test]
fn tiers_are_the_customers_table() {
    let policies = PolicySet::embedded();
    let rows = [
        (
            256,
            25,
            100,
            30_000,
            64,
            256,
            100,
            SignaturePolicy::Optional,
            ReviewPolicy::None,
            false,
            6,
        ),
        (
            512,
            50,
            500,
            120_000,
            128,
            1024,
            500,
            SignaturePolicy::TrustedIssuer,
            ReviewPolicy::PerVersion,
            false,
            15,
        ),
        (
            2048,
            100,
            5120,
            600_000,
            512,
            4096,
            5120,
            SignaturePolicy::VerifiedPublisher,
            ReviewPolicy::PerVersion,
            true,
            23,
        ),
    ];
    for (tier, row) in Tier::ALL.into_iter().zip(rows) {
        let policy = policies.tier(tier);
        assert_eq!(policy.tier, tier);
        let Limits {
            memory_mb,
            cpu_percent,
            disk_mb,
            timeout_ms,
            tasks,
            open_files,
            file_mb,
            grace_ms,
            ..
        } = policy.limits;
        let found = (
            memory_mb,
            cpu_percent,
            disk_mb,
            timeout_ms,
            tasks,
            open_files,
            file_mb,
            policy.signature,
            policy.review,
            policy.any_domain,
            policy.permissions.len(),
        );
        assert_eq!(found, row, "{tier}");
        assert_eq!(
            (grace_ms, policy.max_vulnerability_score, policy.memfd_exec),
            (2000, 50, false)
        );
        assert_eq!(policy.default_isolation, Isolation::Full);
    }
}

#[test]
fn permissions_are_the_customers_table() {
    use Permission::{
        AccessAnalytics, ExternalApiCalls, FileDownload, FileUpload, GenerateReports,
        ReadEquipmentData, ReadMaterials, ReadPersonnelData, ReadProductionSchedule,
        ReadQualityData, ReadWorkOrders, WebhookRegistration, WriteEquipmentData, WriteQualityData,
        WriteWorkOrders,
    };
    let policies = PolicySet::embedded();
    let [community, professional, enterprise] = policies.tiers();
    let first = [
        ReadWorkOrders,
        ReadMaterials,
        ReadQualityData,
        ReadEquipmentData,
        GenerateReports,
        ExternalApiCalls,
    ];
    let added = [
        WriteWorkOrders,
        WriteQualityData,
        WriteEquipmentData,
        ReadProductionSchedule,
        ReadPersonnelData,
        FileUpload,
        FileDownload,
        WebhookRegistration,
        AccessAnalytics,
    ];
    assert_eq!(*community.permissions, first);
    assert_eq!(*professional.permissions, [&first[..], &added[..]].concat());
    assert!(Permission::ALL.iter().all(|permission| enterprise.permissions.contains(permission)));
}

#[test]
fn an_override_replaces_its_file_only() {
    let text = COMMUNITY.replace("memory_mb = 256", "memory_mb = 64");
    let policies = PolicySet::with_overrides(&[("tiers/community.toml", text.as_bytes())]).unwrap();
    assert_eq!(policies.tier(Tier::Community).limits.memory_mb, 64);
    assert_eq!(policies.tier(Tier::Enterprise), PolicySet::embedded().tier(Tier::Enterprise));
}

#[test]
fn bad_overrides_are_refused_with_every_problem() {
    let text = COMMUNITY
        .replace("memory_mb = 256", "memory_mb = 0")
        .replace("\"READ_MATERIALS\"", "\"READ_MATERIAL\"")
        .replace("any_domain = false", "any_domains = false")
        .replace("\"/srv/", "\"srv/");
    let expected = [
        "tiers/community.toml:number-out-of-range@7:13",
        "tiers/community.toml:missing-key@27:1",
        "tiers/community.toml:unknown-key@28:1",
        "tiers/community.toml:bad-path@39:36",
        "tiers/community.toml:unknown-permission@44:3",
    ];
    assert_eq!(refused("tiers/community.toml", &text), expected);
    assert_eq!(refused("tiers/gold.toml", COMMUNITY), ["tiers/gold.toml:unknown-file@1:1"]);
    assert_eq!(refused("../x.toml", ""), ["../x.toml:unknown-file@1:1"]);
    assert_eq!(refused("seccomp/../x.toml", ""), ["seccomp/../x.toml:unknown-file@1:1"]);
    let swapped = refused("tiers/professional.toml", COMMUNITY);
    assert_eq!(swapped, ["tiers/professional.toml:unknown-value@3:8"]);
}

#[test]
fn overrides_cannot_break_the_launch_or_blind_the_record() {
    let lacking = FILES[6].1.replace("\"execveat\", ", "");
    let lacking = refused("seccomp/process.toml", &lacking);
    assert_eq!(lacking.len(), 3, "once a tier: {lacking:?}");
    assert!(lacking[0].contains("required-syscall-missing"), "{lacking:?}");
    let unknown = COMMUNITY.replace("\"time\"", "\"tyme\"");
    assert!(refused("tiers/community.toml", &unknown)[0].contains("unknown-group"));
    let blind = format!("{}\n[[allow]]\nsyscalls = [\"seccomp\"]\nreason = \"x\"\n", FILES[5].1);
    assert!(refused("seccomp/memory.toml", &blind)[0].contains("forbidden-syscall"));
    let silent = FILES[3].1.replace("\"clone3\"", "\"ustat\"");
    assert!(refused("seccomp/denied.toml", &silent)[0].contains("required-syscall-missing"));
}

#[test]
fn rootfs_overrides_are_checked() {
    let mirror =
        |path: &str| format!("[[mirror]]\npath = \"{path}\"\nexec = true\nreason = \"x\"\n");
    let opt = mirror("/opt");
    assert!(PolicySet::with_overrides(&[("rootfs.toml", opt.as_bytes())]).is_ok());
    for path in ["/", "opt", "/proc/x", "/opt/../etc", "/data"] {
        assert_eq!(refused("rootfs.toml", &mirror(path)).len(), 1, "{path}");
    }
    let tripwire = "[[tripwire]]\npath = \"/opt/x\"\ndir = true\nreason = \"x\"\n";
    assert_eq!(refused("rootfs.toml", &(opt.clone() + tripwire)), ["rootfs.toml:bad-path@5:1"]);
    assert_eq!(refused("rootfs.toml", &opt.repeat(2)), ["rootfs.toml:duplicate-entry@6:8"]);
}
