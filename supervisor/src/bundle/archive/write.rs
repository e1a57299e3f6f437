//! Writing an archive: the same bytes for the same bundle, on every machine and at any time.

use std::io::{self, Write};
use std::os::fd::BorrowedFd;

use policies::files::{FILE_LIST, FileMode, SIGNATURE};
use tar::{EntryType, Header};

use super::header::BLOCK;
use crate::bundle::content::{BUFFER, hash};
use crate::bundle::fault::{Faults, What};
use crate::bundle::listed::Listed;

/// Above it, seconds a megabyte for a few percent.
const LEVEL: i32 = 9;

/// An archive that could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The archive itself.
    #[error("failed to write the archive: {source}")]
    Output {
        /// The errno.
        source: io::Error,
    },
    /// A path that the format has no place for: it cannot be parted into 155 and 100 bytes at a slash.
    #[error("failed to pack {path}: no tar header has room for the name")]
    Name {
        /// Which.
        path: String,
    },
    /// A file is not what it was when the list was made.
    #[error("refused files: {0}")]
    Faults(Faults),
}

impl From<io::Error> for WriteError {
    fn from(source: io::Error) -> Self {
        Self::Output { source }
    }
}

/// Writes the bundle in `root`, whose list this is, and returns what it wrote to.
///
/// # Errors
/// [`WriteError`]; what was written is then no archive.
pub fn write<W: Write>(root: BorrowedFd<'_>, listed: &Listed, out: W) -> Result<W, WriteError> {
    let mut out = zstd::stream::write::Encoder::new(out, LEVEL)?;
    small(&mut out, FILE_LIST, listed.statement.text.bytes())?;
    if let Some(p7s) = &listed.statement.p7s {
        small(&mut out, SIGNATURE, p7s)?;
    }
    let mut buffer = vec![0; BUFFER];
    for entry in listed.list.entries() {
        header(&mut out, &entry.path, entry.mode, entry.size)?;
        let file = (entry.path.as_str(), entry.size);
        let what = match hash(root, file, &mut buffer, || Ok(Some(&mut out)))? {
            Ok(digest) if digest == entry.sha256 => None,
            Ok(_) => Some(What::Changed),
            Err(what) => Some(what),
        };
        if let Some(what) = what {
            let mut faults = Faults::default();
            faults.push(&entry.path, what);
            return Err(WriteError::Faults(faults));
        }
        padding(&mut out, entry.size)?;
    }
    out.write_all(&[0; 2 * BLOCK])?;
    Ok(out.finish()?)
}

fn small(out: &mut impl Write, name: &str, bytes: &[u8]) -> Result<(), WriteError> {
    let size = u64::try_from(bytes.len()).map_err(io::Error::other)?;
    header(out, name, FileMode::Plain, size)?;
    out.write_all(bytes)?;
    padding(out, size)
}

fn header(out: &mut impl Write, path: &str, mode: FileMode, size: u64) -> Result<(), WriteError> {
    let mut header = Header::new_ustar();
    header.set_path(path).map_err(|_| WriteError::Name { path: path.to_owned() })?;
    header.set_entry_type(EntryType::Regular);
    header.set_mode(mode.bits());
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(size);
    header.set_cksum();
    Ok(out.write_all(header.as_bytes())?)
}

fn padding(out: &mut impl Write, size: u64) -> Result<(), WriteError> {
    let block = u64::try_from(BLOCK).map_err(io::Error::other)?;
    let length = usize::try_from(size.wrapping_neg() % block).map_err(io::Error::other)?;
    Ok(out.write_all([0; BLOCK].get(..length).unwrap_or_default())?)
}
