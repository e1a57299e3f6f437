use super::derive;
use crate::decision::{Decision, DevMode, RegistryFacts, SecurityContext, TrustFacts, decide};
use crate::manifest::Manifest;
use crate::plan::{Plan, Storage, TreeEntry};
use crate::rootfs::within;
use crate::set::PolicySet;

fn plan_of(text: &str) -> (Manifest, Decision, Plan) {
    let policies = PolicySet::embedded();
    let manifest = Manifest::parse_for("extension.toml", text.as_bytes(), &policies)
        .unwrap_or_else(|diagnostics| panic!("{diagnostics}"));
    let tier = policies.tier(manifest.tier);
    let context = SecurityContext {
        manifest: &manifest,
        tier,
        trust: TrustFacts::default(),
        registry: RegistryFacts::default(),
    };
    let decision = decide(&context, DevMode::On);
    let plan = derive(&manifest, tier, &policies, &decision);
    (manifest, decision, plan)
}

fn manifest(tier: &str, rest: &str) -> String {
    format!(
        "[extension]\nid = \"acme.probe\"\nname = \"Probe\"\nversion = \"1.2.3\"\npublisher = \"acme\"\n\
         tier = \"{tier}\"\n{rest}"
    )
}

fn targets(plan: &Plan) -> Vec<&str> {
    plan.tree.iter().filter_map(TreeEntry::target).collect()
}

fn assert_sound(plan: &Plan) {
    let targets = targets(plan);
    for (index, target) in targets.iter().enumerate() {
        let again = targets[..index].contains(target);
        assert!(!again, "{target} is made twice");
        let Some((parent, _)) = target.rsplit_once('/').filter(|(parent, _)| !parent.is_empty())
        else {
            continue;
        };
        let there = plan.tree[..].iter().any(|entry| {
            entry.target().is_some_and(|t| t == parent)
                || matches!(entry, TreeEntry::HostPath { target, .. } if within(parent, target))
                || matches!(entry, TreeEntry::Proc) && within(parent, "/proc")
        });
        assert!(there, "{target} has no parent");
        if let Some(place) = targets.iter().position(|other| *other == parent) {
            assert!(place < index, "{target} comes before its parent");
        }
    }
    for entry in &plan.tree {
        let TreeEntry::Tripwire { target, .. } = entry else {
            continue;
        };
        for rule in &plan.landlock {
            assert!(!within(target, &rule.path), "{} covers tripwire {target}", rule.path);
        }
    }
    for rule in &plan.landlock {
        assert!(!["/", "/etc", "/root", "/var", "/run"].contains(&rule.path.as_str()));
        assert!(targets.contains(&rule.path.as_str()), "rule for {} has no entry", rule.path);
    }
    assert!(plan.seccomp.allow.is_sorted_by(|a, b| a.nr < b.nr));
    assert!(plan.seccomp.errno.is_sorted_by(|a, b| a.nr < b.nr));
    assert!(plan.seccomp.deny.is_sorted_by_key(|line| line.nr));
}

#[test]
fn a_python_bundle_becomes_a_sound_plan() {
    let text = manifest("community", "[run]\ncommand = [\"python3\", \"main.py\"]\n");
    let (_, decision, plan) = plan_of(&text);
    assert_eq!(decision.violated, []);
    assert_sound(&plan);
    assert_eq!(plan.storage, Storage::None);
    assert!(!targets(&plan).contains(&"/data"));
    assert_eq!(plan.workdir, "/ext");
    assert_eq!(plan.env["HOME"], "/tmp");
    assert_eq!(plan.limits, PolicySet::embedded().tiers()[0].limits);
}

#[test]
fn a_bundle_with_its_own_rootfs_sees_nothing_of_the_host() {
    let text = manifest("community", "[run]\ncommand = [\"/app\"]\nruntime = \"bundle\"\n");
    let (_, _, plan) = plan_of(&text);
    assert_sound(&plan);
    assert_eq!(plan.tree[0], TreeEntry::RootfsOfBundle);
    assert!(!plan.tree.iter().any(|entry| {
        matches!(entry, TreeEntry::Mirror { .. } | TreeEntry::File { .. } | TreeEntry::Dir { .. })
    }));
    // Inside a read-only rootfs nothing can be made.
    let deep = |entry: &&TreeEntry| matches!(entry, TreeEntry::Tripwire { target, .. } if target.matches('/').count() > 1);
    assert_eq!(plan.tree.iter().find(deep), None);
}

#[test]
fn granted_files_are_mounted_and_nothing_else() {
    let rest = "[permissions]\nrequest = [\"FILE_DOWNLOAD\", \"FILE_UPLOAD\"]\n\
                [files]\nread = [\"/srv/extensions/acme.probe/in/*\", \"/extensions/acme.probe/both\", \"/extensions/other\"]\n\
                write = [\"/extensions/acme.probe/both/**\", \"/srv/extensions/acme.probe/in/out\"]\n\
                [run]\ncommand = [\"./x\"]\n";
    let (_, _, plan) = plan_of(&manifest("professional", rest));
    assert_sound(&plan);
    let granted: Vec<(&str, bool)> = plan
        .tree
        .iter()
        .filter_map(|entry| match entry {
            TreeEntry::HostPath { target, write } => Some((target.as_str(), *write)),
            _ => None,
        })
        .collect();
    let expected = [
        ("/extensions/acme.probe/both", true),
        ("/srv/extensions/acme.probe/in", false),
        ("/srv/extensions/acme.probe/in/out", true),
    ];
    assert_eq!(granted, expected);
    let srv = TreeEntry::Tripwire { target: String::from("/srv"), dir: true };
    assert_eq!(plan.tree.iter().filter(|entry| entry.target() == Some("/srv")).count(), 1);
    assert!(plan.tree.contains(&srv), "a tripwire above a granted folder stays one");
    // Without the permission nothing is mounted, whatever the manifest asks for.
    let text = manifest("community", rest);
    let (_, decision, plan) = plan_of(&text);
    assert!(!decision.verdict.permits());
    assert!(!plan.tree.iter().any(|entry| matches!(entry, TreeEntry::HostPath { .. })));
}

#[test]
fn the_environment_is_complete_and_the_manifest_may_add() {
    let run = "[run]\ncommand = [\"./x\"]\nenv = { MODE = \"a\", PATH = \"/ext/bin\", _JAVA_OPTIONS = \"-Xmx1m\" }\n\
               [storage]\ndata = \"persistent\"\n[limits]\nmemory_mb = 100\n";
    let (_, _, plan) = plan_of(&manifest("community", run));
    let expected = [
        ("HOME", "/data"),
        ("LANG", "C.UTF-8"),
        ("LOGNAME", "extension"),
        ("MODE", "a"),
        ("NODE_OPTIONS", "--max-old-space-size=60"),
        ("PATH", "/ext/bin"),
        ("SANDBOX", "sandboxctl"),
        ("SANDBOX_DATA", "/data"),
        ("SANDBOX_EXTENSION_ID", "acme.probe"),
        ("SANDBOX_EXTENSION_VERSION", "1.2.3"),
        ("TMPDIR", "/tmp"),
        ("USER", "extension"),
        ("_JAVA_OPTIONS", "-Xmx1m"),
    ];
    let found: Vec<(&str, &str)> =
        plan.env.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(found, expected);
    let (_, _, java) = plan_of(&manifest("community", "[run]\ncommand = [\"java\"]\n"));
    assert_eq!(java.env["JDK_JAVA_OPTIONS"], "-Xmx153m");
}

#[test]
fn limits_are_never_above_the_tier() {
    let policies = PolicySet::embedded();
    let text = manifest("community", "[run]\ncommand = [\"./x\"]\n");
    let (mut manifest, decision, _) = plan_of(&text);
    // A linear congruential generator: the same numbers in each run.
    let mut state = 1_u64;
    let mut next = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let number = state >> 33;
        (!number.is_multiple_of(3)).then_some(number % 1_000_000)
    };
    for round in 0..2000 {
        let narrow = |value: Option<u64>| value.and_then(|value| u32::try_from(value).ok());
        manifest.limits.memory_mb = next();
        manifest.limits.cpu_percent = narrow(next());
        manifest.limits.disk_mb = next();
        manifest.limits.tmp_mb = next();
        manifest.limits.timeout_ms = next();
        manifest.limits.grace_ms = next();
        manifest.limits.tasks = narrow(next());
        manifest.limits.open_files = narrow(next());
        manifest.limits.file_mb = next();
        let tier = &policies.tiers()[round % 3];
        let (most, asked) = (tier.limits, manifest.limits);
        let found = super::join(&manifest, &most);
        assert_eq!(found.memory_mb, asked.memory_mb.unwrap_or(u64::MAX).min(most.memory_mb));
        assert_eq!(found.cpu_percent, asked.cpu_percent.unwrap_or(u32::MAX).min(most.cpu_percent));
        assert_eq!(found.disk_mb, asked.disk_mb.unwrap_or(u64::MAX).min(most.disk_mb));
        assert_eq!(found.tmp_mb, asked.tmp_mb.unwrap_or(u64::MAX).min(most.tmp_mb));
        assert_eq!(found.timeout_ms, asked.timeout_ms.unwrap_or(u64::MAX).min(most.timeout_ms));
        assert!(found.grace_ms <= most.grace_ms && found.grace_ms <= found.timeout_ms);
        assert_eq!(found.tasks, asked.tasks.unwrap_or(u32::MAX).min(most.tasks));
        assert_eq!(found.open_files, asked.open_files.unwrap_or(u32::MAX).min(most.open_files));
        assert_eq!(found.file_mb, asked.file_mb.unwrap_or(u64::MAX).min(most.file_mb));
    }
    let community = policies.tier(manifest.tier);
    assert_sound(&derive(&manifest, community, &policies, &decision));
}

#[test]
fn a_plan_survives_json() {
    let (_, _, plan) = plan_of(&manifest("community", "[run]\ncommand = [\"./x\"]\n"));
    let json = serde_json::to_string(&plan).unwrap();
    assert_eq!(serde_json::from_str::<Plan>(&json).unwrap(), plan);
}

#[test]
fn there_are_few_tripwires() {
    let (_, _, plan) = plan_of(&manifest("community", "[run]\ncommand = [\"./x\"]\n"));
    let count = plan.tree.iter().filter(|e| matches!(e, TreeEntry::Tripwire { .. })).count();
    assert!((10..=20).contains(&count), "{count}");
}
