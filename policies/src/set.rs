//! All policy files together: the embedded defaults, and what the operator put in their place.

use std::borrow::Cow;

use serde::Serialize;

use crate::diag::{Diagnostic, DiagnosticSeverity, Diagnostics, code};
use crate::plan::NETWORK;
use crate::reaction::{self, ReactionRules};
use crate::rootfs::{self, Rootfs};
use crate::seccomp::{self, DeniedPolicy, SyscallGroup};
use crate::tier::{self, Tier, TierPolicy};

#[expect(
    clippy::unreadable_literal,
    reason = "numbers of the policy files, as the generator prints them"
)]
mod embedded {
    //! Made by `build.rs` from the TOML files beside it, so that nothing is parsed at a launch.
    include!(concat!(env!("OUT_DIR"), "/embedded.rs"));
}

/// Every policy that a decision and a plan follow from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PolicySet {
    tiers: [TierPolicy; 3],
    groups: Cow<'static, [SyscallGroup]>,
    denied: DeniedPolicy,
    rootfs: Rootfs,
    reactions: ReactionRules,
}

impl PolicySet {
    /// The defaults that are built in. Costs next to nothing: they are data of the program.
    #[must_use]
    pub fn embedded() -> Self {
        embedded::SET.clone()
    }

    /// The defaults, with whole files replaced. `files` are pairs of a name relative to the configuration folder
    /// (`tiers/community.toml`, `seccomp/files.toml`, `rootfs.toml`, `reactions.toml`) and the file's bytes; a new name under `seccomp/` is
    /// a new group, which a tier file has to list.
    ///
    /// # Errors
    /// Every problem of every file, and of the set that they make together.
    pub fn with_overrides(files: &[(&str, &[u8])]) -> Result<Self, Diagnostics> {
        let mut set = Self::embedded();
        let mut problems = Vec::new();
        for (name, bytes) in files {
            if let Err(diagnostics) = set.replace(name, bytes) {
                problems.extend(diagnostics.0);
            }
        }
        if problems.is_empty() {
            set.verify(&mut problems);
        }
        if problems.is_empty() { Ok(set) } else { Err(Diagnostics(problems)) }
    }

    fn replace(&mut self, name: &str, bytes: &[u8]) -> Result<(), Diagnostics> {
        let stem = name.strip_suffix(".toml").unwrap_or_default();
        if let Some(tier) = stem.strip_prefix("tiers/") {
            if let Some(slot) = self.tiers.iter_mut().find(|policy| policy.tier.name() == tier) {
                *slot = tier::parse(slot.tier, name, bytes)?;
                return Ok(());
            }
        } else if stem == "seccomp/denied" {
            self.denied = seccomp::parse_denied(name, bytes)?;
            return Ok(());
        } else if let Some(group) = stem.strip_prefix("seccomp/").filter(|group| is_word(group)) {
            let parsed = seccomp::parse_group(group, name, bytes)?;
            let groups = self.groups.to_mut();
            match groups.iter_mut().find(|slot| slot.name == group) {
                Some(slot) => *slot = parsed,
                None => groups.push(parsed),
            }
            return Ok(());
        } else if stem == "rootfs" {
            self.rootfs = rootfs::parse(name, bytes)?;
            return Ok(());
        } else if stem == "reactions" {
            self.reactions = reaction::parse(name, bytes)?;
            return Ok(());
        }
        let message = String::from("there is no policy file of this name");
        let hint = "tiers/<tier>.toml, seccomp/<group>.toml, rootfs.toml, reactions.toml";
        Err(Diagnostics(vec![problem(name, code::UNKNOWN_FILE, message, hint)]))
    }

    fn verify(&self, problems: &mut Vec<Diagnostic>) {
        for policy in &self.tiers {
            let file = format!("tiers/{}.toml", policy.tier);
            let mut groups = Vec::with_capacity(policy.seccomp.len());
            for name in policy.seccomp.iter() {
                if let Some(group) = self.groups.iter().find(|group| group.name == *name) {
                    groups.push(group);
                } else {
                    let message = format!("there is no seccomp/{name}.toml");
                    problems.push(problem(&file, code::UNKNOWN_GROUP, message, ""));
                }
            }
            // Last: it adds to the others.
            groups.retain(|group: &&SyscallGroup| group.name != NETWORK);
            groups.extend(self.groups.iter().find(|group| group.name == NETWORK));
            seccomp::verify(&file, &groups, &self.denied, problems);
        }
    }

    /// What a tier gives and asks for.
    #[must_use]
    pub fn tier(&self, tier: Tier) -> &TierPolicy {
        match tier {
            Tier::Community => &self.tiers[0],
            Tier::Professional => &self.tiers[1],
            Tier::Enterprise => &self.tiers[2],
        }
    }

    /// Every tier, from the least to the most trusted.
    #[must_use]
    pub fn tiers(&self) -> &[TierPolicy; 3] {
        &self.tiers
    }

    /// The groups of allowed system calls, those that no tier uses included.
    #[must_use]
    pub fn groups(&self) -> &[SyscallGroup] {
        &self.groups
    }

    /// How refused calls are answered.
    #[must_use]
    pub fn denied(&self) -> &DeniedPolicy {
        &self.denied
    }

    /// The description of the file tree.
    #[must_use]
    pub fn rootfs(&self) -> &Rootfs {
        &self.rootfs
    }

    /// What follows from violations.
    #[must_use]
    pub fn reactions(&self) -> &ReactionRules {
        &self.reactions
    }
}

fn is_word(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !name.is_empty() && name.bytes().all(plain)
}

fn problem(file: &str, code: &'static str, message: String, hint: &str) -> Diagnostic {
    Diagnostic {
        code,
        file: file.to_owned(),
        line: 1,
        column: 1,
        message,
        hint: hint.to_owned(),
        severity: DiagnosticSeverity::Error,
    }
}

#[cfg(test)]
mod tests;
