//! Watching the log grow, over rotations.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::checkpoint::CheckpointError;
use super::query::{Filter, Matcher, search};
use super::read::snapshot;
use super::segment;

/// The last `count` events that are asked for, as lines.
///
/// # Errors
/// [`CheckpointError`].
pub fn last(dir: &Path, filter: &Filter, count: usize) -> Result<Vec<Vec<u8>>, CheckpointError> {
    let mut lines = VecDeque::new();
    search(dir, filter, |line, _| {
        if lines.len() == count {
            lines.pop_front();
        }
        if count > 0 {
            lines.push_back(line.to_vec());
        }
        std::ops::ControlFlow::Continue(())
    })?;
    Ok(lines.into())
}

/// A reader at the end of the log.
#[derive(Debug)]
pub struct Follower {
    dir: PathBuf,
    current: Option<(u64, File)>,
    /// Read, and no newline yet.
    rest: Vec<u8>,
}

impl Follower {
    /// Stands at the present end.
    ///
    /// # Errors
    /// [`CheckpointError`].
    pub fn at_end(dir: &Path) -> Result<Self, CheckpointError> {
        let open = || {
            let (files, _) = snapshot(dir)?;
            let Some(last) = files.last() else { return Ok(None) };
            let mut file = File::open(dir.join(&last.name))?;
            file.seek(SeekFrom::Start(last.size))?;
            Ok(Some((last.number, file)))
        };
        let current = open().map_err(CheckpointError::at("read", dir))?;
        Ok(Self { dir: dir.to_owned(), current, rest: Vec::new() })
    }

    /// Hands out the whole lines that were added and are asked for since the last call.
    ///
    /// # Errors
    /// [`CheckpointError`].
    pub fn more(
        &mut self,
        filter: &Filter,
        visit: &mut dyn FnMut(&[u8]),
    ) -> Result<(), CheckpointError> {
        let matcher = Matcher::new(filter);
        loop {
            // Looked for before the rest is read: once a later segment is there, this one gets no more.
            let next = self.next().map_err(CheckpointError::at("read", &self.dir))?;
            if let Some((_, file)) = &mut self.current {
                file.read_to_end(&mut self.rest).map_err(CheckpointError::at("read", &self.dir))?;
            }
            let whole = self.rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
            for line in self.rest[..whole].split(|byte| *byte == b'\n') {
                if matcher.find(line).is_some() {
                    visit(line);
                }
            }
            self.rest.drain(..whole);
            let Some(next) = next else { return Ok(()) };
            self.rest.clear();
            self.current = Some(next);
        }
    }

    fn next(&self) -> io::Result<Option<(u64, File)>> {
        let now = self.current.as_ref().map_or(0, |(number, _)| *number);
        let all = match segment::numbered(&self.dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        match all.into_iter().find(|(number, _)| *number > now) {
            Some((number, name)) => Ok(Some((number, File::open(self.dir.join(name))?))),
            None => Ok(None),
        }
    }
}
