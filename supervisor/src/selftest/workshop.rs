//! The folder of one selftest: bundles, state and configuration. Removed with it; what a killed one left, the next removes.

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use super::SelftestError;
use crate::state::{Dirs, StateError, private_dir};

/// Before the process id in the names of these folders.
const PREFIX: &str = "selftest.";

/// See the module.
#[derive(Debug)]
pub(super) struct Workshop {
    dir: PathBuf,
}

impl Workshop {
    /// Beneath the state folder: it lies on a disk from which programs may be executed.
    pub(super) fn new(dirs: &Dirs) -> Result<Self, SelftestError> {
        private_dir(&dirs.state)?;
        clear(&dirs.state)?;
        let dir = dirs.state.join(format!("{PREFIX}{}", std::process::id()));
        private_dir(&dir)?;
        let workshop = Self { dir };
        private_dir(&workshop.state())?;
        private_dir(&workshop.config())?;
        configure(&dirs.config, &workshop.config())?;
        Ok(workshop)
    }

    /// `SANDBOXCTL_STATE_DIR` of the runs.
    pub(super) fn state(&self) -> PathBuf {
        self.dir.join("state")
    }

    /// `SANDBOXCTL_CONFIG_DIR` of the runs.
    pub(super) fn config(&self) -> PathBuf {
        self.dir.join("config")
    }

    /// A path of this name in the folder.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// A bundle with this manifest and the probe, which is this binary. One that is there already gets the new manifest.
    pub(super) fn bundle(&self, name: &str, manifest: &str) -> Result<PathBuf, SelftestError> {
        let dir = self.dir.join(name);
        let probe = dir.join("probe");
        if !probe.exists() {
            private_dir(&dir)?;
            open_up(&dir)?;
            fs::copy("/proc/self/exe", &probe).map_err(StateError::at("write", &probe))?;
            open_up(&probe)?;
        }
        let path = dir.join(crate::bundle::MANIFEST);
        fs::write(&path, manifest).map_err(StateError::at("write", &path))?;
        open_up(&path)?;
        Ok(dir)
    }
}

impl Drop for Workshop {
    fn drop(&mut self) {
        // What stays, the next selftest removes.
        fs::remove_dir_all(&self.dir).unwrap_or_default();
    }
}

/// The extension is somebody else: it must be able to read its bundle.
fn open_up(path: &Path) -> Result<(), StateError> {
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
        .map_err(StateError::at("write", path))
}

/// Removes the folders of selftests that are dead.
fn clear(state: &Path) -> Result<(), StateError> {
    for entry in fs::read_dir(state).map_err(StateError::at("read", state))? {
        let path = entry.map_err(StateError::at("read", state))?.path();
        let pid =
            path.file_name().and_then(|name| name.to_str()?.strip_prefix(PREFIX)?.parse().ok());
        let dead = pid.is_some_and(|pid: u32| !Path::new(&format!("/proc/{pid}")).exists());
        if dead {
            fs::remove_dir_all(&path).map_err(StateError::at("remove", &path))?;
        }
    }
    Ok(())
}

/// The operator's configuration, as far as it decides about confinement and recording; and the operator's policies.
///
/// Left out is where else records go (nobody is to be told of attacks that are none) and that `--dev` is forbidden: the
/// bundle is this binary, which nobody has signed or registered, and `--dev` loosens no layer.
fn configure(from: &Path, to: &Path) -> Result<(), SelftestError> {
    let path = from.join("config.toml");
    let failed = |reason: String| SelftestError::Config { path: path.clone(), reason };
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(StateError::at("read", &path)(error).into()),
    };
    let mut table: toml::Table = text.parse().map_err(|error| failed(format!("{error}")))?;
    table.retain(|section, _| ["audit", "limits", "egress"].contains(&section));
    if let Some(audit) = table.get_mut("audit").and_then(toml::Value::as_table_mut) {
        audit.retain(|key, _| key.starts_with("landlock"));
    }
    let kept = toml::to_string(&table).map_err(|error| failed(format!("{error}")))?;
    let target = to.join("config.toml");
    fs::write(&target, kept).map_err(StateError::at("write", &target))?;
    let policies = from.join("policies");
    if policies.exists() {
        let policies = fs::canonicalize(&policies).map_err(StateError::at("open", &policies))?;
        let link = to.join("policies");
        symlink(policies, &link).map_err(StateError::at("create", &link))?;
    }
    Ok(())
}
