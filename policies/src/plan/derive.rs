//! From a decision to a plan.

use crate::decision::Decision;
use crate::limits::Limits;
use crate::manifest::Manifest;
use crate::plan::{ExtensionRef, Plan, egress, env, landlock, seccomp, tree};
use crate::set::PolicySet;
use crate::tier::TierPolicy;

/// The extension's user and group id as it sees itself; `/etc/passwd` of `rootfs.toml` names it.
const INSIDE_ID: u32 = 1000;

/// The same for everybody: a host's name tells where a sandbox runs. `/etc/hostname` of `rootfs.toml` says it too.
const HOSTNAME: &str = "sandbox";

/// Describes the sandbox of one run. Only what `decision` grants is in it, whatever the manifest asks for; that the
/// verdict permits a run at all is the caller's to check, so that `explain` can show the sandbox of a refused extension.
#[must_use]
pub fn derive(
    manifest: &Manifest,
    tier: &TierPolicy,
    policies: &PolicySet,
    decision: &Decision,
) -> Plan {
    let limits = join(manifest, &tier.limits);
    let grants = tree::host_paths(manifest, tier, decision);
    let egress = egress::derive(manifest, tier, decision);
    let network = egress.is_some();
    let tree = tree::derive(manifest, policies.rootfs(), &grants, &limits, network);
    let landlock = landlock::derive(&tree);
    Plan {
        extension: ExtensionRef {
            id: manifest.id.clone(),
            name: manifest.name.clone(),
            version: manifest.version.to_string(),
            publisher: manifest.publisher.clone(),
            tier: manifest.tier.name().to_owned(),
        },
        command: manifest.run.command.clone(),
        env: env::derive(manifest, &limits),
        workdir: manifest.run.workdir.clone().unwrap_or_else(|| tree::BUNDLE.to_owned()),
        hostname: HOSTNAME.to_owned(),
        inside_id: INSIDE_ID,
        runtime: manifest.run.runtime,
        storage: manifest.storage,
        tree,
        landlock,
        seccomp: seccomp::derive(tier, policies, egress.is_some()),
        egress,
        limits,
    }
}

/// The lower of what the manifest asks for and what the tier gives.
fn join(manifest: &Manifest, tier: &Limits) -> Limits {
    fn lower<T: Ord + Copy>(asked: Option<T>, most: T) -> T {
        asked.map_or(most, |asked| asked.min(most))
    }
    let asked = &manifest.limits;
    let timeout_ms = lower(asked.timeout_ms, tier.timeout_ms);
    Limits {
        memory_mb: lower(asked.memory_mb, tier.memory_mb),
        cpu_percent: lower(asked.cpu_percent, tier.cpu_percent),
        disk_mb: lower(asked.disk_mb, tier.disk_mb),
        tmp_mb: lower(asked.tmp_mb, tier.tmp_mb),
        timeout_ms,
        // The grace period lies inside the timeout.
        grace_ms: lower(asked.grace_ms, tier.grace_ms).min(timeout_ms),
        tasks: lower(asked.tasks, tier.tasks),
        open_files: lower(asked.open_files, tier.open_files),
        file_mb: lower(asked.file_mb, tier.file_mb),
    }
}

#[cfg(test)]
mod tests;
