//! Checkpoints in files: `<segment>.ckpt` beside each closed segment, `head.ckpt` for the last one that was asked for.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::AuditLogError;
use super::key::{self, KeyError, ModuleKey, sign_note};
use super::note::{Checkpoint, Note, NoteError};
use super::segment::{self, Content, Segment};
use crate::record::clock::rfc3339;

/// End of the names of checkpoints.
pub const SUFFIX: &str = ".ckpt";
/// The checkpoint of the whole log.
pub const HEAD: &str = "head.ckpt";

/// A checkpoint that could not be made, kept or read.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// A file or folder of the log.
    #[error("failed to {action} {}: {source}", path.display())]
    File {
        /// `read`, `write`, `remove`.
        action: &'static str,
        /// Which.
        path: PathBuf,
        /// The errno.
        source: io::Error,
    },
    /// The key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The log.
    #[error(transparent)]
    Log(#[from] AuditLogError),
    /// A file that is none.
    #[error("failed to use the checkpoint {}: {source}", path.display())]
    Note {
        /// Which.
        path: PathBuf,
        /// What it is not.
        source: NoteError,
    },
    /// A segment is older than the retention and stays.
    #[error("failed to prune the audit log: kept although it is old: {reason}")]
    Kept {
        /// Which, and why.
        reason: String,
    },
    /// There is nothing to sign.
    #[error("the audit log {} has no events with hashes yet", dir.display())]
    Empty {
        /// The log's folder.
        dir: PathBuf,
    },
}

impl CheckpointError {
    pub(super) fn at(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { action, path, source }
    }

    /// What the operator can do.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Key(error) => error.hint(),
            Self::Log(error) => error.hint().map(str::to_owned),
            Self::Empty { .. } => Some("the first run writes one".to_owned()),
            Self::Kept { .. } => {
                Some("`audit verify` and `audit prune --dry-run` say more".to_owned())
            }
            _ => None,
        }
    }
}

/// Signs what the log has come to, and keeps that as `head.ckpt`. The text is the checkpoint's.
///
/// # Errors
/// [`CheckpointError`].
pub fn make(
    dir: &Path,
    key: Option<&ModuleKey>,
    now: SystemTime,
) -> Result<String, CheckpointError> {
    let empty = || CheckpointError::Empty { dir: dir.to_owned() };
    let read = || {
        for (_, name) in segment::numbered(dir)?.into_iter().rev() {
            let Some(segment) = Segment::open(dir, &name)? else { continue };
            if let Content::Chained(last) = segment.end()?.content
                && last.is_event
            {
                return Ok::<_, io::Error>(Some(last));
            }
        }
        Ok(None)
    };
    let last = match read() {
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        other => other.map_err(CheckpointError::at("read", dir))?,
    };
    let last = last.ok_or_else(empty)?;
    let key = key::open(dir, key)?;
    let checkpoint = Checkpoint {
        origin: key.verify_key().name().to_owned(),
        size: last.seq,
        head: last.head,
        more: vec![("made".to_owned(), rfc3339(now))],
    };
    let note = sign_note(key.as_ref(), checkpoint.text())?;
    keep(dir, HEAD, &note)?;
    Ok(note.render())
}

/// Puts a checkpoint in its place, whole or not at all.
pub(super) fn keep(dir: &Path, name: &str, note: &Note) -> Result<(), CheckpointError> {
    let path = dir.join(name);
    let temporary = dir.join(format!("{name}.new-{}", std::process::id()));
    let write = || {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o644)
            .open(&temporary)?;
        file.write_all(note.render().as_bytes())?;
        file.sync_all()?;
        fs::rename(&temporary, &path)?;
        File::open(dir)?.sync_all()
    };
    write().map_err(CheckpointError::at("write", &path))
}

/// Reads one from anywhere.
///
/// # Errors
/// [`CheckpointError::File`], [`CheckpointError::Note`].
pub fn read(path: &Path) -> Result<(Note, Checkpoint), CheckpointError> {
    let bytes = fs::read(path).map_err(CheckpointError::at("read", path))?;
    parse(&bytes).map_err(|source| CheckpointError::Note { path: path.to_owned(), source })
}

pub(super) fn parse(bytes: &[u8]) -> Result<(Note, Checkpoint), NoteError> {
    let note = Note::parse(bytes)?;
    let checkpoint = Checkpoint::parse(&note)?;
    Ok((note, checkpoint))
}

/// A checkpoint in the log's folder, or what should be one.
pub(super) type Kept = (String, Result<(Note, Checkpoint), NoteError>);

/// Every checkpoint in the folder, by name.
pub(super) fn all(dir: &Path) -> io::Result<Vec<Kept>> {
    let mut all = Vec::new();
    for entry in fs::read_dir(dir)? {
        let Ok(name) = entry?.file_name().into_string() else { continue };
        if name.ends_with(SUFFIX) {
            let bytes = fs::read(dir.join(&name))?;
            all.push((name, parse(&bytes)));
        }
    }
    all.sort_by(|(one, _), (other, _)| one.cmp(other));
    Ok(all)
}

/// The name of a segment's checkpoint.
pub(super) fn name_of(segment: &str) -> String {
    format!("{}{SUFFIX}", segment.trim_end_matches(segment::SUFFIX))
}
