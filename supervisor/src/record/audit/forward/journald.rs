//! Journald's native protocol: one datagram an event, `NAME=value` lines; <https://systemd.io/JOURNAL_NATIVE_PROTOCOL/>.

use std::fmt::Write as _;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use policies::violation::Severity;

use super::Target;
use crate::record::audit::EventType;
use crate::record::audit::query::Record;

/// `MESSAGE_ID` of every event: `journalctl MESSAGE_ID=...` finds them all.
const MESSAGE_ID: &str = "6f0c9a1de6b24a4c8f5a3e1f7b2d9c04";

/// Journald's socket. Connected when the first event comes.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    socket: Option<UnixDatagram>,
}

impl Journal {
    pub(super) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), socket: None }
    }
}

impl Target for Journal {
    fn send(&mut self, _: EventType, severity: Severity, line: &str) -> Result<(), String> {
        let failed =
            |error| format!("failed to send to journald at {}: {error}", self.path.display());
        let socket = match &self.socket {
            Some(socket) => socket,
            None => self.socket.insert(connect(&self.path).map_err(failed)?),
        };
        socket.send(datagram(severity, line).as_bytes()).map(drop).map_err(failed)
    }
}

/// A datagram socket that never waits.
pub(super) fn connect(path: &Path) -> std::io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    socket.connect(path)?;
    Ok(socket)
}

/// Our JSON has no newline, so no field needs the binary form.
fn datagram(severity: Severity, line: &str) -> String {
    let mut text = String::with_capacity(line.len() * 2 + 512);
    let mut field = |name: &str, value: &str| {
        // Writing to a String cannot fail.
        let value = if value.contains('\n') { value.replace('\n', " ") } else { value.to_owned() };
        writeln!(text, "{name}={value}").unwrap_or_default();
    };
    field("MESSAGE_ID", MESSAGE_ID);
    field("PRIORITY", &super::syslog::level(severity).to_string());
    field("SYSLOG_IDENTIFIER", "sandboxctl");
    if let Some(record) = Record::parse(line.as_bytes()) {
        let about = [&record.ext, &record.run].map(AsRef::as_ref).join(" ");
        field("MESSAGE", &format!("{} {}", record.kind, about.trim()));
        field("SANDBOXCTL_SEQ", &record.seq.to_string());
        field("SANDBOXCTL_TYPE", &record.kind);
        field("SANDBOXCTL_EXTENSION", &record.ext);
        field("SANDBOXCTL_VERSION", &record.ver);
        field("SANDBOXCTL_RUN", &record.run);
        field("SANDBOXCTL_ACTOR", &record.actor);
        field("SANDBOXCTL_HASH", record.h.as_deref().unwrap_or_default());
    }
    field("SANDBOXCTL_EVENT", line);
    text
}
