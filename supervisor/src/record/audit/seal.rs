//! Closing a segment: a signed checkpoint that says what it ended with, from when to when it goes, and that it was whole.
//!
//! Not at rotation, which is on the way of a launch, but afterwards: by the process that rotated once its run is over, and
//! by any later one that finds a closed segment without.

use std::path::Path;
use std::time::SystemTime;

use policies::violation::Severity;
use serde_json::json;

use super::checkpoint::{self, CheckpointError};
use super::forward::Forwarded;
use super::key::{self, CheckpointSigner, sign_note};
use super::line::{Front, Head};
use super::note::Checkpoint;
use super::read::{Lines, SegmentFile, snapshot};
use super::walk::{Place, ProblemCode, Visitor, Walk, Walked};
use super::{AuditLog, Event, EventType, prune};
use crate::record::clock::rfc3339;

/// A segment that was closed, or could not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// Its file name.
    pub segment: String,
    /// What is wrong with it, so that no checkpoint says that it was whole.
    pub problem: Option<(ProblemCode, String)>,
}

/// Gives every closed segment that has none its checkpoint, and writes that to the log.
///
/// # Errors
/// [`CheckpointError`].
pub fn seal(
    log: &mut AuditLog,
    clock: impl Fn() -> SystemTime,
) -> Result<Vec<Sealed>, CheckpointError> {
    let dir = log.dir().to_owned();
    let at = |action| CheckpointError::at(action, &dir);
    let (mut files, _) = snapshot(&dir).map_err(at("read"))?;
    files.pop();
    files.retain(|file| !dir.join(checkpoint::name_of(&file.name)).exists());
    let mut sealed = Vec::new();
    let mut key = None;
    for file in files {
        let (walked, seen, walk) = look(&dir, &file)?;
        if walked.is_plain {
            continue;
        }
        let problem = seen.problem;
        let now = clock();
        let event = if let Some((code, detail)) = &problem {
            let data = json!({ "segment": file.name, "code": code, "detail": detail });
            Event::new(EventType::SealFailed, Severity::Critical, now, &data)?
        } else {
            let key = match &key {
                Some(key) => key,
                None => key.insert(key::open(&dir, log.settings().key.as_ref())?),
            };
            let key = key.as_ref();
            let note = sign_note(key, text(key, &file, &walked, &seen.range, &walk, now))?;
            let name = checkpoint::name_of(&file.name);
            checkpoint::keep(&dir, &name, &note)?;
            let data = json!({
                "segment": file.name,
                "checkpoint": name,
                "lastSeq": walk.chain.seq,
                "head": walk.chain.head.text(),
                "key": key.verify_key().text(),
            });
            Event::new(EventType::Sealed, Severity::Info, now, &data)?
        };
        log.append_at(&[event], &clock)?;
        sealed.push(Sealed { segment: file.name, problem });
    }
    Ok(sealed)
}

/// What is due when a process is done with the log: a line about what could not be forwarded; and where this process began
/// a new segment, the checkpoint of the one before, and what is older than the retention goes.
///
/// # Errors
/// [`CheckpointError`], the first: it is in the log, too, if that takes it. Nothing that was done depends on it, and whoever
/// begins the next segment tries again.
pub fn after_run(
    log: &mut AuditLog,
    forwarded: Option<&Forwarded>,
    clock: impl Fn() -> SystemTime,
) -> Result<(), CheckpointError> {
    let lost = forwarded.map_or(0, |forwarded| forwarded.lost);
    forward_lost(log, forwarded, 0, &clock)?;
    if !log.take_rotated() {
        return Ok(());
    }
    let sealed = seal(log, &clock).map(drop);
    let sealed = told(log, EventType::SealFailed, sealed, &clock);
    // Also where sealing failed: what has its checkpoint may go.
    let pruned = prune::daily(log, &clock);
    let pruned = told(log, EventType::PruneFailed, pruned, &clock);
    // These events go out as well; that one did not is for this log alone.
    let late = log.finish_forwarding();
    forward_lost(log, late.as_ref(), lost, &clock)?;
    sealed.and(pruned)
}

/// [`after_run`] of a command whose act is on record: what of it fails changes nothing, and whoever begins the next segment
/// tries again.
pub fn after_act(log: &mut AuditLog) {
    let forwarded = log.finish_forwarding();
    if let Err(error) = after_run(log, forwarded.as_ref(), SystemTime::now) {
        tracing::warn!(%error, "the audit log was not sealed or pruned");
    }
}

/// Puts on record that more than `known` events could not be forwarded.
fn forward_lost(
    log: &mut AuditLog,
    forwarded: Option<&Forwarded>,
    known: u64,
    clock: impl Fn() -> SystemTime,
) -> Result<(), CheckpointError> {
    let Some(forwarded) = forwarded.filter(|forwarded| forwarded.lost > known) else {
        return Ok(());
    };
    let event = Event::new(EventType::ForwardLost, Severity::Warning, clock(), forwarded)?;
    log.append_at(&[event], &clock)?;
    Ok(())
}

/// Puts on record what failed.
fn told(
    log: &mut AuditLog,
    kind: EventType,
    done: Result<(), CheckpointError>,
    clock: impl Fn() -> SystemTime,
) -> Result<(), CheckpointError> {
    if let Err(error) = &done {
        let data = json!({ "detail": error.to_string() });
        // A log that has no proof is worse than one that is long.
        let severity =
            if kind == EventType::PruneFailed { Severity::Warning } else { Severity::Critical };
        let event = Event::new(kind, severity, clock(), &data)?;
        log.append_at(&[event], &clock)?;
    }
    done
}

fn text(
    key: &dyn CheckpointSigner,
    file: &SegmentFile,
    walked: &Walked,
    range: &Range,
    walk: &Walk,
    now: SystemTime,
) -> String {
    let line = |key: &str, value: String| (key.to_owned(), value);
    let checkpoint = Checkpoint {
        origin: key.verify_key().name().to_owned(),
        size: walk.chain.seq,
        head: walk.chain.head,
        more: vec![
            line("segment", file.name.clone()),
            line("first", walked.first.unwrap_or(0).to_string()),
            line("from", range.from.clone()),
            line("to", range.to.clone()),
            line("made", rfc3339(now)),
        ],
    };
    checkpoint.text()
}

/// Goes through one closed segment by itself.
pub(super) fn look(
    dir: &Path,
    file: &SegmentFile,
) -> Result<(Walked, Seen, Walk), CheckpointError> {
    let path = dir.join(&file.name);
    let mut walk = Walk::new();
    let mut seen = Seen::default();
    let mut lines = Lines::open(dir, file).map_err(CheckpointError::at("read", &path))?;
    let place = Place { number: file.number, previous: None, is_last: false };
    let walked =
        walk.segment(&mut lines, place, &mut seen).map_err(CheckpointError::at("read", &path))?;
    Ok((walked, seen, walk))
}

/// First and last time of a segment's events; the clock may have been set back between.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) from: String,
    pub(super) to: String,
}

/// What a look at one segment shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) range: Range,
    /// The first thing that is wrong.
    pub(super) problem: Option<(ProblemCode, String)>,
}

impl Visitor for Seen {
    fn problem(&mut self, code: ProblemCode, line: u64, _: Option<u64>, detail: String) {
        self.problem.get_or_insert((code, format!("line {line}: {detail}")));
    }

    fn event(&mut self, front: &Front<'_>, _: &[u8], _: Head) {
        if self.range.to.is_empty() || front.ts < self.range.from.as_str() {
            front.ts.clone_into(&mut self.range.from);
        }
        if front.ts > self.range.to.as_str() {
            front.ts.clone_into(&mut self.range.to);
        }
    }
}
