//! What is asked for at a terminal, on a real one: a pseudoterminal that the program has as its own.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::openpty;
use nix::sys::signal::{Signal, kill};
use nix::sys::termios::{LocalFlags, tcgetattr};
use nix::unistd::Pid;
use sandboxctl_integration::{Need, Site, require, site};

/// After this long it is stuck.
const STUCK: Duration = Duration::from_mins(1);
const KEYGEN: [&str; 5] = ["keygen", "-o", "new.key", "--bits", "2048"];

/// A program, and the other end of its terminal.
struct Session {
    child: Child,
    master: File,
    /// Kept open, so that what the program wrote can be read after its end.
    slave: OwnedFd,
    seen: String,
}

impl Session {
    /// setsid(1) gives it the terminal and then becomes it.
    fn new(site: &Site, arguments: &[&str]) -> Self {
        let pty = openpty(None, None).unwrap();
        let mut command = site.prepare("setsid");
        command.arg("--ctty").arg(site::binary()).args(arguments).current_dir(site.dir());
        command.env_remove("SANDBOXCTL_PASSPHRASE").env_remove("NO_COLOR").env("TERM", "xterm");
        let end = || Stdio::from(pty.slave.try_clone().unwrap());
        let child = command.stdin(end()).stdout(end()).stderr(end()).spawn().unwrap();
        Self { child, master: pty.master.into(), slave: pty.slave, seen: String::new() }
    }

    /// Reads until the program has written this, and forgets it.
    #[track_caller]
    fn expect(&mut self, text: &str) {
        let began = Instant::now();
        while !self.seen.contains(text) {
            assert!(began.elapsed() < STUCK, "{text:?} does not come after {:?}", self.seen);
            self.read(100);
        }
        self.seen.clear();
    }

    fn read(&mut self, milliseconds: u16) -> bool {
        let mut fds = [PollFd::new(self.master.as_fd(), PollFlags::POLLIN)];
        if poll(&mut fds, PollTimeout::from(milliseconds)).unwrap() == 0 {
            return false;
        }
        let mut bytes = [0; 4096];
        let count = self.master.read(&mut bytes).unwrap();
        self.seen.push_str(&String::from_utf8_lossy(&bytes[..count]));
        true
    }

    fn write(&mut self, text: &str) {
        self.master.write_all(text.as_bytes()).unwrap();
    }

    fn echoes(&self) -> bool {
        tcgetattr(&self.slave).unwrap().local_flags.contains(LocalFlags::ECHO)
    }

    /// How it ended, and what it wrote since the last expectation.
    #[track_caller]
    fn end(mut self) -> (ExitStatus, String, bool) {
        let began = Instant::now();
        let status = loop {
            self.read(20);
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(began.elapsed() < STUCK, "it does not end after {:?}", self.seen);
        };
        while self.read(0) {}
        let echoes = self.echoes();
        (status, self.seen, echoes)
    }
}

#[test]
fn a_passphrase_is_chosen_twice_and_never_shown() {
    require!(Need::Program("setsid"), Need::Program("openssl"));
    let site = Site::new();
    let mut session = Session::new(&site, &KEYGEN);
    session.expect("Passphrase of the new key new.key: ");
    assert!(!session.echoes());
    session.write("of plain words\n");
    session.expect("Again: ");
    assert!(!session.echoes());
    session.write("of plain words\n");
    let (status, seen, echoes) = session.end();
    assert_eq!(status.code(), Some(0), "{seen}");
    assert!(echoes);
    assert!(!seen.contains("plain"), "{seen}");
    // The line that passes the time is taken back.
    assert!(seen.contains("looking for primes ...\r\u{1b}[K"), "{seen:?}");
    assert!(seen.contains("-----BEGIN PUBLIC KEY-----"), "{seen}");
    let openssl = |passphrase: &str| {
        let mut command = Command::new("openssl");
        command.args(["pkey", "-in", "new.key", "-noout", "-passin", passphrase]);
        command.current_dir(site.dir()).output().unwrap().status.success()
    };
    assert!(openssl("pass:of plain words"));
    assert!(!openssl("pass:of other words"));
}

#[test]
fn passphrases_that_differ_or_are_empty_make_no_key() {
    require!(Need::Program("setsid"));
    let site = Site::new();
    for (first, second, says) in
        [("one", "two", "the two are not the same"), ("", "", "it is empty")]
    {
        let mut session = Session::new(&site, &KEYGEN);
        session.expect("Passphrase of the new key new.key: ");
        session.write(&format!("{first}\n"));
        session.expect("Again: ");
        session.write(&format!("{second}\n"));
        let (status, seen, echoes) = session.end();
        assert_eq!(status.code(), Some(1), "{seen}");
        assert!(seen.contains(says), "{seen}");
        assert!(echoes);
        assert!(!site.dir().join("new.key").exists());
    }
}

/// Whatever ends it, the terminal is as it was.
#[test]
fn an_end_at_the_prompt_gives_the_echo_back() {
    require!(Need::Program("setsid"));
    let site = Site::new();
    for signal in [Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTERM, Signal::SIGHUP] {
        let mut session = Session::new(&site, &KEYGEN);
        session.expect("Passphrase of the new key new.key: ");
        session.write("half of i");
        match signal {
            // As the keyboard sends them.
            Signal::SIGINT => session.write("\u{3}"),
            Signal::SIGQUIT => session.write("\u{1c}"),
            _ => kill(Pid::from_raw(session.child.id().try_into().unwrap()), signal).unwrap(),
        }
        let (status, seen, echoes) = session.end();
        assert_eq!(status.signal(), Some(signal as i32), "{seen}");
        assert!(echoes, "{signal}");
        assert!(!seen.contains("half"), "{seen}");
        assert!(!site.dir().join("new.key").exists());
    }
    // The end of the input is no passphrase.
    let mut session = Session::new(&site, &KEYGEN);
    session.expect("Passphrase of the new key new.key: ");
    session.write("\u{4}");
    session.expect("Again: ");
    session.write("\u{4}");
    let (status, seen, echoes) = session.end();
    assert_eq!(status.code(), Some(1), "{seen}");
    assert!(echoes && seen.contains("it is empty"), "{seen}");
}
