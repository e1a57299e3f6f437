//! `.sbx`: a bundle in one file, a tar of the ustar format inside one frame of Zstandard.
//!
//! The first entry is `MANIFEST`, the second one its signature if there is one; every file after them is checked against
//! the list while it streams: path, mode, length, digest. What is not a regular file of the list is refused, so nothing
//! in an archive can decide where something is written. The reader is strict, not tolerant: it reads what [`write()`] and
//! `tar --format=ustar` make, and refuses what two readers could understand differently.

mod error;
mod frame;
mod header;
mod read;
#[cfg(not(fuzzing))]
mod write;

use policies::digest::Digest;
use policies::files::{Entry, FileList};

pub use error::ArchiveError;
pub use frame::Frame;
pub use read::{Blocks, read};
#[cfg(not(fuzzing))]
pub use write::{WriteError, write};

use super::listed::Listed;

/// Where the content of an archive goes.
pub trait Sink {
    /// The list was read: whose bundle it is, and what will come.
    ///
    /// # Errors
    /// Whatever ends the reading.
    fn listed(&mut self, digest: &Digest, list: &FileList) -> std::io::Result<()>;

    /// A file of the list begins.
    ///
    /// # Errors
    /// Whatever ends the reading.
    fn begin(&mut self, entry: &Entry) -> std::io::Result<()>;

    /// More content of the file that began last; its digest is not known yet.
    ///
    /// # Errors
    /// Whatever ends the reading.
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<()>;
}

/// Nowhere: for looking whether an archive is good.
#[derive(Clone, Copy, Debug, Default)]
pub struct Discard;

impl Sink for Discard {
    fn listed(&mut self, _: &Digest, _: &FileList) -> std::io::Result<()> {
        Ok(())
    }

    fn begin(&mut self, _: &Entry) -> std::io::Result<()> {
        Ok(())
    }

    fn write(&mut self, _: &[u8]) -> std::io::Result<()> {
        Ok(())
    }
}

/// Reads a whole archive from memory and keeps nothing. Pure.
///
/// # Errors
/// [`ArchiveError`].
pub fn check(archive: &[u8]) -> Result<Listed, ArchiveError> {
    read(&mut Frame::open(archive)?, &mut Discard)
}

/// Reads the tar inside an archive from memory and keeps nothing. Pure.
///
/// # Errors
/// [`ArchiveError`].
pub fn check_tar(tar: &[u8]) -> Result<Listed, ArchiveError> {
    read(&mut { tar }, &mut Discard)
}

#[cfg(test)]
mod tests;
