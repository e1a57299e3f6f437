//! The transparent proxy: one connection of the extension, one connection to the server that it was meant for.
//!
//! The synthetic address that a connection was made to says which name was looked up. What the connection says itself,
//! in a TLS server name or an HTTP host, must be the same name. The server's address is looked up and checked anew for
//! each connection, and exactly the checked address is connected to.

use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::{spawn_local, yield_now};
use tokio::time::sleep;

use super::context::Context;

mod bulk;
mod connection;
mod dial;
#[cfg(fuzzing)]
pub mod fuzzing;
mod http;
mod refuse;
mod relay;
mod sniff;
mod tls;

/// The pause after a failed accept, so that a lasting failure does not take all of the CPU.
const PAUSE: Duration = Duration::from_millis(100);

/// Counters of the proxy, which its caps are held against.
#[derive(Debug, Default)]
pub struct Usage {
    open: Cell<u64>,
    total: Cell<u64>,
    bytes: Cell<u64>,
    buffers: bulk::Buffers,
}

impl Usage {
    /// Connections that are open now.
    #[must_use]
    pub const fn open(&self) -> u64 {
        self.open.get()
    }

    /// Connections of the run so far.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.total.get()
    }

    /// Payload bytes in both directions so far.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes.get()
    }

    /// Counts bytes that were passed on.
    fn add(&self, count: u64) {
        self.bytes.set(self.bytes.get().saturating_add(count));
    }

    /// Counts a connection, as open until what this returns is dropped.
    fn enter(&self) -> Entered<'_> {
        self.open.set(self.open.get().saturating_add(1));
        self.total.set(self.total.get().saturating_add(1));
        Entered { usage: self }
    }
}

/// A connection that is counted as open.
#[derive(Debug)]
struct Entered<'a> {
    usage: &'a Usage,
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        self.usage.open.set(self.usage.open.get().saturating_sub(1));
    }
}

/// Serves connections to one port, for ever. Runs in a `LocalSet`.
///
/// # Errors
/// The errno of making the socket asynchronous.
pub async fn serve(
    listener: std::net::TcpListener,
    port: u16,
    context: Rc<Context>,
) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    loop {
        let Ok((client, _)) = listener.accept().await else {
            sleep(PAUSE).await;
            continue;
        };
        let context = Rc::clone(&context);
        spawn_local(async move { connection::handle(client, port, &context).await });
        yield_now().await;
    }
}
