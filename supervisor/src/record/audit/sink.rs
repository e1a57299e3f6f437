//! Violations into the audit log: the first of each kind at once, final counts together at the end.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::time::SystemTime;

use policies::violation::Violation;

use crate::record::audit::{AuditLog, Event, EventType};
use crate::record::sink::{Moment, Sink};

/// Writes violations as `violation` events. The ledger bounds their rate.
#[derive(Debug)]
pub struct AuditSink {
    log: Rc<RefCell<AuditLog>>,
    last: Vec<Event>,
}

impl AuditSink {
    /// Writes to `log`, which the supervisor shares on its one thread.
    #[must_use]
    pub fn new(log: Rc<RefCell<AuditLog>>) -> Self {
        Self { log, last: Vec::new() }
    }

    fn append(&self, events: &[Event]) -> io::Result<()> {
        let mut log = self.log.try_borrow_mut().map_err(io::Error::other)?;
        log.append(events).map_err(io::Error::other)?;
        Ok(())
    }
}

impl Sink for AuditSink {
    fn emit(&mut self, moment: Moment, violation: &Violation) -> io::Result<()> {
        let at = SystemTime::now();
        let event = Event::new(EventType::Violation, violation.severity, at, violation)
            .map_err(io::Error::other)?;
        if moment == Moment::Final {
            self.last.push(event);
            return Ok(());
        }
        self.append(&[event])
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.last.is_empty() {
            return Ok(());
        }
        let last = std::mem::take(&mut self.last);
        self.append(&last)
    }
}
