//! The supervisor's end of the control socket.

use std::io::IoSliceMut;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, MsgFlags, SockFlag, SockType, recvmsg, send, setsockopt,
    socketpair, sockopt,
};
use shim::message::{Command, MAX, Message};
use shim::step::Step;

use super::SpawnError;

/// Our end of the socket.
#[derive(Debug)]
pub struct Control {
    socket: OwnedFd,
}

/// What the shim said, with what the kernel said about the sender.
#[derive(Debug)]
pub enum Event {
    /// A step failed; the extension did not start.
    Failed {
        /// Which step.
        step: Step,
        /// Why.
        errno: Errno,
        /// A path or name, possibly empty.
        detail: String,
    },
    /// The workload is confined and starts.
    Confined {
        /// Where its denied calls arrive.
        listener: OwnedFd,
        /// Its process id, in our namespace.
        pid: i32,
    },
    /// The workload ended.
    Ended {
        /// As wait4(2) gave it.
        wait_status: i32,
        /// CPU time of all reaped processes, in microseconds.
        cpu_us: u64,
        /// Largest resident set of any single process, in KiB.
        max_rss_kb: u64,
        /// Whether nothing outlived it.
        alone: bool,
    },
    /// The other end is closed.
    Closed,
}

impl Control {
    /// A connected pair: ours and the shim's.
    ///
    /// # Errors
    /// The errno of socketpair(2) or setsockopt(2).
    pub fn pair() -> Result<(Self, OwnedFd), SpawnError> {
        let failed = |errno: Errno| SpawnError::Control { source: errno.into() };
        let flags = SockFlag::SOCK_CLOEXEC;
        let (ours, theirs) =
            socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags).map_err(failed)?;
        // The sender's pid as we see it, whatever pid it has in its own namespace.
        setsockopt(&ours, sockopt::PassCred, &true).map_err(failed)?;
        Ok((Self { socket: ours }, theirs))
    }

    /// For poll(2).
    #[must_use]
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Sends the compiled plan.
    ///
    /// # Errors
    /// The errno of send(2); `EPIPE` where the shim is dead already.
    pub fn send_plan(&self, plan: &[u8]) -> Result<(), SpawnError> {
        send(self.socket.as_raw_fd(), plan, MsgFlags::MSG_NOSIGNAL)
            .map(drop)
            .map_err(|errno| SpawnError::Control { source: errno.into() })
    }

    /// Sends a command. A shim that has ended meanwhile is not an error: its end is on the way.
    ///
    /// # Errors
    /// Any other errno of send(2).
    pub fn command(&self, command: Command) -> Result<(), SpawnError> {
        let flags = MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT;
        match send(self.socket.as_raw_fd(), &[command.encode()], flags) {
            Ok(_) | Err(Errno::EPIPE | Errno::ECONNRESET) => Ok(()),
            Err(errno) => Err(SpawnError::Control { source: errno.into() }),
        }
    }

    /// The next message; `None` where none is waiting.
    ///
    /// # Errors
    /// An errno of recvmsg(2), or a message that is none.
    pub fn receive(&self) -> Result<Option<Event>, SpawnError> {
        let mut buffer = [0; MAX];
        let mut space = nix::cmsg_space!(libc::ucred, [std::os::fd::RawFd; 1]);
        let mut iov = [IoSliceMut::new(&mut buffer)];
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_CMSG_CLOEXEC;
        let received = recvmsg::<()>(self.socket.as_raw_fd(), &mut iov, Some(&mut space), flags);
        let message = match received {
            Ok(message) => message,
            Err(Errno::EAGAIN) => return Ok(None),
            Err(Errno::ECONNRESET) => return Ok(Some(Event::Closed)),
            Err(errno) => {
                return Err(SpawnError::Control { source: errno.into() });
            }
        };
        let length = message.bytes;
        let (mut sender, mut passed) = (None, None);
        let controls =
            message.cmsgs().map_err(|errno| SpawnError::Control { source: errno.into() })?;
        for control in controls {
            match control {
                ControlMessageOwned::ScmCredentials(credentials) => {
                    sender = Some(credentials.pid());
                }
                ControlMessageOwned::ScmRights(fds) => passed = fds.into_iter().next(),
                _ => {}
            }
        }
        if length == 0 {
            return Ok(Some(Event::Closed));
        }
        let passed = passed.map(crate::sys::spawn::own);
        event(&buffer[..length], sender, passed).map(Some)
    }
}

fn event(bytes: &[u8], sender: Option<i32>, passed: Option<OwnedFd>) -> Result<Event, SpawnError> {
    match (Message::decode(bytes), sender, passed) {
        (Some(Message::Failed { step, errno, detail }), _, _) => Ok(Event::Failed {
            step,
            errno: Errno::from_raw(errno),
            detail: String::from_utf8_lossy(detail).into_owned(),
        }),
        (Some(Message::Confined), Some(pid), Some(listener)) => {
            Ok(Event::Confined { listener, pid })
        }
        (Some(Message::Ended { wait_status, cpu_us, max_rss_kb, alone }), _, _) => {
            Ok(Event::Ended { wait_status, cpu_us, max_rss_kb, alone })
        }
        _ => Err(SpawnError::Protocol),
    }
}
