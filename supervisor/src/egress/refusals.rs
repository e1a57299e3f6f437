//! What egress refused, on its way from the egress thread to the thread that keeps the record.
//!
//! Equal refusals are folded at once, so a flood costs memory for its distinct objects only, and those are bounded too;
//! counts stay exact.

use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex, PoisonError};

use nix::errno::Errno;
use nix::sys::eventfd::{EfdFlags, EventFd};
use policies::violation::{Code, Object};

/// Distinct refusals that wait at once; what comes beyond is folded into one entry a code.
const MOST: usize = 1024;

/// One refused attempt.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Refusal {
    /// Stable code; its own severity applies.
    pub code: Code,
    /// The policy line that decided: `[network] allow: *.example.com:443`, `egress: no rule`.
    pub rule: String,
    /// What it was aimed at.
    pub object: Object,
    /// User id of the sender in the supervisor's user namespace, where it is known.
    pub uid: Option<u32>,
}

/// The way to the record; cheap to clone.
#[derive(Clone, Debug)]
pub struct Refusals {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    pending: Mutex<HashMap<Refusal, u64>>,
    wake: EventFd,
}

impl Refusals {
    /// Nothing was refused yet.
    ///
    /// # Errors
    /// The errno of eventfd(2).
    pub fn new() -> Result<Self, Errno> {
        let wake = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        Ok(Self { shared: Arc::new(Shared { pending: Mutex::default(), wake }) })
    }

    /// Adds `count` equal attempts.
    pub fn add(&self, refusal: Refusal, count: u64) {
        if count == 0 {
            return;
        }
        let mut pending = self.shared.pending.lock().unwrap_or_else(PoisonError::into_inner);
        let refusal = if pending.len() < MOST || pending.contains_key(&refusal) {
            refusal
        } else {
            Refusal { object: folded(&refusal.object), rule: String::new(), uid: None, ..refusal }
        };
        let was_empty = pending.is_empty();
        let total = pending.entry(refusal).or_default();
        *total = total.saturating_add(count);
        drop(pending);
        if was_empty {
            // A counter that is full is readable already.
            self.shared.wake.write(1).unwrap_or_default();
        }
    }

    /// What waits, in no order.
    #[must_use]
    pub fn take(&self) -> Vec<(Refusal, u64)> {
        // Empty where nothing came since the last time.
        self.shared.wake.read().unwrap_or_default();
        let mut pending = self.shared.pending.lock().unwrap_or_else(PoisonError::into_inner);
        pending.drain().collect()
    }

    /// Readable while something waits.
    #[must_use]
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.shared.wake.as_fd()
    }
}

fn folded(object: &Object) -> Object {
    crate::record::object::ObjectRef::of(object).folded().to_owned()
}
