//! Compares the host before and after: `host_snapshot save FILE`, then `host_snapshot compare FILE`.

use std::process::ExitCode;
use std::{env, fs};

use sandboxctl_integration::Snapshot;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let done = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["save", file] => save(file),
        ["compare", file] => compare(file),
        _ => Err("usage: host_snapshot save|compare FILE".to_owned()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("host_snapshot: {message}");
            ExitCode::FAILURE
        }
    }
}

fn save(file: &str) -> Result<(), String> {
    fs::write(file, Snapshot::take().to_json().to_string())
        .map_err(|error| format!("failed to write {file}: {error}"))
}

fn compare(file: &str) -> Result<(), String> {
    let text = fs::read(file).map_err(|error| format!("failed to read {file}: {error}"))?;
    let before = serde_json::from_slice(&text)
        .ok()
        .and_then(|value| Snapshot::from_json(&value))
        .ok_or_else(|| format!("failed to read {file}: it is no snapshot"))?;
    let differences = before.differences_to_now();
    if differences.is_empty() {
        return Ok(());
    }
    Err(format!("the host is not as it was before\n  {}", differences.join("\n  ")))
}
