//! More than a recorder likes: refused attempts as fast as they go, counted by whoever makes them.

use std::fs::File;
use std::net::UdpSocket;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use super::{network, say};
use crate::selftest::flood::{Attempts, Flood};
use crate::sys::probe::call;

/// Threads that make refused system calls at once.
const THREADS: usize = 8;
/// `CLONE_NEWUSER`.
const NEW_USER: usize = 0x1000_0000;

/// Makes them and says how many there were.
pub(super) fn main(what: &str) -> ExitCode {
    let Some(flood) = Flood::from_name(what) else { return ExitCode::from(crate::exit::USAGE) };
    let attempts = match flood {
        Flood::Syscalls => syscalls(),
        Flood::Paths => paths(flood.most()),
        Flood::Packets => packets(flood.most()),
        Flood::Names => names(flood.most()),
    };
    say(&Attempts { attempts });
    ExitCode::SUCCESS
}

/// unshare(2) from many threads for a second.
fn syscalls() -> u64 {
    let until = Instant::now() + Duration::from_secs(1);
    let worker = || {
        let mut attempts = 0_u64;
        while Instant::now() < until {
            attempts += u64::from(call(libc::SYS_unshare, [NEW_USER, 0, 0, 0, 0, 0]).is_err());
        }
        attempts
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..THREADS).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().map(|worker| worker.join().unwrap_or(0)).sum()
    })
}

fn paths(most: u64) -> u64 {
    count((0..most).map(|_| File::open("/etc/shadow").is_err()))
}

fn packets(most: u64) -> u64 {
    let Ok(socket) = UdpSocket::bind("0.0.0.0:0") else { return 0 };
    count((0..most).map(|_| socket.send_to(b"x", "203.0.113.1:9").is_err()))
}

/// Distinct names, each waited for.
fn names(most: u64) -> u64 {
    let Ok(socket) = network::resolver() else { return 0 };
    let refused = |number: u64| {
        let query = network::query(&format!("n{number}.flood.invalid"));
        network::ask(&socket, &query).is_ok_and(|(code, _)| code != 0)
    };
    count((0..most).map(refused))
}

fn count(refused: impl Iterator<Item = bool>) -> u64 {
    refused.map(u64::from).sum()
}
