//! Denials that wait for the record that names their process.
//!
//! The kernel writes that record when the denied call returns, a moment after the denial; records of other calls come
//! between. It may also never come: dropped in a burst, or kept back by a rule of somebody else.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use policies::violation::Process;

use crate::monitor::domains::Denial;

/// Denials that wait at once; each thread of a sandbox has at most one under way.
pub(super) const WAITING: usize = 4096;
/// A denied call that has not returned by then belongs to a process that nobody lets run.
const PATIENCE: Duration = Duration::from_millis(250);

#[derive(Debug)]
struct Held {
    serial: u64,
    domain: u64,
    denial: Denial,
}

/// A denial that waits no more, and whose domain it was.
pub(super) type Named = (u64, Denial);

/// The waiting room, in the order of arrival. Bounded: what does not fit goes without a name.
#[derive(Debug, Default)]
pub(super) struct Unnamed {
    held: VecDeque<Held>,
}

impl Unnamed {
    /// Keeps a denial until its process is named; gives back one that has to go without, to make room.
    pub(super) fn hold(&mut self, serial: u64, domain: u64, denial: Denial) -> Option<Named> {
        let first =
            if self.held.len() < WAITING { None } else { self.held.pop_front().map(unnamed) };
        self.held.push_back(Held { serial, domain, denial });
        first
    }

    /// Whether a denial waits for the record with this number.
    pub(super) fn awaits(&self, serial: u64) -> bool {
        self.held.iter().any(|held| held.serial == serial)
    }

    /// Denials of the call that this record names the process of; one call may be denied more than one thing.
    pub(super) fn name(&mut self, serial: u64, process: &Process) -> Vec<Named> {
        let mut named = Vec::new();
        while let Some(at) = self.held.iter().position(|held| held.serial == serial)
            && let Some(held) = self.held.remove(at)
        {
            named.push((held.domain, Denial { process: Some(process.clone()), ..held.denial }));
        }
        named
    }

    /// When the first one has waited long enough.
    pub(super) fn due(&self) -> Option<Instant> {
        self.held.front().map(|held| held.denial.at.mono + PATIENCE)
    }

    /// One that has waited long enough, while there is one.
    pub(super) fn expired(&mut self, now: Instant) -> Option<Named> {
        self.due().filter(|due| *due <= now)?;
        self.take()
    }

    /// The first one, named or not.
    pub(super) fn take(&mut self) -> Option<Named> {
        self.held.pop_front().map(unnamed)
    }
}

fn unnamed(held: Held) -> Named {
    (held.domain, held.denial)
}
