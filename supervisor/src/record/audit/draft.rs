//! Lines that are about to be written, each tied to the one before.

use std::io;
use std::ops::Range;

use policies::violation::Severity;

use super::line::{Chain, Head};
use super::segment::{Header, Last};
use super::{Event, EventType};
use crate::record::clock::rfc3339;

/// Lines under construction.
#[derive(Debug, Default)]
pub(super) struct Lines {
    pub(super) text: String,
    chain: Option<Chain>,
    pub(super) events: Vec<(EventType, Severity, Range<usize>)>,
}

impl Lines {
    /// Once: what the first line follows, and whether a line that has no end must be ended before.
    pub(super) fn begin(&mut self, follows: &Last, is_open: bool) {
        if self.chain.is_some() {
            return;
        }
        self.text.reserve(2048);
        if is_open {
            self.text.push('\n');
        }
        self.chain = Some(Chain::new(follows.seq, follows.head));
    }

    pub(super) fn header(&mut self, header: &Header) -> io::Result<()> {
        let start = self.text.len();
        let text = serde_json::to_string(header).map_err(io::Error::other)?;
        self.text.push_str(text.strip_suffix('}').unwrap_or(&text));
        if let Some(chain) = &mut self.chain {
            chain.close(&mut self.text, start, header.first_seq);
        }
        Ok(())
    }

    pub(super) fn event(&mut self, event: &Event, subject: &str) {
        let severity = event.severity.text();
        let Some(chain) = &mut self.chain else { return };
        let start = self.text.len();
        chain.seq += 1;
        let seq = chain.seq;
        let line = format!(
            "{{\"seq\":{seq},\"ts\":\"{}\",\"type\":\"{}\",\"sev\":\"{severity}\",{subject},\"data\":{}",
            rfc3339(event.at),
            event.kind.name(),
            event.data
        );
        self.text.push_str(&line);
        chain.close(&mut self.text, start, seq);
        self.events.push((event.kind, event.severity, start..self.text.len()));
    }

    pub(super) fn seq(&self) -> u64 {
        self.chain.as_ref().map_or(0, |chain| chain.seq)
    }

    pub(super) fn chain_head(&self) -> Head {
        self.chain.as_ref().map_or(Head::ZERO, |chain| chain.head)
    }
}
