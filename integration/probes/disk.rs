//! Data: of others, and too much of it.

use std::fs::File;
use std::io::Write;
use std::process::ExitCode;

use nix::errno::Errno;
use serde_json::{Map, Value, json};

/// Reads files; prints what each came to: `ok` or the name of the errno.
pub(crate) fn read(paths: &[&str]) -> ExitCode {
    let mut results = Map::new();
    for path in paths {
        let result = std::fs::read(path).map_or_else(
            |error| format!("{:?}", Errno::from_raw(error.raw_os_error().unwrap_or(0))),
            |_| "ok".to_owned(),
        );
        results.insert((*path).to_owned(), Value::from(result));
    }
    println!("{}", Value::from(results));
    ExitCode::SUCCESS
}

/// Writes into new files of a folder until that is refused; says how many MiB fitted, and the errno. Gives up at 2 GiB.
pub(crate) fn fill(folder: &str) -> ExitCode {
    let piece = vec![b'x'; 1 << 20];
    let mut bytes = 0_usize;
    let mut refusal = None;
    'files: for number in 0..64 {
        let file = File::create(format!("{folder}/fill-{number}"));
        let mut file = match file {
            Ok(file) => file,
            Err(error) => {
                refusal = error.raw_os_error();
                break;
            }
        };
        for _ in 0..32 {
            match file.write(&piece) {
                Ok(written) => bytes += written,
                Err(error) => {
                    refusal = error.raw_os_error();
                    break 'files;
                }
            }
        }
    }
    let refusal = refusal.map(|errno| format!("{:?}", Errno::from_raw(errno)));
    println!("{}", json!({ "mebibytes": bytes >> 20, "refusal": refusal }));
    ExitCode::SUCCESS
}
