//! The way into the audit stream: whether this host has one for us, and what it takes to join.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::errno::Errno;

use super::{AuditSession, Processes, REPORTING_ABI, asking};
use crate::monitor::audit_state::{AuditError, Share, Switch};
use crate::monitor::coverage::{Attribution, AuditMode, Coverage};
use crate::sys::netlink::{AuditSocket, Request};

/// Holds a burst of 100 000 denials while we look elsewhere; memory is used only while records wait.
const RECEIVE_BUFFER: usize = 8 * 1024 * 1024;
/// The same where each denial is four records, of which two are long.
const RECEIVE_BUFFER_NAMED: usize = 8 * RECEIVE_BUFFER;
/// A record is at most `MAX_AUDIT_MESSAGE_LENGTH` = 8970 bytes.
const RECORD_MAX: usize = 9 * 1024;

/// A session whose first question is under way.
#[derive(Debug)]
pub struct Preparing {
    socket: Result<AuditSocket, Coverage>,
    force: bool,
    attribution: Attribution,
}

impl Preparing {
    /// Joins the stream and, if need be and the mode allows, turns audit on. `dir` is [`HOST_DIR`](super::HOST_DIR) and must exist. What
    /// the host cannot give is [`AuditSession::coverage`], not an error.
    pub fn begin(self, dir: &Path) -> Result<AuditSession, AuditError> {
        let socket = match self.socket {
            Ok(socket) => socket,
            Err(coverage) => return Ok(AuditSession::new(coverage)),
        };
        let share = match Share::take(dir, &socket, self.force, self.attribution) {
            Ok(share) if share.switch == Switch::LeftOff => {
                return Ok(AuditSession::new(Coverage::AuditdKeepsItOff));
            }
            Ok(share) => share,
            Err(error) => return unavailable(error).map(AuditSession::new),
        };
        let (processes, buffer) = match self.attribution {
            Attribution::Run => (None, RECEIVE_BUFFER),
            Attribution::Process => {
                let ours = share.names_processes;
                (Some(Processes { ours, named: 0, unnamed: 0 }), RECEIVE_BUFFER_NAMED)
            }
        };
        if let Err(source) = socket.subscribe(buffer) {
            share.give_back(false)?;
            let error = AuditError::Kernel { step: "join the audit stream", source };
            return unavailable(error).map(AuditSession::new);
        }
        Ok(AuditSession {
            socket: Some(socket),
            dropped_before: share.dropped_before,
            processes,
            share: Some(share),
            buffer: vec![0; RECORD_MAX],
            ..AuditSession::new(Coverage::Recorded)
        })
    }
}

impl AuditSession {
    /// Asks the kernel for the audit state. The answer comes from a kernel thread: do other work before
    /// [`Preparing::begin`], which waits for it. `landlock_abi` is the kernel's, 0 without.
    pub fn prepare(
        mode: AuditMode,
        landlock_abi: u32,
        attribution: Attribution,
    ) -> Result<Preparing, AuditError> {
        let socket = if mode == AuditMode::Off {
            Err(Coverage::TurnedOff)
        } else if landlock_abi < REPORTING_ABI {
            Err(Coverage::KernelTooOld { abi: landlock_abi })
        } else if in_other_network_namespace() {
            Err(Coverage::OtherNetworkNamespace)
        } else {
            let opened = AuditSocket::open().and_then(|socket| {
                socket.request_status(Request::First)?;
                Ok(socket)
            });
            opened
                .map_err(asking)
                .map_or_else(|error| unavailable(error).map(Err), |s| Ok(Ok(s)))?
        };
        Ok(Preparing { socket, force: mode == AuditMode::On, attribution })
    }
}

/// Turns "may not" into a reason; anything else stays an error.
fn unavailable(error: AuditError) -> Result<Coverage, AuditError> {
    match error {
        // ECONNREFUSED: how `audit_netlink_ok()` says that this is not the initial user namespace.
        AuditError::Kernel {
            source: Errno::EPERM | Errno::EACCES | Errno::ECONNREFUSED, ..
        } => Ok(Coverage::NotPermitted),
        AuditError::Kernel { source: Errno::EPROTONOSUPPORT, .. } => Ok(Coverage::NoAudit),
        error => Err(error),
    }
}

/// The init process is in the initial network namespace, as far as a process in the initial pid namespace can tell; in
/// another pid namespace audit is not permitted anyway.
fn in_other_network_namespace() -> bool {
    let inode = |path| fs::metadata(path).map(|metadata| metadata.ino()).ok();
    match (inode("/proc/1/ns/net"), inode("/proc/self/ns/net")) {
        (Some(initial), Some(own)) => initial != own,
        _ => false,
    }
}
