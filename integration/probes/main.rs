//! Hostile and curious programs in one static binary: `probe ACT [ARGUMENT..]`. Results go to stdout as JSON.
//!
//! It refuses to run in the host's mount namespace, whose inode the tests hand it.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a panic is how a probe fails")]

mod calls;
mod client;
mod disk;
mod flood;
mod foreign;
mod memory;
mod processes;
mod signals;
mod sys;

use std::os::unix::fs::MetadataExt;
use std::process::ExitCode;

fn main() -> ExitCode {
    let own = std::fs::metadata("/proc/self/ns/mnt").map(|ns| ns.ino().to_string());
    let host = std::env::var("PROBE_HOST_NAMESPACE");
    match (own, host) {
        (Ok(own), Ok(host)) if own != host && !host.is_empty() => {}
        _ => {
            eprintln!("probe: refusing to run in the host's mount namespace");
            return ExitCode::from(99);
        }
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let number = |text: &str| text.parse::<u64>().expect("a number");
    match words[..] {
        ["true"] => ExitCode::SUCCESS,
        ["exit", code] => ExitCode::from(code.parse::<u8>().unwrap()),
        ["kill-self", signal] => signals::kill_self(signal.parse().unwrap()),
        ["calls", ref names @ ..] => calls::main(names),
        ["foreign"] => foreign::main(),
        ["flood", threads, millis] => flood::main(number(threads), number(millis)),
        ["forks", most] => processes::forks(number(most)),
        ["bomb"] => processes::bomb(),
        ["daemon", millis, mebibytes] => processes::daemon(number(millis), number(mebibytes)),
        ["spin", millis] => processes::spin(number(millis)),
        ["eat", mebibytes] => memory::eat(number(mebibytes)),
        ["grandchild-eats", mebibytes] => memory::grandchild_eats(number(mebibytes)),
        ["read", ref paths @ ..] => disk::read(paths),
        ["fill", path] => disk::fill(path),
        ["fetch", path, ref servers @ ..] => client::fetch(path, servers),
        ["signals"] => signals::report(),
        ["ignore-signals"] => signals::ignore(),
        _ => {
            eprintln!("probe: no such act: {words:?}");
            ExitCode::from(98)
        }
    }
}
