//! The rest of PID 1's life: reap, forward signals, obey the supervisor, end with the workload.

use shim::message::{Command, MAX, Message};
use shim::step::Step;
use shim::wire::CONTROL_FD;

use crate::failure::{At, Failure};
use crate::sys::ipc::{POLLHUP, POLLIN, PollFd};
use crate::sys::process::{Reaped, SIGCONT, SIGHUP, SIGINT, SIGSTOP, SIGTERM, SIGUSR1, SIGUSR2};
use crate::sys::{Errno, ipc, process};

/// What the supervisor's user may send to the extension through PID 1.
const FORWARDED: [i32; 5] = [SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2];

/// Blocks what is read from the signal descriptor. Signals of an ancestor namespace reach a PID 1 only while they are
/// blocked or handled, see pid_namespaces(7).
pub(crate) fn block_signals() -> crate::sys::Result<i32> {
    let mut signals = [process::SIGCHLD; 6];
    signals[1..].copy_from_slice(&FORWARDED);
    let set = ipc::signal_set(&signals);
    ipc::block_signals(set)?;
    ipc::signal_fd(set)
}

/// Serves until the workload ends; gives the exit code. The kernel then kills whatever the workload left behind.
pub(crate) fn supervise(workload: i32, signals: i32) -> Result<i32, Failure<'static>> {
    loop {
        // Before the first wait too: the workload may have ended before SIGCHLD was blocked.
        if let (Some(status), alone) = reap(workload) {
            return Ok(ended(status, alone));
        }
        let mut fds = [
            PollFd { fd: signals, events: POLLIN, revents: 0 },
            PollFd { fd: CONTROL_FD, events: POLLIN, revents: 0 },
        ];
        match ipc::poll(&mut fds) {
            Err(Errno::EINTR) => continue,
            other => other.at(Step::Lifeline)?,
        }
        while let Some(signal) = ipc::next_signal(signals) {
            if FORWARDED.contains(&signal) {
                send(-workload, signal);
            }
        }
        if fds[1].revents & POLLIN != 0 {
            obey(workload)?;
        } else if fds[1].revents & POLLHUP != 0 {
            return Err(Errno::EPIPE).at(Step::Lifeline);
        }
    }
}

fn obey(workload: i32) -> Result<(), Failure<'static>> {
    let mut byte = [0; 1];
    if ipc::receive(CONTROL_FD, &mut byte).at(Step::Lifeline)? == 0 {
        // The supervisor is gone; with PID 1 the whole namespace goes.
        return Err(Errno::EPIPE).at(Step::Lifeline);
    }
    match Command::decode(byte[0]) {
        Some(Command::Stop) => send(-1, SIGSTOP),
        Some(Command::Continue) => send(-1, SIGCONT),
        Some(Command::Signal(number)) => send(-workload, i32::from(number)),
        Some(Command::Go) | None => {}
    }
    Ok(())
}

/// A signal to processes that may have ended meanwhile, which is no failure.
fn send(pid: i32, signal: i32) {
    match process::kill(pid, signal) {
        Ok(()) | Err(_) => {}
    }
}

/// Reaps every child that has ended: the workload's wait status if it is among them, and whether no child is left.
/// Orphans become children of PID 1, so without children nothing else lives in the namespace.
fn reap(workload: i32) -> (Option<i32>, bool) {
    let mut status = None;
    loop {
        match process::reap() {
            Reaped::Child(pid, ended) if pid == workload => status = Some(ended),
            Reaped::Child(..) => {}
            Reaped::None => return (status, false),
            Reaped::NoChildren => return (status, true),
        }
    }
}

/// Reports the end and gives an exit code that says the same, for a supervisor that lost the message.
fn ended(wait_status: i32, alone: bool) -> i32 {
    let (cpu_us, max_rss_kb) = process::children_usage();
    let mut buffer = [0; MAX];
    let length = Message::Ended { wait_status, cpu_us, max_rss_kb, alone }.encode(&mut buffer);
    let signal = wait_status & 0x7f;
    match ipc::send(CONTROL_FD, &buffer[..length], None) {
        Ok(()) | Err(_) if signal == 0 => (wait_status >> 8) & 0xff,
        Ok(()) | Err(_) => 128 + signal,
    }
}
