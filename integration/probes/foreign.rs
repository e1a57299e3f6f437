//! System calls through the entries of other architectures, past filters that look at the number alone.

use std::process::ExitCode;

use nix::errno::Errno;
use serde_json::json;

use crate::sys;

/// getpid as an i386 and as an x32 program makes it.
pub(crate) fn main() -> ExitCode {
    const X32: i64 = 0x4000_0000;
    let x32 = sys::call(X32 | libc::SYS_getpid, [0; 6]);
    let i386 = sys::getpid_i386();
    let i386 =
        if i386 < 0 { Err(Errno::from_raw(i32::try_from(-i386).unwrap())) } else { Ok(i386) };
    let word = |result: Result<i64, Errno>| {
        result.map_or_else(|errno| format!("{errno:?}"), |_| "ok".to_owned())
    };
    println!("{}", json!({ "i386": word(i386), "x32": word(x32) }));
    ExitCode::SUCCESS
}
