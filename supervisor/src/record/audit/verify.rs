//! Proving that a log is what was written: the chain through every segment, and every checkpoint.
//!
//! A chain alone cannot show that its end is missing, nor that somebody who may write everything wrote all of it again.
//! Checkpoints show that, as far as they are kept where that somebody cannot write, see [`Options::against`].

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::EventType;
use super::checkpoint::{self, CheckpointError};
use super::key::{VerifyKey, published};
use super::line::{Front, Head};
use super::note::{Checkpoint, Note, Signed};
use super::read::{Lines, SegmentFile, snapshot};
use super::segment::{Header, number};
pub use super::walk::ProblemCode;
use super::walk::{Place, Visitor, Walk, counted};

/// Problems that are listed; the rest is counted.
const LISTED: usize = 100;

/// What to verify against.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// A checkpoint that was kept elsewhere.
    pub against: Option<PathBuf>,
    /// The keys to trust, instead of those in the log's folder.
    pub keys: Option<Vec<VerifyKey>>,
}

/// One thing that is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// Stable code.
    pub code: ProblemCode,
    /// File name of the segment or checkpoint.
    pub file: String,
    /// Line of the file, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// Number of the event, as it says itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// In words.
    pub detail: String,
}

/// Lines of a version before hashes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NotChained {
    /// Events that nothing ties to each other.
    pub events: u64,
    /// Number of the first event that is tied to the one before; nothing can be said of those below.
    pub before_seq: u64,
}

/// What a log is worth.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Verified {
    /// Whether nothing is wrong.
    pub ok: bool,
    /// Segments that are there.
    pub segments: u64,
    /// Events that are there.
    pub events: u64,
    /// Number of the first of them.
    pub first_seq: Option<u64>,
    /// Number of the last of them.
    pub last_seq: Option<u64>,
    /// Hash of the last of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head: Option<String>,
    /// Checkpoints that are rightly signed, the one from elsewhere included.
    pub checkpoints: u64,
    /// Number of the last event that one of these covers: what follows could be cut off unseen.
    pub covered_seq: Option<u64>,
    /// Closed segments without a checkpoint.
    pub unsealed: u64,
    /// Segments that were pruned, as far as the log says.
    pub pruned_through_seq: Option<u64>,
    /// Events of a version before hashes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_chained: Option<NotChained>,
    /// Bytes of a line at the end that a writer did not finish; the next one closes and records them.
    pub torn_bytes: u64,
    /// What is wrong.
    pub problems: Vec<Problem>,
    /// How many problems there are beyond these.
    pub more_problems: u64,
}

/// Goes through the log in `dir`.
///
/// # Errors
/// [`CheckpointError`] where something cannot be read, or the checkpoint from elsewhere is none.
pub fn verify(dir: &Path, options: &Options) -> Result<Verified, CheckpointError> {
    let against = options.against.as_deref().map(checkpoint::read).transpose()?;
    let at = |action| CheckpointError::at(action, dir);
    let (files, named) = snapshot(dir).map_err(at("read"))?;
    let keys = match &options.keys {
        Some(keys) => keys.clone(),
        None => published(dir)?,
    };
    let mut judge = Judge::default();
    judge.checkpoints(dir, &keys, &files)?;
    if let (Some((note, checkpoint)), Some(path)) = (against, &options.against) {
        judge.checkpoint(&path.display().to_string(), &note, &checkpoint, &keys);
    }
    judge.segments(dir, &files)?;
    judge.last_is_there(&files, named.as_deref());
    judge.conclude(&files);
    Ok(judge.verified)
}

/// What a checkpoint says of one event.
#[derive(Debug)]
struct Target {
    file: String,
    head: Head,
    is_met: bool,
}

#[derive(Debug, Default)]
struct Judge {
    verified: Verified,
    file: String,
    /// By number of the event.
    targets: BTreeMap<u64, Vec<Target>>,
    /// Names of checkpoints in the folder.
    kept: BTreeSet<String>,
    /// Checkpoints that the log says were made.
    told: BTreeSet<String>,
    last: Option<Head>,
    /// The oldest segment that is there.
    first: Option<(String, Header)>,
}

impl Judge {
    fn say(
        &mut self,
        code: ProblemCode,
        file: &str,
        line: Option<u64>,
        seq: Option<u64>,
        detail: String,
    ) {
        if self.verified.problems.len() == LISTED {
            self.verified.more_problems += 1;
            return;
        }
        self.verified.problems.push(Problem { code, file: file.to_owned(), line, seq, detail });
    }

    fn checkpoints(
        &mut self,
        dir: &Path,
        keys: &[VerifyKey],
        files: &[SegmentFile],
    ) -> Result<(), CheckpointError> {
        if files.is_empty() && !dir.exists() {
            return Ok(());
        }
        for (name, kept) in checkpoint::all(dir).map_err(CheckpointError::at("read", dir))? {
            match kept {
                Err(error) => {
                    self.say(
                        ProblemCode::CheckpointMalformed,
                        &name,
                        None,
                        None,
                        error.to_string(),
                    );
                }
                Ok((note, checkpoint)) => {
                    let segment = checkpoint.line("segment").map(checkpoint::name_of);
                    if segment.is_some_and(|segment| segment != name) {
                        let detail = "it is the checkpoint of another segment".to_owned();
                        self.say(ProblemCode::CheckpointMismatch, &name, None, None, detail);
                    }
                    self.checkpoint(&name, &note, &checkpoint, keys);
                }
            }
            self.kept.insert(name);
        }
        Ok(())
    }

    fn checkpoint(&mut self, file: &str, note: &Note, checkpoint: &Checkpoint, keys: &[VerifyKey]) {
        let detail = match note.signed_by(keys) {
            Signed::Rightly => {
                self.verified.checkpoints += 1;
                let target = Target { file: file.to_owned(), head: checkpoint.head, is_met: false };
                self.targets.entry(checkpoint.size).or_default().push(target);
                return;
            }
            Signed::Wrongly => "the signature is not one of its text",
            Signed::ByNobodyKnown => "no key of this log signed it",
        };
        let seq = Some(checkpoint.size);
        self.say(ProblemCode::CheckpointSignature, file, None, seq, detail.to_owned());
    }

    fn segments(&mut self, dir: &Path, files: &[SegmentFile]) -> Result<(), CheckpointError> {
        let mut walk = Walk::new();
        let mut before: Option<&SegmentFile> = None;
        let mut plain = 0;
        for file in files {
            let path = dir.join(&file.name);
            self.file.clone_from(&file.name);
            if let Some(before) = before.filter(|before| before.number + 1 != file.number) {
                let missing = file.number.saturating_sub(before.number + 1);
                let detail = format!("{} missing before it", counted(missing, "segment"));
                self.say(ProblemCode::SegmentMissing, &file.name, None, None, detail);
            }
            let place = Place {
                number: file.number,
                previous: before.map(|before| before.name.as_str()),
                is_last: files.last() == Some(file),
            };
            let mut lines = Lines::open(dir, file).map_err(CheckpointError::at("read", &path))?;
            let walked = walk
                .segment(&mut lines, place, self)
                .map_err(CheckpointError::at("read", &path))?;
            self.verified.segments += 1;
            self.verified.events += walked.events;
            self.verified.torn_bytes += walked.torn;
            self.verified.first_seq = self.verified.first_seq.or(walked.first);
            if walked.is_plain {
                plain += walked.events;
                self.verified.last_seq = Some(walk.chain.seq);
                // What follows lines without hashes begins a chain.
                walk.chain.head = Head::ZERO;
            } else {
                if before.is_none() {
                    self.first = walked.header.map(|header| (file.name.clone(), header));
                }
                if !place.is_last && !self.kept.contains(&checkpoint::name_of(&file.name)) {
                    self.verified.unsealed += 1;
                }
            }
            if plain > 0 {
                let before_seq = match &self.verified.not_chained {
                    Some(known) if !walked.is_plain => known.before_seq,
                    _ => walk.chain.seq + 1,
                };
                self.verified.not_chained = Some(NotChained { events: plain, before_seq });
            }
            before = Some(file);
        }
        Ok(())
    }

    /// The first segment that is there must be the first of all, or follow what was pruned.
    fn beginning(&mut self) {
        let Some((file, header)) = self.first.take() else { return };
        let before = header.first_seq.saturating_sub(1);
        let head = header.prev_head.as_deref().unwrap_or_default();
        if before == 0 && head == Head::ZERO.text() && header.previous.is_none() {
            return;
        }
        let anchor = self.targets.get_mut(&before).into_iter().flatten();
        let mut is_anchored = false;
        for target in anchor {
            target.is_met |= target.head.text() == head;
            is_anchored |= target.is_met;
        }
        let is_told = self.verified.pruned_through_seq.is_some_and(|through| through >= before);
        let detail = match (is_anchored, is_told) {
            (true, true) => return,
            (false, _) => "no signed checkpoint of the segment before it is there",
            (true, false) => "no event says that the segment before it was pruned",
        };
        let seq = Some(header.first_seq);
        self.say(ProblemCode::SegmentMissing, &file, Some(1), seq, detail.to_owned());
    }

    /// `lock` names the last segment.
    fn last_is_there(&mut self, files: &[SegmentFile], named: Option<&str>) {
        let Some(named) = named else { return };
        let last = files.last().map_or(0, |file| file.number);
        if number(named).is_some_and(|number| number > last) {
            let detail = "it was the last segment, and is not there".to_owned();
            self.say(ProblemCode::SegmentMissing, named, None, None, detail);
        }
    }

    fn conclude(&mut self, files: &[SegmentFile]) {
        self.beginning();
        let first = self.verified.first_seq.unwrap_or(0);
        let last = self.verified.last_seq.unwrap_or(0);
        for (size, targets) in std::mem::take(&mut self.targets) {
            self.verified.covered_seq = Some(size);
            for target in targets.into_iter().filter(|target| !target.is_met) {
                if size > last {
                    let detail = format!("it saw event {size}, and the log ends with {last}");
                    self.say(ProblemCode::Truncated, &target.file, None, Some(size), detail);
                } else if size >= first || files.is_empty() {
                    let detail = "the event is not the one that it saw".to_owned();
                    let code = ProblemCode::CheckpointMismatch;
                    self.say(code, &target.file, None, Some(size), detail);
                }
            }
        }
        for name in std::mem::take(&mut self.told) {
            if !self.kept.contains(&name) {
                let detail = "the log says that it was made, and it is not there".to_owned();
                self.say(ProblemCode::CheckpointMissing, &name, None, None, detail);
            }
        }
        self.verified.head = self.last.map(|head| head.to_string());
        self.verified.ok = self.verified.problems.is_empty();
    }
}

impl Visitor for Judge {
    fn problem(&mut self, code: ProblemCode, line: u64, seq: Option<u64>, detail: String) {
        let file = self.file.clone();
        self.say(code, &file, Some(line), seq, detail);
    }

    fn event(&mut self, front: &Front<'_>, body: &[u8], head: Head) {
        if let Some(targets) = self.targets.get_mut(&front.seq) {
            for target in targets {
                target.is_met = target.head == head;
            }
        }
        self.last = Some(head);
        self.verified.last_seq = Some(front.seq);
        let is = |kind: EventType| front.kind == kind.name();
        if is(EventType::Pruned) {
            let through = told::<Pruned>(body).map(|pruned| pruned.through_seq);
            self.verified.pruned_through_seq = self.verified.pruned_through_seq.max(through);
        } else if is(EventType::Sealed) {
            self.told.extend(told::<SealedAs>(body).map(|sealed| sealed.checkpoint));
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Pruned {
    through_seq: u64,
}

#[derive(Deserialize)]
struct SealedAs {
    checkpoint: String,
}

/// The data of one of the log's own events.
fn told<T: for<'a> Deserialize<'a>>(body: &[u8]) -> Option<T> {
    #[derive(Deserialize)]
    struct Event<T> {
        data: T,
    }
    // The body lacks its closing brace.
    let text = [body, b"}"].concat();
    serde_json::from_slice::<Event<T>>(&text).ok().map(|event| event.data)
}

#[cfg(test)]
mod tests;
