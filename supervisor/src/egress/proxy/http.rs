//! HTTP/1 requests, as far as it takes to know that each is for the right host: RFC 9112.
//!
//! Stricter than servers are: a request that two servers could read in two ways is refused, so that none can be hidden in
//! the body of another.

use policies::domain::DomainName;

/// The longest head of a request, in bytes.
const MOST: usize = 64 * 1024;
/// Headers of a request.
const HEADERS: usize = 128;
/// Methods of requests that are passed on, and two that are known and refused.
const METHODS: [&str; 20] = [
    "GET",
    "HEAD",
    "POST",
    "PUT",
    "DELETE",
    "PATCH",
    "OPTIONS",
    "TRACE",
    "QUERY",
    "PROPFIND",
    "PROPPATCH",
    "MKCOL",
    "COPY",
    "MOVE",
    "LOCK",
    "UNLOCK",
    "REPORT",
    "SEARCH",
    "CONNECT",
    "PRI",
];
const TUNNEL: &str = "CONNECT";
/// The first word of HTTP/2: RFC 9113, section 3.4.
const PREFACE: &str = "PRI";

/// Why a request is not passed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// It is for this host; empty if it says none.
    Host(String),
    /// It cannot be checked, and why.
    Protocol(&'static str),
}

/// Whether a connection begins as HTTP does; nothing where it takes more bytes to tell.
pub(super) fn begins(bytes: &[u8]) -> Option<bool> {
    let longest = METHODS.iter().map(|method| method.len()).max().unwrap_or_default();
    let word = bytes.iter().take(longest + 1).take_while(|byte| **byte != b' ').count();
    let (word, rest) = bytes.split_at(word);
    if rest.is_empty() {
        let possible = METHODS.iter().any(|method| method.as_bytes().starts_with(word));
        return if possible { None } else { Some(false) };
    }
    Some(METHODS.iter().any(|method| method.as_bytes() == word))
}

/// What the next byte belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Head,
    /// So many bytes of a body.
    Body(u64),
    /// The line with a chunk's size.
    ChunkSize,
    /// So many bytes of a chunk, with the line end after it.
    Chunk(u64),
    /// The lines after the last chunk.
    Trailer,
}

/// The requests of one connection.
#[derive(Debug)]
pub(super) struct Requests {
    name: DomainName,
    port: u16,
    part: Part,
    /// Bytes of a head or a line that is not whole yet.
    waiting: Vec<u8>,
}

impl Requests {
    /// For a connection to a name.
    pub(super) const fn new(name: DomainName, port: u16) -> Self {
        Self { name, port, part: Part::Head, waiting: Vec::new() }
    }

    /// Takes the next bytes and appends to `checked` what may be passed on. After an error nothing more may be.
    pub(super) fn feed(&mut self, mut bytes: &[u8], checked: &mut Vec<u8>) -> Result<(), Refused> {
        while let Some((first, rest)) = bytes.split_first() {
            match self.part {
                Part::Body(left) => {
                    bytes = pass(bytes, left, checked, |left| self.part = after_body(left));
                }
                Part::Chunk(left) => {
                    // The line end after a chunk is read as a line.
                    bytes = pass(bytes, left, checked, |left| self.part = Part::Chunk(left));
                    if self.part == Part::Chunk(0) {
                        bytes = self.chunk_end(bytes, checked)?;
                    }
                }
                Part::Head | Part::ChunkSize | Part::Trailer => {
                    bytes = rest;
                    self.text(*first)?;
                    self.part = self.whole(checked)?;
                }
            }
        }
        Ok(())
    }

    /// Takes a byte of a head or a line; line ends are two bytes, and neither is anywhere else.
    fn text(&mut self, byte: u8) -> Result<(), Refused> {
        let after_return = self.waiting.last() == Some(&b'\r');
        if after_return != (byte == b'\n') {
            return Err(Refused::Protocol("HTTP with a bare line end"));
        }
        if byte == 0 || self.waiting.len() >= MOST {
            return Err(Refused::Protocol("HTTP that is too long or has a zero byte"));
        }
        self.waiting.push(byte);
        Ok(())
    }

    /// Handles a head or a line if it is whole; returns what comes next.
    fn whole(&mut self, checked: &mut Vec<u8>) -> Result<Part, Refused> {
        let text = self.waiting.as_slice();
        let next = match self.part {
            // Empty lines before a request mean nothing and are left out: RFC 9112, section 2.2.
            Part::Head if text == b"\r\n" => {
                self.waiting.clear();
                return Ok(Part::Head);
            }
            Part::Head if text.ends_with(b"\r\n\r\n") => self.head(text)?,
            Part::ChunkSize if text.ends_with(b"\r\n") => match chunk_size(text)? {
                0 => Part::Trailer,
                size => Part::Chunk(size),
            },
            Part::Trailer if text == b"\r\n" || text.ends_with(b"\r\n\r\n") => trailer(text)?,
            part => return Ok(part),
        };
        checked.append(&mut self.waiting);
        Ok(next)
    }

    /// The line end after a chunk.
    fn chunk_end<'a>(
        &mut self,
        mut bytes: &'a [u8],
        checked: &mut Vec<u8>,
    ) -> Result<&'a [u8], Refused> {
        while let Some((first, rest)) = bytes.split_first() {
            if *first != if self.waiting.is_empty() { b'\r' } else { b'\n' } {
                return Err(Refused::Protocol("HTTP chunk that does not end where it should"));
            }
            self.waiting.push(*first);
            bytes = rest;
            if self.waiting == b"\r\n" {
                checked.append(&mut self.waiting);
                self.part = Part::ChunkSize;
                break;
            }
        }
        Ok(bytes)
    }

    /// Checks a head; returns what follows it.
    fn head(&self, head: &[u8]) -> Result<Part, Refused> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS];
        let mut request = httparse::Request::new(&mut headers);
        match request.parse(head) {
            Ok(httparse::Status::Complete(length)) if length == head.len() => {}
            Err(httparse::Error::Version) => return Err(Refused::Protocol("version of HTTP")),
            Ok(_) | Err(_) => return Err(Refused::Protocol("malformed HTTP request")),
        }
        let method = request.method.unwrap_or_default();
        if method == TUNNEL {
            return Err(Refused::Protocol("CONNECT"));
        }
        if method == PREFACE || !METHODS.contains(&method) {
            return Err(Refused::Protocol("unknown method of HTTP"));
        }
        self.check_target(method, request.path.unwrap_or_default())?;
        let headers = Headers(request.headers);
        self.check_host(headers.only("host").map_err(|()| Refused::Host("twice".to_owned()))?)?;
        if headers.has("upgrade") {
            return Err(Refused::Protocol("upgrade"));
        }
        body(&headers, request.version == Some(1))
    }

    /// The request target may name a host too, and a server goes by it then: RFC 9112, section 3.2.2.
    fn check_target(&self, method: &str, target: &str) -> Result<(), Refused> {
        if target.starts_with('/') || (method == "OPTIONS" && target == "*") {
            return Ok(());
        }
        let rest = target
            .split_at_checked(7)
            .and_then(|(scheme, rest)| scheme.eq_ignore_ascii_case("http://").then_some(rest))
            .ok_or(Refused::Protocol("HTTP request target"))?;
        let authority = rest.split(['/', '?', '#', '\\']).next().unwrap_or_default();
        self.check_authority(authority)
    }

    fn check_host(&self, host: Option<&[u8]>) -> Result<(), Refused> {
        let host = host.unwrap_or_default();
        self.check_authority(&String::from_utf8_lossy(host))
    }

    /// `host` or `host:port`.
    fn check_authority(&self, authority: &str) -> Result<(), Refused> {
        let (host, port) = match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        };
        // No port means 80; a server that listens elsewhere does not go by it, and many clients leave it out.
        let right_port = port.is_none_or(|port| port == self.port.to_string());
        let right_host = DomainName::from_ascii(host).is_ok_and(|name| name == self.name);
        if right_port && right_host { Ok(()) } else { Err(Refused::Host(authority.to_owned())) }
    }
}

/// Passes up to `left` bytes on.
fn pass<'a>(bytes: &'a [u8], left: u64, checked: &mut Vec<u8>, set: impl FnOnce(u64)) -> &'a [u8] {
    let most = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
    let (now, rest) = bytes.split_at(most);
    checked.extend_from_slice(now);
    set(left.saturating_sub(u64::try_from(most).unwrap_or(u64::MAX)));
    rest
}

const fn after_body(left: u64) -> Part {
    if left == 0 { Part::Head } else { Part::Body(left) }
}

struct Headers<'a, 'b>(&'a [httparse::Header<'b>]);

impl<'b> Headers<'_, 'b> {
    fn has(&self, name: &str) -> bool {
        self.0.iter().any(|header| header.name.eq_ignore_ascii_case(name))
    }

    /// The value of a header that may be there once.
    fn only(&self, name: &str) -> Result<Option<&'b [u8]>, ()> {
        let mut values = self.0.iter().filter(|header| header.name.eq_ignore_ascii_case(name));
        match (values.next(), values.next()) {
            (found, None) => Ok(found.map(|header| header.value)),
            (_, Some(_)) => Err(()),
        }
    }
}

/// What follows a head: RFC 9112, section 6.3.
fn body(headers: &Headers<'_, '_>, chunks_known: bool) -> Result<Part, Refused> {
    const REFUSED: Refused = Refused::Protocol("HTTP body whose length is in doubt");
    let length = headers.only("content-length").map_err(|()| REFUSED)?;
    let coding = headers.only("transfer-encoding").map_err(|()| REFUSED)?;
    match (length, coding) {
        (None, None) => Ok(Part::Head),
        (Some(length), None) => decimal(length).map(after_body).ok_or(REFUSED),
        (None, Some(coding)) if chunks_known && coding.eq_ignore_ascii_case(b"chunked") => {
            Ok(Part::ChunkSize)
        }
        (_, Some(_)) => Err(REFUSED),
    }
}

/// Checks the lines after the last chunk; returns what follows them. A server that does not read them takes them for the
/// next request, so they must not look like one, and one that merges them with the head must find nothing new about where
/// the request goes or ends: RFC 9110, section 6.5.1.
fn trailer(lines: &[u8]) -> Result<Part, Refused> {
    const REFUSED: Refused = Refused::Protocol("HTTP trailer");
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let headers = match httparse::parse_headers(lines, &mut headers) {
        Ok(httparse::Status::Complete((length, headers))) if length == lines.len() => headers,
        Ok(_) | Err(_) => return Err(REFUSED),
    };
    let headers = Headers(headers);
    let forbidden = ["host", "content-length", "transfer-encoding", "upgrade"];
    if forbidden.into_iter().any(|name| headers.has(name)) { Err(REFUSED) } else { Ok(Part::Head) }
}

fn decimal(text: &[u8]) -> Option<u64> {
    let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    digits.then(|| std::str::from_utf8(text).ok()?.parse().ok()).flatten()
}

/// The size in the line before a chunk; extensions are passed on unread.
fn chunk_size(line: &[u8]) -> Result<u64, Refused> {
    const REFUSED: Refused = Refused::Protocol("HTTP chunk size");
    let line = line.strip_suffix(b"\r\n").unwrap_or(line);
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let (size, rest) = line.split_at(digits);
    if size.is_empty() || size.len() > 15 || rest.first().is_some_and(|byte| *byte != b';') {
        return Err(REFUSED);
    }
    std::str::from_utf8(size)
        .ok()
        .and_then(|text| u64::from_str_radix(text, 16).ok())
        .ok_or(REFUSED)
}

#[cfg(test)]
mod tests;
