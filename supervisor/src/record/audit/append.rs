//! Adding lines to the log.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use policies::violation::Severity;
use serde_json::json;

use super::draft::Lines;
use super::forward::{Forwarded, Forwarder, Targets};
use super::key::ModuleKey;
use super::segment::{self, Content, End, Header, Last, Segment};
use super::{AuditLogError, Event, EventType, Subject};
use crate::record::clock::rfc3339;

/// How a log is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// A segment that has grown beyond this many bytes is followed by a new one.
    pub segment_bytes: u64,
    /// Where each event is sent besides.
    pub forward: Targets,
    /// How long events are kept; what is older goes by itself, see [`prune`](super::prune).
    pub retention: Duration,
    /// The key that signs checkpoints, where it is not the file beside the log.
    pub key: Option<ModuleKey>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            segment_bytes: 64 * 1024 * 1024,
            forward: Targets::default(),
            retention: Duration::from_hours(365 * 24),
            key: None,
        }
    }
}

/// What became of the events of one process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Events in the log.
    pub written: u64,
    /// Events that could not be written.
    pub lost: u64,
    /// Why, for the last of them.
    pub reason: Option<String>,
}

/// An open audit log.
#[derive(Debug)]
pub struct AuditLog {
    dir: PathBuf,
    lock: File,
    /// The part of each line that is the same, as JSON.
    subject: String,
    settings: Settings,
    segment: Option<Segment>,
    standing: Standing,
    /// Of those lost, how many no line in the log tells of yet.
    untold: u64,
    rotated: bool,
    forwarder: Option<Forwarder>,
}

impl AuditLog {
    /// Opens the log in `dir`, which is made if it is missing. Writes nothing.
    pub fn open(dir: &Path, subject: &Subject) -> Result<Self, AuditLogError> {
        Self::open_with(dir, subject, &Settings::default())
    }

    /// The same, kept as `settings` say.
    pub fn open_with(
        dir: &Path,
        subject: &Subject,
        settings: &Settings,
    ) -> Result<Self, AuditLogError> {
        let path = dir.join("lock");
        let lock = match lock_file(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                DirBuilder::new()
                    .recursive(true)
                    .mode(0o750)
                    .create(dir)
                    .map_err(|source| AuditLogError::Open { path: dir.to_owned(), source })?;
                lock_file(&path)
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
        Ok(Self {
            dir: dir.to_owned(),
            lock,
            subject,
            settings: settings.clone(),
            segment: None,
            standing: Standing::default(),
            untold: 0,
            rotated: false,
            forwarder: Forwarder::new(&settings.forward),
        })
    }

    /// The folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// How it is kept.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Appends the events together, in this order, and returns the number of the last. All are written or none; those that
    /// something is done for are on the disk when this returns.
    pub fn append(&mut self, events: &[Event]) -> Result<u64, AuditLogError> {
        self.append_at(events, SystemTime::now)
    }

    /// The same, and all of them are on the disk when this returns, whatever their type.
    pub fn append_durably(&mut self, events: &[Event]) -> Result<u64, AuditLogError> {
        self.count(events, SystemTime::now, true)
    }

    /// [`Self::append`] by another clock, which is read while the log is locked: the order of lines is the order of readings.
    pub fn append_at(
        &mut self,
        events: &[Event],
        clock: impl FnOnce() -> SystemTime,
    ) -> Result<u64, AuditLogError> {
        self.count(events, clock, events.iter().any(|event| event.kind.is_durable()))
    }

    /// Appends, and keeps count of what became of it.
    fn count(
        &mut self,
        events: &[Event],
        clock: impl FnOnce() -> SystemTime,
        is_durable: bool,
    ) -> Result<u64, AuditLogError> {
        let count = u64::try_from(events.len()).unwrap_or(u64::MAX);
        match self.append_and_sync(events, clock, is_durable) {
            Ok(last) => {
                self.standing.written += count;
                Ok(last)
            }
            Err(error) => {
                self.standing.reason = Some(error.to_string());
                if matches!(error, AuditLogError::Sync { .. }) {
                    // It is in the log, and nobody may rely on that.
                    self.standing.written += count;
                    return Err(error);
                }
                // Whatever the file looks like now: the next append reads its end again.
                self.segment = None;
                self.standing.lost += count;
                self.untold += count;
                Err(error)
            }
        }
    }

    fn append_and_sync(
        &mut self,
        events: &[Event],
        clock: impl FnOnce() -> SystemTime,
        is_durable: bool,
    ) -> Result<u64, AuditLogError> {
        let failed = |path: PathBuf| move |source| AuditLogError::Append { path, source };
        self.lock.lock().map_err(failed(self.dir.join("lock")))?;
        let mut lines = Lines::default();
        let written = self.append_locked(events, clock(), &mut lines);
        let path = self.segment.as_ref().map_or_else(|| self.dir.clone(), |s| s.path(&self.dir));
        let unlocked = self.lock.unlock();
        let last = written.map_err(failed(path.clone()))?;
        unlocked.map_err(failed(self.dir.join("lock")))?;
        // Beyond the lock, so that whoever waits for the disk keeps nobody else from writing.
        if is_durable && let Some(segment) = &self.segment {
            segment.sync().map_err(|source| AuditLogError::Sync { path, source })?;
        }
        self.untold = 0;
        if let Some(forwarder) = &mut self.forwarder {
            for (kind, severity, range) in &lines.events {
                forwarder.send(*kind, *severity, lines.text[range.clone()].trim_end());
            }
        }
        Ok(last)
    }

    fn append_locked(
        &mut self,
        events: &[Event],
        now: SystemTime,
        lines: &mut Lines,
    ) -> io::Result<u64> {
        let segment = self.last_segment(now)?;
        let (segment, end, previous) = self.current(segment, now)?;
        let follows = match (&end.content, previous) {
            (Content::Chained(last), _) => last.clone(),
            (_, previous) => {
                // No header yet. Whoever made the file may have crashed before writing one.
                let (follows, name) = match previous {
                    Some(previous) => previous,
                    None => self.before(segment.number())?,
                };
                let header = Header::new(segment.number(), now, &follows, name);
                lines.begin(&follows, end.torn.is_some() || end.is_open);
                lines.header(&header)?;
                Last { head: lines.chain_head(), ..follows }
            }
        };
        lines.begin(&follows, end.torn.is_some() || end.is_open);
        if let Some(torn) = &end.torn {
            let data = json!({ "bytes": torn.bytes, "sha256": torn.sha256.text() });
            self.own(lines, EventType::Torn, Severity::Warning, now, &data);
        }
        let stamp = rfc3339(now);
        if stamp < follows.ts {
            let data = json!({ "before": follows.ts, "backMs": back_ms(&follows.ts, now) });
            self.own(lines, EventType::ClockStep, Severity::Warning, now, &data);
        }
        if self.untold > 0 {
            let data = json!({ "events": self.untold, "reason": self.standing.reason });
            self.own(lines, EventType::Dropped, Severity::Critical, now, &data);
        }
        for event in events {
            lines.event(event, &self.subject);
        }
        let (seq, head) = (lines.seq(), lines.chain_head());
        // Of the last line, for the next to compare with.
        let ts = events.last().map_or(stamp, |event| rfc3339(event.at));
        let segment = self.segment.insert(segment);
        segment.write(&lines.text, end.size, Last { seq, head, ts, is_event: true })?;
        Ok(seq)
    }

    fn own(
        &self,
        lines: &mut Lines,
        kind: EventType,
        severity: Severity,
        at: SystemTime,
        data: &serde_json::Value,
    ) {
        lines.event(&Event { kind, severity, at, data: data.to_string() }, &self.subject);
    }

    /// The segment that the next lines belong into, its end, and, where it was changed for a new one, what that follows.
    fn current(
        &mut self,
        segment: Segment,
        now: SystemTime,
    ) -> io::Result<(Segment, End, Option<Follows>)> {
        let end = segment.end()?;
        let is_plain = matches!(end.content, Content::Plain(_));
        // A line without an end is closed in its own segment first.
        let is_open = matches!(end.content, Content::Nothing) || end.torn.is_some() || end.is_open;
        let is_over = segment.is_over(now, end.size, self.settings.segment_bytes);
        if is_open || !(is_plain || is_over) {
            return Ok((segment, end, None));
        }
        let follows = follows(&end.content);
        let next = Segment::create(&self.dir, now, segment.number() + 1)?;
        self.point_to(&next)?;
        self.rotated = true;
        let end = next.end()?;
        Ok((next, end, Some((follows, Some(segment.name().to_owned())))))
    }

    /// What a segment with this number follows, and the name of the segment before.
    fn before(&self, number: u64) -> io::Result<Follows> {
        for (found, name) in segment::numbered(&self.dir)?.into_iter().rev() {
            if found < number
                && let Some(segment) = Segment::open(&self.dir, &name)?
            {
                let end = segment.end()?;
                if end.content != Content::Nothing {
                    return Ok((follows(&end.content), Some(name)));
                }
            }
        }
        Ok((follows(&Content::Nothing), None))
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
        let segment = match segment::numbered(&self.dir)?.pop() {
            Some((_, name)) => Segment::open(&self.dir, &name)?,
            None => None,
        };
        let segment = match segment {
            Some(segment) => segment,
            None => Segment::create(&self.dir, now, 1)?,
        };
        self.point_to(&segment)?;
        Ok(segment)
    }

    /// On the disk before the first line of the new segment is: after a crash of the machine nobody must go on with the
    /// segment before.
    fn point_to(&mut self, segment: &Segment) -> io::Result<()> {
        self.lock.set_len(0)?;
        self.lock.seek(SeekFrom::Start(0))?;
        self.lock.write_all(format!("{}\n", segment.name()).as_bytes())?;
        self.lock.sync_data()
    }

    /// What became of the events so far.
    #[must_use]
    pub fn standing(&self) -> &Standing {
        &self.standing
    }

    /// Whether this process began a new segment, so that the one before wants its checkpoint. Says so once.
    pub fn take_rotated(&mut self) -> bool {
        std::mem::take(&mut self.rotated)
    }

    /// Sends what waits to be forwarded, for a bounded time, and says what became of it all; `None` if nothing is
    /// forwarded.
    pub fn finish_forwarding(&mut self) -> Option<Forwarded> {
        self.forwarder.as_mut().map(Forwarder::finish)
    }
}

/// A file whose lock says whose turn it is; made where there is none.
pub(super) fn lock_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o640).open(path)
}

/// What a segment follows, and the name of the segment before, if there is one.
type Follows = (Last, Option<String>);

fn follows(content: &Content) -> Last {
    match content {
        Content::Chained(last) => last.clone(),
        Content::Plain(seq) => Last::first(*seq),
        Content::Nothing => Last::first(0),
    }
}

fn back_ms(before: &str, now: SystemTime) -> i64 {
    let (Ok(before), Ok(now)) = (before.parse::<Timestamp>(), Timestamp::try_from(now)) else {
        return 0;
    };
    before.as_millisecond().saturating_sub(now.as_millisecond())
}
