//! Moving bytes: by copying, or without touching them where a connection carries many.
//!
//! splice(2) moves pages from one socket to the other through a pipe. It costs a pipe a direction, so a direction copies
//! until it has carried [`BULK`] bytes; most never do.

use std::cell::RefCell;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, SpliceFFlags, fcntl, splice};
use nix::unistd::pipe2;
use tokio::io::Interest;
use tokio::net::TcpStream;

/// Bytes that are read at once.
pub(super) const BUFFER: usize = 64 * 1024;
/// A direction that has carried so many bytes is worth a pipe.
pub(super) const BULK: u64 = 256 * 1024;
/// Bytes that a pipe should hold. The kernel may refuse, then it holds less: pipe(7).
const PIPE: i32 = 512 * 1024;
/// Bytes that are spliced at once; a length beyond what a ssize_t holds is an error.
const PIECE: usize = 1 << 20;
/// Buffers that are kept for the next read.
const KEPT: usize = 8;

/// Buffers of all connections. A connection that waits for bytes has none.
#[derive(Debug, Default)]
pub(super) struct Buffers(RefCell<Vec<Vec<u8>>>);

impl Buffers {
    fn take(&self) -> Vec<u8> {
        self.0.borrow_mut().pop().unwrap_or_else(|| vec![0; BUFFER])
    }

    /// For the next read.
    pub(super) fn give(&self, buffer: Vec<u8>) {
        let mut kept = self.0.borrow_mut();
        if kept.len() < KEPT {
            kept.push(buffer);
        }
    }

    /// Waits until there is something to read, and reads at most what `room` says then; returns how much, 0 at the end.
    ///
    /// # Errors
    /// The errno of recv(2).
    pub(super) async fn read(
        &self,
        from: &TcpStream,
        room: impl Fn() -> usize,
    ) -> io::Result<(Vec<u8>, usize)> {
        loop {
            from.readable().await?;
            let mut buffer = self.take();
            let room = room().min(buffer.len());
            match from.try_read(&mut buffer[..room]) {
                Ok(length) => return Ok((buffer, length)),
                Err(error) => {
                    self.give(buffer);
                    if error.kind() != io::ErrorKind::WouldBlock {
                        return Err(error);
                    }
                }
            }
        }
    }
}

/// A pipe between two sockets.
#[derive(Debug)]
pub(super) struct Pipe {
    reader: File,
    writer: File,
}

impl Pipe {
    /// An empty one.
    ///
    /// # Errors
    /// The errno of pipe2(2): no more descriptors.
    pub(super) fn new() -> io::Result<Self> {
        let (reader, writer) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
        // A smaller one is slower and no less right.
        fcntl(&writer, FcntlArg::F_SETPIPE_SZ(PIPE)).unwrap_or_default();
        Ok(Self { reader: reader.into(), writer: writer.into() })
    }

    /// Waits until the socket has something, and takes in at most what `room` says then; the pipe must be empty. Returns
    /// how much, 0 at the end.
    ///
    /// # Errors
    /// The errno of splice(2).
    pub(super) async fn fill(
        &self,
        from: &TcpStream,
        room: impl Fn() -> usize,
    ) -> io::Result<usize> {
        // An empty pipe is never the reason for EAGAIN, so this waits for the socket.
        step(from, Interest::READABLE, || once(from, &self.writer, room())).await
    }

    /// Waits until the socket has room, and passes at most `most` bytes on that are in the pipe. Returns how many.
    ///
    /// # Errors
    /// The errno of splice(2).
    pub(super) async fn drain(&self, to: &TcpStream, most: usize) -> io::Result<usize> {
        step(to, Interest::WRITABLE, || once(&self.reader, to, most)).await
    }
}

async fn step(
    socket: &TcpStream,
    interest: Interest,
    mut once: impl FnMut() -> io::Result<usize>,
) -> io::Result<usize> {
    loop {
        socket.ready(interest).await?;
        match socket.try_io(interest, &mut once) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            result => return result,
        }
    }
}

fn once(from: impl AsFd, to: impl AsFd, most: usize) -> io::Result<usize> {
    let flags = SpliceFFlags::SPLICE_F_MOVE | SpliceFFlags::SPLICE_F_NONBLOCK;
    loop {
        match splice(&from, None, &to, None, most.min(PIECE), flags) {
            Err(Errno::EINTR) => {}
            result => return result.map_err(io::Error::from),
        }
    }
}
