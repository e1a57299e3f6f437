//! The audit log: what was decided and what happened, appended by every run of the host.
//!
//! `audit/` holds JSON Lines segments (`2026-11-23T20-000001.jsonl`), one a day or each 64 MiB. The first line of a segment
//! is its header, every other line one event: `seq ts type sev ext ver run actor data`, `seq` without a gap over all
//! segments. Any number of processes append: each takes `audit/lock`, reads the end of the last segment for the number
//! that comes next, and adds its lines with one write. The text of `lock` names the last segment and is only a shortcut:
//! without it the directory is searched. A later form adds a hash to each line and each header, and signed checkpoints
//! beside the segments.

mod segment;
mod sink;

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use policies::violation::Severity;
use serde::Serialize;
use thiserror::Error;

use crate::record::clock::rfc3339;
use segment::Segment;
pub use sink::AuditSink;

/// A segment that has grown beyond this is followed by a new one.
const SEGMENT_BYTES: u64 = 64 * 1024 * 1024;

/// An event was not written. Professional and enterprise extensions must not run then; a community extension may, loudly.
#[derive(Debug, Error)]
pub enum AuditLogError {
    /// The folder or its lock could not be made or opened.
    #[error("failed to open the audit log {}: {source}", .path.display())]
    Open {
        /// Which file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A segment could not be read or written; nothing of the event is left in it.
    #[error("failed to append to the audit log {}: {source}", .path.display())]
    Append {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The event's data is not JSON: a fault of this program.
    #[error("failed to write an audit event as JSON: {source}")]
    Encode {
        /// What serde said.
        #[source]
        source: serde_json::Error,
    },
}

impl AuditLogError {
    /// What the operator can do.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Open { .. } => {
                Some("the audit log is in the state folder; SANDBOXCTL_STATE_DIR moves it")
            }
            Self::Append { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                Some("make room on the file system of the state folder")
            }
            Self::Append { .. } | Self::Encode { .. } => None,
        }
    }
}

/// What an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventType {
    /// A run is about to start.
    RunStart,
    /// An extension was allowed to run, or refused.
    Decision,
    /// An attempt was denied, throttled or killed.
    Violation,
    /// A limit was hit.
    Limit,
    /// A run has ended.
    RunEnd,
    /// The supervisor failed.
    Error,
    /// The log itself: a line was cut off by a crash.
    Torn,
}

impl EventType {
    /// The name in records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::RunStart => "run.start",
            Self::Decision => "decision",
            Self::Violation => "violation",
            Self::Limit => "limit",
            Self::RunEnd => "run.end",
            Self::Error => "error",
            Self::Torn => "audit.torn",
        }
    }
}

/// Whom the events of one process are about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subject {
    /// Extension id.
    pub ext: String,
    /// Its version.
    pub ver: String,
    /// Run id.
    pub run: String,
    /// Who asked for it: a user name or `uid:1000`.
    pub actor: String,
}

/// One event, ready to be written.
#[derive(Clone, Debug)]
pub struct Event {
    kind: EventType,
    severity: Severity,
    at: SystemTime,
    data: String,
}

impl Event {
    /// An event with its particulars, which must serialise to a JSON object.
    pub fn new(
        kind: EventType,
        severity: Severity,
        at: SystemTime,
        data: &impl Serialize,
    ) -> Result<Self, AuditLogError> {
        let data =
            serde_json::to_string(data).map_err(|source| AuditLogError::Encode { source })?;
        Ok(Self { kind, severity, at, data })
    }
}

/// An open audit log.
#[derive(Debug)]
pub struct AuditLog {
    dir: PathBuf,
    lock: File,
    /// The part of each line that is the same, as JSON.
    subject: String,
    segment: Option<Segment>,
}

impl AuditLog {
    /// Opens the log in `dir`, which is made if it is missing. Writes nothing.
    pub fn open(dir: &Path, subject: &Subject) -> Result<Self, AuditLogError> {
        let path = dir.join("lock");
        let open = || {
            OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o640)
                .open(&path)
        };
        let lock = match open() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                DirBuilder::new()
                    .recursive(true)
                    .mode(0o750)
                    .create(dir)
                    .map_err(|source| AuditLogError::Open { path: dir.to_owned(), source })?;
                open()
            }
            other => other,
        }
        .map_err(|source| AuditLogError::Open { path, source })?;
        let text = |text: &str| {
            serde_json::to_string(text).map_err(|source| AuditLogError::Encode { source })
        };
        let subject = format!(
            r#""ext":{},"ver":{},"run":{},"actor":{}"#,
            text(&subject.ext)?,
            text(&subject.ver)?,
            text(&subject.run)?,
            text(&subject.actor)?
        );
        Ok(Self { dir: dir.to_owned(), lock, subject, segment: None })
    }

    /// Appends the events together, in this order, and returns the number of the last. All are written or none.
    pub fn append(&mut self, events: &[Event]) -> Result<u64, AuditLogError> {
        let failed = |path: PathBuf| move |source| AuditLogError::Append { path, source };
        self.lock.lock().map_err(failed(self.dir.join("lock")))?;
        let written = self.append_locked(events);
        let path = self.segment.as_ref().map_or_else(|| self.dir.clone(), |s| s.path(&self.dir));
        let unlocked = self.lock.unlock();
        if written.is_err() {
            // Whatever the file looks like now: the next append reads its end again.
            self.segment = None;
        }
        let last = written.map_err(failed(path))?;
        unlocked.map_err(failed(self.dir.join("lock")))?;
        Ok(last)
    }

    fn append_locked(&mut self, events: &[Event]) -> io::Result<u64> {
        let now = SystemTime::now();
        let mut segment = self.last_segment(now)?;
        let mut end = segment.end()?;
        if segment.is_over(now, end.size, SEGMENT_BYTES) {
            segment = Segment::create(&self.dir, now, segment.number() + 1, Some(&segment))?;
            self.point_to(&segment)?;
            // Not empty only if a crash came between making it and pointing to it.
            let fresh = segment.end()?;
            end.torn = fresh.torn;
            end.size = fresh.size;
            end.seq = end.seq.max(fresh.seq);
        }
        let mut lines = String::with_capacity(256 + 512 * events.len());
        if end.size == 0 {
            lines.push_str(&segment.header(now, end.seq + 1));
        }
        let mut seq = end.seq;
        if end.torn > 0 {
            lines.push('\n');
            seq += 1;
            let data = format!(r#"{{"bytes":{}}}"#, end.torn);
            let event = Event { kind: EventType::Torn, severity: Severity::Warning, at: now, data };
            self.line(&mut lines, seq, &event);
        }
        for event in events {
            seq += 1;
            self.line(&mut lines, seq, event);
        }
        segment.write(&lines, end.size, seq)?;
        self.segment = Some(segment);
        Ok(seq)
    }

    fn line(&self, lines: &mut String, seq: u64, event: &Event) {
        let severity = match event.severity {
            Severity::Info => "INFO",
            Severity::Warning => "WARNING",
            Severity::Critical => "CRITICAL",
        };
        let line = format!(
            "{{\"seq\":{seq},\"ts\":\"{}\",\"type\":\"{}\",\"sev\":\"{severity}\",{},\"data\":{}}}\n",
            rfc3339(event.at),
            event.kind.name(),
            self.subject,
            event.data
        );
        lines.push_str(&line);
    }

    /// The segment that `lock` names, the last one in the folder, or a first one.
    fn last_segment(&mut self, now: SystemTime) -> io::Result<Segment> {
        let mut name = String::new();
        self.lock.seek(SeekFrom::Start(0))?;
        // Not text: somebody else's file, or a torn write. The folder knows.
        if let Err(error) = (&self.lock).take(64).read_to_string(&mut name)
            && error.kind() != io::ErrorKind::InvalidData
        {
            return Err(error);
        }
        let name = name.trim_end();
        if let Some(segment) = self.segment.take_if(|segment| segment.name() == name) {
            return Ok(segment);
        }
        if let Some(segment) = Segment::open(&self.dir, name)? {
            return Ok(segment);
        }
        let segment = match segment::newest(&self.dir)? {
            Some(name) => Segment::open(&self.dir, &name)?,
            None => None,
        };
        let segment = match segment {
            Some(segment) => segment,
            None => Segment::create(&self.dir, now, 1, None)?,
        };
        self.point_to(&segment)?;
        Ok(segment)
    }

    fn point_to(&mut self, segment: &Segment) -> io::Result<()> {
        self.lock.set_len(0)?;
        self.lock.seek(SeekFrom::Start(0))?;
        self.lock.write_all(format!("{}\n", segment.name()).as_bytes())
    }
}

#[cfg(test)]
mod tests;
