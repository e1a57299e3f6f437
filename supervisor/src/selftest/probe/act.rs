//! The acts of the catalogue, but for those that need a network.

use std::fs;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{SockaddrIn, UnixAddr, bind, connect};
use nix::unistd::{Pid, pause};

use super::{ABSTRACT, Came, PORT, network, number};
use crate::selftest::catalogue::{Act, Arg};
use crate::sys::probe::{call, call_i386, in_child};

/// More than any tier gives; what lets this much through refuses nothing.
const MOST_MIB: usize = 8192;
const MOST_TASKS: usize = 8192;
/// Standard input.
const INHERITED: i32 = 0;
/// Five seconds of throttling are told (see `launch/summary.rs`), and a little more.
const SPIN: Duration = Duration::from_millis(5500);

static ZEROES: [u8; 256] = [0; 256];

/// Does it.
pub(super) fn act(act: Act) -> Came {
    match act {
        Act::Call(number, arguments) => call(number, registers(arguments)).into(),
        Act::I386(number) => call_i386(number).into(),
        Act::ExecuteFrom(folder) => execute(folder).into(),
        Act::ConnectInherited => {
            let port = u16::try_from(number(PORT)).unwrap_or(0);
            let address = SockaddrIn::from(SocketAddrV4::new(Ipv4Addr::LOCALHOST, port));
            connect(INHERITED, &address).into()
        }
        Act::BindInherited(port) => {
            bind(INHERITED, &SockaddrIn::from(SocketAddrV4::new(Ipv4Addr::LOCALHOST, port))).into()
        }
        Act::AbstractSocket => abstract_socket().into(),
        Act::Eat => eat(),
        Act::Fork => forks(),
        Act::Fill(folder) => fill(folder).into(),
        Act::Sleep => {
            std::thread::sleep(Duration::from_secs(15));
            Came::Through
        }
        Act::Spin => spin(),
        Act::Connect(_)
        | Act::Datagram(_)
        | Act::ConnectName(..)
        | Act::DatagramName(..)
        | Act::Lookup(_)
        | Act::ManyNames
        | Act::NoQuery
        | Act::Say(..)
        | Act::ManyConnections => network::act(act),
    }
}

fn registers(arguments: &[Arg]) -> [usize; 6] {
    let mut registers = [0; 6];
    for (register, argument) in registers.iter_mut().zip(arguments) {
        *register = match argument {
            Arg::Number(number) => number.cast_unsigned(),
            Arg::Text(text) => text.as_ptr().addr(),
            Arg::Zeroes => ZEROES.as_ptr().addr(),
        };
    }
    registers
}

/// A script, executable by its mode.
fn execute(folder: &str) -> std::io::Result<()> {
    let path = format!("{folder}/selftest");
    fs::write(&path, b"#!/bin/sh\n")?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    Command::new(&path).status().map(drop)
}

fn abstract_socket() -> Result<(), Errno> {
    let name = std::env::var(ABSTRACT).unwrap_or_default();
    connect(INHERITED, &UnixAddr::new_abstract(name.as_bytes())?)
}

/// Every page is written to.
fn eat() -> Came {
    let mut held: Vec<Vec<u8>> = Vec::new();
    for _ in 0..MOST_MIB {
        let mut piece = vec![0_u8; 1 << 20];
        for page in piece.chunks_mut(4096) {
            page[0] = 1;
        }
        held.push(std::hint::black_box(piece));
    }
    Came::Through
}

/// Processes that wait, until one is refused. All are ended.
fn forks() -> Came {
    let mut children: Vec<Pid> = Vec::new();
    let mut came = Came::Through;
    for _ in 0..MOST_TASKS {
        match in_child(pause) {
            Ok(child) => children.push(child),
            Err(errno) => {
                came = Came::Refused(format!("{errno:?}"));
                break;
            }
        }
    }
    for child in children {
        // One that is gone is what is wanted.
        kill(child, Signal::SIGKILL).unwrap_or_default();
    }
    came
}

/// Files of 16 MiB, smaller than any tier's limit on one file.
fn fill(folder: &str) -> std::io::Result<()> {
    let piece = vec![b'x'; 1 << 20];
    for number in 0..MOST_MIB / 16 {
        let mut file = fs::File::create(format!("{folder}/fill-{number}"))?;
        for _ in 0..16 {
            file.write_all(&piece)?;
        }
    }
    Ok(())
}

/// Whether it got less CPU time than it wanted.
fn spin() -> Came {
    let began = Instant::now();
    while began.elapsed() < SPIN {
        std::hint::spin_loop();
    }
    let clock = nix::time::ClockId::CLOCK_PROCESS_CPUTIME_ID;
    match nix::time::clock_gettime(clock).map(Duration::from) {
        Ok(got) if got * 2 < SPIN => {
            Came::Refused(format!("{} % CPU", got.as_millis() * 100 / SPIN.as_millis()))
        }
        _ => Came::Through,
    }
}
