//! `sandboxctl audit verify`.

use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;

use super::args::VerifyArgs;
use super::failure;
use crate::cli::Failure;
use crate::cli::output::{json, text_out};
use crate::exit;
use crate::record::audit::checkpoint::CheckpointError;
use crate::record::audit::key::VerifyKey;
use crate::record::audit::verify::{Options, Problem, Verified, verify};
use crate::record::escape::visible;
use crate::state::Dirs;

pub(super) fn main(args: VerifyArgs, dirs: &Dirs) -> Result<ExitCode, Failure> {
    // What could not be read is not what was found wanting.
    let unread = |error: CheckpointError| failure(error).code(exit::SUPERVISOR);
    let keys = args.key.as_deref().map(keys).transpose()?;
    let options = Options { against: args.against, keys };
    let verified = verify(&dirs.audit(), &options).map_err(unread)?;
    if args.json {
        json(&verified)?;
    } else {
        if verified.segments == 0 {
            text_out(&format!("there is no audit log yet in {}\n", dirs.audit().display()))?;
        }
        text_out(&render(&verified))?;
    }
    Ok(ExitCode::from(if verified.ok { exit::OK } else { exit::FAILED }))
}

/// A key, or a file of keys.
fn keys(text: &str) -> Result<Vec<VerifyKey>, Failure> {
    let bad =
        |error: crate::record::audit::key::KeyError| Failure::new(error).code(exit::SUPERVISOR);
    if !Path::new(text).exists() {
        return Ok(vec![VerifyKey::parse(text).map_err(bad)?]);
    }
    let lines = std::fs::read_to_string(text).map_err(|error| {
        Failure::new(format!("failed to read {text}: {error}")).code(exit::SUPERVISOR)
    })?;
    lines.lines().map(VerifyKey::parse).collect::<Result<_, _>>().map_err(bad)
}

fn render(of: &Verified) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let mut line = |line: String| writeln!(text, "{line}").unwrap_or_default();
    for Problem { code, file, line: at, seq, detail } in &of.problems {
        let at = at.map_or_else(String::new, |at| format!(":{at}"));
        let seq = seq.map_or_else(String::new, |seq| format!(" event {seq}:"));
        line(format!("{}{at}: {}:{seq} {}", visible(file), code.text(), visible(detail)));
    }
    if of.more_problems > 0 {
        line(format!("and {} more", of.more_problems));
    }
    let range = match (of.first_seq, of.last_seq) {
        (Some(first), Some(last)) => format!(", numbers {first} to {last}"),
        _ => String::new(),
    };
    line(format!("{} events in {} segments{range}", of.events, of.segments));
    if let Some(head) = &of.head {
        line(format!("head {head}"));
    }
    match of.covered_seq {
        Some(seq) => {
            line(format!("{} signed checkpoints, the last of event {seq}", of.checkpoints));
        }
        None => line("no signed checkpoint: what was cut off at the end would not show".to_owned()),
    }
    if let Some(plain) = &of.not_chained {
        line(format!(
            "not chained, before {}: {} events of a version without hashes, which prove nothing",
            plain.before_seq, plain.events
        ));
    }
    if of.unsealed > 0 {
        line(format!(
            "{} closed segments have no checkpoint yet: `audit checkpoint` makes them",
            of.unsealed
        ));
    }
    if of.torn_bytes > 0 {
        line(format!(
            "{} bytes at the end are a line that its writer did not finish; the next one records that",
            of.torn_bytes
        ));
    }
    let problems =
        u64::try_from(of.problems.len()).unwrap_or(u64::MAX).saturating_add(of.more_problems);
    line(if of.ok { "ok".to_owned() } else { format!("NOT ok: {problems} problems") });
    text
}
