//! The kernel's audit socket (`NETLINK_AUDIT`), see `audit_netlink_ok()` and `audit_receive_msg()` in `kernel/audit.c` for
//! what it asks of the caller: the initial user and pid namespaces, `CAP_AUDIT_CONTROL`, and `CAP_AUDIT_READ` to listen.

use std::ops::RangeInclusive;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, getsockname,
    recv, send, setsockopt, socket, sockopt,
};

const NLMSG_ERROR: u16 = 2;
const NLM_F_REQUEST: u16 = 1;
const NLM_F_ACK: u16 = 4;
const AUDIT_GET: u16 = 1000;
const AUDIT_SET: u16 = 1001;
const AUDIT_ADD_RULE: u16 = 1011;
const AUDIT_DEL_RULE: u16 = 1012;
const AUDIT_STATUS_ENABLED: u32 = 1;
const AUDIT_STATUS_BACKLOG_LIMIT: u32 = 0x10;
const AUDIT_FILTER_TASK: u32 = 1;
const AUDIT_NEVER: u32 = 0;
const AUDIT_UID: u32 = 1;
const AUDIT_SGID: u32 = 7;
const AUDIT_LESS_THAN: u32 = 0x1000_0000;
const AUDIT_GREATER_THAN: u32 = 0x2000_0000;
/// `AUDIT_NLGRP_READLOG`.
const READLOG_GROUP: u32 = 1;
/// Size of `struct nlmsghdr`.
const HEADER: usize = 16;
/// Fields of `struct audit_status` that we use: enabled 1, pid 3, `backlog_limit` 5, lost 6, backlog 7.
const STATUS_WORDS: usize = 11;
/// `struct audit_rule_data` without its buffer: flags, action, field count, and four arrays of 64 words, buffer length.
const RULE_WORDS: usize = 3 + 4 * FIELDS + 1;
/// Words of such an array.
const FIELDS: usize = 64;
/// How long the kernel may take for a status reply, which a kernel thread sends.
const REPLY_WITHIN: Duration = Duration::from_secs(10);

/// The audit state of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// 0 off, 1 on, 2 on and locked until reboot.
    pub enabled: u32,
    /// Pid of the audit daemon; 0 if none.
    pub auditd: u32,
    /// Records that may wait for delivery.
    pub backlog_limit: u32,
    /// Records that the kernel has dropped since boot.
    pub lost: u32,
    /// Records that wait for delivery now.
    pub backlog: u32,
}

/// Tells the answers to two status requests on one socket apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// Before the stream was joined.
    First,
    /// Any later one.
    Last,
}

/// One message of the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// An audit record: its type and its text.
    Record(u16, &'a [u8]),
    /// The answer to [`AuditSocket::request_status`].
    Status(Request, Status),
    /// Messages were dropped, because we read too late.
    Overrun,
    /// Nothing waits.
    Idle,
}

/// A non-blocking audit socket.
#[derive(Debug)]
pub struct AuditSocket {
    fd: OwnedFd,
}

impl AuditSocket {
    /// Opens the socket. `EPROTONOSUPPORT` on a kernel without audit.
    pub fn open() -> Result<Self, Errno> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let fd = socket(AddressFamily::Netlink, SockType::Raw, flags, SockProtocol::NetlinkAudit)?;
        Ok(Self { fd })
    }

    /// Joins the stream of all records. Do what waits for an acknowledgement before, on the quiet socket.
    pub fn subscribe(&self, receive_buffer: usize) -> Result<(), Errno> {
        setsockopt(&self.fd, sockopt::RcvBufForce, &receive_buffer)?;
        // The first request has bound the socket to a port; another bind must name the same.
        let port = getsockname::<NetlinkAddr>(self.fd.as_raw_fd())?.pid();
        bind(self.fd.as_raw_fd(), &NetlinkAddr::new(port, READLOG_GROUP))
    }

    /// Asks for the status; the answer comes later as [`Message::Status`].
    pub fn request_status(&self, request: Request) -> Result<(), Errno> {
        let sequence = match request {
            Request::First => 1,
            Request::Last => 2,
        };
        self.send(AUDIT_GET, NLM_F_REQUEST, sequence, &[])
    }

    /// Asks for the status and waits for it. Only on a socket that is not subscribed.
    pub fn status(&self) -> Result<Status, Errno> {
        self.request_status(Request::First)?;
        self.await_status()
    }

    /// Waits for the answer to [`Self::request_status`]. Only on a socket that is not subscribed.
    pub fn await_status(&self) -> Result<Status, Errno> {
        let until = Instant::now() + REPLY_WITHIN;
        let mut buffer = [0; 1024];
        loop {
            match self.receive(&mut buffer)? {
                Message::Status(_, status) => return Ok(status),
                Message::Idle => self.wait(until)?,
                Message::Record(..) | Message::Overrun => {}
            }
        }
    }

    /// Sets what is given. Both in one message: the kernel sets `enabled` first.
    pub fn set(&self, enabled: Option<u32>, backlog_limit: Option<u32>) -> Result<(), Errno> {
        let mut words = [0u32; STATUS_WORDS];
        if let Some(enabled) = enabled {
            words[0] |= AUDIT_STATUS_ENABLED;
            words[1] = enabled;
        }
        if let Some(limit) = backlog_limit {
            words[0] |= AUDIT_STATUS_BACKLOG_LIMIT;
            words[5] = limit;
        }
        self.call(AUDIT_SET, &words)
    }

    /// Adds the rules of the task filter that spare these; fine if they are there already.
    pub fn add_spared(&self, spared: &Spared) -> Result<(), Errno> {
        for rule in spared.rules() {
            match self.call(AUDIT_ADD_RULE, &rule) {
                Ok(()) | Err(Errno::EEXIST) => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(())
    }

    /// Removes them; `Ok(false)` if none was there.
    pub fn delete_spared(&self, spared: &Spared) -> Result<bool, Errno> {
        let mut found = false;
        for rule in spared.rules() {
            match self.call(AUDIT_DEL_RULE, &rule) {
                Ok(()) => found = true,
                Err(Errno::ENOENT) => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(found)
    }

    /// Takes the next message. Never blocks.
    pub fn receive<'b>(&self, buffer: &'b mut [u8]) -> Result<Message<'b>, Errno> {
        loop {
            let len = match recv(self.fd.as_raw_fd(), buffer, MsgFlags::MSG_DONTWAIT) {
                Ok(len) => len,
                Err(Errno::EAGAIN) => return Ok(Message::Idle),
                Err(Errno::ENOBUFS) => return Ok(Message::Overrun),
                Err(Errno::EINTR) => continue,
                Err(errno) => return Err(errno),
            };
            let Some((kind, sequence, payload)) = split(buffer, len) else {
                continue;
            };
            match kind {
                AUDIT_GET => {
                    if let Some(status) = parse_status(payload) {
                        let request = if sequence == 1 { Request::First } else { Request::Last };
                        return Ok(Message::Status(request, status));
                    }
                }
                NLMSG_ERROR => {
                    // Zero acknowledges a request that nobody waits for any more.
                    if let Some(errno) = error_of(payload).filter(|errno| *errno != 0) {
                        return Err(Errno::from_raw(errno));
                    }
                }
                _ => {
                    // The borrow checker cannot see that only this branch keeps the borrow of `buffer`.
                    let range = HEADER..HEADER + payload.len();
                    return Ok(Message::Record(kind, &buffer[range]));
                }
            }
        }
    }

    fn call(&self, kind: u16, words: &[u32]) -> Result<(), Errno> {
        self.send(kind, NLM_F_REQUEST | NLM_F_ACK, 0, words)?;
        // The kernel handles the request inside `send`, so the acknowledgement is there.
        let mut buffer = [0; 2048];
        loop {
            let len = recv(self.fd.as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT)?;
            if let Some((NLMSG_ERROR, _, payload)) = split(&buffer, len) {
                return match error_of(payload) {
                    Some(0) => Ok(()),
                    Some(errno) => Err(Errno::from_raw(errno)),
                    None => Err(Errno::EBADMSG),
                };
            }
        }
    }

    fn send(&self, kind: u16, flags: u16, sequence: u32, words: &[u32]) -> Result<(), Errno> {
        let len = HEADER + 4 * words.len();
        let mut message = Vec::with_capacity(len);
        message.extend(u32::try_from(len).map_err(|_| Errno::EMSGSIZE)?.to_ne_bytes());
        message.extend(kind.to_ne_bytes());
        message.extend(flags.to_ne_bytes());
        message.extend(sequence.to_ne_bytes());
        // The port of the sender, which the kernel fills in.
        message.extend([0; 4]);
        for word in words {
            message.extend(word.to_ne_bytes());
        }
        send(self.fd.as_raw_fd(), &message, MsgFlags::empty())?;
        Ok(())
    }

    fn wait(&self, until: Instant) -> Result<(), Errno> {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Errno::ETIMEDOUT);
        }
        let mut fds = [PollFd::new(self.fd.as_fd(), PollFlags::POLLIN)];
        match poll(&mut fds, PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(errno) => Err(errno),
        }
    }
}

impl AsFd for AuditSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Processes that are forked without an audit context, and so pay nothing for audit in their system calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Spared {
    /// All: `auditctl -a never,task`.
    All,
    /// All but those whose real user id is one of these, or whose saved group id is while their user id is below. Their
    /// denials are followed by a record that names the process.
    AllBut(RangeInclusive<u32>),
}

impl Spared {
    /// Rules of the task filter, `audit_filter_task()` in `kernel/auditsc.c`: whom one of them fits gets no context. The
    /// fields of a rule all have to fit, so "outside" takes a rule for each side.
    fn rules(&self) -> Vec<[u32; RULE_WORDS]> {
        match self {
            Self::All => vec![never_task(&[])],
            Self::AllBut(ids) => {
                let (first, last) = (*ids.start(), *ids.end());
                let below = (AUDIT_UID, AUDIT_LESS_THAN, first);
                vec![
                    never_task(&[below, (AUDIT_SGID, AUDIT_LESS_THAN, first)]),
                    never_task(&[below, (AUDIT_SGID, AUDIT_GREATER_THAN, last)]),
                    never_task(&[(AUDIT_UID, AUDIT_GREATER_THAN, last)]),
                ]
            }
        }
    }
}

/// `struct audit_rule_data` of the task filter: flags, action, field count, then arrays of 64 words: mask, fields, values,
/// operators.
fn never_task(fields: &[(u32, u32, u32)]) -> [u32; RULE_WORDS] {
    let mut words = [0; RULE_WORDS];
    words[0] = AUDIT_FILTER_TASK;
    words[1] = AUDIT_NEVER;
    for (at, (field, operator, value)) in fields.iter().enumerate() {
        words[2] += 1;
        words[3 + FIELDS + at] = *field;
        words[3 + 2 * FIELDS + at] = *value;
        words[3 + 3 * FIELDS + at] = *operator;
    }
    words
}

/// Type, sequence number and payload of a datagram. Audit sends one message a datagram, and the length in the header of a
/// multicast record may or may not count the header, so the length of the datagram decides.
fn split(buffer: &[u8], len: usize) -> Option<(u16, u32, &[u8])> {
    let message = buffer.get(..len.min(buffer.len()))?;
    let kind = message.get(4..6)?.try_into().ok().map(u16::from_ne_bytes)?;
    Some((kind, word(message, 2)?, message.get(HEADER..)?))
}

fn word(payload: &[u8], at: usize) -> Option<u32> {
    let bytes = payload.get(4 * at..4 * at + 4)?;
    bytes.try_into().ok().map(u32::from_ne_bytes)
}

/// The errno of an `NLMSG_ERROR`, positive; 0 for success.
fn error_of(payload: &[u8]) -> Option<i32> {
    word(payload, 0).map(|word| word.cast_signed().saturating_neg())
}

fn parse_status(payload: &[u8]) -> Option<Status> {
    Some(Status {
        enabled: word(payload, 1)?,
        auditd: word(payload, 3)?,
        backlog_limit: word(payload, 5)?,
        lost: word(payload, 6)?,
        backlog: word(payload, 7)?,
    })
}
