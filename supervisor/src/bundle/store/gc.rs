//! What nobody needs: bundles that nothing names and no run uses, and what killed processes left.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use policies::digest::Digest;
use serde::Serialize;

use super::{Store, StoreError, Stored, UNFINISHED, step_io};

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
            let digest = name.parse::<Digest>().ok();
            if digest.is_some_and(|digest| keep.contains(&digest))
                || digest.is_none() && !name.starts_with(UNFINISHED)
            {
                continue;
            }
            match (self.take_away(&name)?, digest) {
                (Taken::Away(path, lock), digest) => {
                    remove(&path)?;
                    drop(lock);
                    collected.removed.extend(digest);
                    collected.unfinished += usize::from(digest.is_none());
                }
                (Taken::InUse, Some(digest)) => collected.in_use.push(digest),
                (Taken::InUse | Taken::Gone, _) => {}
            }
        }
        collected.removed.sort();
        collected.in_use.sort();
        Ok(collected)
    }

    /// Takes an entry's name away if nobody has it locked: nobody finds half a bundle, also where this process is killed
    /// before it has removed it.
    fn take_away(&self, name: &str) -> Result<Taken, StoreError> {
        let _renaming = self.renaming()?;
        let path = self.path.join(name);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Taken::Gone),
            Err(error) => return Err(step_io("open", &path)(error)),
        };
        match file.try_lock() {
            // Its owner may have renamed it between the two.
            Ok(()) if !self.is_named(&file, name)? => Ok(Taken::Gone),
            Ok(()) => Ok(Taken::Away(self.rename_aside(name)?, file)),
            Err(fs::TryLockError::WouldBlock) => Ok(Taken::InUse),
            Err(fs::TryLockError::Error(error)) => Err(step_io("lock", &path)(error)),
        }
    }

    /// Takes the name of a bundle away that is damaged, as `held`, or, without, as [`Store::get`] says; whoever has it
    /// open keeps it.
    pub(super) fn set_aside(
        &self,
        digest: &Digest,
        held: Option<&Stored>,
    ) -> Result<(), StoreError> {
        let _renaming = self.renaming()?;
        let name = digest.to_string();
        let still = match held {
            Some(stored) => self.is_named(&stored.dir, &name)?,
            None => matches!(self.get(digest), Err(StoreError::Damaged { .. })),
        };
        if still {
            self.rename_aside(&name)?;
        }
        Ok(())
    }

    /// Held by who takes a name away: what was just looked at is then what loses it.
    fn renaming(&self) -> Result<File, StoreError> {
        let lock = File::open(&self.path).and_then(|file| file.lock().map(|()| file));
        lock.map_err(step_io("lock", &self.path))
    }

    fn rename_aside(&self, name: &str) -> Result<PathBuf, StoreError> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let (number, id) = (NEXT.fetch_add(1, Ordering::Relaxed), std::process::id());
        let name_only = name.trim_start_matches(UNFINISHED);
        let (path, aside) = (
            self.path.join(name),
            self.path.join(format!("{UNFINISHED}{id}-{number}-{name_only}")),
        );
        fs::rename(&path, &aside).map_err(step_io("rename", &path))?;
        Ok(aside)
    }
}

/// What became of an entry.
enum Taken {
    /// It has another name, and the lock is ours.
    Away(PathBuf, File),
    /// Somebody has it locked.
    InUse,
    /// There is none any more.
    Gone,
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
