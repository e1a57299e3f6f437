//! Starting the shim in its namespaces, and talking to it.

pub mod control;
mod image;

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::sys::wait::{Id, WaitPidFlag, waitid};

use crate::sys::spawn::{Spawn, Spawned};
use control::Control;
use shim::message::Command;

/// What can go wrong between a compiled plan and a running shim.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// The shim's program could not be put into memory.
    #[error("failed to prepare the shim: {source}")]
    Image {
        /// The errno of memfd_create(2), write(2) or fcntl(2).
        source: io::Error,
    },
    /// The control socket failed.
    #[error("failed to talk to the shim: {source}")]
    Control {
        /// The errno of the socket call.
        source: io::Error,
    },
    /// A message that the shim does not send.
    #[error("failed to talk to the shim: unknown message")]
    Protocol,
    /// clone3(2) refused.
    #[error("failed to create the namespaces: {source}")]
    Clone {
        /// Its errno: `EPERM` without `CAP_SYS_ADMIN`, `ENOSPC` at a limit of namespaces.
        source: io::Error,
    },
    /// A signal or wait on the shim failed.
    #[error("failed to {action} the shim: {source}")]
    Process {
        /// `signal` or `wait for`.
        action: &'static str,
        /// The errno.
        source: io::Error,
    },
}

/// A started shim. Dropping it kills the sandbox: PID 1 takes its namespace with it.
#[derive(Debug)]
pub struct Shim {
    /// Process id, in our namespace.
    pub pid: i32,
    /// Its messages.
    pub control: Control,
    pidfd: OwnedFd,
    reaped: bool,
}

const NAME: &CStr = c"sandboxctl-shim";

impl Shim {
    /// Starts the shim with the plan's descriptors and sends it the plan.
    ///
    /// # Errors
    /// [`SpawnError`]; nothing is left running then.
    pub fn start(
        plan: &[u8],
        plan_fds: &[BorrowedFd<'_>],
        cgroup: Option<BorrowedFd<'_>>,
    ) -> Result<Self, SpawnError> {
        let image = image::sealed()?;
        let (control, theirs) = Control::pair()?;
        let mut fds = Vec::with_capacity(plan_fds.len() + 1);
        fds.push(theirs.as_fd());
        fds.extend_from_slice(plan_fds);
        let spawn = Spawn { image: image.as_fd(), name: NAME, fds: &fds, cgroup };
        // The plan waits in the socket, so the shim finds it as soon as it runs.
        control.send_plan(plan)?;
        let Spawned { pid, pidfd } =
            spawn.start().map_err(|source| SpawnError::Clone { source })?;
        Ok(Self { pid, control, pidfd, reaped: false })
    }

    /// Lets the extension start, as soon as the shim is ready.
    ///
    /// # Errors
    /// The errno of send(2).
    pub fn go(&self) -> Result<(), SpawnError> {
        self.control.command(Command::Go)
    }

    /// Readable once the whole sandbox is dead.
    #[must_use]
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    /// SIGKILL to PID 1; the kernel kills everything else in its namespace before PID 1 can be waited for.
    ///
    /// # Errors
    /// Any errno but `ESRCH`, which is what was wanted.
    pub fn kill(&self) -> Result<(), SpawnError> {
        match crate::sys::spawn::pidfd_signal(self.pidfd.as_fd(), Signal::SIGKILL) {
            Ok(()) | Err(Errno::ESRCH) => Ok(()),
            Err(errno) => Err(SpawnError::Process { action: "signal", source: errno.into() }),
        }
    }

    /// Waits until every process of the sandbox is dead.
    ///
    /// # Errors
    /// The errno of waitid(2).
    pub fn reap(&mut self) -> Result<(), SpawnError> {
        if self.reaped {
            return Ok(());
        }
        loop {
            match waitid(Id::PIDFd(self.pidfd.as_fd()), WaitPidFlag::WEXITED) {
                Err(Errno::EINTR) => {}
                Ok(_) => {
                    self.reaped = true;
                    return Ok(());
                }
                Err(errno) => {
                    return Err(SpawnError::Process { action: "wait for", source: errno.into() });
                }
            }
        }
    }
}

impl Drop for Shim {
    fn drop(&mut self) {
        if self.reaped {
            return;
        }
        if let Err(error) = self.kill().and_then(|()| self.reap()) {
            tracing::error!(%error, pid = self.pid, "the sandbox could not be ended");
        }
    }
}
