//! `CEF:0|sandboxctl|sandboxctl|VERSION|SIGNATURE|NAME|SEVERITY|EXTENSION`, with the keys of the Common Event Format's
//! dictionary, version 25.

use std::fmt::Write as _;
use std::net::IpAddr;

use jiff::Timestamp;
use policies::violation::{Action, Object, Severity, Violation};

use super::words;
use crate::record::audit::query::Record;

pub(super) fn render(record: &Record<'_>) -> String {
    let violation = serde_json::from_str::<Violation>(record.data.get()).ok();
    let (signature, name) = match &violation {
        Some(violation) => (violation.code.text(), violation.code.words()),
        None => (record.kind.as_ref(), record.kind.as_ref()),
    };
    let severity = match record.sev {
        Severity::Info => 2,
        Severity::Warning => 5,
        Severity::Critical => 9,
    };
    let mut text = format!(
        "CEF:0|sandboxctl|sandboxctl|{}|{}|{}|{severity}|",
        env!("CARGO_PKG_VERSION"),
        header(signature),
        header(name)
    );
    let mut keys = Keys { text: &mut text, is_first: true };
    if let Ok(stamp) = record.ts.parse::<Timestamp>() {
        keys.put("rt", &stamp.as_millisecond().to_string());
    }
    keys.put("externalId", &record.seq.to_string());
    keys.put("cat", &record.kind);
    keys.put("suser", &record.actor);
    for (number, label, value) in [
        (1, "extension", record.ext.as_ref()),
        (2, "extensionVersion", record.ver.as_ref()),
        (3, "runId", record.run.as_ref()),
        (4, "hash", record.h.as_deref().unwrap_or_default()),
    ] {
        keys.custom(number, label, value);
    }
    if let Some(violation) = &violation {
        of_violation(&mut keys, violation);
    }
    keys.put("msg", &words(record));
    text
}

fn of_violation(keys: &mut Keys<'_>, violation: &Violation) {
    keys.custom(5, "rule", &violation.rule);
    keys.custom(6, "layer", crate::record::sink::layer(violation));
    keys.put("cnt", &violation.count.to_string());
    let (act, outcome) = match violation.action {
        Action::Denied => ("denied", "failure"),
        Action::Throttled => ("throttled", "success"),
        Action::Killed => ("killed", "failure"),
    };
    keys.put("act", act);
    keys.put("outcome", outcome);
    if let Some(pid) = violation.process.pid {
        keys.put("spid", &pid.to_string());
    }
    keys.put("sproc", violation.process.comm.as_deref().unwrap_or_default());
    if let Some(uid) = violation.process.uid {
        keys.put("suid", &uid.to_string());
    }
    match &violation.object {
        Object::Path { path, access } => {
            keys.put("filePath", path);
            keys.put("reason", access);
        }
        Object::Port { port, access } => {
            keys.put("dpt", &port.to_string());
            keys.put("reason", access);
        }
        Object::Name { name } => keys.put("dhost", name),
        Object::Endpoint { host, address, port, protocol, detail } => {
            keys.put("dhost", host);
            match address.parse() {
                Ok(IpAddr::V4(_)) => keys.put("dst", address),
                Ok(IpAddr::V6(_)) => {
                    keys.put("c6a3", address);
                    keys.put("c6a3Label", "Destination IPv6 Address");
                }
                Err(_) => {}
            }
            if *port > 0 {
                keys.put("dpt", &port.to_string());
            }
            keys.put("proto", protocol);
            keys.put("reason", detail);
        }
        Object::Syscall { name, detail, .. } => {
            keys.put("reason", format!("{name} {detail}").trim());
        }
        Object::Scope { access, name } => {
            keys.put("reason", access);
            keys.put("dproc", name);
        }
        Object::Limit { value, .. } => keys.put("reason", value),
    }
}

/// The extension part.
struct Keys<'a> {
    text: &'a mut String,
    is_first: bool,
}

impl Keys<'_> {
    /// Leaves out what is empty.
    fn put(&mut self, key: &str, value: &str) {
        if value.is_empty() {
            return;
        }
        let space = if std::mem::take(&mut self.is_first) { "" } else { " " };
        // Writing to a String cannot fail.
        write!(self.text, "{space}{key}={}", extension(value)).unwrap_or_default();
    }

    fn custom(&mut self, number: u8, label: &str, value: &str) {
        if !value.is_empty() {
            self.put(&format!("cs{number}"), value);
            self.put(&format!("cs{number}Label"), label);
        }
    }
}

/// In the header `\` and `|` are escaped, and no line may end.
fn header(text: &str) -> String {
    escape(text, '|', |c| if c.is_control() { Some(" ") } else { None })
}

/// In a value `\` and `=` are escaped, and ends of lines written as `\n` and `\r`.
fn extension(text: &str) -> String {
    escape(text, '=', |c| match c {
        '\n' => Some("\\n"),
        '\r' => Some("\\r"),
        c if c.is_control() => Some(" "),
        _ => None,
    })
}

fn escape(text: &str, also: char, other: impl Fn(char) -> Option<&'static str>) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match other(c) {
            Some(text) => out.push_str(text),
            None if c == '\\' || c == also => out.extend(['\\', c]),
            None => out.push(c),
        }
    }
    out
}
