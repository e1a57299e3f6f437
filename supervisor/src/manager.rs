//! The registry and the decision for programs that embed the supervisor.
//!
//! [`SecurityManager`] is to a host application what `sandboxctl ext`, `check` and the records of runs are to an operator:
//! the same registry, the same decision, the same audit log.
//!
//! # Registering an extension
//!
//! What an extension is comes from its bundle, not from the caller: a context that the caller fills in could claim what no
//! bundle has.
//!
//! ```
//! # use std::{env, fs, process};
//! use policies::decision::State;
//! use sandboxctl::manager::SecurityManager;
//! use sandboxctl::state::Dirs;
//!
//! # let here = env::temp_dir().join(format!("sandboxctl-doc-register-{}", process::id()));
//! # let bundle = here.join("bundle");
//! # fs::create_dir_all(&bundle)?;
//! # fs::write(bundle.join("main.sh"), "echo report")?;
//! fs::write(
//!     bundle.join("extension.toml"),
//!     r#"
//! [extension]
//! id = "publisher-abc.analytics"
//! name = "Analytics Dashboard"
//! version = "1.0.0"
//! publisher = "publisher-abc"
//! tier = "community"
//! [run]
//! command = ["bash", "main.sh"]
//! [permissions]
//! request = ["READ_WORK_ORDERS", "READ_QUALITY_DATA", "GENERATE_REPORTS"]
//! "#,
//! )?;
//! let dirs = Dirs::from_environment(|name| match name {
//!     "SANDBOXCTL_STATE_DIR" => Some(here.join("state").into()),
//!     "SANDBOXCTL_CONFIG_DIR" => Some(here.join("config").into()),
//!     _ => None,
//! });
//! let manager = SecurityManager::new(dirs, "host-application");
//! let registered = manager.register_extension(&bundle)?;
//! assert_eq!(registered.bundle.extension_id, "publisher-abc.analytics");
//! assert_eq!(registered.state, State::Enabled);
//! # fs::remove_dir_all(here)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Enforcing before an execution
//!
//! ```
//! # use std::{env, fs, process};
//! # use sandboxctl::manager::SecurityManager;
//! # use sandboxctl::state::Dirs;
//! # let here = env::temp_dir().join(format!("sandboxctl-doc-enforce-{}", process::id()));
//! # let bundle = here.join("bundle");
//! # fs::create_dir_all(&bundle)?;
//! # fs::write(bundle.join("extension.toml"), "[extension]\nid = \"publisher-abc.analytics\"\nname = \"Analytics\"\nversion = \"1.0.0\"\npublisher = \"publisher-abc\"\ntier = \"community\"\n[run]\ncommand = [\"true\"]\n")?;
//! # let dirs = Dirs::from_environment(|name| match name {
//! #     "SANDBOXCTL_STATE_DIR" => Some(here.join("state").into()),
//! #     "SANDBOXCTL_CONFIG_DIR" => Some(here.join("config").into()),
//! #     _ => None,
//! # });
//! # let manager = SecurityManager::new(dirs, "host-application");
//! # manager.register_extension(&bundle)?;
//! let result = manager.enforce_security_context("publisher-abc.analytics")?;
//! assert!(result.allowed, "{}", result.reason);
//!
//! manager.disable_extension("publisher-abc.analytics", "it misbehaves")?;
//! let result = manager.enforce_security_context("publisher-abc.analytics")?;
//! assert!(!result.allowed);
//! assert_eq!(result.violated_policies[0].code, "extension-disabled");
//! assert_eq!(result.reason, "the extension is disabled: it misbehaves");
//! # fs::remove_dir_all(here)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Checking one permission
//!
//! ```
//! # use std::{env, fs, process};
//! use policies::permission::Permission;
//! # use sandboxctl::manager::SecurityManager;
//! # use sandboxctl::state::Dirs;
//! # let here = env::temp_dir().join(format!("sandboxctl-doc-permission-{}", process::id()));
//! # let bundle = here.join("bundle");
//! # fs::create_dir_all(&bundle)?;
//! # fs::write(bundle.join("extension.toml"), "[extension]\nid = \"publisher-abc.analytics\"\nname = \"Analytics\"\nversion = \"1.0.0\"\npublisher = \"publisher-abc\"\ntier = \"community\"\n[run]\ncommand = [\"true\"]\n[permissions]\nrequest = [\"READ_WORK_ORDERS\"]\n")?;
//! # let dirs = Dirs::from_environment(|name| match name {
//! #     "SANDBOXCTL_STATE_DIR" => Some(here.join("state").into()),
//! #     "SANDBOXCTL_CONFIG_DIR" => Some(here.join("config").into()),
//! #     _ => None,
//! # });
//! # let manager = SecurityManager::new(dirs, "host-application");
//! # manager.register_extension(&bundle)?;
//! let id = "publisher-abc.analytics";
//! assert!(manager.check_permission(id, Permission::ReadWorkOrders)?);
//! // Not asked for.
//! assert!(!manager.check_permission(id, Permission::ReadMaterials)?);
//! // Taken away by the host.
//! manager.deny_permissions(id, &[Permission::ReadWorkOrders], "under investigation")?;
//! assert!(!manager.check_permission(id, Permission::ReadWorkOrders)?);
//! // Nobody registered it.
//! assert!(!manager.check_permission("nobody.knows", Permission::ReadWorkOrders)?);
//! # fs::remove_dir_all(here)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Executing in a sandbox
//!
//! Isolation, limits, domains and paths are those of the bundle's manifest and tier; the caller cannot widen them.
//!
//! ```standalone_crate
//! # use std::{env, fs, process};
//! use sandboxctl::launch::Options;
//! # use sandboxctl::manager::SecurityManager;
//! # use sandboxctl::state::Dirs;
//! # use policies::decision::DevMode;
//! # if !nix::unistd::geteuid().is_root() {
//! #     return Ok(());
//! # }
//! # let here = env::temp_dir().join(format!("sandboxctl-doc-execute-{}", process::id()));
//! # let bundle = here.join("bundle");
//! # fs::create_dir_all(&bundle)?;
//! # fs::write(bundle.join("extension.toml"), "[extension]\nid = \"publisher-abc.analytics\"\nname = \"Analytics\"\nversion = \"1.0.0\"\npublisher = \"publisher-abc\"\ntier = \"community\"\n[run]\ncommand = [\"bash\", \"-c\", \"exit 3\"]\n")?;
//! # let dirs = Dirs::from_environment(|name| match name {
//! #     "SANDBOXCTL_STATE_DIR" => Some(here.join("state").into()),
//! #     "SANDBOXCTL_CONFIG_DIR" => Some(here.join("config").into()),
//! #     _ => None,
//! # });
//! # let manager = SecurityManager::new(dirs, "host-application");
//! # manager.register_extension(&bundle)?;
//! let options =
//!     Options { dev: DevMode::Off, sample_ms: 500, quiet: true, arguments: Vec::new() };
//! let finished = manager.execute("publisher-abc.analytics", &options)?;
//! assert_eq!(finished.report.result.exit_code, Some(3));
//! assert!(finished.report.violations.is_empty());
//! # fs::remove_dir_all(here)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Recording what an execution used
//!
//! ```
//! # use std::{env, fs, process};
//! use std::time::SystemTime;
//!
//! use sandboxctl::report::Usage;
//! # use sandboxctl::manager::SecurityManager;
//! # use sandboxctl::state::Dirs;
//! # let here = env::temp_dir().join(format!("sandboxctl-doc-usage-{}", process::id()));
//! # let bundle = here.join("bundle");
//! # fs::create_dir_all(&bundle)?;
//! # fs::write(bundle.join("extension.toml"), "[extension]\nid = \"publisher-abc.analytics\"\nname = \"Analytics\"\nversion = \"1.0.0\"\npublisher = \"publisher-abc\"\ntier = \"community\"\n[run]\ncommand = [\"true\"]\n")?;
//! # let dirs = Dirs::from_environment(|name| match name {
//! #     "SANDBOXCTL_STATE_DIR" => Some(here.join("state").into()),
//! #     "SANDBOXCTL_CONFIG_DIR" => Some(here.join("config").into()),
//! #     _ => None,
//! # });
//! # let manager = SecurityManager::new(dirs, "host-application");
//! # manager.register_extension(&bundle)?;
//!
//! let id = "publisher-abc.analytics";
//! let usage = Usage {
//!     memory_used_mb: 84.5,
//!     cpu_percentage: 12.0,
//!     disk_used_mb: 3.25,
//!     network_bytes_out: 2_048,
//!     network_bytes_in: 16_384,
//!     execution_time_ms: 1_250,
//!     request_count: 7,
//!     error_count: 1,
//!     ..Usage::default()
//! };
//! manager.record_resource_usage(id, SystemTime::now(), &usage)?;
//! assert_eq!(manager.resource_usage(id, 10)?.last().map(|record| record.usage), Some(usage));
//! # fs::remove_dir_all(here)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::path::Path;
use std::time::{Duration, SystemTime};

use policies::decision::{Decision, DeniedPermission, DevMode, PolicyViolation};
use policies::permission::Permission;
use serde::Serialize;

use crate::admit::{AdmitError, Decided, Rules};
use crate::bundle::Purpose;
use crate::launch::{self, Finished, LaunchError, Options};
use crate::record::clock::rfc3339;
use crate::record::usage::{NoUsage, UsageLog, UsageRecord};
use crate::registry::{Editor, Registered, Registry, RegistryError};
use crate::report::{Status, Usage};
use crate::state::config::{Config, ConfigError};
use crate::state::{Dirs, StateError};

/// Decides on registered extensions for a host application. Holds nothing open: each call sees what every other process
/// has decided meanwhile.
#[derive(Clone, Debug)]
pub struct SecurityManager {
    dirs: Dirs,
    actor: String,
}

/// Why there was no answer. No answer is not "yes".
#[derive(Debug, thiserror::Error)]
pub enum ManagerError {
    /// Configuration or policy files.
    #[error(transparent)]
    Rules(#[from] AdmitError),
    /// The registry.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Records of usage cannot be read or written.
    #[error(transparent)]
    State(#[from] StateError),
    /// Usage that cannot be.
    #[error(transparent)]
    NoUsage(#[from] NoUsage),
    /// A run could not be started or followed.
    #[error(transparent)]
    Launch(#[from] LaunchError),
}

/// Whether an extension may run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Enforcement {
    /// Whether it may.
    pub allowed: bool,
    /// The reasons against it; empty where it may.
    pub reason: String,
    /// Every policy that says no.
    pub violated_policies: Vec<PolicyViolation>,
    /// What it asked for and may not do.
    pub denied_permissions: Vec<DeniedPermission>,
    /// What it may do, where it may run.
    pub granted_permissions: Vec<Permission>,
    /// Advice that changes nothing.
    pub recommendations: Vec<String>,
}

impl From<Decision> for Enforcement {
    fn from(decision: Decision) -> Self {
        let reasons: Vec<&str> =
            decision.violated.iter().map(|violated| violated.reason.as_str()).collect();
        Self {
            allowed: decision.verdict.permits(),
            reason: reasons.join("; "),
            violated_policies: decision.violated,
            denied_permissions: decision.denied,
            granted_permissions: decision.granted,
            recommendations: decision.recommendations,
        }
    }
}

impl SecurityManager {
    /// For the state and configuration in these folders. `actor` goes on record with every act.
    #[must_use]
    pub fn new(dirs: Dirs, actor: &str) -> Self {
        Self { dirs, actor: actor.to_owned() }
    }

    /// Registers a bundle: a new extension, or a new version of one.
    ///
    /// # Errors
    /// [`ManagerError::Registry`].
    pub fn register_extension(&self, bundle: &Path) -> Result<Registered, ManagerError> {
        Ok(self.editor()?.register(bundle, &self.dirs, None)?)
    }

    /// Decides whether the latest registered bundle of an extension may run: its signature is verified anew, and every policy
    /// is looked at.
    ///
    /// # Errors
    /// [`ManagerError`]: there is no such extension, or nobody can say. It must not run then.
    pub fn enforce_security_context(&self, id: &str) -> Result<Enforcement, ManagerError> {
        Ok(self.decide(id)?.into())
    }

    /// Runs the latest registered bundle of an extension in its sandbox, from the store, until it ends; a refusal is a report,
    /// too. The caller must be root, and must have no other thread: the supervisor forks.
    ///
    /// # Errors
    /// [`ManagerError`]: nothing of it ran, or nothing certain can be said.
    pub fn execute(&self, id: &str, options: &Options) -> Result<Finished, ManagerError> {
        let (rules, decided) = self.decided(id, options.dev, Purpose::Run)?;
        launch::run(decided, &rules, &self.dirs, options).map_err(|failed| failed.error.into())
    }

    /// Whether an extension may run, and has a permission: its manifest asks for it, its tier has it, and the host does not
    /// deny it.
    ///
    /// # Errors
    /// [`ManagerError`]: nobody can say. An extension that is not registered has none.
    pub fn check_permission(&self, id: &str, permission: Permission) -> Result<bool, ManagerError> {
        match self.decide(id) {
            Ok(decision) => {
                Ok(decision.verdict.permits() && decision.granted.contains(&permission))
            }
            Err(ManagerError::Registry(RegistryError::NotRegistered { .. })) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Takes the denial of permissions back.
    ///
    /// # Errors
    /// [`ManagerError::Registry`].
    pub fn grant_permissions(
        &self,
        id: &str,
        permissions: &[Permission],
    ) -> Result<(), ManagerError> {
        Ok(self.editor()?.grant(id, permissions)?)
    }

    /// Denies permissions, whatever the manifest asks for.
    ///
    /// # Errors
    /// [`ManagerError::Registry`].
    pub fn deny_permissions(
        &self,
        id: &str,
        permissions: &[Permission],
        reason: &str,
    ) -> Result<(), ManagerError> {
        Ok(self.editor()?.deny(id, permissions, reason)?)
    }

    /// Switches an extension off.
    ///
    /// # Errors
    /// [`ManagerError::Registry`].
    pub fn disable_extension(&self, id: &str, reason: &str) -> Result<(), ManagerError> {
        Ok(self.editor()?.disable(id, reason)?)
    }

    /// Lets an extension run again.
    ///
    /// # Errors
    /// [`ManagerError::Registry`].
    pub fn enable_extension(&self, id: &str) -> Result<(), ManagerError> {
        Ok(self.editor()?.enable(id)?)
    }

    /// Keeps what an execution of a registered extension used that the host application has measured, beside those of runs,
    /// which leave their own records.
    ///
    /// # Errors
    /// [`ManagerError::Registry`] where it is not registered, [`ManagerError::NoUsage`], [`ManagerError::State`].
    pub fn record_resource_usage(
        &self,
        id: &str,
        ended: SystemTime,
        usage: &Usage,
    ) -> Result<(), ManagerError> {
        usage.check()?;
        let extension = self.registry()?.extension(id)?;
        let took = Duration::from_millis(usage.execution_time_ms);
        let record = UsageRecord {
            run_id: None,
            extension_id: extension.id,
            version: extension.version.to_string(),
            tier: extension.tier.name().to_owned(),
            started_at: rfc3339(ended.checked_sub(took).unwrap_or(SystemTime::UNIX_EPOCH)),
            status: Status::Exited,
            usage: *usage,
            violations: 0,
        };
        Ok(UsageLog::new(&self.dirs.state).append(&record)?)
    }

    /// The newest `most` executions of an extension, oldest first.
    ///
    /// # Errors
    /// [`ManagerError::State`].
    pub fn resource_usage(&self, id: &str, most: usize) -> Result<Vec<UsageRecord>, ManagerError> {
        Ok(UsageLog::new(&self.dirs.state).read(id, most)?)
    }

    fn registry(&self) -> Result<Registry, RegistryError> {
        Registry::open(&self.dirs.state)
    }

    fn editor(&self) -> Result<Editor, ManagerError> {
        let config = Config::load(&self.dirs.config)?;
        Ok(Editor::open(&self.dirs.state, &self.actor)?.with_log(config.audit.settings()))
    }

    fn decide(&self, id: &str) -> Result<Decision, ManagerError> {
        Ok(self.decided(id, DevMode::Off, Purpose::Look)?.1.decision)
    }

    /// On the bundle that was registered last, by its digest: an id could be a path, too.
    fn decided(
        &self,
        id: &str,
        dev: DevMode,
        purpose: Purpose,
    ) -> Result<(Rules, Decided), ManagerError> {
        let (_, digest) = self.registry()?.manifest(id)?;
        let rules = Rules::load(&self.dirs)?;
        let decided = rules.decide(Path::new(&format!("sha256:{digest}")), dev, purpose)?;
        Ok((rules, decided))
    }
}
