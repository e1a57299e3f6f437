//! The sockets of the resolver.

use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::{spawn_local, yield_now};
use tokio::time::{sleep, timeout};

use super::answer::answer;
use super::wire::{MAX_QUERY, Transport};
use crate::egress::context::Context;

/// Packets that are answered before connections get their turn.
const TURN: usize = 32;
/// TCP connections at once.
const MOST: usize = 32;
/// How long a connection may take for one query and its reply, waiting for the query included.
const IDLE: Duration = Duration::from_secs(10);
/// The pause after a failed system call, so that a lasting failure does not take all of the CPU.
const PAUSE: Duration = Duration::from_millis(100);

/// Answers queries that come as packets, for ever.
///
/// # Errors
/// The errno of making the socket asynchronous.
pub async fn serve_udp(socket: std::net::UdpSocket, context: Rc<Context>) -> io::Result<()> {
    socket.set_nonblocking(true)?;
    let socket = UdpSocket::from_std(socket)?;
    // One byte more: a longer packet is cut, and seen to be too long.
    let mut buffer = [0; MAX_QUERY + 1];
    loop {
        if socket.readable().await.is_err() {
            sleep(PAUSE).await;
            continue;
        }
        for _ in 0..TURN {
            let (length, from) = match socket.try_recv_from(&mut buffer) {
                Ok(received) => received,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => {
                    sleep(PAUSE).await;
                    break;
                }
            };
            let reply = handle(&context, &buffer[..length], Transport::Udp);
            // A reply that cannot be sent is lost, as any packet may be; the client asks again.
            if !reply.is_empty() {
                socket.try_send_to(&reply, from).unwrap_or_default();
            }
        }
        yield_now().await;
    }
}

/// Answers queries that come over connections, for ever. Runs in a `LocalSet`.
///
/// # Errors
/// The errno of making the socket asynchronous.
pub async fn serve_tcp(listener: std::net::TcpListener, context: Rc<Context>) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    let open = Rc::new(Cell::new(0));
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            sleep(PAUSE).await;
            continue;
        };
        if open.get() >= MOST {
            context.refusals.add(context.queries.count_connection(), 1);
            continue;
        }
        open.set(open.get() + 1);
        let (context, open) = (Rc::clone(&context), Rc::clone(&open));
        spawn_local(async move {
            converse(stream, &context).await;
            open.set(open.get() - 1);
        });
    }
}

/// One connection, until its end, a failure, or a query that gets no reply.
async fn converse(mut stream: TcpStream, context: &Context) {
    let mut buffer = [0; MAX_QUERY];
    while let Ok(Ok(true)) = timeout(IDLE, exchange(&mut stream, &mut buffer, context)).await {
        yield_now().await;
    }
}

/// One query and its reply; false if no more follow. RFC 1035, section 4.2.2.
async fn exchange(
    stream: &mut TcpStream,
    buffer: &mut [u8; MAX_QUERY],
    context: &Context,
) -> io::Result<bool> {
    let length = usize::from(stream.read_u16().await?);
    let Some(query) = buffer.get_mut(..length) else {
        // Unread: the header is enough to refuse it.
        let mut header = [0; MAX_QUERY + 1];
        stream.read_exact(&mut header[..12]).await?;
        handle(context, &header, Transport::Tcp);
        return Ok(false);
    };
    stream.read_exact(query).await?;
    let reply = handle(context, query, Transport::Tcp);
    let Ok(length) = u16::try_from(reply.len()) else { return Ok(false) };
    if length == 0 {
        return Ok(false);
    }
    let mut message = Vec::with_capacity(reply.len() + 2);
    message.extend_from_slice(&length.to_be_bytes());
    message.extend_from_slice(&reply);
    stream.write_all(&message).await?;
    Ok(true)
}

/// Answers one message and tells the record.
fn handle(context: &Context, query: &[u8], transport: Transport) -> Vec<u8> {
    let answer = answer(query, transport, &mut context.names.borrow_mut(), &context.egress);
    if let Some(refusal) = context.queries.count(answer.outcome, transport) {
        context.refusals.add(refusal, 1);
    }
    answer.reply
}

#[cfg(test)]
mod tests;
