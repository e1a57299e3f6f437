//! An act of somebody on the registry: one transaction, and its record.
//!
//! The order: the transaction is begun and holds the right to write; the changes are made in it; the events are appended to
//! the audit log and are on disk; then the transaction is committed. Whatever dies in between leaves either nothing, or an
//! event of something that was not done, but never something done without an event. A commit that fails after its event is
//! followed by an event `act.undone`, if the log still takes one. Acts of several processes are in the log in the order in
//! which they took effect, because only one at a time has the right to write.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use policies::violation::Severity;
use rusqlite::{Connection, Transaction, TransactionBehavior};
use serde_json::{Value, json};

use super::{RegistryError, moment, open};
use crate::record::audit::{AuditLog, AuditLogError, Event, EventType, Settings, Subject, seal};

/// The registry, open for acts of one actor.
#[derive(Debug)]
pub struct Editor {
    connection: Connection,
    path: PathBuf,
    pub(super) state: PathBuf,
    actor: String,
    settings: Settings,
}

/// What goes on record with an act.
#[derive(Debug)]
pub(super) struct Act<'a> {
    /// The transaction.
    pub(super) tx: &'a Transaction<'a>,
    /// Who acts.
    pub(super) actor: &'a str,
    /// Seconds since the epoch.
    pub(super) now: i64,
    path: &'a Path,
    events: Vec<(EventType, Severity, Value)>,
    version: String,
}

impl Act<'_> {
    /// Puts an event on record.
    pub(super) fn record(&mut self, kind: EventType, severity: Severity, data: Value) {
        self.events.push((kind, severity, data));
    }

    /// The version that the events are about.
    pub(super) fn of_version(&mut self, version: &str) {
        version.clone_into(&mut self.version);
    }

    /// For `map_err`.
    pub(super) fn failed(&self) -> impl Fn(rusqlite::Error) -> RegistryError + use<> {
        let path = self.path.to_owned();
        move |source| RegistryError::Database { action: "write", path: path.clone(), source }
    }
}

impl Editor {
    /// Opens the registry for writing; makes it where there is none. `actor` goes on record.
    ///
    /// # Errors
    /// [`RegistryError`].
    pub fn open(state: &Path, actor: &str) -> Result<Self, RegistryError> {
        Ok(Self {
            connection: open::write(state)?,
            path: open::path(state),
            state: state.to_owned(),
            actor: actor.to_owned(),
            settings: Settings::default(),
        })
    }

    /// How the audit log is kept, and where its events are forwarded to.
    #[must_use]
    pub fn with_log(self, settings: Settings) -> Self {
        Self { settings, ..self }
    }

    /// Who acts.
    #[must_use]
    pub fn actor(&self) -> &str {
        &self.actor
    }

    /// For reading what an act is about.
    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// For `map_err`.
    pub(super) fn failed(
        &self,
        action: &'static str,
    ) -> impl Fn(rusqlite::Error) -> RegistryError + use<> {
        let path = self.path.clone();
        move |source| RegistryError::Database { action, path: path.clone(), source }
    }

    /// Does one act on an extension, or on none where `ext` is empty.
    pub(super) fn act<T>(
        &mut self,
        ext: &str,
        change: impl FnOnce(&mut Act<'_>) -> Result<T, RegistryError>,
    ) -> Result<T, RegistryError> {
        let failed = self.failed("write");
        let tx = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(&failed)?;
        let at = SystemTime::now();
        let mut act = Act {
            tx: &tx,
            actor: &self.actor,
            now: moment::seconds(at),
            path: &self.path,
            events: Vec::new(),
            version: String::new(),
        };
        let value = change(&mut act)?;
        let Act { events, version, .. } = act;
        let events = events
            .into_iter()
            .map(|(kind, severity, data)| Event::new(kind, severity, at, &data))
            .collect::<Result<Vec<_>, AuditLogError>>()?;
        let mut log = None;
        if !events.is_empty() {
            let subject = Subject {
                ext: ext.to_owned(),
                ver: version,
                run: String::new(),
                actor: self.actor.clone(),
            };
            let mut opened =
                AuditLog::open_with(&self.state.join("audit"), &subject, &self.settings)?;
            let seq = opened.append_durably(&events)?;
            log = Some((opened, seq));
        }
        let committed = tx.commit().map_err(|error| {
            let reason = error.to_string();
            (failed(error), reason)
        });
        if let Some((mut log, seq)) = log {
            if let Err((_, reason)) = &committed {
                let data = json!({ "events": events.len(), "lastSeq": seq, "reason": reason });
                let undone = Event::new(EventType::ActUndone, Severity::Warning, at, &data)?;
                log.append_durably(&[undone])?;
            }
            seal::after_act(&mut log);
        }
        committed.map(|()| value).map_err(|(error, _)| error)
    }
}
