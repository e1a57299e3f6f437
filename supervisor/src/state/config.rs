//! The operator's configuration: `config.toml`. Everything has a default; a file that is not there is no error.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use crate::egress::ranges::Ranges;
use crate::record::audit::Settings;
use crate::record::audit::forward::Targets;
use crate::record::audit::key::ModuleKey;

/// What the operator decides about this host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Records of path denials, and the audit log.
    pub audit: Audit,
    /// How firmly limits must hold.
    pub limits: Limits,
    /// Runs of unverified bundles.
    pub dev: Dev,
    /// Synthetic addresses.
    pub egress: Ranges,
}

/// Whether the kernel's audit is turned on to learn of path denials.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Landlock {
    /// On, unless an audit daemon runs; then its stream is joined and nothing is changed.
    #[default]
    Auto,
    /// On, whoever else uses it.
    On,
    /// Never touched: path denials are refused but not recorded.
    Off,
}

/// The section `[audit]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Audit {
    /// See [`Landlock`].
    pub landlock: Landlock,
    /// Whether path denials are recorded with the process that was denied. Every system call in a sandbox pays for it.
    pub landlock_processes: bool,
    /// Days for which events are kept: 30 to 36500.
    pub retention_days: u32,
    /// A segment of the log that is larger than this is followed by a new one, in MiB: 1 to 1024.
    pub segment_mb: u32,
    /// Where events are sent besides.
    pub forward: Targets,
    /// The key that signs checkpoints, in a hardware module; without, a file beside the log.
    pub key: Option<ModuleKey>,
}

impl Default for Audit {
    fn default() -> Self {
        Self {
            landlock: Landlock::default(),
            landlock_processes: false,
            retention_days: 365,
            segment_mb: 64,
            forward: Targets::default(),
            key: None,
        }
    }
}

impl Audit {
    /// What of it the log itself needs.
    #[must_use]
    pub fn settings(&self) -> Settings {
        Settings {
            segment_bytes: u64::from(self.segment_mb) << 20,
            forward: self.forward.clone(),
            retention: self.retention(),
            key: self.key.clone(),
        }
    }

    /// How long events are kept.
    #[must_use]
    pub fn retention(&self) -> Duration {
        Duration::from_hours(24 * u64::from(self.retention_days))
    }

    /// What is out of range.
    fn problem(&self) -> Option<String> {
        if !(30..=36_500).contains(&self.retention_days) {
            let days = self.retention_days;
            return Some(format!("retention_days = {days} under [audit]: 30 to 36500"));
        }
        if self.landlock_processes && self.landlock == Landlock::Off {
            return Some(
                "landlock_processes = true under [audit]: with landlock = \"off\" there is no record to name a process in"
                    .to_owned(),
            );
        }
        (!(1..=1024).contains(&self.segment_mb))
            .then(|| format!("segment_mb = {} under [audit]: 1 to 1024", self.segment_mb))
    }
}

/// What happens where a limit cannot be enforced by the kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Weaker {
    /// The next best mechanism is used, and the report names it.
    #[default]
    Report,
    /// The run is refused.
    Refuse,
}

/// The section `[limits]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// See [`Weaker`].
    pub weaker: Weaker,
}

/// Whether `run --dev` may be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DevMode {
    /// Yes: this is a developer's machine, or nobody has decided otherwise.
    #[default]
    Allow,
    /// No: every bundle must pass every check.
    Forbid,
}

/// The section `[dev]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Dev {
    /// See [`DevMode`].
    pub mode: DevMode,
}

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("failed to read {}: {source}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// The errno.
        source: io::Error,
    },
    /// A value that cannot be used.
    #[error("failed to use {}: {reason}", path.display())]
    Value {
        /// Which file.
        path: PathBuf,
        /// Which value, and why.
        reason: String,
    },
    /// A value that this program cannot use here.
    #[error("failed to use {}: {reason}", path.display())]
    Unusable {
        /// Which file.
        path: PathBuf,
        /// Which value, and why.
        reason: String,
        /// What the operator can do.
        hint: &'static str,
    },
    /// The file does not say what it may say.
    #[error("failed to parse {}: {source}", path.display())]
    Parse {
        /// Which.
        path: PathBuf,
        /// Line, column and reason.
        source: Box<toml::de::Error>,
    },
}

impl ConfigError {
    /// What the operator can do.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Unusable { hint, .. } => Some((*hint).to_owned()),
            Self::Read { .. } | Self::Value { .. } | Self::Parse { .. } => None,
        }
    }
}

impl Config {
    /// Reads `config.toml` in the configuration folder.
    ///
    /// # Errors
    /// [`ConfigError`]; a missing file gives the defaults.
    pub fn load(dir: &Path) -> Result<Self, ConfigError> {
        let path = dir.join("config.toml");
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(source) => return Err(ConfigError::Read { path, source }),
        };
        let config: Self = toml::from_str(&text).map_err(|source| ConfigError::Parse {
            path: path.clone(),
            source: Box::new(source),
        })?;
        if let Some(reason) = config.egress.problem().or_else(|| config.audit.problem()) {
            return Err(ConfigError::Value { path, reason });
        }
        match config.audit.key.as_ref().and_then(ModuleKey::problem) {
            Some((reason, hint)) => Err(ConfigError::Unusable { path, reason, hint }),
            None => Ok(config),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_a_default_and_unknown_keys_are_refused() {
        assert_eq!(toml::from_str::<Config>("").unwrap(), Config::default());
        let config: Config = toml::from_str("[limits]\nweaker = \"refuse\"").unwrap();
        assert_eq!(config.limits.weaker, Weaker::Refuse);
        assert!(toml::from_str::<Config>("[limits]\nweak = 1").is_err());
        assert!(toml::from_str::<Config>("limit = 1").is_err());
    }

    #[test]
    fn the_audit_log() {
        let parse = |text: &str| toml::from_str::<Config>(text).map(|config| config.audit);
        let audit = parse("").unwrap();
        assert_eq!(audit.settings(), Settings::default());
        assert_eq!(audit.retention(), Duration::from_hours(365 * 24));
        assert_eq!(audit.problem(), None);
        for bad in [
            "retention_days = 29",
            "retention_days = 40000",
            "segment_mb = 0",
            "landlock = \"off\"\nlandlock_processes = true",
        ] {
            assert!(parse(&format!("[audit]\n{bad}")).unwrap().problem().is_some(), "{bad}");
        }
        // Tests of this program are static like the program itself, or built for a module.
        let key = "[audit.key]\npkcs11 = \"pkcs11:object=k?module-path=/x.so\"\npin_file = ";
        let loads = cfg!(all(feature = "hsm", not(target_feature = "crt-static")));
        let problem = |text: String| toml::from_str::<Config>(&text).unwrap().audit.key;
        let problem = |text: String| problem(text).unwrap().problem();
        assert_eq!(problem(format!("{key}\"/pin\"")).is_none(), loads);
        assert!(problem(format!("{key}\"pin\"")).is_some());
        assert!(toml::from_str::<Config>("[audit.key]\npkcs11 = \"pkcs11:\"").is_err());
        for good in [
            "journald = true",
            "journald = \"/run/x\"",
            "syslog = \"unix:/dev/log\"",
            "syslog = \"udp:192.0.2.1:514\"",
            "syslog = \"tcp:[2001:db8::1]:601\"",
        ] {
            assert!(parse(&format!("[audit.forward]\n{good}")).is_ok(), "{good}");
        }
        for (bad, word) in [
            ("journald = 1", "path of its socket"),
            ("syslog = \"udp:logs.example.com:514\"", "IP address"),
            ("syslog = \"unix:dev/log\"", "unix:/PATH"),
            ("syslog = true", "string"),
            ("other = 1", "unknown field"),
        ] {
            let error = parse(&format!("[audit.forward]\n{bad}")).unwrap_err().to_string();
            assert!(error.contains(word), "{bad}: {error}");
        }
    }
}
