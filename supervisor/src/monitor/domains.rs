//! Denials of Landlock domains of which it is not known yet whose they are.

use std::collections::HashMap;

use policies::violation::Process;

use crate::monitor::audit_record::Target;
use crate::record::clock::Now;

/// Denials that wait, for each domain. One is usual: the record that says whose it is follows at once.
pub(super) const WAITING_PER_DOMAIN: usize = 256;
/// Domains of which we know nothing yet, or that they are not ours.
pub(super) const DOMAINS: usize = 1024;

/// A denial that waits.
#[derive(Debug)]
pub(super) struct Denial {
    pub(super) at: Now,
    pub(super) blockers: String,
    pub(super) target: Target,
    /// Who was denied, where that is asked for and known.
    pub(super) process: Option<Process>,
}

#[derive(Debug)]
enum Domain {
    Unknown { denials: Vec<Denial>, more: u64 },
    Foreign,
}

/// The waiting room. Bounded: whoever floods may be somebody else's sandbox.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    domains: HashMap<u64, Domain>,
}

impl Waiting {
    /// Keeps a denial, or only counts it, unless its domain is known as foreign.
    pub(super) fn hold(&mut self, domain: u64, denial: Denial) {
        // The kernel's total at the end tells if one that was not kept was ours.
        if self.domains.len() >= DOMAINS && !self.domains.contains_key(&domain) {
            return;
        }
        let unknown = || Domain::Unknown { denials: Vec::new(), more: 0 };
        match self.domains.entry(domain).or_insert_with(unknown) {
            Domain::Unknown { denials, .. } if denials.len() < WAITING_PER_DOMAIN => {
                denials.push(denial);
            }
            Domain::Unknown { more, .. } => *more += 1,
            Domain::Foreign => {}
        }
    }

    /// The domain is another sandbox's.
    pub(super) fn refuse(&mut self, domain: u64) {
        if self.domains.len() < DOMAINS || self.domains.contains_key(&domain) {
            self.domains.insert(domain, Domain::Foreign);
        }
    }

    /// The domain is gone.
    pub(super) fn forget(&mut self, domain: u64) {
        self.domains.remove(&domain);
    }

    /// The domain is ours: what was kept, and how many were only counted.
    pub(super) fn take(mut self, domain: u64) -> (Vec<Denial>, u64) {
        match self.domains.remove(&domain) {
            Some(Domain::Unknown { denials, more }) => (denials, more),
            Some(Domain::Foreign) | None => (Vec::new(), 0),
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.domains.len()
    }
}
