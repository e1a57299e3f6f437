//! The form of a line and the hash that ties it to the one before.
//!
//! `h` is SHA-256 over the `h` of the line before (64 hexadecimal digits), the line's number in decimal, and the exact
//! bytes of the line in front of `,"h":`. Exact bytes, so that no canonical form of JSON is needed; text, so that a shell
//! can recompute it. A segment's header has a hash of its own, over the number of its first event.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};

/// What follows the bytes that are hashed: this, the hash, and [`CLOSE`].
const OPEN: &[u8] = b",\"h\":\"";
const CLOSE: &[u8] = b"\"}";
const HASH: usize = 64;

/// The hash of a line, as in its text: 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Head([u8; HASH]);

impl Head {
    /// What the first line of a log follows.
    pub const ZERO: Self = Self([b'0'; HASH]);

    /// From digits; `None` if these are none.
    #[must_use]
    pub fn parse(digits: &[u8]) -> Option<Self> {
        let is_digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let head: [u8; HASH] = digits.try_into().ok()?;
        head.iter().all(is_digit).then_some(Self(head))
    }

    /// From the 32 bytes that the digits stand for.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        Self(hex(bytes))
    }

    /// The 32 bytes that the digits stand for.
    #[must_use]
    pub fn bytes(&self) -> [u8; 32] {
        let value =
            |digit: u8| if digit.is_ascii_digit() { digit - b'0' } else { digit - b'a' + 10 };
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(self.0.chunks_exact(2)) {
            *byte = value(pair[0]) << 4 | value(pair[1]);
        }
        bytes
    }

    /// The digits.
    #[must_use]
    pub fn text(&self) -> &str {
        str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for Head {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.text())
    }
}

impl fmt::Debug for Head {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.text())
    }
}

/// SHA-256 of bytes, as digits.
pub(super) fn sha256(bytes: &[u8]) -> Head {
    let hash = digest(&SHA256, bytes);
    let mut bytes = [0; 32];
    bytes.copy_from_slice(hash.as_ref());
    Head(hex(&bytes))
}

fn hex(bytes: &[u8; 32]) -> [u8; HASH] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut digits = [0; HASH];
    for (pair, byte) in digits.chunks_exact_mut(2).zip(bytes) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    digits
}

/// The end of a chain, to which lines are added.
#[derive(Debug)]
pub(super) struct Chain {
    /// Of the last line.
    pub(super) head: Head,
    /// Number of the last event.
    pub(super) seq: u64,
    buffer: Vec<u8>,
}

impl Chain {
    pub(super) fn new(seq: u64, head: Head) -> Self {
        Self { head, seq, buffer: Vec::with_capacity(1024) }
    }

    /// What `h` of a line with this body and number would be.
    pub(super) fn hash(&mut self, number: u64, body: &[u8]) -> Head {
        // One call over one piece: a context for several would be allocated each time.
        self.buffer.clear();
        self.buffer.extend_from_slice(&self.head.0);
        let (digits, len) = decimal(number);
        self.buffer.extend_from_slice(&digits[digits.len() - len..]);
        self.buffer.extend_from_slice(body);
        sha256(&self.buffer)
    }

    /// Ends the line whose body is `lines[start..]`.
    pub(super) fn close(&mut self, lines: &mut String, start: usize, number: u64) {
        self.head = self.hash(number, &lines.as_bytes()[start..]);
        lines.push_str(",\"h\":\"");
        lines.push_str(self.head.text());
        lines.push_str("\"}\n");
    }
}

/// A number's decimal digits, at the end of the array, and how many.
fn decimal(mut number: u64) -> ([u8; 20], usize) {
    let mut digits = [b'0'; 20];
    let mut len = 0;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + u8::try_from(number % 10).unwrap_or_default();
        number /= 10;
        len += 1;
        if number == 0 {
            break;
        }
    }
    (digits, len)
}

/// A line in two: what is hashed, and its hash. `None` if it has no hash at its end. Without the newline.
pub(super) fn split(line: &[u8]) -> Option<(&[u8], Head)> {
    let rest = line.strip_suffix(CLOSE)?;
    let (rest, digits) = rest.split_at_checked(rest.len().checked_sub(HASH)?)?;
    Some((rest.strip_suffix(OPEN)?, Head::parse(digits)?))
}

/// What stands at the beginning of every event, where it is found without parsing JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Front<'a> {
    pub(super) seq: u64,
    /// RFC 3339, always as long: compares as text.
    pub(super) ts: &'a str,
    pub(super) kind: &'a str,
}

/// Reads number, time and type of an event; `None` if this is no event of ours.
pub(super) fn front(line: &[u8]) -> Option<Front<'_>> {
    let rest = line.strip_prefix(b"{\"seq\":")?;
    let (seq, rest) = number(rest)?;
    let rest = rest.strip_prefix(b",\"ts\":\"")?;
    let (ts, rest) = rest.split_at_checked("2026-11-23T20:00:00.000000Z".len())?;
    let rest = rest.strip_prefix(b"\",\"type\":\"")?;
    let end = rest.iter().position(|byte| *byte == b'"')?;
    Some(Front { seq, ts: str::from_utf8(ts).ok()?, kind: str::from_utf8(&rest[..end]).ok()? })
}

/// Decimal digits at the beginning, as this program writes them, and what follows.
pub(super) fn number(text: &[u8]) -> Option<(u64, &[u8])> {
    let len = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = text.split_at(len);
    if digits.len() > 1 && digits[0] == b'0' {
        return None;
    }
    Some((str::from_utf8(digits).ok()?.parse().ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Known answer: `printf '%064d7{"seq":7' 0 | sha256sum`.
    #[test]
    fn the_hash_is_the_documented_one() {
        let mut chain = Chain::new(6, Head::ZERO);
        let mut line = String::from("{\"seq\":7");
        chain.close(&mut line, 0, 7);
        let want = "efe548beae2330919d8e209b6635599e96d534e938485135b6c8d4679dd51fb0";
        let (body, head) = split(line.trim_end().as_bytes()).expect("whole");
        assert_eq!(body, b"{\"seq\":7");
        assert_eq!(head, chain.head);
        assert_eq!(head.text(), want);
        assert_eq!(Head::from_bytes(&head.bytes()), head);
    }

    #[test]
    fn only_a_whole_line_has_a_hash() {
        let hash = "a".repeat(64);
        assert!(split(format!("{{\"seq\":1,\"h\":\"{hash}\"}}").as_bytes()).is_some());
        for bad in [
            String::new(),
            "}".to_owned(),
            format!("{{\"seq\":1,\"h\":\"{hash}\"}} "),
            format!("{{\"seq\":1,\"h\":\"{}\"}}", "A".repeat(64)),
            format!("{{\"seq\":1,\"h\":\"{}\"}}", "a".repeat(63)),
            format!("{{\"seq\":1,\"g\":\"{hash}\"}}"),
        ] {
            assert_eq!(split(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn fronts() {
        let line = br#"{"seq":12,"ts":"2026-11-23T20:00:00.000000Z","type":"run.end","sev":"INFO""#;
        let ts = "2026-11-23T20:00:00.000000Z";
        assert_eq!(front(line), Some(Front { seq: 12, ts, kind: "run.end" }));
        assert_eq!(front(br#"{"seq":012,"ts":"2026-11-23T20:00:00.000000Z","type":"x""#), None);
        assert_eq!(front(br#"{"segment":1}"#), None);
        assert_eq!(number(b"18446744073709551615,"), Some((u64::MAX, &b","[..])));
        assert_eq!(number(b"18446744073709551616"), None);
    }
}
