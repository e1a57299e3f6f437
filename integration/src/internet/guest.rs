//! A network behind the joined host, as containers have it: a veth pair, forwarding and masquerading.

use std::fs;
use std::process::{Child, Command, Stdio};

use super::{Holder, Internet};

/// What a sandbox's egress is measured against. Ends with the value.
#[derive(Debug)]
pub struct Guest(Holder);

impl Internet {
    /// Joins such a network to the host. Once a pretend internet: its interface and its addresses have fixed names.
    #[must_use]
    pub fn guest(&self) -> Guest {
        let script = self.dir.join("guest.sh");
        fs::write(&script, include_str!("guest.sh")).unwrap();
        let pid = self.host.child.id().to_string();
        let words = ["bash", script.to_str().unwrap(), self.dir.to_str().unwrap(), &pid];
        Guest(Holder::start(&self.dir, "guest.log", &words))
    }

    /// Starts a server in the pretend internet, on all of its addresses; the caller ends it.
    #[must_use]
    pub fn serve(&self, command: &[&str]) -> Child {
        Command::new("nsenter")
            .args(["--target", &self.inet.child.id().to_string(), "--net", "--"])
            .args(command)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap()
    }
}

impl Guest {
    /// A program in that network, ended after a while.
    #[must_use]
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        self.0.command(program)
    }
}
