//! The server name in a TLS client hello: RFC 8446, sections 4.1.2 and 5.1; RFC 6066, section 3.
//!
//! Stricter than servers are: a hello that two parsers could read in two ways is refused.

/// Content type of the records that a connection begins with.
pub(super) const HANDSHAKE: u8 = 22;
/// Message type.
const CLIENT_HELLO: u8 = 1;
/// Extension type of the server name, and the type of a name in it that is a host's.
const SERVER_NAME: u16 = 0;
const HOST_NAME: u8 = 0;
/// The longest client hello that is read, in bytes.
const MOST: usize = 64 * 1024;
/// The longest record: RFC 8446, section 5.1.
const RECORD: usize = 16 * 1024;
/// The bytes of a hello's records with their headers: records may be short, but not so that little is said in many bytes.
const MOST_RECORDS: usize = MOST + 16 * 1024;
const MALFORMED: Progress = Progress::Refused("malformed TLS client hello");

/// How far a hello has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// More bytes are needed.
    More,
    /// Complete, with this server name.
    Name(String),
    /// Complete, without a server name.
    NoName,
    /// No client hello that can be trusted, and why.
    Refused(&'static str),
}

/// A client hello that comes in pieces.
#[derive(Debug, Default)]
pub(super) struct Hello {
    /// Bytes that are in no whole record yet.
    records: Vec<u8>,
    /// The content of records: handshake messages.
    message: Vec<u8>,
    /// Bytes of the records that are whole.
    taken: usize,
}

impl Hello {
    /// Takes the next bytes of the connection. What follows the hello in the same piece is not looked at.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Progress {
        self.records.extend_from_slice(bytes);
        loop {
            // What is not whole yet is checked as far as it is there, so that garbage does not wait for its end.
            match self.take_record() {
                Ok(true) => {}
                Ok(false) => return Progress::More,
                Err(reason) => return Progress::Refused(reason),
            }
            match whole_message(&self.message) {
                Ok(Some(body)) => return server_name(body).unwrap_or(MALFORMED),
                Ok(None) => {}
                Err(reason) => return Progress::Refused(reason),
            }
        }
    }

    /// Moves one whole record to the message.
    fn take_record(&mut self) -> Result<bool, &'static str> {
        if self.records.first().is_some_and(|kind| *kind != HANDSHAKE) {
            return Err("TLS record that is no handshake");
        }
        // 3.0 to 3.3: what later versions send here too.
        if self.records.get(1).is_some_and(|major| *major != 3)
            || self.records.get(2).is_some_and(|minor| *minor > 4)
        {
            return Err("unknown version of TLS");
        }
        let Some(&[_, _, _, high, low]) = self.records.first_chunk() else { return Ok(false) };
        let length = usize::from(u16::from_be_bytes([high, low]));
        if length == 0 || length > RECORD {
            return Err("TLS record of a length that none has");
        }
        if self.taken + 5 + length > MOST_RECORDS {
            return Err("TLS client hello in too many records");
        }
        let Some(content) = self.records.get(5..5 + length) else { return Ok(false) };
        self.message.extend_from_slice(content);
        self.records.drain(..5 + length);
        self.taken += 5 + length;
        Ok(true)
    }
}

/// The body of the first message, if it is whole.
fn whole_message(message: &[u8]) -> Result<Option<&[u8]>, &'static str> {
    if message.first().is_some_and(|kind| *kind != CLIENT_HELLO) {
        return Err("TLS that does not begin with a client hello");
    }
    let Some(&[_, high, middle, low]) = message.first_chunk() else { return Ok(None) };
    let length = (usize::from(high) << 16) | (usize::from(middle) << 8) | usize::from(low);
    if length > MOST {
        return Err("TLS client hello longer than 64 KiB");
    }
    match message.len().checked_sub(4 + length) {
        None => Ok(None),
        Some(0) => Ok(Some(&message[4..])),
        // Another message in the record: none may follow before the server's answer.
        Some(_) => Err("TLS message after the client hello"),
    }
}

/// What a whole hello says; none where it is malformed.
fn server_name(body: &[u8]) -> Option<Progress> {
    let mut rest = Reader(body);
    rest.take(2 + 32)?;
    let session = usize::from(rest.byte()?);
    if session > 32 {
        return None;
    }
    rest.take(session)?;
    let suites = rest.vector()?;
    let methods = usize::from(rest.byte()?);
    rest.take(methods)?;
    if suites.is_empty() || suites.len() % 2 != 0 || methods == 0 {
        return None;
    }
    if rest.0.is_empty() {
        return Some(Progress::NoName);
    }
    let mut extensions = Reader(rest.vector()?);
    if !rest.0.is_empty() {
        return None;
    }
    let mut name = Progress::NoName;
    let mut seen = Vec::new();
    while !extensions.0.is_empty() {
        let kind = extensions.short()?;
        let content = extensions.vector()?;
        seen.push(kind);
        if kind == SERVER_NAME {
            name = Progress::Name(host_name(content)?);
        }
    }
    // Of two extensions of one type a server may take either: RFC 8446, section 4.2.
    let count = seen.len();
    seen.sort_unstable();
    seen.dedup();
    (seen.len() == count).then_some(name)
}

/// The one name of the extension.
fn host_name(content: &[u8]) -> Option<String> {
    let mut outer = Reader(content);
    let mut list = Reader(outer.vector()?);
    let kind = list.byte()?;
    let name = list.vector()?;
    let alone = outer.0.is_empty() && list.0.is_empty();
    if !alone || kind != HOST_NAME || name.is_empty() {
        return None;
    }
    // A byte that is not ASCII makes it no name of a domain, whatever it is shown as.
    Some(String::from_utf8_lossy(name).into_owned())
}

/// What is left to read.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn short(&mut self) -> Option<u16> {
        self.take(2)?.first_chunk().copied().map(u16::from_be_bytes)
    }

    /// Bytes after their length in two bytes.
    fn vector(&mut self) -> Option<&'a [u8]> {
        let length = usize::from(self.short()?);
        self.take(length)
    }
}

#[cfg(test)]
mod tests;
