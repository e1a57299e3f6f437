//! From a bundle to a plan: policies, manifest, decision. Nothing is started here, and nothing that was refused gets on.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use policies::decision::{
    Decision, DevMode, Evaluated, Registration, RegistryFacts, SecurityContext, State, decide,
};
use policies::diag::Diagnostics;
use policies::manifest::Manifest;
use policies::plan::Plan;
use policies::plan::derive::derive;
use policies::set::PolicySet;
use policies::tier::Tier;

use crate::bundle::{Bundle, BundleError, Purpose};
use crate::registry::{Registry, RegistryError, Target};
use crate::state::config::{Config, ConfigError, DevMode as DevConfig};
use crate::state::{Dirs, StateError, disabled};
use crate::trust::anchors::TrustStoreError;
use crate::trust::{self, Verification};

/// Why a bundle got no decision.
#[derive(Debug, thiserror::Error)]
pub enum AdmitError {
    /// The operator's configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A policy file of the operator could not be read, or what is known about the extension.
    #[error(transparent)]
    PolicyFile(#[from] StateError),
    /// A policy file of the operator, with every problem.
    #[error("{0}")]
    Policies(Diagnostics),
    /// The bundle.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The manifest, with every problem.
    #[error("{0}")]
    Manifest(Diagnostics),
    /// What the host trusts cannot be read.
    #[error(transparent)]
    Trust(#[from] TrustStoreError),
    /// What the host decided cannot be read.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The operator forbids development runs.
    #[error("failed to start a development run: the operator forbids them")]
    DevForbidden {
        /// The file that says so.
        config: PathBuf,
    },
}

impl AdmitError {
    /// What to do about it; diagnostics carry their own.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Bundle(error) => error.hint(),
            Self::Trust(error) => error.hint(),
            Self::Registry(error) => error.hint(),
            Self::DevForbidden { config } => {
                Some(format!("mode = \"forbid\" under [dev] in {}", config.display()))
            }
            Self::Config(error) => error.hint(),
            Self::PolicyFile(_) | Self::Policies(_) | Self::Manifest(_) => None,
        }
    }
}

/// A bundle whose manifest was read and decided on.
#[derive(Debug)]
pub struct Decided {
    /// The bundle.
    pub bundle: Bundle,
    /// What it claims and asks for.
    pub manifest: Manifest,
    /// The answer.
    pub decision: Decision,
    /// Every check of its signature; none of a folder without `MANIFEST`.
    pub verification: Option<Verification>,
    /// What it would get: derived for a refused bundle too, so that `explain` can show it.
    pub plan: Plan,
}

/// The operator's side of every decision.
#[derive(Debug)]
pub struct Rules {
    /// The policies that apply.
    pub policies: PolicySet,
    /// The operator's configuration.
    pub config: Config,
    /// Where it was looked for.
    pub dir: PathBuf,
    /// Where registry, store, and what earlier runs led to are kept.
    pub state: PathBuf,
}

impl Rules {
    /// Reads configuration and policy files; both are optional.
    ///
    /// # Errors
    /// [`AdmitError::Config`], [`AdmitError::PolicyFile`], [`AdmitError::Policies`].
    pub fn load(dirs: &Dirs) -> Result<Self, AdmitError> {
        let config = Config::load(&dirs.config)?;
        let files = overrides(&dirs.config)?;
        let policies = if files.is_empty() {
            PolicySet::embedded()
        } else {
            let files: Vec<_> =
                files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
            PolicySet::with_overrides(&files).map_err(AdmitError::Policies)?
        };
        Ok(Self { policies, config, dir: dirs.config.clone(), state: dirs.state.clone() })
    }

    /// Decides on a bundle, or on a registered extension by its id. `purpose` [`Purpose::Run`] is for who will run it.
    ///
    /// A registered extension runs from the store only, so that what was registered and reviewed is what runs.
    ///
    /// # Errors
    /// [`AdmitError`]. A refusal is no error but a decision.
    pub fn decide(
        &self,
        path: &Path,
        dev: DevMode,
        purpose: Purpose,
    ) -> Result<Decided, AdmitError> {
        if dev == DevMode::On && self.config.dev.mode == DevConfig::Forbid {
            return Err(AdmitError::DevForbidden { config: self.dir.join("config.toml") });
        }
        let now = SystemTime::now();
        let registry = Registry::open(&self.state)?;
        let path = named(path, &registry)?;
        let mut bundle = Bundle::open(&path, &self.state, purpose)?;
        let name = bundle.manifest_path().display().to_string();
        let manifest = Manifest::parse_for(&name, bundle.manifest(), &self.policies)
            .map_err(AdmitError::Manifest)?;
        let mut facts = facts(&registry, &bundle, &manifest, now)?;
        if bundle.statement().is_none() && is_known(&facts) {
            bundle = bundle.with_list(&manifest, &self.state, purpose)?;
            facts = self::facts(&registry, &bundle, &manifest, now)?;
        }
        bundle.check_identity(&manifest)?;
        let vetted = trust::vet(&bundle, &manifest, &self.dir, now)?;
        if let Some(entry) = disabled::find(&self.state, &manifest.id)? {
            switch_off(&mut facts.registration, manifest.tier, entry.reason);
        }
        let tier = self.policies.tier(manifest.tier);
        let context =
            SecurityContext { manifest: &manifest, tier, trust: vetted.facts, registry: facts };
        let decision = decide(&context, dev);
        let plan = derive(&manifest, tier, &self.policies, &decision);
        Ok(Decided { bundle, manifest, decision, verification: vetted.verification, plan })
    }
}

/// The stored bundle of a registered extension, where `path` is its id, `ID@VERSION` or a digest, and nothing of that name is
/// there.
fn named(path: &Path, registry: &Registry) -> Result<PathBuf, RegistryError> {
    let target = path.to_str().filter(|text| !text.contains('/') && !path.exists());
    let Some(Ok(target)) = target.map(str::parse::<Target>) else { return Ok(path.to_owned()) };
    let found = registry.bundle(&target)?;
    Ok(found.map_or_else(|| path.to_owned(), |bundle| format!("sha256:{}", bundle.digest).into()))
}

fn facts(
    registry: &Registry,
    bundle: &Bundle,
    manifest: &Manifest,
    now: SystemTime,
) -> Result<RegistryFacts, RegistryError> {
    let digest = bundle.statement().map(|statement| statement.text.digest());
    registry.facts(&manifest.id, digest, &manifest.version, now)
}

/// What a reaction rule has switched off is disabled, registered or not. A state of the registry that refuses it too stands.
fn switch_off(registration: &mut Evaluated<Registration>, tier: Tier, why: String) {
    match registration {
        Evaluated::Found(Registration::Known { state, reason, .. }) => {
            if *state == State::Enabled {
                (*state, *reason) = (State::Disabled, why);
            }
        }
        Evaluated::NotEvaluated | Evaluated::Found(Registration::Unknown) => {
            let state = State::Disabled;
            let known = Registration::Known { tier, state, reason: why, expires: None };
            *registration = Evaluated::Found(known);
        }
    }
}

fn is_known(facts: &RegistryFacts) -> bool {
    matches!(facts.registration, Evaluated::Found(Registration::Known { .. }))
}

/// Policy files of the operator: `policies/` in the configuration folder, laid out like the project's own.
fn overrides(config: &Path) -> Result<Vec<(String, Vec<u8>)>, StateError> {
    let root = config.join("policies");
    let mut files = Vec::new();
    for sub in ["", "tiers", "seccomp"] {
        let dir = root.join(sub);
        let entries = match fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if sub.is_empty() {
                    return Ok(files);
                }
                continue;
            }
            Err(error) => return Err(StateError::at("read", &dir)(error)),
        };
        for entry in entries {
            let path = entry.map_err(StateError::at("read", &dir))?.path();
            if path.extension().is_some_and(|extension| extension == "toml") {
                let bytes = fs::read(&path).map_err(StateError::at("read", &path))?;
                let name = path.strip_prefix(&root).unwrap_or(&path).display().to_string();
                files.push((name, bytes));
            }
        }
    }
    // The order of a folder is no order.
    files.sort();
    Ok(files)
}
