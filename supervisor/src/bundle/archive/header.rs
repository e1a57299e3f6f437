//! One header of a tar, of the ustar format: pax(1), and nothing that other formats put there.

use policies::files::{FileMode, check_path};
use tar::Header;

use super::ArchiveError;

/// Bytes of a header, and what the content of a file is filled up to.
pub(super) const BLOCK: usize = 512;

/// A regular file, as its header describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Described {
    pub(super) path: String,
    pub(super) mode: FileMode,
    pub(super) size: u64,
}

/// Reads the header of the entry with this number, from 1; `None` for the empty block that ends an archive. Owner and
/// time are not looked at: nothing is made of them.
pub(super) fn parse(block: &[u8; BLOCK], entry: usize) -> Result<Option<Described>, ArchiveError> {
    if block.iter().all(|byte| *byte == 0) {
        return Ok(None);
    }
    let header = Header::from_byte_slice(block);
    // The sum is over the block with spaces in the sum's own place.
    let sum = block.iter().map(|byte| u64::from(*byte)).sum::<u64>() + 8 * u64::from(b' ')
        - header.as_old().cksum.iter().map(|byte| u64::from(*byte)).sum::<u64>();
    if octal(&header.as_old().cksum) != Some(sum) {
        return Err(ArchiveError::BadSum { entry });
    }
    kind(header.as_old().linkflag[0], entry)?;
    let Some(ustar) = header.as_ustar().filter(|ustar| &ustar.version == b"00") else {
        return Err(ArchiveError::NotUstar { entry });
    };
    let smuggled = || ArchiveError::Smuggled { entry };
    let name = text(&ustar.name).ok_or_else(smuggled)?;
    let prefix = text(&ustar.prefix).ok_or_else(smuggled)?;
    if ustar.linkname.iter().chain(&ustar.pad).any(|byte| *byte != 0) {
        return Err(smuggled());
    }
    let mut path = prefix.to_vec();
    if !path.is_empty() {
        path.push(b'/');
    }
    path.extend(name);
    let path = check_path(&path).map_err(|source| ArchiveError::Path { entry, source })?.to_owned();
    let number = |field: &[u8]| octal(field).ok_or(ArchiveError::Number { entry });
    let size = number(&ustar.size)?;
    match number(&ustar.mode)? {
        0o644 => Ok(Some(Described { path, mode: FileMode::Plain, size })),
        0o755 => Ok(Some(Described { path, mode: FileMode::Executable, size })),
        mode if mode & 0o7000 != 0 => Err(ArchiveError::SetId { path }),
        _ => Err(ArchiveError::Mode { path }),
    }
}

/// Whether this is a regular file.
fn kind(flag: u8, entry: usize) -> Result<(), ArchiveError> {
    Err(match flag {
        b'0' => return Ok(()),
        b'1' => ArchiveError::HardLink { entry },
        b'2' => ArchiveError::Symlink { entry },
        b'3' | b'4' => ArchiveError::Device { entry },
        b'5' => ArchiveError::Folder { entry },
        b'6' => ArchiveError::Fifo { entry },
        b'K' | b'L' => ArchiveError::LongName { entry },
        b'X' | b'g' | b'x' => ArchiveError::Pax { entry },
        b'S' => ArchiveError::Sparse { entry },
        kind => ArchiveError::UnknownType { entry, kind },
    })
}

/// A name up to the end of its field; behind a NUL byte there is nothing.
fn text(field: &[u8]) -> Option<&[u8]> {
    let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
    let (name, rest) = field.split_at(end);
    rest.iter().all(|byte| *byte == 0).then_some(name)
}

/// Octal digits, then NUL bytes and spaces; no sign, no other base.
fn octal(field: &[u8]) -> Option<u64> {
    let end = field.iter().position(|byte| matches!(byte, 0 | b' ')).unwrap_or(field.len());
    let (digits, rest) = field.split_at(end);
    if digits.is_empty() || rest.iter().any(|byte| !matches!(byte, 0 | b' ')) {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, digit| match digit {
        b'0'..=b'7' => Some(number << 3 | u64::from(digit - b'0')),
        _ => None,
    })
}
