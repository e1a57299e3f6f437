//! Netlink requests: enough of netlink(7), rtnetlink(7) and nfnetlink to set a namespace up and to read its log.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, setsockopt, socket,
    sockopt,
};

const NLMSG_ERROR: u16 = 2;
const NLM_F_REQUEST: u16 = 1;
const NLM_F_ACK: u16 = 4;
/// Size of `struct nlmsghdr`.
const HEADER: usize = 16;

/// A message being built.
#[derive(Clone, Debug)]
pub struct Request {
    bytes: Vec<u8>,
}

impl Request {
    /// A request of a type, with flags beside `NLM_F_REQUEST`, and the fixed part that follows the header.
    #[must_use]
    pub fn new(kind: u16, flags: u16, fixed: &[u8]) -> Self {
        let mut bytes = vec![0; 4];
        bytes.extend_from_slice(&kind.to_ne_bytes());
        bytes.extend_from_slice(&(NLM_F_REQUEST | flags).to_ne_bytes());
        bytes.extend_from_slice(&[0; 8]);
        bytes.extend_from_slice(fixed);
        Self { bytes }
    }

    /// Adds an attribute.
    #[must_use]
    pub fn attribute(mut self, kind: u16, value: &[u8]) -> Self {
        let length = u16::try_from(value.len() + 4).unwrap_or(u16::MAX);
        self.bytes.extend_from_slice(&length.to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(value);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        self
    }

    fn acknowledged(&mut self) {
        let flags = u16::from_ne_bytes([self.bytes[6], self.bytes[7]]) | NLM_F_ACK;
        self.bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
    }

    fn finish(mut self) -> Vec<u8> {
        let length = u32::try_from(self.bytes.len()).unwrap_or(u32::MAX);
        self.bytes[..4].copy_from_slice(&length.to_ne_bytes());
        self.bytes
    }
}

/// Attributes, one behind the other, as the value of another.
#[must_use]
pub fn nested(attributes: &[(u16, &[u8])]) -> Vec<u8> {
    let mut request = Request { bytes: Vec::new() };
    for (kind, value) in attributes {
        request = request.attribute(*kind, value);
    }
    request.bytes
}

/// A netlink socket. It belongs to the network namespace in which it was opened, wherever its owner goes.
#[derive(Debug)]
pub struct Netlink {
    fd: OwnedFd,
}

impl Netlink {
    /// Opens a socket of a protocol.
    ///
    /// # Errors
    /// The errno of socket(2); `EPROTONOSUPPORT` where the kernel has no such protocol.
    pub fn open(protocol: SockProtocol) -> Result<Self, Errno> {
        let flags = SockFlag::SOCK_CLOEXEC;
        socket(AddressFamily::Netlink, SockType::Raw, flags, protocol).map(|fd| Self { fd })
    }

    /// Sends a request and waits for the kernel's acknowledgement, which comes at once. Only while nothing else is sent
    /// to this socket.
    ///
    /// # Errors
    /// The errno in the acknowledgement, or of send(2) or recv(2).
    pub fn ask(&self, mut request: Request) -> Result<(), Errno> {
        request.acknowledged();
        self.exchange(&request.finish(), |_| ())
    }

    /// Sends requests as one datagram, which the kernel carries out whole or not at all, and waits for its answer: the last
    /// request but the closing one is acknowledged.
    ///
    /// # Errors
    /// The first errno in the answers, or of send(2) or recv(2).
    pub fn batch(&self, mut requests: Vec<Request>) -> Result<(), Errno> {
        let last = requests.len().saturating_sub(2);
        if let Some(request) = requests.get_mut(last) {
            request.acknowledged();
        }
        let bytes: Vec<u8> = requests.into_iter().flat_map(Request::finish).collect();
        self.exchange(&bytes, |_| ())
    }

    /// Sends a request whose answer is one message, and reads that: what follows its header.
    ///
    /// # Errors
    /// The errno in the answer, or of send(2) or recv(2).
    pub fn read<T>(&self, request: Request, with: impl FnOnce(&[u8]) -> T) -> Result<T, Errno> {
        self.exchange(&request.finish(), with)
    }

    fn exchange<T>(&self, bytes: &[u8], with: impl FnOnce(&[u8]) -> T) -> Result<T, Errno> {
        send(self.fd.as_raw_fd(), bytes, MsgFlags::empty())?;
        let mut buffer = [0; 8192];
        let length = recv(self.fd.as_raw_fd(), &mut buffer, MsgFlags::empty())?;
        let message = Message::first(&buffer[..length]).ok_or(Errno::EBADMSG)?;
        message.check()?;
        Ok(with(message.body))
    }

    /// Makes reads return at once, and the receive buffer larger.
    ///
    /// # Errors
    /// The errno of setsockopt(2) or fcntl(2).
    pub fn listen(&self, receive_buffer: usize) -> Result<(), Errno> {
        // Beyond the host's limit where we may; otherwise as far as that goes.
        setsockopt(&self.fd, sockopt::RcvBufForce, &receive_buffer)
            .or_else(|_| setsockopt(&self.fd, sockopt::RcvBuf, &receive_buffer))?;
        nix::fcntl::fcntl(&self.fd, nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::O_NONBLOCK))
            .map(drop)
    }

    /// Reads one datagram of messages.
    ///
    /// # Errors
    /// `EAGAIN` where nothing waits, `ENOBUFS` where messages were dropped.
    pub fn receive<'b>(&self, buffer: &'b mut [u8]) -> Result<&'b [u8], Errno> {
        let length = recv(self.fd.as_raw_fd(), buffer, MsgFlags::empty())?;
        Ok(buffer.get(..length).unwrap_or_default())
    }
}

impl AsFd for Netlink {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl AsRawFd for Netlink {
    fn as_raw_fd(&self) -> std::os::fd::RawFd {
        self.fd.as_raw_fd()
    }
}

/// A received message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// Its type.
    pub kind: u16,
    /// What follows the header.
    pub body: &'a [u8],
}

impl<'a> Message<'a> {
    fn first(bytes: &'a [u8]) -> Option<Self> {
        messages(bytes).next()
    }

    fn check(self) -> Result<(), Errno> {
        if self.kind != NLMSG_ERROR {
            return Ok(());
        }
        let code = self.body.first_chunk().map_or(0, |bytes| i32::from_ne_bytes(*bytes));
        if code == 0 { Ok(()) } else { Err(Errno::from_raw(code.saturating_neg())) }
    }
}

/// The messages of a datagram, up to the first that is cut off.
pub fn messages(mut bytes: &[u8]) -> impl Iterator<Item = Message<'_>> {
    std::iter::from_fn(move || {
        let length = usize::try_from(u32::from_ne_bytes(*bytes.first_chunk()?)).ok()?;
        let message = bytes.get(..length)?;
        let kind = u16::from_ne_bytes([*message.get(4)?, *message.get(5)?]);
        let body = message.get(HEADER..)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(Message { kind, body })
    })
}

/// Attributes: type without flags, and value.
pub fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(u16::from_ne_bytes(*bytes.first_chunk()?));
        let attribute = bytes.get(..length)?;
        let kind = u16::from_ne_bytes([*attribute.get(2)?, *attribute.get(3)?]) & 0x3fff;
        let value = attribute.get(4..)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}
