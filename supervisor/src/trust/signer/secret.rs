//! Passphrases and PINs: from a file, the environment or a terminal, wiped after use.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use der::zeroize::Zeroizing;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP};
use nix::sys::signal::{SigSet, SigmaskHow};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::termios::{LocalFlags, SetArg, tcgetattr, tcsetattr};

use super::SignError;

/// The variable that may hold the passphrase.
const VARIABLE: &str = "SANDBOXCTL_PASSPHRASE";
/// No passphrase is longer.
const MOST_BYTES: usize = 1024;

/// A passphrase or PIN. Wiped from memory when it is dropped; never printed.
pub struct Passphrase(Zeroizing<Vec<u8>>);

impl Passphrase {
    /// Of these bytes.
    #[must_use]
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(Zeroizing::new(bytes.into()))
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Passphrase(..)")
    }
}

/// Where passphrases come from: a file that was named, else `SANDBOXCTL_PASSPHRASE`, else the terminal.
#[derive(Clone, Debug, Default)]
pub struct PassphraseSource {
    /// A file whose first line it is.
    pub file: Option<PathBuf>,
}

impl PassphraseSource {
    /// The passphrase of a key that exists.
    ///
    /// # Errors
    /// [`SignError::NoPassphrase`], or what is wrong with the file.
    pub fn get(&self, what: &str) -> Result<Passphrase, SignError> {
        self.find(what, false)
    }

    /// The passphrase of a new key: asked for twice at a terminal, never empty.
    ///
    /// # Errors
    /// [`SignError::NoPassphrase`], or what is wrong with the file.
    pub fn choose(&self, what: &str) -> Result<Passphrase, SignError> {
        let passphrase = self.find(what, true)?;
        if passphrase.0.is_empty() {
            return Err(missing(what, "it is empty"));
        }
        Ok(passphrase)
    }

    fn find(&self, what: &str, twice: bool) -> Result<Passphrase, SignError> {
        if let Some(path) = &self.file {
            return from_file(path);
        }
        if let Some(value) = std::env::var_os(VARIABLE) {
            return Ok(Passphrase::new(std::os::unix::ffi::OsStringExt::into_vec(value)));
        }
        let first = ask(what, &format!("Passphrase of {what}: "))?;
        if twice && ask(what, "Again: ")?.0 != first.0 {
            return Err(missing(what, "the two are not the same"));
        }
        Ok(first)
    }
}

fn missing(what: &str, reason: impl Into<String>) -> SignError {
    SignError::NoPassphrase { what: what.to_owned(), reason: reason.into() }
}

/// The first line of a file that only its owner may read. A pipe, as of `<(..)`, is as private as its reader.
fn from_file(path: &Path) -> Result<Passphrase, SignError> {
    let error = |source| SignError::File { action: "read", path: path.to_owned(), source };
    let file = File::open(path).map_err(error)?;
    let metadata = file.metadata().map_err(error)?;
    let mode = metadata.mode() & 0o7777;
    if metadata.is_file() && mode & 0o077 != 0 {
        return Err(SignError::Mode { path: path.to_owned(), mode });
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(256));
    file.take(MOST_BYTES as u64).read_to_end(&mut bytes).map_err(error)?;
    Ok(first_line(&bytes))
}

fn first_line(bytes: &[u8]) -> Passphrase {
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    Passphrase::new(line.strip_suffix(b"\r").unwrap_or(line))
}

/// Asks at the terminal of the process, without an echo: termios(3).
fn ask(what: &str, prompt: &str) -> Result<Passphrase, SignError> {
    let mut terminal = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/tty")
        .map_err(|_| missing(what, "there is no terminal to ask at"))?;
    // A signal waits until the echo is back, and then does what it does.
    let ending = SigSet::from_iter([SIGHUP, SIGINT, SIGQUIT, SIGTERM]);
    let held = ending | SigSet::from(SIGTSTP);
    let mask = held.thread_swap_mask(SigmaskHow::SIG_BLOCK).map_err(|e| no_answer(what, e))?;
    let asked = ask_silently(&mut terminal, prompt, &ending);
    mask.thread_set_mask().map_err(|e| no_answer(what, e))?;
    asked.map_err(|e| no_answer(what, e))
}

fn no_answer(what: &str, error: impl std::fmt::Display) -> SignError {
    missing(what, error.to_string())
}

/// [`io::ErrorKind::Interrupted`] where a signal of `ending` came, which is left pending: signalfd(2).
fn ask_silently(terminal: &mut File, prompt: &str, ending: &SigSet) -> io::Result<Passphrase> {
    let signals = SignalFd::with_flags(ending, SfdFlags::SFD_CLOEXEC)?;
    let before = tcgetattr(&*terminal)?;
    let mut silent = before.clone();
    silent.local_flags.remove(LocalFlags::ECHO);
    tcsetattr(&*terminal, SetArg::TCSAFLUSH, &silent)?;
    let read = terminal.write_all(prompt.as_bytes()).and_then(|()| read_line(terminal, &signals));
    tcsetattr(&*terminal, SetArg::TCSAFLUSH, &before)?;
    terminal.write_all(b"\n")?;
    read
}

/// One read(2) of a terminal is one line.
fn read_line(terminal: &mut File, signals: &SignalFd) -> io::Result<Passphrase> {
    let mut fds = [terminal.as_fd(), signals.as_fd()].map(|fd| PollFd::new(fd, PollFlags::POLLIN));
    while poll(&mut fds, PollTimeout::NONE).or_else(again)? == 0 {}
    if fds[1].any() == Some(true) {
        return Err(io::ErrorKind::Interrupted.into());
    }
    let mut line = Zeroizing::new([0; MOST_BYTES]);
    let length = terminal.read(&mut *line)?;
    Ok(first_line(&line[..length]))
}

fn again(errno: Errno) -> nix::Result<i32> {
    if errno == Errno::EINTR { Ok(0) } else { Err(errno) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_counts_without_its_end() {
        assert_eq!(first_line(b"pass word\n").as_bytes(), b"pass word");
        assert_eq!(first_line(b"pass word\r\nmore").as_bytes(), b"pass word");
        assert_eq!(first_line(b"").as_bytes(), b"");
        assert_eq!(format!("{:?}", Passphrase::new("secret")), "Passphrase(..)");
    }
}
