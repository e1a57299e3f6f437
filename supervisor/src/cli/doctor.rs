//! `sandboxctl doctor`.

use std::process::ExitCode;

use super::Failure;
use super::args::OutputArgs;
use super::output::{Table, json, text_out};
use crate::exit;
use crate::host::doctor::{Status, examine};
use crate::state::Dirs;

pub(super) fn main(args: OutputArgs, dirs: &Dirs) -> Result<ExitCode, Failure> {
    let checks = examine(dirs);
    let possible = checks.iter().all(|check| check.status != Status::Missing);
    if args.json {
        json(&checks)?;
    } else {
        let mut table = Table::default();
        for check in &checks {
            let status = match check.status {
                Status::Ok => "ok",
                Status::Weaker => "weaker",
                Status::Missing => "MISSING",
            };
            table.row([status, check.name, &check.found]);
            if !check.advice.is_empty() {
                table.row(["", "", &format!("hint: {}", check.advice)]);
            }
        }
        text_out(&table.render(0))?;
        text_out(if possible {
            "\nextensions can run on this host\n"
        } else {
            "\nextensions can NOT run on this host\n"
        })?;
    }
    Ok(if possible { ExitCode::SUCCESS } else { ExitCode::from(exit::FAILED) })
}
