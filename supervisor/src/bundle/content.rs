//! The content of files: read once, hashed, and written where a copy is wanted: the same buffer for both.

use std::fs::File;
use std::io::{self, Read, Write};
use std::num::NonZero;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use policies::digest::Digest;

use super::digest::Hasher;
use super::fault::What;
use super::walk::{Found, open_file, size};

/// Read at once: fits into the processor's second cache, so that hashing finds it there.
pub(super) const BUFFER: usize = 128 << 10;

/// Below this many bytes a second thread costs more than it helps.
const WORTH_A_THREAD: u64 = 4 << 20;

/// Threads at most; they share one disk.
const MOST_THREADS: usize = 4;

/// What became of one file: a fault is the bundle's, an error is the copy's.
pub(super) type Outcome = Result<Result<Digest, What>, io::Error>;

/// Hashes a file beneath `root`, which must have the length that it had a moment ago. What it read goes to what `copy`
/// makes, once it is clear that it is a regular file.
pub(super) fn hash<W: Write>(
    root: BorrowedFd<'_>,
    (path, expected): (&str, u64),
    buffer: &mut [u8],
    copy: impl FnOnce() -> io::Result<Option<W>>,
) -> Outcome {
    let (fd, stat) = match open_file(root, path) {
        Ok(opened) => opened,
        Err(what) => return Ok(Err(what)),
    };
    if size(&stat) != expected {
        return Ok(Err(What::Changed));
    }
    let (mut file, mut copy) = (File::from(fd), copy()?);
    let (mut hasher, mut read) = (Hasher::new(), 0_u64);
    loop {
        let length = match file.read(buffer) {
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(source) => return Ok(Err(What::Read { source })),
        };
        let piece = buffer.get(..length).unwrap_or_default();
        read = read.saturating_add(u64::try_from(length).unwrap_or(u64::MAX));
        if read > expected {
            return Ok(Err(What::Changed));
        }
        if length == 0 {
            let whole = read == expected;
            return Ok(if whole { Ok(hasher.finish()) } else { Err(What::Changed) });
        }
        hasher.update(piece);
        if let Some(copy) = &mut copy {
            copy.write_all(piece)?;
        }
    }
}

/// Works on every file, on several threads where that is worth it; all have ended when it returns. The answers are in the
/// order of the files.
pub(super) fn each<T: Send>(
    files: &[Found],
    work: impl Fn(&Found, &mut [u8]) -> T + Sync,
) -> Vec<T> {
    let bytes: u64 = files.iter().map(|file| file.size).sum();
    let processors = thread::available_parallelism().map_or(1, NonZero::get);
    let threads = if bytes < WORTH_A_THREAD { 1 } else { processors.min(MOST_THREADS) };
    let next = AtomicUsize::new(0);
    let run = || {
        let mut buffer = vec![0; BUFFER];
        let mut answers = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(file) = files.get(index) else { return answers };
            answers.push((index, work(file, &mut buffer)));
        }
    };
    let mut answers = thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(run)).collect();
        let mut answers = run();
        for other in others {
            match other.join() {
                Ok(more) => answers.extend(more),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        answers
    });
    answers.sort_by_key(|(index, _)| *index);
    answers.into_iter().map(|(_, answer)| answer).collect()
}
