//! Denied system calls as fast as they go.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::sys::call;

/// unshare(2) from many threads at once for a while; says how often.
pub(crate) fn main(threads: u64, millis: u64) -> ExitCode {
    let until = Instant::now() + Duration::from_millis(millis);
    let workers: Vec<_> = (0..threads)
        .map(|_| {
            std::thread::spawn(move || {
                let mut attempts = 0_u64;
                while Instant::now() < until {
                    assert!(call(libc::SYS_unshare, [0x1000_0000, 0, 0, 0, 0, 0]).is_err());
                    attempts += 1;
                }
                attempts
            })
        })
        .collect();
    let attempts: u64 = workers.into_iter().map(|worker| worker.join().unwrap()).sum();
    println!("{}", json!({ "attempts": attempts }));
    ExitCode::SUCCESS
}
