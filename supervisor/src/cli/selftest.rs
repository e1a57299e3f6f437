//! `sandboxctl selftest`.

use std::process::ExitCode;

use policies::tier::Tier;
use serde::Serialize;

use super::args::SelftestArgs;
use super::output::{Table, json, text_out};
use super::{Failure, admitted};
use crate::admit::Rules;
use crate::exit;
use crate::host;
use crate::record::sink::sentence;
use crate::selftest::catalogue::{self, Expected};
use crate::selftest::outcome::{FloodRow, Recorded, Row, Selftest, Verdict};
use crate::selftest::{self, Options};
use crate::state::Dirs;

pub(super) fn main(args: &SelftestArgs, dirs: &Dirs) -> Result<ExitCode, Failure> {
    if args.list {
        return list(args.json);
    }
    let failed = |message: String| Failure::new(message).code(exit::SUPERVISOR);
    host::require_privileges().map_err(|error| failed(error.to_string()).hint(error.hint()))?;
    let rules = Rules::load(dirs).map_err(|error| admitted(&error))?;
    let tier = tier(&args.tier);
    let options = Options { tier, flood: args.flood };
    let outcome = selftest::run(dirs, rules.policies.tier(tier), options)
        .map_err(|error| failed(error.to_string()))?;
    if args.json {
        json(&outcome)?;
    } else {
        text_out(&render(&outcome))?;
    }
    Ok(ExitCode::from(match outcome.verdict {
        Verdict::Passed => exit::OK,
        Verdict::Failed => exit::FAILED,
        Verdict::Incomplete => exit::INCOMPLETE,
    }))
}

/// clap lets no other word through.
fn tier(name: &str) -> Tier {
    Tier::ALL.into_iter().find(|tier| tier.name() == name).unwrap_or(Tier::Community)
}

/// An action of the catalogue, for `--list`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    name: &'static str,
    sandbox: &'static str,
    layer: Option<policies::violation::Layer>,
    code: Option<policies::violation::Code>,
    why: &'static str,
}

fn list(as_json: bool) -> Result<ExitCode, Failure> {
    let entries: Vec<Entry> = catalogue::all()
        .iter()
        .map(|action| {
            let code = match action.record {
                Expected::Violation(code, _) => Some(code),
                Expected::Nothing { .. } => None,
            };
            let sandbox = action.sandbox.name();
            let layer = code.map(policies::violation::Code::layer);
            Entry { name: action.name, sandbox, layer, code, why: action.why }
        })
        .collect();
    if as_json {
        return json(&entries);
    }
    let mut table = Table::default();
    table.row(["ACTION", "SANDBOX", "RECORD", "WHY IT IS BAD"]);
    for entry in &entries {
        let code = entry.code.map_or("none, by design", policies::violation::Code::text);
        table.row([entry.name, entry.sandbox, code, entry.why]);
    }
    text_out(&table.render(0))
}

fn render(outcome: &Selftest) -> String {
    let by_design = |row: &&Row| matches!(row.recorded, Recorded::ByDesign { .. });
    let mut table = Table::default();
    table.row(["ACTION", "RESULT", "BLOCKED BY", "RECORDED", "MICROSECONDS"]);
    for row in outcome.actions.iter().filter(|row| !by_design(row)) {
        let by = if row.blocked { row.blocked_by.as_deref().unwrap_or("?") } else { "NOT BLOCKED" };
        table.row([row.name, &row.result, by, &recorded(row), &latency(row)]);
    }
    let mut text = table.render(0);
    text.push_str("\nblocked by the tree, modes or the kernel itself, not recorded by design:\n");
    let mut table = Table::default();
    for row in outcome.actions.iter().filter(by_design) {
        let by = if row.blocked { row.blocked_by.as_deref().unwrap_or("?") } else { "NOT BLOCKED" };
        let Recorded::ByDesign { reason } = &row.recorded else { continue };
        table.row([row.name, &row.result, by, reason]);
    }
    text.push_str(&table.render(2));
    floods(&outcome.floods, &mut text);
    for violation in &outcome.unexplained {
        text.extend(["no action explains: ", &sentence(violation), "\n"]);
    }
    text + &totals(outcome)
}

fn recorded(row: &Row) -> String {
    match &row.recorded {
        Recorded::Yes { .. } => row.code.map_or("yes", policies::violation::Code::text).to_owned(),
        Recorded::No { reason } => format!("NO: {reason}"),
        Recorded::Unavailable { reason } => format!("not on this host: {reason}"),
        Recorded::ByDesign { reason } => reason.clone(),
    }
}

fn latency(row: &Row) -> String {
    row.latency_us.map_or_else(String::new, |micros| format!("{micros:.1}"))
}

fn floods(floods: &[FloodRow], text: &mut String) {
    if floods.is_empty() {
        return;
    }
    text.push_str("\nfloods:\n");
    let mut table = Table::default();
    table.row(["", "ATTEMPTS", "RECORDED", "LOST", ""]);
    for flood in floods {
        let said = match (flood.verdict, &flood.reason) {
            (Verdict::Failed, None) => "THE TOTALS DIFFER".to_owned(),
            (Verdict::Failed, Some(reason)) => format!("FAILED: {reason}"),
            (_, reason) => reason.clone().unwrap_or_default(),
        };
        let figures = [flood.attempts, flood.recorded, flood.lost].map(|count| count.to_string());
        let [attempts, recorded, lost] = figures;
        table.row([flood.name.to_owned(), attempts, recorded, lost, said]);
    }
    text.push_str(&table.render(2));
}

fn totals(outcome: &Selftest) -> String {
    let totals = &outcome.totals;
    let verdict = match outcome.verdict {
        Verdict::Passed => "passed",
        Verdict::Incomplete => "incomplete: this host cannot record everything",
        Verdict::Failed => "FAILED",
    };
    format!(
        "\n{} actions, {} blocked, {} recorded, {} not recordable here, {} lost, {} unexplained; \
         {} of {} blocked without a record by design\n{} on Linux {}: {verdict}\n",
        totals.actions,
        totals.blocked,
        totals.recorded,
        totals.unavailable,
        totals.lost,
        totals.unexplained,
        totals.by_design_blocked,
        totals.by_design,
        outcome.tier,
        outcome.kernel,
    )
}
