//! Retention: whole segments go once their last event is old enough. Their checkpoints stay, so that what follows them
//! still hangs on something.

use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, SystemTime};

use policies::violation::Severity;
use serde::Serialize;
use serde_json::json;

use super::checkpoint::{self, CheckpointError};
use super::key::published;
use super::note::Signed;
use super::read::{SegmentFile, snapshot};
use super::seal::look;
use super::{AuditLog, Event, EventType};
use crate::record::clock::rfc3339;

/// One segment that is too old.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Old {
    /// Its file name.
    pub segment: String,
    /// Bytes.
    pub size: u64,
    /// Its first event.
    pub first_seq: u64,
    /// Its last event.
    pub last_seq: u64,
    /// RFC 3339: the time of its latest event.
    pub to: String,
}

/// What pruning does, or would do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Pruning {
    /// What goes.
    pub old: Vec<Old>,
    /// Why the segment after these stays although it is old, where it does.
    pub kept: Option<String>,
}

/// Says which segments are older than `keep` at `now`: from the oldest on, up to the first that is not, and never the last.
///
/// # Errors
/// [`CheckpointError`].
pub fn plan(dir: &Path, keep: Duration, now: SystemTime) -> Result<Pruning, CheckpointError> {
    let (mut files, _) = snapshot(dir).map_err(CheckpointError::at("read", dir))?;
    files.pop();
    let edge = now.checked_sub(keep).map(rfc3339).unwrap_or_default();
    let mut pruning = Pruning::default();
    for file in files {
        match judge(dir, &file, &edge)? {
            Judged::Old(old) => pruning.old.push(old),
            Judged::Young => break,
            Judged::Unproven(why) => {
                pruning.kept = Some(format!("{}: {why}", file.name));
                break;
            }
        }
    }
    Ok(pruning)
}

enum Judged {
    Old(Old),
    Young,
    Unproven(String),
}

fn judge(dir: &Path, file: &SegmentFile, edge: &str) -> Result<Judged, CheckpointError> {
    let path = dir.join(checkpoint::name_of(&file.name));
    let (walked, seen, walk) = look(dir, file)?;
    if seen.range.to.as_str() >= edge && !walked.is_plain {
        return Ok(Judged::Young);
    }
    if walked.is_plain {
        return Ok(Judged::Unproven(
            "it has no hashes, so nothing would tell that it was there; remove it by hand"
                .to_owned(),
        ));
    }
    if !path.exists() {
        return Ok(Judged::Unproven("it has no checkpoint".to_owned()));
    }
    let (note, checkpoint) = checkpoint::read(&path)?;
    if note.signed_by(&published(dir)?) != Signed::Rightly {
        return Ok(Judged::Unproven("its checkpoint is not signed by this log".to_owned()));
    }
    if let Some((code, detail)) = seen.problem {
        return Ok(Judged::Unproven(format!("{} at {detail}", code.text())));
    }
    if (checkpoint.size, checkpoint.head) != (walk.chain.seq, walk.chain.head) {
        return Ok(Judged::Unproven("its checkpoint saw other events".to_owned()));
    }
    Ok(Judged::Old(Old {
        segment: file.name.clone(),
        size: file.size,
        first_seq: walked.first.unwrap_or(checkpoint.size),
        last_seq: checkpoint.size,
        to: seen.range.to,
    }))
}

/// Removes what [`plan`] found. That they go is in the log before they do.
///
/// # Errors
/// [`CheckpointError`]; what was not removed is found again the next time.
pub fn prune(
    log: &mut AuditLog,
    pruning: &Pruning,
    keep: Duration,
    clock: impl Fn() -> SystemTime,
) -> Result<(), CheckpointError> {
    let Some(last) = pruning.old.last() else { return Ok(()) };
    let names: Vec<&str> = pruning.old.iter().map(|old| old.segment.as_str()).collect();
    let data = json!({
        "segments": names,
        "fromSeq": pruning.old.first().map(|old| old.first_seq),
        "throughSeq": last.last_seq,
        "to": last.to,
        "retentionDays": keep.as_secs() / (24 * 60 * 60),
    });
    let event = Event::new(EventType::Pruned, Severity::Info, clock(), &data)?;
    log.append_at(&[event], clock)?;
    for name in names {
        let path = log.dir().join(name);
        fs::remove_file(&path).map_err(CheckpointError::at("remove", &path))?;
    }
    let sync = || File::open(log.dir())?.sync_all();
    sync().map_err(CheckpointError::at("write", log.dir()))
}
