//! Run slots: a number that one run has to itself, and with it host user ids and names of control groups.
//!
//! A slot is a file held by flock(2), so the kernel gives it back whatever way its owner ends. What a killed owner left
//! behind is found by the file's text and cleared by the next owner of the number, or by `gc`.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::ops::RangeInclusive;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};

use super::{Dirs, StateError};

/// First host user id. 1879048192 (0x70000000) and up is left free by systemd's and the distributions' ranges, see
/// <https://systemd.io/UIDS-GIDS/>.
const FIRST_ID: u32 = 0x7000_0000;

/// The most runs at once.
const MOST: u32 = 8192;

/// Tried from the lowest number, so that stale slots are found by the next run; after these, from a number that differs
/// between processes, so that a thousand live runs are not asked one by one.
const LOWEST: u32 = 32;

/// Every id that a run can have.
pub const HOST_IDS: RangeInclusive<u32> = FIRST_ID..=FIRST_ID + 2 * MOST - 1;

/// A slot that this process holds.
#[derive(Debug)]
pub struct Slot {
    number: u32,
    path: PathBuf,
    lock: Flock<File>,
    stale: bool,
    keep: bool,
    folder: String,
}

/// Who holds a slot; what `ps` and `gc` read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Holder {
    /// The run.
    pub run_id: String,
    /// The extension.
    pub extension_id: String,
    /// The supervisor.
    pub pid: u32,
    /// RFC 3339, UTC.
    pub started_at: String,
    /// The folders of its control groups.
    pub cgroups: Vec<PathBuf>,
}

impl Slot {
    /// Takes the first free slot.
    ///
    /// # Errors
    /// [`StateError`]; `EAGAIN` where all are taken.
    pub fn acquire(dirs: &Dirs) -> Result<Self, StateError> {
        let slots = dirs.slots();
        let spread = std::process::id() % MOST;
        let scattered = (0..MOST).map(|step| (spread + step) % MOST);
        for number in (0..LOWEST).chain(scattered) {
            if let Some(slot) = Self::try_number(&slots, number)? {
                return Ok(slot);
            }
        }
        Err(StateError { action: "lock", path: slots, source: Errno::EAGAIN.into() })
    }

    /// Takes every slot whose owner is dead, one at a time, for `gc`.
    ///
    /// # Errors
    /// [`StateError`] where the folder cannot be read.
    pub fn stale(dirs: &Dirs) -> Result<Vec<Self>, StateError> {
        let slots = dirs.slots();
        let entries = match fs::read_dir(&slots) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(StateError::at("read", &slots)(error)),
        };
        let mut stale = Vec::new();
        for entry in entries {
            let entry = entry.map_err(StateError::at("read", &slots))?;
            let number = entry.file_name().to_str().and_then(|name| name.parse().ok());
            if let Some(slot) = number.map(|n| Self::try_number(&slots, n)).transpose()?.flatten() {
                stale.push(slot);
            }
        }
        Ok(stale)
    }

    fn try_number(slots: &Path, number: u32) -> Result<Option<Self>, StateError> {
        let path = slots.join(number.to_string());
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(StateError::at("open", &path))?;
        let lock = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => lock,
            Err((_, Errno::EWOULDBLOCK)) => return Ok(None),
            Err((_, errno)) => return Err(StateError::at("lock", &path)(errno.into())),
        };
        // A former owner may have removed the file between our open and our lock; then the lock is on nothing.
        let same = |on_disk: &fs::Metadata, held: &fs::Metadata| on_disk.ino() == held.ino();
        let held = lock.metadata().map_err(StateError::at("read", &path))?;
        let folder = fs::metadata(slots).map_err(StateError::at("read", slots))?;
        let folder = format!("{:x}-{:x}", folder.dev(), folder.ino());
        match fs::metadata(&path) {
            Ok(on_disk) if same(&on_disk, &held) => {
                Ok(Some(Self { number, path, lock, stale: held.len() > 0, keep: false, folder }))
            }
            _ => Ok(None),
        }
    }

    /// Its number.
    #[must_use]
    pub const fn number(&self) -> u32 {
        self.number
    }

    /// Whether a former owner died without giving it back.
    #[must_use]
    pub const fn was_stale(&self) -> bool {
        self.stale
    }

    /// The host's user and group id of PID 1.
    #[must_use]
    pub const fn shim_id(&self) -> u32 {
        FIRST_ID + 2 * self.number
    }

    /// The host's user and group id of the extension.
    #[must_use]
    pub const fn extension_id(&self) -> u32 {
        self.shim_id() + 1
    }

    /// The name of its control groups. The folder of slots is part of it: a container or chroot that shares the control
    /// groups but has a `/run` of its own counts its own slots, and must not take ours for its leftovers.
    #[must_use]
    pub fn group_name(&self) -> String {
        format!("sandboxctl-{}-{}", self.number, self.folder)
    }

    /// Who held it, where that can be read.
    #[must_use]
    pub fn former_holder(&mut self) -> Option<Holder> {
        let mut text = String::new();
        self.lock.rewind().ok()?;
        self.lock.read_to_string(&mut text).ok()?;
        serde_json::from_str(&text).ok()
    }

    /// Writes who holds it now.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn describe(&mut self, holder: &Holder) -> Result<(), StateError> {
        let text = serde_json::to_vec(holder).map_err(io::Error::from);
        text.and_then(|text| {
            if self.stale {
                self.lock.set_len(0)?;
                self.lock.rewind()?;
            }
            self.lock.write_all(&text)
        })
        .map_err(StateError::at("write", &self.path))
    }

    /// Leaves the slot's file when the slot is dropped, as a killed owner would: something of the run is still there, and
    /// the next owner of the number, or `gc`, finds it by that.
    pub fn abandon(mut self) {
        self.keep = true;
    }
}

/// Gives the slot back.
impl Drop for Slot {
    fn drop(&mut self) {
        // Removed while still locked, so that nobody can have locked this file and believe the number is theirs.
        if !self.keep
            && let Err(error) = fs::remove_file(&self.path)
        {
            tracing::warn!(path = %self.path.display(), %error, "the run's slot stays until gc");
        }
    }
}

/// Everybody who holds a slot now.
///
/// # Errors
/// [`StateError`] where the folder cannot be read.
pub fn holders(dirs: &Dirs) -> Result<Vec<Holder>, StateError> {
    let slots = dirs.slots();
    let entries = match fs::read_dir(&slots) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(StateError::at("read", &slots)(error)),
    };
    let mut holders = Vec::new();
    for entry in entries {
        let entry = entry.map_err(StateError::at("read", &slots))?;
        let Ok(file) = File::open(entry.path()) else {
            continue;
        };
        // A lock that can be had is a slot that nobody holds.
        if Flock::lock(file, FlockArg::LockSharedNonblock).is_ok() {
            continue;
        }
        let text = fs::read_to_string(entry.path()).unwrap_or_default();
        holders.extend(serde_json::from_str::<Holder>(&text));
    }
    Ok(holders)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dirs(name: &str) -> Dirs {
        let base =
            std::env::temp_dir().join(format!("sandboxctl-slot-{name}-{}", std::process::id()));
        let dirs = Dirs {
            state: base.join("state"),
            config: base.join("config"),
            run: base.join("run"),
            host: base.join("host"),
        };
        dirs.prepare().unwrap();
        dirs
    }

    #[test]
    fn each_run_has_a_slot_of_its_own_and_gives_it_back() {
        let dirs = dirs("own");
        let first = Slot::acquire(&dirs).unwrap();
        let second = Slot::acquire(&dirs).unwrap();
        assert_ne!(first.number(), second.number());
        assert_ne!(first.extension_id(), second.shim_id());
        drop(first);
        assert_eq!(Slot::acquire(&dirs).unwrap().number(), 0);
        drop(second);
    }

    #[test]
    fn a_dead_owner_is_noticed() {
        let dirs = dirs("dead");
        let mut slot = Slot::acquire(&dirs).unwrap();
        let holder = Holder {
            run_id: "r".to_owned(),
            extension_id: "a.b".to_owned(),
            pid: 1,
            started_at: String::new(),
            cgroups: vec![],
        };
        assert!(!slot.was_stale());
        slot.describe(&holder).unwrap();
        assert_eq!(holders(&dirs).unwrap(), vec![holder.clone()]);
        slot.abandon();
        assert_eq!(holders(&dirs).unwrap(), vec![]);
        let mut slot = Slot::acquire(&dirs).unwrap();
        assert!(slot.was_stale());
        assert_eq!(slot.former_holder(), Some(holder));
        drop(slot);
        assert_eq!(Slot::stale(&dirs).unwrap().len(), 0);
    }
}
