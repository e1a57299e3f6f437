//! Sending each event to journald or a syslog server besides.
//!
//! Nothing here waits: sockets are non-blocking, and what they do not take is counted. Only the end of a process waits
//! for a connection, a bounded time.

mod journald;
mod syslog;
mod tcp;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use policies::violation::Severity;
use serde::{Deserialize, Serialize};

use super::EventType;

/// Where journald listens.
const JOURNALD: &str = "/run/systemd/journal/socket";

/// The section `[audit.forward]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Targets {
    /// Journald's socket: `true` for the usual one, or its path.
    pub journald: Journald,
    /// `unix:/dev/log`, `udp:192.0.2.1:514` or `tcp:[2001:db8::1]:601`.
    pub syslog: Option<Server>,
}

/// Whether and where events go to journald.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged, expecting = "journald is true, false or the path of its socket")]
pub enum Journald {
    /// To the usual socket, or not at all.
    Switch(bool),
    /// To this socket.
    Socket(PathBuf),
}

impl Default for Journald {
    fn default() -> Self {
        Self::Switch(false)
    }
}

impl Journald {
    fn socket(&self) -> Option<&Path> {
        match self {
            Self::Switch(false) => None,
            Self::Switch(true) => Some(Path::new(JOURNALD)),
            Self::Socket(path) => Some(path),
        }
    }
}

/// A syslog server. By address and not by name: to look a name up could hold a launch up.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Server {
    /// A local socket of datagrams.
    Unix(PathBuf),
    /// One datagram an event, RFC 5426.
    Udp(SocketAddr),
    /// One connection a process, frames by octet counting, RFC 6587.
    Tcp(SocketAddr),
}

impl FromStr for Server {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let address = |text: &str| {
            text.parse().map_err(|_| {
                format!(
                    "syslog = {text:?}: an IP address and a port are needed, such as 192.0.2.1:514"
                )
            })
        };
        match text.split_once(':') {
            Some(("unix", path)) if path.starts_with('/') => Ok(Self::Unix(path.into())),
            Some(("udp", to)) => Ok(Self::Udp(address(to)?)),
            Some(("tcp", to)) => Ok(Self::Tcp(address(to)?)),
            _ => Err(format!(
                "syslog = {text:?}: unix:/PATH, udp:ADDRESS:PORT or tcp:ADDRESS:PORT is needed"
            )),
        }
    }
}

impl TryFrom<String> for Server {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// What became of the events that were to be sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Forwarded {
    /// Handed to a socket, summed over the targets.
    pub sent: u64,
    /// Not taken by a socket.
    pub lost: u64,
    /// Why, for the first of them.
    pub reason: Option<String>,
}

/// One place that events are sent to.
trait Target: std::fmt::Debug {
    /// Sends one event, or keeps it for [`Target::finish`].
    fn send(&mut self, kind: EventType, severity: Severity, line: &str) -> Result<(), String>;

    /// Sends what was kept, for a bounded time; how many events it could not.
    fn finish(&mut self) -> Result<(), (u64, String)> {
        Ok(())
    }
}

/// Sends events to every configured place.
#[derive(Debug)]
pub(super) struct Forwarder {
    targets: Vec<Box<dyn Target>>,
    done: Forwarded,
}

impl Forwarder {
    /// `None` if nothing is configured, which costs nothing.
    pub(super) fn new(to: &Targets) -> Option<Self> {
        let mut targets: Vec<Box<dyn Target>> = Vec::new();
        if let Some(socket) = to.journald.socket() {
            targets.push(Box::new(journald::Journal::new(socket)));
        }
        match &to.syslog {
            Some(Server::Unix(path)) => targets.push(Box::new(syslog::Local::new(path))),
            Some(Server::Udp(address)) => targets.push(Box::new(syslog::Udp::new(*address))),
            Some(Server::Tcp(address)) => targets.push(Box::new(tcp::Tcp::new(*address))),
            None => {}
        }
        (!targets.is_empty()).then(|| Self { targets, done: Forwarded::default() })
    }

    pub(super) fn send(&mut self, kind: EventType, severity: Severity, line: &str) {
        for target in &mut self.targets {
            match target.send(kind, severity, line) {
                Ok(()) => self.done.sent += 1,
                Err(reason) => {
                    self.done.lost += 1;
                    self.done.reason.get_or_insert(reason);
                }
            }
        }
    }

    pub(super) fn finish(&mut self) -> Forwarded {
        for target in &mut self.targets {
            if let Err((lost, reason)) = target.finish() {
                self.done.lost += lost;
                self.done.sent = self.done.sent.saturating_sub(lost);
                self.done.reason.get_or_insert(reason);
            }
        }
        self.done.clone()
    }
}

#[cfg(test)]
mod tests;
