//! The kernel's Landlock audit records, as text. Pure: any bytes may come in.
//!
//! ```text
//! audit(1795466660.570:2): domain=1a5fee1f0 blockers=fs.read_file path="/secret" dev="tmpfs" ino=5
//! audit(1795466660.570:3): domain=1a5fee1f0 status=allocated mode=enforcing pid=31532 uid=0 exe="/bin/x" comm="x"
//! audit(1795466660.626:19): domain=1a5fee1f0 status=deallocated denials=16
//! ```
//! A denial of a task with an audit context is followed, when its call returns, by a record of the call with the same
//! number; cut short:
//! ```text
//! audit(1795466660.570:2): arch=c000003e syscall=257 success=no exit=-13 ppid=7 pid=31532 uid=0 comm="x" exe="/bin/x"
//! ```
//! Paths are relative to the root of the process that tried, so inside a sandbox they are the sandbox's own. For what
//! would have been created or removed, the kernel names the directory. A nested file name or path that holds a quote, a
//! space, a control or a non-ASCII byte comes as hexadecimal without quotes (`audit_log_untrustedstring()`).

use std::borrow::Cow;

use policies::violation::Process;

/// `AUDIT_LANDLOCK_ACCESS`: a denial.
pub const LANDLOCK_ACCESS: u16 = 1423;
/// `AUDIT_LANDLOCK_DOMAIN`: a domain's begin or end.
pub const LANDLOCK_DOMAIN: u16 = 1424;

/// `AUDIT_SYSCALL`: a call that another record is about, and who made it.
pub const SYSCALL: u16 = 1300;

/// One record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record<'a> {
    /// An attempt was denied.
    Denied {
        /// The Landlock domain that denied.
        domain: u64,
        /// Missing rights, separated by commas: `fs.make_reg,fs.refer`.
        blockers: &'a str,
        /// What it was aimed at.
        target: Target,
    },
    /// A domain denied for the first time: whose it is.
    Allocated {
        /// The domain.
        domain: u64,
        /// Process that restricted itself, in the initial pid namespace.
        pid: i32,
    },
    /// A domain is gone.
    Deallocated {
        /// The domain.
        domain: u64,
        /// How often it denied, exactly, recorded or not.
        denials: u64,
    },
}

/// What a denied attempt was aimed at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A path, lossily decoded.
    Path(String),
    /// The name of an abstract socket, lossily decoded, `@` for its first byte.
    Socket(String),
    /// A TCP port, host byte order.
    Port(u16),
    /// Something that the record does not name, or a process or socket.
    Other,
}

/// Parses a record of type [`LANDLOCK_ACCESS`] or [`LANDLOCK_DOMAIN`]; `None` for any other and for text that is none.
#[must_use]
pub fn parse_record(kind: u16, text: &[u8]) -> Option<Record<'_>> {
    match kind {
        LANDLOCK_ACCESS => parse_denied(text),
        LANDLOCK_DOMAIN => parse_domain(text),
        _ => None,
    }
}

/// The domain of a record, found without parsing the rest.
#[must_use]
pub fn domain_of(text: &[u8]) -> Option<u64> {
    let mut fields = Fields::new(text)?;
    fields.next().filter(|(key, _)| *key == b"domain").and_then(|(_, value)| hex_number(value))
}

/// The number of a record, which all records of one call share.
#[must_use]
pub fn serial_of(text: &[u8]) -> Option<u64> {
    let stamp = text.strip_prefix(b"audit(")?;
    let end = stamp.iter().take(64).position(|byte| *byte == b')')?;
    let colon = stamp[..end].iter().position(|byte| *byte == b':')?;
    number(&stamp[colon + 1..end])
}

/// Who made the call of a record of type [`SYSCALL`]: process id and user id in the initial namespaces, the program as
/// the process itself names it.
#[must_use]
pub fn process_of(text: &[u8]) -> Option<Process> {
    let mut process = Process::default();
    for (key, value) in Fields::new(text)? {
        // Unquoted where the kernel does not know.
        let text = || (value != b"(null)").then(|| untrusted(value).into_owned());
        match key {
            b"pid" => process.pid = number(value),
            b"uid" => process.uid = number(value),
            b"comm" => process.comm = text(),
            b"exe" => {
                process.exe = text();
                break;
            }
            _ => {}
        }
    }
    process.pid.is_some().then_some(process)
}

fn parse_denied(text: &[u8]) -> Option<Record<'_>> {
    let mut fields = Fields::new(text)?;
    let domain = fields.value_of(b"domain").and_then(hex_number)?;
    let blockers = fields.value_of(b"blockers").and_then(|value| str::from_utf8(value).ok())?;
    let mut target = Target::Other;
    for (key, value) in fields {
        match key {
            b"path" | b"name" => target = named(untrusted(value).into_owned()),
            // A bind names its source, a connect its destination.
            b"dest" | b"src" => target = Target::Port(number(value)?),
            _ => continue,
        }
        break;
    }
    Some(Record::Denied { domain, blockers, target })
}

/// A path has no NUL, and the name of an abstract socket begins with one (unix(7)).
fn named(text: String) -> Target {
    match text.strip_prefix('\0') {
        Some(name) => Target::Socket(format!("@{name}")),
        None => Target::Path(text),
    }
}

fn parse_domain(text: &[u8]) -> Option<Record<'_>> {
    let mut fields = Fields::new(text)?;
    let domain = fields.value_of(b"domain").and_then(hex_number)?;
    match fields.value_of(b"status")? {
        b"allocated" => {
            let pid = fields.find(|(key, _)| *key == b"pid").and_then(|(_, pid)| number(pid))?;
            Some(Record::Allocated { domain, pid })
        }
        b"deallocated" => {
            let denials =
                fields.find(|(key, _)| *key == b"denials").and_then(|(_, n)| number(n))?;
            Some(Record::Deallocated { domain, denials })
        }
        _ => None,
    }
}

/// `key=value` pairs, separated by spaces. Values never hold a space: the kernel writes those as hexadecimal.
struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    /// Skips `audit(time:serial): `.
    fn new(text: &'a [u8]) -> Option<Self> {
        let body = text.strip_prefix(b"audit(")?;
        let end = body.iter().take(64).position(|byte| *byte == b')')?;
        let rest = body.get(end..)?.strip_prefix(b"): ")?;
        Some(Self { rest })
    }

    /// The value of the next field, if it has this key.
    fn value_of(&mut self, want: &[u8]) -> Option<&'a [u8]> {
        self.next().filter(|(key, _)| *key == want).map(|(_, value)| value)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if self.rest.is_empty() {
                return None;
            }
            let end = self.rest.iter().position(|byte| *byte == b' ').unwrap_or(self.rest.len());
            let (field, rest) = self.rest.split_at(end);
            self.rest = rest.get(1..).unwrap_or_default();
            if let Some(equals) = field.iter().position(|byte| *byte == b'=') {
                return Some((&field[..equals], &field[equals + 1..]));
            }
        }
    }
}

fn number<T: std::str::FromStr>(value: &[u8]) -> Option<T> {
    str::from_utf8(value).ok()?.parse().ok()
}

fn hex_number(value: &[u8]) -> Option<u64> {
    u64::from_str_radix(str::from_utf8(value).ok()?, 16).ok()
}

/// Undoes `audit_log_untrustedstring()`: quoted as it is, hexadecimal otherwise. What is neither (`(null)`) stays.
fn untrusted(value: &[u8]) -> Cow<'_, str> {
    // The record ends with a NUL on some kernels.
    let value = value.strip_suffix(b"\0").unwrap_or(value);
    if let Some(quoted) = value.strip_prefix(b"\"") {
        return String::from_utf8_lossy(quoted.strip_suffix(b"\"").unwrap_or(quoted));
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|d| u8::try_from(d).ok());
    let bytes: Option<Vec<u8>> = if value.len().is_multiple_of(2) {
        value.chunks_exact(2).map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?)).collect()
    } else {
        None
    };
    match bytes {
        Some(bytes) => String::from_utf8_lossy(&bytes).into_owned().into(),
        None => String::from_utf8_lossy(value),
    }
}

#[cfg(test)]
#[path = "audit_record_tests.rs"]
mod tests;
