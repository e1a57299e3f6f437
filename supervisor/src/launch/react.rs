//! What follows from a rule that was met: words, an event, and an extension that may not run again.

use std::cell::RefCell;
use std::io;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::SystemTime;

use policies::reaction::{Reaction, ReactionAction};
use policies::violation::Severity;

use crate::record::audit::{AuditLog, Event, EventType};
use crate::record::clock::rfc3339;
use crate::record::escape::visible;
use crate::record::ledger::Ledger;
use crate::record::reactions::{Effect, Reacted, sentence};
use crate::report::progress::CLEAR;
use crate::state::disabled::{self, Disabled};

/// Acts on the rules that one run meets. Ending the run is not its business: that comes first.
#[derive(Debug)]
pub(super) struct Reactor {
    /// Where markers of disabled extensions are.
    pub(super) state: PathBuf,
    /// Of the run.
    pub(super) extension_id: String,
    /// Of the run.
    pub(super) run_id: String,
    /// None where this run is not recorded, which was said when it began.
    pub(super) log: Option<Rc<RefCell<AuditLog>>>,
    /// Whether stderr is a terminal with a line of ours; `None` where nothing is to be said.
    pub(super) terminal: Option<bool>,
}

impl Reactor {
    /// Acts on what was met since the last time. `ending` is what becomes of the run by a rule that ends it.
    pub(super) fn act(&self, ledger: &mut Ledger, ending: Effect) {
        for reaction in ledger.take_reactions() {
            let at = SystemTime::now();
            let ends = reaction.action.ends_run();
            let disabled =
                reaction.action == ReactionAction::Disable && self.disable(at, &reaction);
            self.say(&reaction);
            let reacted = Reacted {
                ts: rfc3339(at),
                effect: if ends { ending } else { Effect::Warned },
                disabled,
                reaction,
            };
            let recorded = self.record(at, &reacted);
            ledger.keep_reaction(reacted, recorded);
        }
    }

    /// Whether later runs will be refused.
    fn disable(&self, at: SystemTime, reaction: &Reaction) -> bool {
        let entry = Disabled {
            extension_id: self.extension_id.clone(),
            at: rfc3339(at),
            run_id: self.run_id.clone(),
            rule: reaction.rule.clone(),
            reason: format!("{}: {}", sentence(reaction), reaction.reason),
        };
        match disabled::disable(&self.state, &entry) {
            Ok(()) => true,
            Err(error) => {
                eprintln!(
                    "sandboxctl: warning: {} is NOT disabled: {error}",
                    visible(&self.extension_id)
                );
                false
            }
        }
    }

    fn say(&self, reaction: &Reaction) {
        let Some(terminal) = self.terminal else { return };
        let clear = if terminal { CLEAR } else { "" };
        let (action, why) = (reaction.action.name(), visible(&reaction.reason));
        eprintln!("{clear}reaction: {action}: {}: {why}", sentence(reaction));
    }

    fn record(&self, at: SystemTime, reacted: &Reacted) -> bool {
        let Some(log) = &self.log else { return true };
        let severity =
            if reacted.reaction.action.ends_run() { Severity::Critical } else { Severity::Warning };
        let written = Event::new(EventType::Reaction, severity, at, reacted)
            .map_err(io::Error::other)
            .and_then(|event| {
                let mut log = log.try_borrow_mut().map_err(io::Error::other)?;
                log.append(&[event]).map_err(io::Error::other)
            });
        if let Err(error) = &written {
            eprintln!("sandboxctl: warning: a reaction is NOT in the audit log: {error}");
        }
        written.is_ok()
    }
}
