//! The hostile program: this binary, under a hidden subcommand, inside a sandbox. It does the actions of one sandbox one
//! by one, each in a process of its own, and prints what came of each as one line of JSON.

mod act;
mod flood;
mod network;

use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::alarm;
use serde::{Deserialize, Serialize};

use super::catalogue::{self, Action, Sandbox};
use crate::sys::probe::in_child;

/// The inode of the mount namespace that the probe must not run in.
pub const HOST_NAMESPACE: &str = "SELFTEST_HOST_NAMESPACE";
/// What the acts need to know of the tier: names beneath a wildcard, and connections at once.
pub const NAMES: &str = "SELFTEST_NAMES";
/// See [`NAMES`].
pub const CONNECTIONS: &str = "SELFTEST_CONNECTIONS";
/// The abstract socket on which the supervising selftest listens.
pub const ABSTRACT: &str = "SELFTEST_ABSTRACT";
/// The port of 127.0.0.1 on which it listens.
pub const PORT: &str = "SELFTEST_PORT";
/// Exit code of a probe that refuses to run.
pub const NOT_CONFINED: u8 = 99;
/// Seconds after which an action that hangs is ended by SIGALRM.
const STUCK_S: u32 = 20;
/// Between two actions, so that the records of one do not delay the next.
const PAUSE: Duration = Duration::from_millis(1);

/// What came of one action, as its process saw it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Seen {
    /// The action.
    pub name: String,
    /// Whether it was refused.
    pub blocked: bool,
    /// In words: the errno, `NXDOMAIN`, `signal 9`, `ok`.
    pub result: String,
    /// How long the refusal took, in nanoseconds; 0 where the process did not live to say.
    pub nanoseconds: u64,
}

/// What came of an act.
pub(super) enum Came {
    /// Let through.
    Through,
    /// Refused.
    Refused(String),
}

impl<T> From<Result<T, Errno>> for Came {
    fn from(result: Result<T, Errno>) -> Self {
        match result {
            Ok(_) => Self::Through,
            Err(errno) => Self::Refused(format!("{errno:?}")),
        }
    }
}

impl<T> From<std::io::Result<T>> for Came {
    fn from(result: std::io::Result<T>) -> Self {
        Self::from(result.map_err(|error| errno(&error)))
    }
}

fn errno(error: &std::io::Error) -> Errno {
    match (error.raw_os_error(), error.kind()) {
        (Some(number), _) => Errno::from_raw(number),
        (None, std::io::ErrorKind::UnexpectedEof) => Errno::ECONNRESET,
        (None, _) => Errno::UnknownErrno,
    }
}

/// Does what the words on the command line say.
#[must_use]
pub fn main(words: &[String]) -> ExitCode {
    if !is_confined() {
        eprintln!("sandboxctl: the probe refuses to run outside of a selftest's sandbox");
        return ExitCode::from(NOT_CONFINED);
    }
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["flood", what] => flood::main(what),
        [sandbox] => match Sandbox::from_name(sandbox) {
            Some(sandbox) => {
                for action in catalogue::of(sandbox) {
                    one(&action);
                }
                ExitCode::SUCCESS
            }
            None => ExitCode::from(crate::exit::USAGE),
        },
        _ => ExitCode::from(crate::exit::USAGE),
    }
}

/// Whether this is another mount namespace than the one that the selftest was started in.
fn is_confined() -> bool {
    let own = std::fs::metadata("/proc/self/ns/mnt").map(|namespace| namespace.ino().to_string());
    let host = std::env::var(HOST_NAMESPACE);
    matches!((own, host), (Ok(own), Ok(host)) if !host.is_empty() && own != host)
}

/// Does one action in a child, and says for the child what it cannot say itself.
fn one(action: &Action) {
    std::thread::sleep(PAUSE);
    let child = in_child(|| {
        alarm::set(STUCK_S);
        let began = Instant::now();
        let came = act::act(action.act);
        let took = began.elapsed();
        let (blocked, result) = match came {
            Came::Through => (false, "ok".to_owned()),
            Came::Refused(result) => (true, result),
        };
        let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        say(&Seen { name: action.name.to_owned(), blocked, result, nanoseconds });
    });
    let ended = child.and_then(|child| waitpid(child, None));
    let (blocked, result) = match ended {
        Ok(WaitStatus::Exited(_, 0)) => return,
        // SIGALRM is our own: the action hung, which is no refusal.
        Ok(WaitStatus::Signaled(_, signal, _)) => {
            (signal != nix::sys::signal::Signal::SIGALRM, format!("{signal}"))
        }
        Ok(other) => (false, format!("{other:?}")),
        Err(errno) => (false, format!("not done: {errno:?}")),
    };
    say(&Seen { name: action.name.to_owned(), blocked, result, nanoseconds: 0 });
}

/// One line, in one write.
fn say<T: Serialize>(value: &T) {
    let Ok(mut line) = serde_json::to_vec(value) else { return };
    line.push(b'\n');
    // Nobody can be told where this fails: the line is missing then, and the judge says so.
    std::io::stdout().write_all(&line).unwrap_or_default();
    std::io::stdout().flush().unwrap_or_default();
}

/// A number of the environment.
fn number(name: &str) -> u32 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(0)
}
