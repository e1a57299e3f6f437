//! What nobody needs: bundles that nothing names and no run uses, and what killed processes left.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use policies::digest::Digest;
use serde::Serialize;

use super::{Store, StoreError, UNFINISHED, step_io};

/// What `gc` did.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Collected {
    /// Bundles that were removed.
    pub removed: Vec<Digest>,
    /// Bundles that nothing names, kept because a run uses them now.
    pub in_use: Vec<Digest>,
    /// Unfinished copies that were removed.
    pub unfinished: usize,
}

impl Store {
    /// Removes every bundle that `keep` does not name, unless a run uses it, and every unfinished copy whose process is
    /// dead.
    ///
    /// # Errors
    /// [`StoreError`]; what was removed before stays removed.
    pub fn gc(&self, keep: &BTreeSet<Digest>) -> Result<Collected, StoreError> {
        let mut collected = Collected::default();
        for name in self.names()? {
            let path = self.path.join(&name);
            if name.starts_with(UNFINISHED) {
                if let Some(lock) = unused(&path)? {
                    remove(&path)?;
                    collected.unfinished += 1;
                    drop(lock);
                }
                continue;
            }
            let Ok(digest) = name.parse::<Digest>() else { continue };
            if keep.contains(&digest) {
                continue;
            }
            let Some(lock) = unused(&path)? else {
                collected.in_use.push(digest);
                continue;
            };
            // First out of sight: nobody finds half a bundle, also where this process is killed here.
            remove(&self.set_aside(&name)?)?;
            collected.removed.push(digest);
            drop(lock);
        }
        collected.removed.sort();
        collected.in_use.sort();
        Ok(collected)
    }

    /// Takes a bundle's name away; whoever has it open keeps it.
    pub(super) fn set_aside(&self, name: &str) -> Result<PathBuf, StoreError> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let (path, id) = (self.path.join(name), std::process::id());
        let aside = self.path.join(format!("{UNFINISHED}{id}-gone-{number}-{name}"));
        match fs::rename(&path, &aside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(step_io("rename", &path)(error))
            }
            _ => Ok(aside),
        }
    }
}

/// The exclusive lock; `None` where somebody has it or it is gone.
fn unused(path: &Path) -> Result<Option<File>, StoreError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(step_io("open", path)(error)),
    };
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(fs::TryLockError::WouldBlock) => Ok(None),
        Err(fs::TryLockError::Error(error)) => Err(step_io("lock", path)(error)),
    }
}

fn remove(path: &Path) -> Result<(), StoreError> {
    let removed = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(step_io("remove", path)(error))
        }
        _ => Ok(()),
    }
}
