//! Messages of RFC 5424 over a connection, framed by octet counting (RFC 6587).

use std::io::{ErrorKind, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrStorage, connect, getsockopt, socket, sockopt,
};
use policies::violation::Severity;

use super::Target;
use super::syslog::message;
use crate::record::audit::EventType;

/// How long the end of a process waits for a server that is slow to answer.
const PATIENCE: Duration = Duration::from_millis(500);
/// Bytes that wait for one.
const WAITING: usize = 256 * 1024;

/// One connection, begun with the first event and not waited for until the end.
#[derive(Debug)]
pub(super) struct Tcp {
    address: SocketAddr,
    stream: Option<TcpStream>,
    /// Not taken by the socket yet.
    waiting: Vec<u8>,
    /// Where the events that wait end in it.
    ends: Vec<usize>,
    /// Why the connection broke; the socket says that once, and `EPIPE` ever after.
    broke: Option<std::io::Error>,
}

impl Tcp {
    pub(super) fn new(address: SocketAddr) -> Self {
        Self { address, stream: None, waiting: Vec::new(), ends: Vec::new(), broke: None }
    }

    fn failed(&self, error: impl std::fmt::Display) -> String {
        format!("failed to send to syslog at tcp:{}: {error}", self.address)
    }

    fn begin(&mut self) -> Result<(), Errno> {
        let family =
            if self.address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        let fd: OwnedFd = socket(family, SockType::Stream, flags, None)?;
        match connect(fd.as_raw_fd(), &SockaddrStorage::from(self.address)) {
            Ok(()) | Err(Errno::EINPROGRESS) => {}
            Err(errno) => return Err(errno),
        }
        self.stream = Some(TcpStream::from(fd));
        Ok(())
    }

    /// Writes as much as the socket takes.
    fn push(&mut self) -> std::io::Result<()> {
        let Some(stream) = &mut self.stream else { return Ok(()) };
        let mut done = 0;
        let result = loop {
            if done == self.waiting.len() {
                break Ok(());
            }
            match stream.write(&self.waiting[done..]) {
                Ok(0) => break Err(ErrorKind::WriteZero.into()),
                Ok(len) => done += len,
                // Not connected yet says the same as full.
                Err(error) if error.kind() == ErrorKind::WouldBlock => break Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => break Err(error),
            }
        };
        self.waiting.drain(..done);
        self.ends.retain(|end| *end > done);
        self.ends.iter_mut().for_each(|end| *end -= done);
        result
    }

    fn wait(&self, until: Instant) -> std::io::Result<()> {
        let Some(stream) = &self.stream else { return Ok(()) };
        let left = until.saturating_duration_since(Instant::now());
        let timeout = PollTimeout::try_from(left.as_millis()).unwrap_or(PollTimeout::ZERO);
        let mut fds = [PollFd::new(stream.as_fd(), PollFlags::POLLOUT)];
        match poll(&mut fds, timeout)? {
            0 => Err(ErrorKind::TimedOut.into()),
            _ => match getsockopt(stream, sockopt::SocketError)? {
                0 => Ok(()),
                errno => Err(std::io::Error::from_raw_os_error(errno)),
            },
        }
    }
}

impl Target for Tcp {
    fn send(&mut self, kind: EventType, severity: Severity, line: &str) -> Result<(), String> {
        if self.stream.is_none() {
            self.begin().map_err(|errno| self.failed(errno.desc()))?;
        }
        let message = message(kind, severity, line);
        if self.waiting.len() + message.len() > WAITING {
            return Err(self.failed("too much waits for the server"));
        }
        self.waiting.extend_from_slice(format!("{} {message}", message.len()).as_bytes());
        self.ends.push(self.waiting.len());
        // A connection that broke shows at the end, with everything that waits.
        if let Err(error) = self.push() {
            self.broke.get_or_insert(error);
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), (u64, String)> {
        let until = Instant::now() + PATIENCE;
        while !self.waiting.is_empty() {
            if let Err(error) = self.wait(until).and_then(|()| self.push()) {
                let lost = u64::try_from(self.ends.len()).unwrap_or(u64::MAX);
                self.waiting.clear();
                self.ends.clear();
                let first = self.broke.take().unwrap_or(error);
                return Err((lost, self.failed(first)));
            }
        }
        Ok(())
    }
}
