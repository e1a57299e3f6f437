//! Where the supervisor keeps things: state that lasts, configuration, and what lives as long as a run.

#[cfg(not(fuzzing))]
pub mod config;
pub mod disabled;
pub mod slot;

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// The folders, from the environment or the usual places.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dirs {
    /// Kept for good: audit records, persistent `/data`. `SANDBOXCTL_STATE_DIR`.
    pub state: PathBuf,
    /// The operator's: `config.toml`, policy overrides. `SANDBOXCTL_CONFIG_DIR`.
    pub config: PathBuf,
    /// Gone at reboot: the folder that roots are mounted on. `SANDBOXCTL_RUN_DIR`.
    pub run: PathBuf,
    /// Where the runs of this host share what the host has once: slots, and with them user ids and names of control
    /// groups, and the audit switch. It does not move: runs that did not know of each other would take the same ids.
    pub host: PathBuf,
}

/// See [`Dirs::host`].
const HOST: &str = "/run/sandboxctl";

/// A folder or file of the supervisor's own that could not be used.
#[derive(Debug, thiserror::Error)]
#[error("failed to {action} {}: {source}", path.display())]
pub struct StateError {
    /// `create`, `open`, `lock`, `read`, `write`.
    pub action: &'static str,
    /// Which.
    pub path: PathBuf,
    /// The errno.
    pub source: io::Error,
}

impl StateError {
    /// For `map_err`.
    pub fn at(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self { action, path, source }
    }
}

impl Dirs {
    /// From `lookup`, which is the environment but for tests.
    pub fn from_environment(lookup: impl Fn(&str) -> Option<std::ffi::OsString>) -> Self {
        let dir = |name: &str, usual: &str| {
            lookup(name).filter(|value| !value.is_empty()).map_or_else(|| usual.into(), Into::into)
        };
        Self {
            state: dir("SANDBOXCTL_STATE_DIR", "/var/lib/sandboxctl"),
            config: dir("SANDBOXCTL_CONFIG_DIR", "/etc/sandboxctl"),
            run: dir("SANDBOXCTL_RUN_DIR", HOST),
            host: HOST.into(),
        }
    }

    /// The audit log.
    #[must_use]
    pub fn audit(&self) -> PathBuf {
        self.state.join("audit")
    }

    /// The folder of run slots.
    #[must_use]
    pub fn slots(&self) -> PathBuf {
        self.host.join("slots")
    }

    /// An empty folder that new roots are mounted on, each in a mount namespace of its own.
    #[must_use]
    pub fn staging(&self) -> PathBuf {
        self.run.join("root")
    }

    /// Creates what a run needs. One stat each on every run but the first.
    ///
    /// # Errors
    /// [`StateError`] with the folder.
    pub fn prepare(&self) -> Result<(), StateError> {
        for path in [self.state.clone(), self.slots(), self.staging()] {
            private_dir(&path)?;
        }
        Ok(())
    }
}

/// Whether an extension id can name a file: what manifests allow, and nothing that a command line could add.
#[must_use]
pub fn names_a_file(id: &str) -> bool {
    let known = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-');
    !id.is_empty() && !id.starts_with('.') && id.len() <= 200 && id.bytes().all(known)
}

/// A folder that only root can enter; parents are made with it.
///
/// # Errors
/// [`StateError`] with the folder.
pub fn private_dir(path: &Path) -> Result<(), StateError> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => Ok(()),
        Ok(_) => Err(StateError {
            action: "create",
            path: path.to_owned(),
            source: io::Error::from(nix::errno::Errno::ENOTDIR),
        }),
        Err(_) => DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(StateError::at("create", path)),
    }
}
