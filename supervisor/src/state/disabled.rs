//! Extensions that a reaction rule has switched off: one small file each, `disabled/<id>.json`.
//!
//! Read before every decision and written when a rule says so. This is the one place that knows how it is kept.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::unistd::geteuid;
use serde::{Deserialize, Serialize};

use super::{StateError, private_dir};

/// Why an extension may not run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Disabled {
    /// Which extension.
    pub extension_id: String,
    /// RFC 3339, UTC.
    pub at: String,
    /// The run in which the rule was met.
    pub run_id: String,
    /// The rule, by name.
    pub rule: String,
    /// In one sentence.
    pub reason: String,
}

/// Switches an extension off. Durable when it returns; a former entry is replaced.
///
/// # Errors
/// [`StateError`]; `EINVAL` where the id cannot name a file.
pub fn disable(state: &Path, entry: &Disabled) -> Result<(), StateError> {
    let path = file_of(state, &entry.extension_id)?;
    let dir = folder(state);
    private_dir(&dir)?;
    let text = serde_json::to_vec_pretty(entry).map_err(io::Error::from);
    // Two runs of one extension may do this at once.
    let fresh = dir.join(format!(".{}.{}", entry.extension_id, std::process::id()));
    let write = |text: Vec<u8>| {
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
        file.write_all(&text)?;
        file.sync_all()?;
        fs::rename(&fresh, &path)?;
        File::open(&dir)?.sync_all()
    };
    text.and_then(write).map_err(StateError::at("write", &path))
}

/// Whether an extension is switched off, and why. A file that cannot be understood still says that it is.
///
/// # Errors
/// [`StateError`] where that cannot be found out, but for users who may not look into the state folder: they cannot run
/// anything either.
pub fn find(state: &Path, id: &str) -> Result<Option<Disabled>, StateError> {
    let path = file_of(state, id)?;
    match fs::read(&path) {
        Ok(text) => Ok(Some(serde_json::from_slice(&text).unwrap_or_else(|error| Disabled {
            extension_id: id.to_owned(),
            at: String::new(),
            run_id: String::new(),
            rule: String::new(),
            reason: format!("{} cannot be understood: {error}", path.display()),
        }))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied && !geteuid().is_root() => {
            Ok(None)
        }
        Err(error) => Err(StateError::at("read", &path)(error)),
    }
}

/// Every extension that is switched off, by id.
///
/// # Errors
/// [`StateError`] where the folder cannot be read.
pub fn all(state: &Path) -> Result<Vec<Disabled>, StateError> {
    let dir = folder(state);
    let entries = match fs::read_dir(&dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(StateError::at("read", &dir)(error)),
    };
    let mut ids = Vec::new();
    for entry in entries {
        let name = entry.map_err(StateError::at("read", &dir))?.file_name();
        let id = name.to_str().and_then(|name| name.strip_suffix(".json"));
        ids.extend(id.map(str::to_owned));
    }
    ids.sort();
    let mut all = Vec::with_capacity(ids.len());
    for id in ids {
        all.extend(find(state, &id)?);
    }
    Ok(all)
}

/// Lets an extension run again; what was there, if anything.
///
/// # Errors
/// [`StateError`].
pub fn enable(state: &Path, id: &str) -> Result<Option<Disabled>, StateError> {
    let path = file_of(state, id)?;
    let entry = find(state, id)?;
    match fs::remove_file(&path) {
        Ok(()) => Ok(entry),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(StateError::at("remove", &path)(error)),
    }
}

fn folder(state: &Path) -> PathBuf {
    state.join("disabled")
}

/// Manifests have no other ids; a command line may.
fn file_of(state: &Path, id: &str) -> Result<PathBuf, StateError> {
    let path = folder(state).join(format!("{id}.json"));
    if super::names_a_file(id) {
        Ok(path)
    } else {
        Err(StateError { action: "open", path, source: nix::errno::Errno::EINVAL.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_found_until_it_is_cleared() {
        let state = std::env::temp_dir().join(format!("sandboxctl-off-{}", std::process::id()));
        assert_eq!(find(&state, "a.b").unwrap(), None);
        assert_eq!(all(&state).unwrap(), []);
        let entry = Disabled {
            extension_id: "a.b".to_owned(),
            at: "2026-11-23T20:00:00.000000Z".to_owned(),
            run_id: "r".to_owned(),
            rule: "escape".to_owned(),
            reason: "test".to_owned(),
        };
        disable(&state, &entry).unwrap();
        disable(&state, &entry).unwrap();
        assert_eq!(find(&state, "a.b").unwrap().as_ref(), Some(&entry));
        assert_eq!(find(&state, "a.bc").unwrap(), None);
        assert_eq!(all(&state).unwrap(), std::slice::from_ref(&entry));
        assert_eq!(enable(&state, "a.b").unwrap(), Some(entry));
        assert_eq!(enable(&state, "a.b").unwrap(), None);
        // Damage does not switch it on.
        fs::write(state.join("disabled/a.b.json"), "{").unwrap();
        assert!(find(&state, "a.b").unwrap().unwrap().reason.contains("cannot be understood"));
        for id in ["", "..", "../x", "a/b", "A.b"] {
            assert!(disable(&state, &entry_of(id)).is_err());
            assert!(find(&state, id).is_err(), "{id}");
        }
        fs::remove_dir_all(&state).unwrap();
    }

    fn entry_of(id: &str) -> Disabled {
        Disabled {
            extension_id: id.to_owned(),
            at: String::new(),
            run_id: String::new(),
            rule: String::new(),
            reason: String::new(),
        }
    }
}
