//! Going through segments line by line, checking what each line says of the one before.

use std::io::{self, Read};

use serde::{Deserialize, Serialize};

use super::line::{self, Chain, Front, Head};
use super::read::{Line, Lines};
use super::segment::Header;

/// What is wrong with a log. The codes are stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProblemCode {
    /// A line's hash is not that of its bytes after the line before: one of the two was changed.
    HashMismatch,
    /// Bytes that are no line of the log.
    MalformedLine,
    /// Numbers are left out: lines were removed.
    LinesMissing,
    /// A number that was there already: lines were moved or added.
    OutOfOrder,
    /// A segment is not there, and no record says that it was pruned.
    SegmentMissing,
    /// A segment has no header or a wrong one.
    SegmentHeader,
    /// A segment does not go on where the one before ends.
    SegmentLink,
    /// The log ends before what a checkpoint saw.
    Truncated,
    /// An event is not the one that a checkpoint saw.
    CheckpointMismatch,
    /// A checkpoint is not signed by a key of this log.
    CheckpointSignature,
    /// A file that should be a checkpoint is none.
    CheckpointMalformed,
    /// The log says that a checkpoint was made, and it is not there.
    CheckpointMissing,
}

impl ProblemCode {
    /// The kebab-case text in records.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::HashMismatch => "hash-mismatch",
            Self::MalformedLine => "malformed-line",
            Self::LinesMissing => "lines-missing",
            Self::OutOfOrder => "out-of-order",
            Self::SegmentMissing => "segment-missing",
            Self::SegmentHeader => "segment-header",
            Self::SegmentLink => "segment-link",
            Self::Truncated => "truncated",
            Self::CheckpointMismatch => "checkpoint-mismatch",
            Self::CheckpointSignature => "checkpoint-signature",
            Self::CheckpointMalformed => "checkpoint-malformed",
            Self::CheckpointMissing => "checkpoint-missing",
        }
    }
}

/// Told what a walk meets.
pub(super) trait Visitor {
    /// Something is wrong at this line.
    fn problem(&mut self, code: ProblemCode, line: u64, seq: Option<u64>, detail: String);
    /// An event, whose hash may be wrong.
    fn event(&mut self, front: &Front<'_>, body: &[u8], head: Head);
}

/// Where the walk of a segment began and what it ended with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Walked {
    /// Its header, where it has one with a hash.
    pub(super) header: Option<Header>,
    /// Whether its lines have no hashes.
    pub(super) is_plain: bool,
    /// Number of its first event.
    pub(super) first: Option<u64>,
    /// Events.
    pub(super) events: u64,
    /// Bytes at the end of the log that have no newline: a writer crashed, or writes just now.
    pub(super) torn: u64,
}

/// Which segment is walked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    pub(super) number: u64,
    /// Name of the segment before; `None` for the first that is there.
    pub(super) previous: Option<&'a str>,
    pub(super) is_last: bool,
}

/// The state from segment to segment.
#[derive(Debug)]
pub(super) struct Walk {
    pub(super) chain: Chain,
    /// Whether any line had a hash.
    pub(super) is_chained: bool,
    line: u64,
    /// Bytes since the last line that was one, with their newlines, and the number of their first line.
    strange: Option<(u64, Vec<u8>)>,
}

impl Walk {
    pub(super) fn new() -> Self {
        Self { chain: Chain::new(0, Head::ZERO), is_chained: false, line: 0, strange: None }
    }

    pub(super) fn segment<R: Read>(
        &mut self,
        lines: &mut Lines<R>,
        place: Place<'_>,
        visitor: &mut dyn Visitor,
    ) -> io::Result<Walked> {
        let mut walked = Walked::default();
        self.line = 0;
        while let Some(line) = lines.next()? {
            self.line += 1;
            self.one(line, place, &mut walked, visitor);
        }
        self.explained_by(None, visitor);
        // The last may have been made just now, or be all that a crash left.
        let is_begun = walked.first.is_some() || !place.is_last;
        if walked.header.is_none() && !walked.is_plain && is_begun {
            visitor.problem(ProblemCode::SegmentHeader, 1, None, "there is no header".to_owned());
        }
        Ok(walked)
    }

    fn one(
        &mut self,
        line: Line<'_>,
        place: Place<'_>,
        walked: &mut Walked,
        visitor: &mut dyn Visitor,
    ) {
        if walked.is_plain {
            self.plain(line, walked);
        } else if !line.is_whole {
            if place.is_last && !has_whole_line(line.bytes) && self.strange.is_none() {
                walked.torn = u64::try_from(line.bytes.len()).unwrap_or(u64::MAX);
            } else {
                self.strange(line.bytes);
            }
        } else if let Some((body, head)) = line::split(line.bytes) {
            if let Some(front) = line::front(body) {
                walked.events += 1;
                walked.first.get_or_insert(front.seq);
                self.explained_by(Some((&front, line.bytes)), visitor);
                self.event(&front, body, head, visitor);
            } else if walked.header.is_none()
                && walked.first.is_none()
                && let Some(header) = Header::parse(line.bytes)
            {
                self.header(&header, body, head, place, visitor);
                walked.header = Some(header);
            } else {
                self.strange(line.bytes);
            }
        } else if self.line == 1 && Header::parse(line.bytes).is_some() {
            walked.is_plain = true;
            if self.is_chained {
                let detail = "lines without hashes after lines with hashes".to_owned();
                visitor.problem(ProblemCode::SegmentHeader, 1, None, detail);
            }
        } else {
            self.strange(line.bytes);
        }
    }

    fn event(&mut self, front: &Front<'_>, body: &[u8], head: Head, visitor: &mut dyn Visitor) {
        let (seq, expected) = (front.seq, self.chain.seq.saturating_add(1));
        if seq < expected {
            let detail = format!("number {expected} was to follow");
            visitor.problem(ProblemCode::OutOfOrder, self.line, Some(seq), detail);
            return;
        }
        if seq > expected {
            let detail = format!("{} missing before it", counted(seq - expected, "event"));
            visitor.problem(ProblemCode::LinesMissing, self.line, Some(seq), detail);
        } else if self.chain.hash(seq, body) != head {
            let detail = "it or the line before was changed".to_owned();
            visitor.problem(ProblemCode::HashMismatch, self.line, Some(seq), detail);
        }
        self.chain.seq = seq;
        self.chain.head = head;
        visitor.event(front, body, head);
    }

    fn header(
        &mut self,
        header: &Header,
        body: &[u8],
        head: Head,
        place: Place<'_>,
        visitor: &mut dyn Visitor,
    ) {
        let stated = header.prev_head.as_deref().and_then(|head| Head::parse(head.as_bytes()));
        let Some(stated) = stated else {
            let detail = "prevHead is no hash".to_owned();
            return visitor.problem(ProblemCode::SegmentHeader, self.line, None, detail);
        };
        if header.segment != place.number {
            let detail = format!("it is the header of segment {}", header.segment);
            visitor.problem(ProblemCode::SegmentHeader, self.line, None, detail);
        }
        if place.previous.is_some() {
            if header.first_seq != self.chain.seq.saturating_add(1) {
                let detail = format!(
                    "it begins with number {}, and the segment before ends with {}",
                    header.first_seq, self.chain.seq
                );
                visitor.problem(ProblemCode::SegmentLink, self.line, None, detail);
            } else if stated != self.chain.head {
                let detail = "the segment before ends with another hash".to_owned();
                visitor.problem(ProblemCode::SegmentLink, self.line, None, detail);
            } else if header.previous.as_deref() != place.previous {
                let detail = "it follows a segment of another name".to_owned();
                visitor.problem(ProblemCode::SegmentLink, self.line, None, detail);
            }
        }
        self.chain.head = stated;
        self.chain.seq = header.first_seq.saturating_sub(1);
        if self.chain.hash(header.first_seq, body) != head {
            let detail = "the header was changed".to_owned();
            visitor.problem(ProblemCode::HashMismatch, self.line, None, detail);
        }
        self.chain.head = head;
        self.is_chained = true;
    }

    /// Lines of a version without hashes: only counted.
    fn plain(&mut self, line: Line<'_>, walked: &mut Walked) {
        let seq = line.bytes.strip_prefix(b"{\"seq\":").and_then(line::number);
        if let Some((seq, _)) = seq.filter(|_| line.is_whole) {
            walked.events += 1;
            walked.first.get_or_insert(seq);
            self.chain.seq = seq;
        }
    }

    fn strange(&mut self, bytes: &[u8]) {
        let (_, all) = self.strange.get_or_insert_with(|| (self.line, Vec::new()));
        all.extend_from_slice(bytes);
        all.push(b'\n');
    }

    /// Strange bytes are all right if the next event says which they are: what a crash left, closed by the writer after it.
    fn explained_by(&mut self, event: Option<(&Front<'_>, &[u8])>, visitor: &mut dyn Visitor) {
        #[derive(Deserialize)]
        struct Torn {
            data: Data,
        }
        #[derive(Deserialize)]
        struct Data {
            bytes: usize,
            sha256: String,
        }
        let Some((at, mut bytes)) = self.strange.take() else { return };
        // The newline that closed them.
        bytes.pop();
        let torn = event
            .filter(|(front, _)| front.kind == super::EventType::Torn.name())
            .and_then(|(_, line)| serde_json::from_slice::<Torn>(line).ok());
        let is_explained = torn.is_some_and(|Torn { data }| {
            data.bytes == bytes.len() && data.sha256 == line::sha256(&bytes).text()
        });
        if !is_explained {
            let detail = format!("{} that are no event", counted(bytes.len(), "byte"));
            visitor.problem(ProblemCode::MalformedLine, at, None, detail);
        }
    }
}

/// Whether a line that a writer finished is among bytes without a newline, with something after it: no crash leaves that.
fn has_whole_line(bytes: &[u8]) -> bool {
    memchr::memmem::find_iter(bytes, b"\"}")
        .any(|at| at + 2 < bytes.len() && line::split(&bytes[..at + 2]).is_some())
}

pub(super) fn counted(count: impl TryInto<u64>, what: &str) -> String {
    match count.try_into().unwrap_or(u64::MAX) {
        1 => format!("1 {what}"),
        count => format!("{count} {what}s"),
    }
}
