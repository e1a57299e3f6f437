//! One run at a time has an extension's data.

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use super::{DataError, Place};

/// How long the image's own lock is waited for, as [`PAUSE`] times: 5 s.
const ROUNDS: u32 = 2500;
const PAUSE: Duration = Duration::from_millis(2);

/// Length of what the lock file says, in bytes; a longer run id would only leave the end of an older one behind it.
const RECORD: usize = 128;

/// Who has the data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The run; `None` for an operator's `data` command.
    pub run_id: Option<String>,
    /// The process, if it could be read.
    pub pid: Option<u32>,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.run_id {
            Some(run_id) => write!(f, "run {run_id}")?,
            None => f.write_str("another command")?,
        }
        self.pid.map_or(Ok(()), |pid| write!(f, " (pid {pid})"))
    }
}

/// The lock file, held. It tells who holds it and keeps two runs from making the same image; the file itself stays, as
/// removing it would let two processes hold two files of one name.
#[derive(Debug)]
pub(super) struct Lock(#[expect(dead_code, reason = "held, never read")] Flock<File>);

impl Lock {
    /// Takes it at once, or says who has it.
    pub(super) fn take(place: &Place, run_id: Option<&str>) -> Result<Self, DataError> {
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW)
            .open(&place.lock)
            .map_err(DataError::file("open", &place.lock))?;
        let mut held = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(held) => held,
            Err((mut file, Errno::EWOULDBLOCK)) => {
                let holder = holder(&mut file);
                return Err(DataError::InUse { id: place.id.clone(), holder });
            }
            Err((_, errno)) => {
                return Err(DataError::file("lock", &place.lock)(errno.into()));
            }
        };
        note(&mut held, run_id).map_err(DataError::file("write", &place.lock))?;
        Ok(Self(held))
    }
}

fn note(file: &mut File, run_id: Option<&str>) -> io::Result<()> {
    let line = format!("{} {}\n", std::process::id(), run_id.unwrap_or("-"));
    // Padded instead of truncated first: ext4 flushes a truncated and rewritten file to disk when it is closed. One
    // write, so that whoever reads it finds all or nothing.
    file.write_all(format!("{line:<RECORD$}").as_bytes())
}

fn holder(file: &mut File) -> Holder {
    let mut text = String::new();
    // Only for the message: what cannot be read is left out of it.
    drop(file.take(256).read_to_string(&mut text));
    let mut words = text.split_ascii_whitespace();
    let pid = words.next().and_then(|pid| pid.parse().ok());
    let run_id = words.next().filter(|run_id| *run_id != "-").map(ToOwned::to_owned);
    Holder { run_id, pid }
}

/// Locks the image's open file for as long as it, or a loop device over it, is open.
///
/// It can be busy although nobody has the lock file: the kernel unmounts a dead sandbox's data in the background.
pub(super) fn hold(place: &Place, image: &File) -> Result<(), DataError> {
    for _ in 0..ROUNDS {
        match image.try_lock() {
            Ok(()) => return Ok(()),
            Err(std::fs::TryLockError::WouldBlock) => std::thread::sleep(PAUSE),
            Err(std::fs::TryLockError::Error(source)) => {
                return Err(DataError::file("lock", &place.image)(source));
            }
        }
    }
    let holder = Holder { run_id: None, pid: None };
    Err(DataError::InUse { id: place.id.clone(), holder })
}
