//! The way through an archive: the list first, then its files, then nothing.

use policies::files::{Entry, FILE_LIST, FileList, MAX_LIST_BYTES, MAX_SIGNATURE_BYTES, SIGNATURE};

use super::header::{BLOCK, Described, parse};
use super::{ArchiveError, Sink};
use crate::bundle::content::BUFFER;
use crate::bundle::digest::Hasher;
use crate::bundle::listed::Listed;

/// tar(1) fills an archive up to its record, 10 KiB by default.
const MOST_ZEROS: usize = 64 << 10;

/// The bytes of a tar.
pub trait Blocks {
    /// Some bytes; none at the end.
    ///
    /// # Errors
    /// [`ArchiveError`].
    fn read(&mut self, into: &mut [u8]) -> Result<usize, ArchiveError>;

    /// Checks that nothing follows the end.
    ///
    /// # Errors
    /// [`ArchiveError`].
    fn finish(&mut self) -> Result<(), ArchiveError>;
}

impl Blocks for &[u8] {
    fn read(&mut self, into: &mut [u8]) -> Result<usize, ArchiveError> {
        let length = self.len().min(into.len());
        let (now, later) = self.split_at(length);
        for (to, from) in into.iter_mut().zip(now) {
            *to = *from;
        }
        *self = later;
        Ok(length)
    }

    fn finish(&mut self) -> Result<(), ArchiveError> {
        Ok(())
    }
}

/// Reads an archive to its end. What it gave to `sink` is worth nothing unless this succeeds.
///
/// # Errors
/// [`ArchiveError`], at the first problem.
pub fn read<B: Blocks>(source: &mut B, sink: &mut impl Sink) -> Result<Listed, ArchiveError> {
    let mut reader = Reader { source, entry: 0, buffer: vec![0; BUFFER] };
    let first = reader.header()?.ok_or(ArchiveError::Truncated)?;
    if first.path != FILE_LIST {
        return Err(ArchiveError::ListNotFirst { path: first.path });
    }
    let bytes = reader.whole(&first, MAX_LIST_BYTES, || ArchiveError::ListTooLarge)?;
    let mut listed = Listed::new(bytes, None)?;
    sink.listed(listed.digest(), &listed.list).map_err(|source| ArchiveError::Write { source })?;
    let mut next = reader.header()?;
    if let Some(second) = next.as_ref().filter(|second| second.path == SIGNATURE) {
        let most = MAX_SIGNATURE_BYTES;
        listed.statement.p7s =
            Some(reader.whole(second, most, || ArchiveError::SignatureTooLarge)?);
        next = reader.header()?;
    }
    let entries = listed.list.entries();
    let mut seen = vec![false; entries.len()];
    while let Some(found) = next {
        let index = expected(&listed.list, &found)?;
        match (seen.get_mut(index), entries.get(index)) {
            (Some(seen), Some(entry)) if !*seen => {
                *seen = true;
                reader.file(entry, sink)?;
            }
            _ => return Err(ArchiveError::Duplicate { path: found.path }),
        }
        next = reader.header()?;
    }
    let mut missing = entries.iter().zip(&seen).filter(|(_, seen)| !**seen);
    if let Some((entry, _)) = missing.next() {
        return Err(ArchiveError::Missing { path: entry.path.clone(), more: missing.count() });
    }
    reader.end()?;
    Ok(listed)
}

/// The place in the list of what a header describes.
fn expected(list: &FileList, found: &Described) -> Result<usize, ArchiveError> {
    let path = || found.path.clone();
    let by_path = |entry: &Entry| entry.path.as_str().cmp(&found.path);
    let Ok(index) = list.entries().binary_search_by(by_path) else {
        let reserved = [FILE_LIST, SIGNATURE];
        if found.path == FILE_LIST {
            return Err(ArchiveError::Duplicate { path: path() });
        }
        if found.path == SIGNATURE {
            return Err(ArchiveError::SignatureNotSecond);
        }
        let names = list.entries().iter().map(|entry| entry.path.as_str()).chain(reserved);
        let mut clashing = names.filter(|name| name.eq_ignore_ascii_case(&found.path));
        return Err(match clashing.next() {
            Some(listed) => ArchiveError::CaseClash { path: path(), listed: listed.to_owned() },
            None => ArchiveError::Unlisted { path: path() },
        });
    };
    let Some(entry) = list.entries().get(index) else {
        return Err(ArchiveError::Unlisted { path: path() });
    };
    if entry.size != found.size {
        let (listed, found) = (entry.size, found.size);
        return Err(ArchiveError::SizeDiffers { path: path(), listed, found });
    }
    if entry.mode != found.mode {
        let (listed, found) = (entry.mode, found.mode);
        return Err(ArchiveError::ModeDiffers { path: path(), listed, found });
    }
    Ok(index)
}

struct Reader<'s, B> {
    source: &'s mut B,
    entry: usize,
    buffer: Vec<u8>,
}

impl<B: Blocks> Reader<'_, B> {
    /// The next header; `None` at the first empty block.
    fn header(&mut self) -> Result<Option<Described>, ArchiveError> {
        let mut block = [0; BLOCK];
        self.exactly(&mut block)?;
        self.entry += 1;
        parse(&block, self.entry)
    }

    fn exactly(&mut self, into: &mut [u8]) -> Result<(), ArchiveError> {
        let mut done = 0;
        while let Some(rest) = into.get_mut(done..).filter(|rest| !rest.is_empty()) {
            match self.source.read(rest)? {
                0 => return Err(ArchiveError::Truncated),
                length => done += length,
            }
        }
        Ok(())
    }

    /// A small file.
    fn whole(
        &mut self,
        described: &Described,
        most: usize,
        too_large: impl FnOnce() -> ArchiveError,
    ) -> Result<Vec<u8>, ArchiveError> {
        let size = usize::try_from(described.size).ok().filter(|size| *size <= most);
        let mut bytes = vec![0; size.ok_or_else(too_large)?];
        self.exactly(&mut bytes)?;
        self.padding(described.size, &described.path)?;
        Ok(bytes)
    }

    /// A file of the list.
    fn file(&mut self, entry: &Entry, sink: &mut impl Sink) -> Result<(), ArchiveError> {
        let failed = |source| ArchiveError::Write { source };
        sink.begin(entry).map_err(failed)?;
        let (mut hasher, mut left) = (Hasher::new(), entry.size);
        while left > 0 {
            let most = usize::try_from(left).unwrap_or(usize::MAX).min(self.buffer.len());
            let room = self.buffer.get_mut(..most).unwrap_or_default();
            let length = self.source.read(room)?;
            if length == 0 {
                return Err(ArchiveError::Truncated);
            }
            let piece = self.buffer.get(..length).unwrap_or_default();
            hasher.update(piece);
            sink.write(piece).map_err(failed)?;
            left = left.saturating_sub(u64::try_from(length).unwrap_or(u64::MAX));
        }
        if hasher.finish() != entry.sha256 {
            return Err(ArchiveError::ContentDiffers { path: entry.path.clone() });
        }
        self.padding(entry.size, &entry.path)
    }

    /// Zeros up to the next block.
    fn padding(&mut self, size: u64, path: &str) -> Result<(), ArchiveError> {
        let block = u64::try_from(BLOCK).unwrap_or(1);
        let length = usize::try_from(size.wrapping_neg() % block).unwrap_or(0);
        let mut block = [0; BLOCK];
        let padding = block.get_mut(..length).unwrap_or_default();
        self.exactly(padding)?;
        if padding.iter().any(|byte| *byte != 0) {
            return Err(ArchiveError::Padding { path: path.to_owned() });
        }
        Ok(())
    }

    /// A second empty block, then zeros up to the record, then nothing.
    fn end(&mut self) -> Result<(), ArchiveError> {
        let mut block = [0; BLOCK];
        self.exactly(&mut block)?;
        if block.iter().any(|byte| *byte != 0) {
            return Err(ArchiveError::AfterEnd);
        }
        self.zeros()?;
        self.source.finish()
    }

    fn zeros(&mut self) -> Result<(), ArchiveError> {
        let mut seen = 0;
        loop {
            let room = self.buffer.get_mut(..BLOCK).unwrap_or_default();
            let length = self.source.read(room)?;
            if length == 0 {
                return Ok(());
            }
            seen += length;
            let zeros = self.buffer.get(..length).unwrap_or_default();
            if seen > MOST_ZEROS || zeros.iter().any(|byte| *byte != 0) {
                return Err(ArchiveError::AfterEnd);
            }
        }
    }
}
