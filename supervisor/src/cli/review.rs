//! `sandboxctl review`.

use std::process::ExitCode;

use policies::decision::ReviewLevel;

use super::Failure;
use super::args::registry::{ReviewArgs, ReviewCommand, ReviewOf};
use super::ext::{actor, edit, failure, read};
use super::output::{Table, json, text_out};
use crate::record::escape::visible;
use crate::registry::{Decision, ReviewRow, Verdict, moment};
use crate::state::Dirs;

pub(super) fn main(args: &ReviewArgs, dirs: &Dirs) -> Result<ExitCode, Failure> {
    match &args.command {
        ReviewCommand::List { id, json: as_json } => {
            let all = read(dirs)?.reviews(id.as_deref()).map_err(|error| failure(&error))?;
            if *as_json {
                return json(&all);
            }
            let text = table(&all).render(0);
            text_out(if text.is_empty() { "no review is on record\n" } else { &text })
        }
        ReviewCommand::Request { bundle, notes, act } => {
            let row =
                edit(dirs, act)?.request_review(bundle, notes).map_err(|error| failure(&error))?;
            answer(&row, act.json)
        }
        ReviewCommand::Approve { of, level, expires } => {
            decide(dirs, of, Verdict::Approve { level: *level, expires: *expires })
        }
        ReviewCommand::Reject { of } => decide(dirs, of, Verdict::Reject),
        ReviewCommand::Revoke { of } => decide(dirs, of, Verdict::Revoke),
    }
}

fn decide(dirs: &Dirs, of: &ReviewOf, verdict: Verdict) -> Result<ExitCode, Failure> {
    let reviewer = of.reviewer.clone().unwrap_or_else(|| actor(&of.act));
    let decision = Decision { reviewer, verdict, notes: of.notes.clone() };
    let row = edit(dirs, &of.act)?
        .decide_review(&of.bundle, &decision)
        .map_err(|error| failure(&error))?;
    answer(&row, of.act.json)
}

fn answer(row: &ReviewRow, as_json: bool) -> Result<ExitCode, Failure> {
    if as_json {
        return json(row);
    }
    let status = row.status.name();
    text_out(&format!("{status}: {} {}, digest {}\n", row.extension_id, row.version, row.digest))
}

pub(super) fn table(rows: &[ReviewRow]) -> Table {
    let mut table = Table::default();
    for row in rows {
        table.row([
            format!("{} {}", row.extension_id, row.version),
            row.status.name().to_owned(),
            row.level.map_or("-", ReviewLevel::name).to_owned(),
            format!("{} by {}", moment::text(row.at), visible(&row.reviewer)),
            row.expires_at.map_or_else(String::new, |at| format!("until {}", moment::text(at))),
            visible(&row.notes).into_owned(),
        ]);
    }
    table
}
