//! Messages of RFC 5424, as datagrams.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use policies::violation::Severity;

use super::Target;
use super::journald::connect;
use crate::record::audit::EventType;
use crate::record::audit::query::Record;

/// Facility 13, log audit.
const FACILITY: u8 = 13;

/// The severity of RFC 5424 and of journald.
pub(super) const fn level(severity: Severity) -> u8 {
    match severity {
        Severity::Info => 6,
        Severity::Warning => 4,
        Severity::Critical => 2,
    }
}

/// `<PRI>1 TIME HOST sandboxctl PID TYPE [sandboxctl@32473 ...] JSON`. The time is the event's.
pub(super) fn message(kind: EventType, severity: Severity, line: &str) -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let is_host = |host: &str| !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_graphic());
    let host = Some(host.trim_end()).filter(|host| is_host(host)).unwrap_or("-");
    let priority = FACILITY * 8 + level(severity);
    let (pid, kind) = (std::process::id(), kind.name());
    let record = Record::parse(line.as_bytes());
    let ts = record.as_ref().map_or("-", |record| record.ts.as_ref());
    let elements = record.as_ref().map_or_else(
        || "-".to_owned(),
        |record| {
            // 32473 is the number for documentation; we have none of our own.
            format!(
                r#"[sandboxctl@32473 seq="{}" ext="{}" run="{}"]"#,
                record.seq,
                escaped(&record.ext),
                escaped(&record.run)
            )
        },
    );
    format!("<{priority}>1 {ts} {host} sandboxctl {pid} {kind} {elements} {line}")
}

/// A parameter's value: RFC 5424, 6.3.3. Control characters are for no log's reader.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '"' | '\\' | ']') {
            out.push('\\');
        }
        out.push(if c.is_control() { ' ' } else { c });
    }
    out
}

/// A syslog daemon on this host.
#[derive(Debug)]
pub(super) struct Local {
    path: PathBuf,
    socket: Option<UnixDatagram>,
}

impl Local {
    pub(super) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), socket: None }
    }
}

impl Target for Local {
    fn send(&mut self, kind: EventType, severity: Severity, line: &str) -> Result<(), String> {
        let failed =
            |error| format!("failed to send to syslog at {}: {error}", self.path.display());
        let socket = match &self.socket {
            Some(socket) => socket,
            None => self.socket.insert(connect(&self.path).map_err(failed)?),
        };
        socket.send(message(kind, severity, line).as_bytes()).map(drop).map_err(failed)
    }
}

/// A server that takes datagrams.
#[derive(Debug)]
pub(super) struct Udp {
    address: SocketAddr,
    socket: Option<UdpSocket>,
}

impl Udp {
    pub(super) fn new(address: SocketAddr) -> Self {
        Self { address, socket: None }
    }

    fn open(&self) -> std::io::Result<UdpSocket> {
        let any: SocketAddr = if self.address.is_ipv4() {
            (Ipv4Addr::UNSPECIFIED, 0).into()
        } else {
            (Ipv6Addr::UNSPECIFIED, 0).into()
        };
        let socket = UdpSocket::bind(any)?;
        socket.set_nonblocking(true)?;
        socket.connect(self.address)?;
        Ok(socket)
    }
}

impl Target for Udp {
    fn send(&mut self, kind: EventType, severity: Severity, line: &str) -> Result<(), String> {
        let failed = |error| format!("failed to send to syslog at udp:{}: {error}", self.address);
        if self.socket.is_none() {
            self.socket = Some(self.open().map_err(failed)?);
        }
        let Some(socket) = &self.socket else { return Ok(()) };
        socket.send(message(kind, severity, line).as_bytes()).map(drop).map_err(failed)
    }
}
