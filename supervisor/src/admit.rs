//! From a bundle to a plan: policies, manifest, decision. Nothing is started here, and nothing that was refused gets on.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use policies::decision::{Decision, DevMode, RegistryFacts, SecurityContext, TrustFacts, decide};
use policies::diag::Diagnostics;
use policies::manifest::Manifest;
use policies::plan::Plan;
use policies::plan::derive::derive;
use policies::set::PolicySet;

use crate::bundle::{Bundle, BundleError, Purpose};
use crate::state::config::{Config, ConfigError, DevMode as DevConfig};
use crate::state::{Dirs, StateError};

/// Why a bundle got no decision.
#[derive(Debug, thiserror::Error)]
pub enum AdmitError {
    /// The operator's configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A policy file of the operator could not be read.
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
            Self::DevForbidden { config } => {
                Some(format!("mode = \"forbid\" under [dev] in {}", config.display()))
            }
            Self::Config(_) | Self::PolicyFile(_) | Self::Policies(_) | Self::Manifest(_) => None,
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
    /// Where the store of bundles is.
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

    /// Decides on a bundle. `purpose` [`Purpose::Run`] is for who will run it.
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
        let bundle = Bundle::open(path, &self.state, purpose)?;
        let name = bundle.manifest_path().display().to_string();
        let manifest = Manifest::parse_for(&name, bundle.manifest(), &self.policies)
            .map_err(AdmitError::Manifest)?;
        bundle.check_identity(&manifest)?;
        let tier = self.policies.tier(manifest.tier);
        let context = SecurityContext {
            manifest: &manifest,
            tier,
            trust: TrustFacts::default(),
            // The registry is not read here yet: what it says about an extension does not apply to runs.
            registry: RegistryFacts::unregistered(),
        };
        let decision = decide(&context, dev);
        let plan = derive(&manifest, tier, &self.policies, &decision);
        Ok(Decided { bundle, manifest, decision, plan })
    }
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
