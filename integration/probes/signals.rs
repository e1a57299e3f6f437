//! What becomes of signals.

use std::io::Write;
use std::process::ExitCode;

use nix::sys::signal::{SigHandler, SigSet, Signal, raise};
use nix::unistd::pause;

use crate::sys::set_action;

const REPORTED: [Signal; 5] =
    [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGUSR1, Signal::SIGUSR2];

/// Names each signal that arrives. SIGTERM and SIGINT end it, with exit code 40 and 41.
pub(crate) fn report() -> ExitCode {
    let set: SigSet = REPORTED.into_iter().collect();
    set.thread_block().unwrap();
    say("ready");
    loop {
        let signal = set.wait().unwrap();
        say(signal.as_str());
        match signal {
            Signal::SIGTERM => return ExitCode::from(40),
            Signal::SIGINT => return ExitCode::from(41),
            _ => {}
        }
    }
}

/// Ends for no signal but SIGKILL.
pub(crate) fn ignore() -> ExitCode {
    for signal in REPORTED {
        set_action(signal as i32, SigHandler::SigIgn).unwrap();
    }
    say("ready");
    loop {
        pause();
    }
}

/// Ends by a signal of its own.
pub(crate) fn kill_self(signal: i32) -> ExitCode {
    let signal = Signal::try_from(signal).unwrap();
    // The Rust runtime handles SIGSEGV.
    if signal != Signal::SIGKILL {
        set_action(signal as i32, SigHandler::SigDfl).unwrap();
    }
    raise(signal).unwrap();
    ExitCode::from(97)
}

fn say(text: &str) {
    println!("{text}");
    std::io::stdout().flush().unwrap();
}
