//! Passing bytes on in both directions.

use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::os::fd::AsRawFd as _;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use nix::sys::socket::{Shutdown, shutdown};
use tokio::net::TcpStream;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep_until};

use super::Usage;
use super::bulk::{BULK, Buffers, Pipe};
use super::http::{self, Requests};
use crate::egress::traffic::Flow;

/// What a relay is counted in and bounded by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Meter<'a> {
    /// Of the domain and port.
    pub(super) flow: &'a Flow,
    /// Of the run.
    pub(super) usage: &'a Usage,
    /// Bytes of the run that end every connection.
    pub(super) most: u64,
    /// Nothing may stand still for longer.
    pub(super) idle: Duration,
    /// Of all connections.
    pub(super) buffers: &'a Buffers,
}

impl Meter<'_> {
    /// How much to read: what the run may still pass on, or a single byte, which tells an end from too much.
    fn room(&self) -> usize {
        usize::try_from(self.left()).unwrap_or(usize::MAX).max(1)
    }

    /// Bytes that the run may still pass on.
    fn left(&self) -> u64 {
        self.most.saturating_sub(self.usage.bytes())
    }

    /// Counts bytes that were read and are to be passed on.
    fn reserve(&self, length: usize) -> Result<(), End> {
        let length = count_of(length);
        if length > self.left() {
            return Err(End::Traffic);
        }
        self.usage.add(length);
        Ok(())
    }
}

/// How a relay ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Both sides have sent everything.
    Done,
    /// The client reset it.
    Client,
    /// The server reset it, or cannot be reached any more.
    Server,
    /// Nothing moved for too long.
    Idle,
    /// The run has had its bytes.
    Traffic,
    /// A later request must not be passed on.
    Refused(http::Refused),
}

/// Passes `first` and everything that follows on, each direction until its own end.
pub(super) async fn relay(
    client: &TcpStream,
    server: &TcpStream,
    first: Vec<u8>,
    requests: Option<Requests>,
    meter: &Meter<'_>,
) -> End {
    let moved = Cell::new(Instant::now());
    let out = Direction {
        from: client,
        to: server,
        lost: (End::Client, End::Server),
        bytes: &meter.flow.bytes_out,
        meter,
        moved: &moved,
    };
    let back = Direction {
        from: server,
        to: client,
        lost: (End::Server, End::Client),
        bytes: &meter.flow.bytes_in,
        meter,
        moved: &moved,
    };
    let mut out = pin!(out.run(first, requests));
    let mut back = pin!(back.run(Vec::new(), None));
    let mut idle = pin!(stands_still(&moved, meter.idle));
    let (mut sent, mut received) = (false, false);
    poll_fn(|task| {
        if !sent && let Poll::Ready(result) = out.as_mut().poll(task) {
            match result {
                Ok(()) => sent = true,
                Err(end) => return Poll::Ready(end),
            }
        }
        if !received && let Poll::Ready(result) = back.as_mut().poll(task) {
            match result {
                Ok(()) => received = true,
                Err(end) => return Poll::Ready(end),
            }
        }
        if sent && received {
            return Poll::Ready(End::Done);
        }
        idle.as_mut().poll(task)
    })
    .await
}

/// Ends when nothing has moved for so long.
async fn stands_still(moved: &Cell<Instant>, idle: Duration) -> End {
    loop {
        let seen = moved.get();
        sleep_until(seen + idle).await;
        if moved.get() == seen {
            return End::Idle;
        }
    }
}

struct Direction<'a> {
    from: &'a TcpStream,
    to: &'a TcpStream,
    /// What a failure of `from` and `to` means.
    lost: (End, End),
    bytes: &'a AtomicU64,
    meter: &'a Meter<'a>,
    moved: &'a Cell<Instant>,
}

impl Direction<'_> {
    async fn run(&self, first: Vec<u8>, mut requests: Option<Requests>) -> Result<(), End> {
        self.meter.reserve(first.len())?;
        self.write(&first).await?;
        drop(first);
        let mut carried = 0;
        loop {
            // Only what is passed on has moved: empty lines, or a head that never ends, keep no connection open.
            let (buffer, length) = self.read().await?;
            if length == 0 {
                self.meter.buffers.give(buffer);
                return self.finish();
            }
            let passed = match &mut requests {
                Some(requests) => self.write_checked(requests, &buffer[..length]).await,
                None => self.write(&buffer[..length]).await,
            };
            self.meter.buffers.give(buffer);
            passed?;
            carried += count_of(length);
            // The other connections' turn.
            yield_now().await;
            if requests.is_none()
                && carried >= BULK
                && let Ok(pipe) = Pipe::new()
            {
                return self.splice(&pipe).await;
            }
        }
    }

    /// Passes everything else on without looking at it.
    async fn splice(&self, pipe: &Pipe) -> Result<(), End> {
        loop {
            let filled = pipe.fill(self.from, || self.meter.room()).await;
            let length = filled.map_err(|_| self.lost.0.clone())?;
            if length == 0 {
                return self.finish();
            }
            self.meter.reserve(length)?;
            let mut left = length;
            while left > 0 {
                let passed = pipe.drain(self.to, left).await.map_err(|_| self.lost.1.clone())?;
                self.passed(passed);
                left -= passed;
            }
            yield_now().await;
        }
    }

    async fn read(&self) -> Result<(Vec<u8>, usize), End> {
        let read = self.meter.buffers.read(self.from, || self.meter.room()).await;
        let (buffer, length) = read.map_err(|_| self.lost.0.clone())?;
        self.meter.reserve(length)?;
        Ok((buffer, length))
    }

    async fn write_checked(&self, requests: &mut Requests, bytes: &[u8]) -> Result<(), End> {
        let mut checked = Vec::new();
        let result = requests.feed(bytes, &mut checked);
        // What comes before a refused request was fine.
        self.write(&checked).await?;
        result.map_err(End::Refused)
    }

    async fn write(&self, mut bytes: &[u8]) -> Result<(), End> {
        while !bytes.is_empty() {
            let length = write(self.to, bytes).await.map_err(|_| self.lost.1.clone())?;
            self.passed(length);
            bytes = bytes.get(length..).unwrap_or_default();
        }
        Ok(())
    }
    fn passed(&self, length: usize) {
        self.bytes.fetch_add(count_of(length), Ordering::Relaxed);
        self.moved.set(Instant::now());
    }

    /// Passes the end on: the other direction may go on.
    fn finish(&self) -> Result<(), End> {
        self.moved.set(Instant::now());
        shutdown(self.to.as_raw_fd(), Shutdown::Write).map_err(|_| self.lost.1.clone())
    }
}

fn count_of(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

/// Writes what there is room for, or waits until there is some.
async fn write(stream: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
    loop {
        stream.writable().await?;
        match stream.try_write(bytes) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests;
