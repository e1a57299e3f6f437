//! Persistent `/data`: one ext4 image per extension, which is its hard quota.
//!
//! The image is mounted through a loop device as a *detached* mount: a descriptor that no mount table of the host ever
//! shows. Closing the last copy unmounts it, which frees the loop device, so a supervisor that was killed leaves nothing.
//!
//! The lock is a flock(2) on the image's open file, which the loop device keeps open: it ends exactly when the device is
//! gone, however asynchronous the unmount is. Two devices over one image would destroy it.
//!
//! Deliberately absent: the project quota of the host's filesystem. It would attach faster, but few hosts mount with it.

mod image;
mod lock;
mod read;
#[cfg(test)]
mod tests;

use std::ffi::{CStr, CString};
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::stat::{Mode, fchmod};
use nix::sys::statfs::fstatfs;

use crate::state::names_a_file;
use crate::sys::idmap::user_namespace;
use crate::sys::loopdev::{self, LoopError};
use crate::sys::newmount::{attr, detached, map_ids};

pub use image::missing_tools;
pub use lock::Holder;
pub use read::{Entry, EntryKind, Listing, get, list};

/// The id that owns `/data`, in the image and inside the sandbox.
pub const INSIDE_ID: u32 = 1000;

/// Why persistent data could not be attached or read.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// The id cannot name a file.
    #[error("{id:?} is not an extension id")]
    Id {
        /// What was given.
        id: String,
    },
    /// A file operation on the host's side.
    #[error("failed to {step} {path}: {source}")]
    File {
        /// What was tried.
        step: &'static str,
        /// On what.
        path: PathBuf,
        /// The errno.
        source: io::Error,
    },
    /// A run has it.
    #[error("the data of {id} is in use by {holder}")]
    InUse {
        /// The extension.
        id: String,
        /// Who has it.
        holder: Holder,
    },
    /// It was never made.
    #[error("{id} has no persistent data")]
    Absent {
        /// The extension.
        id: String,
    },
    /// A program of e2fsprogs is missing.
    #[error("failed to find {program} in /usr/sbin, /sbin, /usr/bin or /bin")]
    Tool {
        /// Its name.
        program: &'static str,
    },
    /// A program of e2fsprogs failed.
    #[error("failed to {step} {path}: {program}: {message}")]
    Program {
        /// What was tried.
        step: &'static str,
        /// The image.
        path: PathBuf,
        /// The program.
        program: &'static str,
        /// Its last words, or how it ended.
        message: String,
    },
    /// What is stored does not fit the new limit.
    #[error("failed to shrink {path} to {size_mb} MiB: it holds more")]
    Shrink {
        /// The image.
        path: PathBuf,
        /// The new limit.
        size_mb: u64,
    },
    /// No loop device.
    #[error(transparent)]
    Loop(#[from] LoopError),
    /// The mount.
    #[error("failed to {step} {path}: {source}")]
    Mount {
        /// What was tried.
        step: &'static str,
        /// The image.
        path: PathBuf,
        /// The errno.
        source: io::Error,
    },
    /// A path inside the data.
    #[error("failed to {step} {path:?} in the data of {id}: {source}")]
    Inside {
        /// What was tried.
        step: &'static str,
        /// The path, as given.
        path: String,
        /// The extension.
        id: String,
        /// The errno.
        source: io::Error,
    },
    /// Something that is not handed out.
    #[error("failed to read {path:?} in the data of {id}: {reason}")]
    Refused {
        /// The path, as given.
        path: String,
        /// The extension.
        id: String,
        /// Why.
        reason: &'static str,
    },
    /// Where the data was to go.
    #[error("failed to write what was read: {source}")]
    Output {
        /// From the writer.
        source: io::Error,
    },
}

/// The step of making the user namespace that maps the ids of a mount.
const ID_MAP: &str = "make the id map of";

impl DataError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Tool { .. } => Some("apt-get install e2fsprogs".to_owned()),
            Self::InUse { .. } => {
                Some("one run at a time has an extension's data; wait for it or stop it".to_owned())
            }
            Self::Shrink { .. } => Some(
                "raise disk_mb again, let the extension delete something, or remove its data"
                    .to_owned(),
            ),
            // clone(2): EPERM in a chroot, whatever the privileges.
            Self::File { step: ID_MAP, source, .. }
                if source.kind() == io::ErrorKind::PermissionDenied =>
            {
                Some(
                    "no user namespace can be made inside a chroot: enter it by pivot_root, as \
                     containers do"
                        .to_owned(),
                )
            }
            Self::Program { program: "e2fsck", path, .. } => {
                Some(format!("repair it by hand: e2fsck -f {}", path.display()))
            }
            Self::Loop(error) if error.source.kind() == io::ErrorKind::NotFound => Some(
                "modprobe loop, or give the container /dev/loop-control and loop devices"
                    .to_owned(),
            ),
            _ => None,
        }
    }

    fn file(step: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { step, path, source }
    }
}

/// For whom the data is attached.
#[derive(Clone, Copy, Debug)]
pub struct Owner<'a> {
    /// Whom a refused second run is told about.
    pub run_id: &'a str,
    /// The host's id of the extension in this run; the image's [`INSIDE_ID`] is mapped to it.
    pub host_uid: u32,
}

/// How full `/data` is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskUsage {
    /// In bytes.
    pub used_bytes: u64,
    /// What it can hold, in bytes.
    pub size_bytes: u64,
    /// Files and directories that can still be made.
    pub free_inodes: u64,
}

/// The data of an extension, held by one run. Dropping it lets go; the sandbox's own copy of the mount must be gone too
/// before another run can have it.
#[derive(Debug)]
pub struct Attached {
    // In this order: the mount goes before the lock.
    mount: OwnedFd,
    _lock: lock::Lock,
    /// Whether it was made by this call.
    pub fresh: bool,
}

impl Attached {
    /// The detached mount, to be attached with move_mount(2); noexec, nosuid, nodev, owned by the run's host uid.
    #[must_use]
    pub fn mount_fd(&self) -> BorrowedFd<'_> {
        self.mount.as_fd()
    }

    /// How full it is; one fstatfs(2).
    pub fn usage(&self) -> io::Result<DiskUsage> {
        usage(self.mount.as_fd())
    }
}

/// How full the filesystem is on which a descriptor lies, a tmpfs too.
pub fn usage(fd: BorrowedFd<'_>) -> io::Result<DiskUsage> {
    let stat = fstatfs(fd)?;
    let block = u64::try_from(stat.block_size()).unwrap_or(0);
    let used_bytes = stat.blocks().saturating_sub(stat.blocks_free()).saturating_mul(block);
    let size_bytes = used_bytes.saturating_add(stat.blocks_available().saturating_mul(block));
    Ok(DiskUsage { used_bytes, size_bytes, free_inodes: stat.files_free() })
}

/// Attaches the persistent data of an extension, made or resized to hold `size_mb` MiB.
///
/// Refused at once while another run has it. The caller has a single thread.
pub fn attach(
    state_dir: &Path,
    extension_id: &str,
    size_mb: u64,
    owner: Owner<'_>,
) -> Result<Attached, DataError> {
    let place = Place::new(state_dir, extension_id)?;
    place.make_dir()?;
    let lock = lock::Lock::take(&place, Some(owner.run_id))?;
    let image = match image::open(&place.image, true)? {
        Some(image) => {
            lock::hold(&place, &image)?;
            image::resize(&place.image, &image, size_mb)?;
            (image, false)
        }
        None => (image::create(&place, size_mb)?, true),
    };
    let (image, fresh) = image;
    let mount = match mount(&place.image, &image, false) {
        // The journal was replayed by the attempt, if that was all: this is damage.
        Err(DataError::Mount { .. }) => {
            image::check(&place.image)?;
            mount(&place.image, &image, false)?
        }
        result => result?,
    };
    let error = |step| {
        let path = place.image.clone();
        move |errno: Errno| DataError::Mount { step, path, source: errno.into() }
    };
    if fresh {
        // mkfs leaves 0755, and a lost+found that an extension could only wonder about.
        let root = File::open(format!("/proc/self/fd/{}", mount.as_raw_fd()))
            .map_err(DataError::file("open the root of", &place.image))?;
        fchmod(&root, Mode::S_IRWXU).map_err(error("set the mode of the root of"))?;
        let lost = format!("/proc/self/fd/{}/lost+found", mount.as_raw_fd());
        fs::remove_dir(lost).map_err(DataError::file("remove lost+found from", &place.image))?;
    }
    let namespace =
        user_namespace(INSIDE_ID, owner.host_uid).map_err(DataError::file(ID_MAP, &place.image))?;
    map_ids(mount.as_fd(), namespace.as_fd()).map_err(error("map the ids of"))?;
    Ok(Attached { mount, _lock: lock, fresh })
}

/// Removes the data of an extension. Refused while a run has it.
pub fn remove(state_dir: &Path, extension_id: &str) -> Result<(), DataError> {
    let place = Place::new(state_dir, extension_id)?;
    let absent = || DataError::Absent { id: extension_id.to_owned() };
    if !place.image.exists() {
        return Err(absent());
    }
    let _lock = lock::Lock::take(&place, None)?;
    let image = image::open(&place.image, true)?.ok_or_else(absent)?;
    lock::hold(&place, &image)?;
    fs::remove_file(&place.image).map_err(DataError::file("remove", &place.image))
}

/// Mounts an image, read-only without replaying its journal or writable.
fn mount(path: &Path, image: &File, read_only: bool) -> Result<OwnedFd, DataError> {
    let device = loopdev::attach(image.as_fd(), image::BLOCK, read_only)?;
    let source = CString::new(device.path.as_os_str().as_bytes()).unwrap_or_default();
    let flag: &CStr = c"";
    let writable: [(&CStr, &CStr); 4] = [
        (c"source", &source),
        // Deleted space goes back to the host.
        (c"discard", flag),
        // The image is sparse: its inode tables read as zero already.
        (c"noinit_itable", flag),
        (c"errors", c"remount-ro"),
    ];
    let readable: [(&CStr, &CStr); 3] = [(c"source", &source), (c"ro", flag), (c"noload", flag)];
    let options: &[_] = if read_only { &readable } else { &writable };
    let mut attributes = attr::NOSUID | attr::NODEV | attr::NOEXEC;
    if read_only {
        attributes |= attr::RDONLY;
    }
    // The loop device is closed at the end of this function; from then on the mount alone keeps it.
    detached(c"ext4", options, attributes).map_err(|errno| DataError::Mount {
        step: "mount",
        path: path.to_owned(),
        source: errno.into(),
    })
}

/// The files of one extension's data.
#[derive(Debug)]
struct Place {
    id: String,
    dir: PathBuf,
    image: PathBuf,
    lock: PathBuf,
}

impl Place {
    fn new(state_dir: &Path, id: &str) -> Result<Self, DataError> {
        if !names_a_file(id) {
            return Err(DataError::Id { id: id.to_owned() });
        }
        let dir = state_dir.join("data");
        let (image, lock) = (dir.join(format!("{id}.img")), dir.join(format!("{id}.lock")));
        Ok(Self { id: id.to_owned(), dir, image, lock })
    }

    fn make_dir(&self) -> Result<(), DataError> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.dir)
            .map_err(DataError::file("create", &self.dir))
    }
}
