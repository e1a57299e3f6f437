//! The host's audit switch: who turned it on, and who puts it back.
//!
//! Every run holds `audit.lock` shared. The first one, if it has to turn audit on, writes the former values to
//! `audit.json` before it changes anything; the last one to end gets the lock exclusively, puts the values back and
//! removes the file. After a crash the file is still there: the next run keeps it, and so puts back what was before the
//! crash, or `gc` does.
//!
//! A rule of the task filter, `never,task`, spares new processes the cost of audit. Where records are to name processes,
//! three others are in its place, which spare all but those of sandboxes; `audit-processes` is there then. Either stays
//! when the last run ends.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::monitor::coverage::Attribution;
use crate::state::slot::HOST_IDS;
use crate::sys::netlink::{AuditSocket, Spared, Status};

/// What a burst of denials needs so that none is lost on the way to the socket.
const BACKLOG_LIMIT: u32 = 8192;
/// The same where each denial is four records.
const BACKLOG_LIMIT_NAMED: u32 = 4 * BACKLOG_LIMIT;
/// The values before the first run.
const SAVED: &str = "audit.json";
/// There while the rules spare all processes but those of sandboxes, and `never,task` is not among them.
const PROCESSES: &str = "audit-processes";

const ADD_RULE: &str = "add the audit rule never,task";
const REMOVE_RULE: &str = "remove the audit rule never,task";

/// A step with the audit switch failed.
#[derive(Debug, Error)]
pub enum AuditError {
    /// A file of the run directory.
    #[error("failed to {step} {}: {source}", .path.display())]
    File {
        /// What was done.
        step: &'static str,
        /// With which file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A request to the kernel.
    #[error("failed to {step}: {}", .source.desc())]
    Kernel {
        /// What was asked.
        step: &'static str,
        /// What the kernel said.
        #[source]
        source: Errno,
    },
}

/// The values before the first run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Former {
    enabled: u32,
    backlog_limit: u32,
}

/// What a run found or did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Switch {
    /// On, by us: this run or another one that still lives.
    Ours,
    /// On already, by somebody else: nothing was changed.
    Found,
    /// Off, and an audit daemon runs, whose business that is: nothing was changed.
    LeftOff,
}

/// A run's share in the switch.
#[derive(Debug)]
pub struct Share {
    lock: Flock<File>,
    dir: PathBuf,
    /// What became of the switch.
    pub switch: Switch,
    /// Whether processes of sandboxes are named in records: our rules see to it.
    pub names_processes: bool,
    /// Records that the kernel had dropped before; `None` where it was not waited for.
    pub dropped_before: Option<u32>,
}

impl Share {
    /// Takes a share and turns audit on unless it is on, or unless an audit daemon runs and `force` is not set. The
    /// socket has been asked for the status already and must not be subscribed yet. With [`Attribution::Process`],
    /// sandboxes that are started from now on have their processes named, unless the switch is somebody else's.
    pub fn take(
        run_dir: &Path,
        socket: &AuditSocket,
        force: bool,
        attribution: Attribution,
    ) -> Result<Self, AuditError> {
        let path = run_dir.join("audit.lock");
        let file = open_lock(&path)?;
        let (lock, alone) = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => (lock, true),
            Err((file, Errno::EWOULDBLOCK)) => {
                // Whoever sets up holds it exclusively for some 100 us.
                let lock = Flock::lock(file, FlockArg::LockShared)
                    .map_err(|(_, errno)| file_error("lock", &path, errno.into()))?;
                (lock, false)
            }
            Err((_, errno)) => return Err(file_error("lock", &path, errno.into())),
        };
        let saved = run_dir.join(SAVED);
        // Another run lives and has turned it on: what the kernel would answer is known.
        if !alone && saved.exists() {
            if attribution == Attribution::Process {
                spare_all_but_ours_if_need_be(run_dir, socket)?;
            }
            return Ok(Self {
                lock,
                dir: run_dir.to_owned(),
                switch: Switch::Ours,
                names_processes: attribution == Attribution::Process,
                dropped_before: None,
            });
        }
        let early = socket.await_status().map_err(reading)?;
        let dropped_before = Some(early.lost);
        let mut switch = turn_on(run_dir, socket, early, force, attribution)?;
        if alone {
            lock.relock(FlockArg::LockShared)
                .map_err(|errno| file_error("lock", &path, errno.into()))?;
            // The change of a lock is not atomic: a `gc` may have had it in between, and have put everything back.
            if switch == Switch::Ours && !saved.exists() {
                let status = socket.status().map_err(reading)?;
                switch = turn_on(run_dir, socket, status, force, attribution)?;
            }
        }
        let names_processes = attribution == Attribution::Process && switch == Switch::Ours;
        Ok(Self { lock, dir: run_dir.to_owned(), switch, names_processes, dropped_before })
    }

    /// Gives the share back; the last one restores the former values, unless an audit daemon has come meanwhile, whose
    /// business the switch is now. `Ok(true)` if this was the last.
    pub fn give_back(self, auditd: bool) -> Result<bool, AuditError> {
        if self.switch != Switch::Ours {
            return Ok(false);
        }
        match self.lock.relock(FlockArg::LockExclusiveNonblock) {
            Ok(()) => restore(&self.dir, auditd),
            Err(Errno::EWOULDBLOCK) => Ok(false),
            Err(errno) => Err(file_error("lock", &self.dir.join("audit.lock"), errno.into())),
        }
    }
}

/// Puts back what a killed run could not: for `gc`. `Ok(false)` if there was nothing to do or a run still lives.
pub fn recover(run_dir: &Path) -> Result<bool, AuditError> {
    let path = run_dir.join("audit.lock");
    if !path.exists() {
        return Ok(false);
    }
    match Flock::lock(open_lock(&path)?, FlockArg::LockExclusiveNonblock) {
        Ok(_lock) => {
            let auditd =
                AuditSocket::open().and_then(|socket| socket.status()).map_err(reading)?.auditd;
            restore(run_dir, auditd != 0)
        }
        Err((_, Errno::EWOULDBLOCK)) => Ok(false),
        Err((_, errno)) => Err(file_error("lock", &path, errno.into())),
    }
}

/// Removes the rules of the task filter, which runs leave behind on purpose: without them every process that starts later
/// pays for audit in each system call, because it was once on. `Ok(false)` if there was none.
pub fn remove_rules(run_dir: &Path) -> Result<bool, AuditError> {
    let kernel = |step| move |source| AuditError::Kernel { step, source };
    let socket = AuditSocket::open().map_err(kernel("open the audit socket"))?;
    unmark(run_dir)?;
    let all = socket.delete_spared(&Spared::All).map_err(kernel(REMOVE_RULE))?;
    let others = socket.delete_spared(&Spared::AllBut(HOST_IDS)).map_err(kernel(REMOVE_RULE))?;
    Ok(all || others)
}

fn turn_on(
    run_dir: &Path,
    socket: &AuditSocket,
    mut status: Status,
    force: bool,
    attribution: Attribution,
) -> Result<Switch, AuditError> {
    let kernel = |step| move |source| AuditError::Kernel { step, source };
    let saved = run_dir.join(SAVED);
    let ours = saved.exists();
    // That was before we had the lock: if it was on by a run that has ended meanwhile, it is off now.
    if status.enabled != 0 {
        status = socket.status().map_err(reading)?;
    }
    if status.enabled != 0 {
        if ours && attribution == Attribution::Process {
            spare_all_but_ours_if_need_be(run_dir, socket)?;
        }
        return Ok(if ours { Switch::Ours } else { Switch::Found });
    }
    if status.auditd != 0 && !force {
        return Ok(Switch::LeftOff);
    }
    if !ours {
        save(&saved, status)?;
    }
    // The order keeps the kernel's log quiet: while audit is off it reports no change of rules and limits.
    match attribution {
        Attribution::Process => spare_all_but_ours(run_dir, socket)?,
        Attribution::Run => spare_all(run_dir, socket)?,
    }
    let least = match attribution {
        Attribution::Run => BACKLOG_LIMIT,
        Attribution::Process => BACKLOG_LIMIT_NAMED,
    };
    if status.backlog_limit < least {
        socket.set(None, Some(least)).map_err(kernel("raise the audit backlog limit"))?;
    }
    socket.set(Some(1), None).map_err(kernel("turn audit on"))?;
    Ok(Switch::Ours)
}

/// The same while audit is on, when the kernel's log would have a line for every rule that is there already.
fn spare_all_but_ours_if_need_be(dir: &Path, socket: &AuditSocket) -> Result<(), AuditError> {
    if dir.join(PROCESSES).exists() { Ok(()) } else { spare_all_but_ours(dir, socket) }
}

/// From now on processes of sandboxes get an audit context, and no others.
fn spare_all_but_ours(dir: &Path, socket: &AuditSocket) -> Result<(), AuditError> {
    let kernel = |step| move |source| AuditError::Kernel { step, source };
    let marker = dir.join(PROCESSES);
    // In this order nobody else ever gets a context: whom one rule fits is spared.
    socket.add_spared(&Spared::AllBut(HOST_IDS)).map_err(kernel(ADD_RULE))?;
    socket.delete_spared(&Spared::All).map_err(kernel(REMOVE_RULE))?;
    fs::write(&marker, "").map_err(|error| file_error("write", &marker, error))
}

/// From now on no process gets one. The other rules may stay: whom this one fits is spared, and to remove a rule takes the
/// kernel a grace period of RCU, some 15 ms.
fn spare_all(dir: &Path, socket: &AuditSocket) -> Result<(), AuditError> {
    unmark(dir)?;
    socket.add_spared(&Spared::All).map_err(|source| AuditError::Kernel { step: ADD_RULE, source })
}

/// The rules may be others from now on.
fn unmark(dir: &Path) -> Result<(), AuditError> {
    let marker = dir.join(PROCESSES);
    match fs::remove_file(&marker) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(file_error("remove", &marker, error))
        }
        _ => Ok(()),
    }
}

/// Writes the former values, whole or not at all, and never over those of an earlier run.
fn save(path: &Path, status: Status) -> Result<(), AuditError> {
    let former = Former { enabled: status.enabled, backlog_limit: status.backlog_limit };
    let text = serde_json::to_vec(&former)
        .map_err(|error| file_error("write", path, io::Error::other(error)))?;
    let draft = path.with_extension(format!("json.{}", std::process::id()));
    fs::write(&draft, text).map_err(|error| file_error("write", &draft, error))?;
    let linked = fs::hard_link(&draft, path);
    fs::remove_file(&draft).map_err(|error| file_error("remove", &draft, error))?;
    match linked {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(file_error("write", path, error))
        }
        _ => Ok(()),
    }
}

/// Puts the saved values back. The caller holds the lock exclusively.
fn restore(dir: &Path, auditd: bool) -> Result<bool, AuditError> {
    let path = dir.join(SAVED);
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(file_error("read", &path, error)),
    };
    if !auditd {
        let former: Former = serde_json::from_slice(&text)
            .map_err(|error| file_error("read", &path, io::Error::other(error)))?;
        let kernel = |step| move |source| AuditError::Kernel { step, source };
        let socket = AuditSocket::open().map_err(kernel("open the audit socket"))?;
        // One message: the kernel turns audit off first and so reports one change in its log, not two.
        socket
            .set(Some(former.enabled), Some(former.backlog_limit))
            .map_err(kernel("put the audit state back"))?;
    }
    fs::remove_file(&path).map_err(|error| file_error("remove", &path, error))?;
    Ok(true)
}

fn reading(source: Errno) -> AuditError {
    AuditError::Kernel { step: "read the audit status", source }
}

fn open_lock(path: &Path) -> Result<File, AuditError> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(|error| file_error("open", path, error))
}

fn file_error(step: &'static str, path: &Path, source: io::Error) -> AuditError {
    AuditError::File { step, path: path.to_owned(), source }
}
