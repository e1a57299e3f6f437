//! Too many processes, processes that hide, processes that burn CPU time.

use std::io::{Read, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use nix::time::{ClockId, clock_gettime};
use nix::unistd::{Pid, pause, setsid};
use serde_json::json;

use crate::memory;
use crate::sys::fork;

/// Ends a forked child.
#[expect(clippy::exit, reason = "a child must not return into its parent's code")]
pub(crate) fn leave(code: i32) -> ! {
    std::process::exit(code)
}

/// Forks until it is refused or `most` live; says how many lived and the errno of the refusal. Ends them all.
pub(crate) fn forks(most: u64) -> ExitCode {
    let mut children: Vec<Pid> = Vec::new();
    let mut refusal = None;
    for _ in 0..most {
        match fork() {
            Ok(Some(child)) => children.push(child),
            Ok(None) => loop {
                pause();
            },
            Err(errno) => {
                refusal = Some(format!("{errno:?}"));
                break;
            }
        }
    }
    for child in &children {
        kill(*child, Signal::SIGKILL).unwrap();
        waitpid(*child, None).unwrap();
    }
    println!("{}", json!({ "children": children.len(), "refusal": refusal }));
    ExitCode::SUCCESS
}

/// Every process forks for ever.
pub(crate) fn bomb() -> ExitCode {
    println!("bomb");
    loop {
        if fork().is_err() {
            std::thread::yield_now();
        }
    }
}

/// A grandchild in a session of its own burns CPU time and takes memory. The entry command ends when that is done; the
/// grandchild would stay for ever.
pub(crate) fn daemon(millis: u64, mebibytes: u64) -> ExitCode {
    let (mut done, mut say) = std::io::pipe().unwrap();
    if fork().unwrap().is_none() {
        setsid().unwrap();
        if fork().unwrap().is_none() {
            let held = memory::touched(mebibytes);
            burn(Duration::from_millis(millis));
            say.write_all(b"!").unwrap();
            loop {
                std::hint::black_box(&held);
                pause();
            }
        }
        leave(0);
    }
    drop(say);
    done.read_exact(&mut [0]).unwrap();
    println!("{}", json!({ "burned": millis }));
    ExitCode::SUCCESS
}

/// Burns CPU for a while of wall time; says how much it got, both in milliseconds.
pub(crate) fn spin(millis: u64) -> ExitCode {
    let began = Instant::now();
    while began.elapsed() < Duration::from_millis(millis) {
        std::hint::spin_loop();
    }
    let wall = began.elapsed().as_millis();
    println!("{}", json!({ "cpuMs": cpu_time().as_millis(), "wallMs": wall }));
    ExitCode::SUCCESS
}

/// Takes this much CPU time.
fn burn(time: Duration) {
    let began = cpu_time();
    while cpu_time().saturating_sub(began) < time {
        std::hint::spin_loop();
    }
}

fn cpu_time() -> Duration {
    clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).unwrap().into()
}
