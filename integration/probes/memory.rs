//! Too much memory.

use std::process::ExitCode;

use nix::sys::wait::{WaitStatus, waitpid};

use crate::processes::leave;
use crate::sys::fork;

/// This much memory, every page written to.
pub(crate) fn touched(mebibytes: u64) -> Vec<u8> {
    let length = usize::try_from(mebibytes << 20).unwrap();
    let mut memory = vec![0_u8; length];
    for page in memory.chunks_mut(4096) {
        page[0] = 1;
    }
    memory
}

/// Takes it piece by piece.
pub(crate) fn eat(mebibytes: u64) -> ExitCode {
    let mut held = Vec::new();
    for _ in 0..mebibytes {
        held.push(touched(1));
    }
    println!("ate {} MiB", std::hint::black_box(held).len());
    ExitCode::SUCCESS
}

/// A grandchild takes it; the entry command takes little, and ends as if nothing had happened.
pub(crate) fn grandchild_eats(mebibytes: u64) -> ExitCode {
    let Some(child) = fork().unwrap() else {
        let Some(grandchild) = fork().unwrap() else {
            std::hint::black_box(eat(mebibytes));
            leave(0);
        };
        let killed = matches!(waitpid(grandchild, None), Ok(WaitStatus::Signaled(..)));
        leave(i32::from(killed));
    };
    let status = waitpid(child, None).unwrap();
    println!("the child ended with {status:?}");
    ExitCode::from(5)
}
