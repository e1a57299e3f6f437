//! `sandboxctl vuln`.

use std::fmt::Write as _;
use std::process::ExitCode;

use policies::vulnerability::{Certainty, Status};

use super::Failure;
use super::args::registry::{ReportArgs, SetArgs, VulnArgs, VulnCommand};
use super::ext::{edit, failure, read};
use super::output::{Table, json, text_out};
use crate::record::escape::visible;
use crate::registry::{Change, CheckRow, FindingRow, Imported, Registry, Report, moment};
use crate::state::Dirs;

pub(super) fn main(args: &VulnArgs, dirs: &Dirs) -> Result<ExitCode, Failure> {
    match &args.command {
        VulnCommand::List { id, all, json: as_json } => {
            let mut found = read(dirs)?.findings(id.as_deref()).map_err(|error| failure(&error))?;
            found.retain(|row| *all || row.closed_at.is_none());
            if *as_json {
                return json(&found);
            }
            let text = table(&found).render(0);
            text_out(if text.is_empty() { "no vulnerability is open\n" } else { &text })
        }
        VulnCommand::Show { number, json: as_json } => {
            let row = read(dirs)?.finding(*number).map_err(|error| failure(&error))?;
            if *as_json { json(&row) } else { text_out(&show(&row)) }
        }
        VulnCommand::Report(args) => report(args, dirs),
        VulnCommand::Set(args) => set(args, dirs),
        VulnCommand::Resolve { number, fixed_in, not_affected, notes, act, .. } => {
            let status = match (fixed_in, not_affected) {
                (Some(_), _) => Status::Fixed,
                (None, true) => Status::NotAffected,
                (None, false) => Status::Withdrawn,
            };
            let change = Change {
                status: Some(status),
                fixed_in: fixed_in.clone(),
                notes: notes.clone(),
                ..Change::default()
            };
            let row = edit(dirs, act)?.change(*number, &change).map_err(|error| failure(&error))?;
            answer(&row, dirs, act.json)
        }
        VulnCommand::Import { paths, as_of, act } => {
            let done = edit(dirs, act)?.import(paths, *as_of).map_err(|error| failure(&error))?;
            if act.json { json(&done) } else { text_out(&imported(&done)) }
        }
        VulnCommand::Scan { id, act, .. } => {
            let ids = if let Some(id) = id {
                vec![id.clone()]
            } else {
                let all = read(dirs)?.extensions().map_err(|error| failure(&error))?;
                all.into_iter().map(|one| one.id).collect()
            };
            let mut editor = edit(dirs, act)?;
            let (mut rows, mut table) = (Vec::new(), Table::default());
            for id in &ids {
                for row in editor.scan(id).map_err(|error| failure(&error))? {
                    let [when, database, found, counts] = check(&row);
                    table.row([id.clone(), when, database, found, counts]);
                    rows.push(row);
                }
            }
            if act.json {
                return json(&rows);
            }
            text_out(&table.render(0))
        }
    }
}

fn report(args: &ReportArgs, dirs: &Dirs) -> Result<ExitCode, Failure> {
    let mut details = args.description.clone();
    for (name, text) in [("reproduction", &args.reproduction), ("remediation", &args.remediation)] {
        if !text.is_empty() {
            // Writing to a String cannot fail.
            write!(details, "\n{name}: {text}").unwrap_or_default();
        }
    }
    let report = Report {
        title: args.title.clone(),
        details: details.trim().to_owned(),
        affected: args.affected.clone(),
        severity: args.severity,
        cvss: args.cvss.clone(),
        cve: args.cve.clone(),
        reported: args.reported,
    };
    let row = edit(dirs, &args.act)?.report(&args.id, &report).map_err(|error| failure(&error))?;
    answer(&row, dirs, args.act.json)
}

fn set(args: &SetArgs, dirs: &Dirs) -> Result<ExitCode, Failure> {
    let change = Change {
        status: args.status,
        until: args.until,
        fixed_in: args.fixed_in.clone(),
        severity: args.severity,
        cvss: args.cvss.clone(),
        cve: args.cve.clone(),
        notes: args.notes.clone(),
    };
    let row =
        edit(dirs, &args.act)?.change(args.number, &change).map_err(|error| failure(&error))?;
    answer(&row, dirs, args.act.json)
}

/// The finding, and what became of its extension.
fn answer(row: &FindingRow, dirs: &Dirs, as_json: bool) -> Result<ExitCode, Failure> {
    if as_json {
        return json(row);
    }
    let state = Registry::open(&dirs.state)
        .and_then(|registry| registry.extension(&row.extension_id))
        .map_err(|error| failure(&error))?
        .state;
    text_out(&format!(
        "#{} {}: {}, score {}, {}; {} is {}\n",
        row.id,
        visible(row.name()),
        row.severity.name(),
        row.score,
        row.status.name(),
        row.extension_id,
        state.name()
    ))
}

fn imported(done: &Imported) -> String {
    let mut text = format!("{} advisories, {} withdrawn\n", done.advisories, done.withdrawn);
    for database in &done.databases {
        text.extend(["  ", &visible(&database.ecosystem), ": as of ", &database.as_of, "\n"]);
    }
    text
}

pub(super) fn table(rows: &[FindingRow]) -> Table {
    let mut table = Table::default();
    for row in rows {
        let of = row.affected.as_deref().or(row.purl.as_deref()).unwrap_or_default();
        let unknown = if row.certainty == Certainty::Unknown { " (not certain)" } else { "" };
        table.row([
            format!("#{}", row.id),
            row.extension_id.clone(),
            row.severity.name().to_owned() + unknown,
            row.score.to_string(),
            row.status.name().to_owned(),
            row.due_at.map_or_else(String::new, |at| format!("due {}", moment::text(at))),
            visible(row.name()).into_owned(),
            visible(of).into_owned(),
        ]);
    }
    table
}

pub(super) fn checks(rows: &[CheckRow]) -> Table {
    let mut table = Table::default();
    for row in rows {
        table.row(check(row));
    }
    table
}

fn check(row: &CheckRow) -> [String; 4] {
    let database = row.database_at.map_or_else(
        || "no database was asked".to_owned(),
        |at| format!("database of {}", moment::text(at)),
    );
    let components = format!("{} components, {} not identified", row.components, row.unidentified);
    let found = format!("{} findings", row.findings);
    let counts =
        row.void.as_ref().map_or_else(String::new, |void| format!("does not count: {void}"));
    [format!("{}, {components}", moment::text(row.at)), database, found, counts]
}

fn show(row: &FindingRow) -> String {
    let mut table = Table::default();
    let some = |text: &Option<String>| {
        text.as_deref().map_or("-".to_owned(), |text| visible(text).into_owned())
    };
    let day = |at: Option<i64>| at.map_or_else(|| "-".to_owned(), moment::text);
    table.row(["number", &format!("#{}", row.id)]);
    table.row(["extension", &row.extension_id]);
    table.row(["title", &visible(&row.title)]);
    table.row(["severity", &format!("{}, score {} of 100", row.severity.name(), row.score)]);
    table.row(["CVSS", &some(&row.cvss)]);
    table.row(["CVE", &some(&row.cve)]);
    match row.certainty {
        Certainty::Affected => table.row(["certain", "yes"]),
        Certainty::Unknown => table.row(["certain", "no: whether it is affected cannot be told"]),
    };
    table.row(["affected", &some(&row.affected)]);
    table.row(["component", &some(&row.purl)]);
    table.row(["advisory", &some(&row.advisory)]);
    table.row(["status", row.status.name()]);
    table.row(["notes", &visible(&row.status_notes)]);
    table.row([
        "fixed in",
        &row.fixed_in.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string),
    ]);
    table.row(["accepted until", &day(row.accepted_until)]);
    table.row([
        "reported",
        &format!("{} by {}", moment::text(row.reported_at), visible(&row.reported_by)),
    ]);
    table.row(["to be remedied by", &day(row.due_at)]);
    table.row(["disclosure", &moment::text(row.disclosure_at)]);
    table.row(["settled", &day(row.closed_at)]);
    let mut text = table.render(0);
    if !row.details.is_empty() {
        text.push('\n');
        for line in row.details.lines() {
            text.extend([&visible(line), "\n"]);
        }
    }
    text
}
