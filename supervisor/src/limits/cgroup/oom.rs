//! The kernel's word of an OOM in the groups.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;

use nix::poll::PollFlags;

/// Where the kernel tells of an OOM in the groups, for the poll loop.
#[derive(Debug)]
pub struct OomEvents {
    pub(super) file: File,
    /// What to poll for.
    pub events: PollFlags,
}

impl AsFd for OomEvents {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl OomEvents {
    /// Takes the event, so that the next poll waits for a new one.
    pub fn drain(&self) {
        // v1: the counter of an eventfd, 8 bytes. v2: reading memory.events re-arms POLLPRI. An error means that there is
        // nothing to take; the counters decide, not this.
        let mut buffer = [0_u8; 512];
        if self.events.contains(PollFlags::POLLPRI) {
            drop(self.file.read_at(&mut buffer, 0));
        } else {
            drop((&self.file).read(&mut buffer));
        }
    }
}
