//! `sandboxctl reactions`.

use std::process::ExitCode;

use policies::reaction::{ReactionRule, ReactionRules};
use policies::violation::Severity;
use serde::Serialize;
use serde_json::json;

use super::args::{ReactionsArgs, ReactionsCommand};
use super::output::{Table, json as print_json, text_out};
use super::{Failure, acts, admitted};
use crate::admit::Rules;
use crate::record::audit::EventType;
use crate::record::escape::visible;
use crate::state::Dirs;
use crate::state::disabled::{self, Disabled};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    rules: &'a ReactionRules,
    disabled: Vec<Disabled>,
}

pub(super) fn main(args: &ReactionsArgs, dirs: &Dirs) -> Result<ExitCode, Failure> {
    match &args.command {
        ReactionsCommand::List { json } => list(*json, dirs),
        ReactionsCommand::Clear { id } => clear(id, dirs),
    }
}

fn list(json: bool, dirs: &Dirs) -> Result<ExitCode, Failure> {
    let rules = Rules::load(dirs).map_err(|error| admitted(&error))?;
    let disabled = disabled::all(&dirs.state).map_err(Failure::new)?;
    let answer = Answer { rules: rules.policies.reactions(), disabled };
    if json {
        return print_json(&answer);
    }
    let disabled = answer.disabled.iter().map(|entry| {
        let Disabled { extension_id, at, run_id, reason, .. } = entry;
        let (id, at, reason) = (visible(extension_id), visible(at), visible(reason));
        format!("\ndisabled: {id} at {at} in run {}\n  {reason}\n", visible(run_id))
    });
    let disabled: String = disabled.collect();
    text_out(&(render(answer.rules.rules.iter()) + &disabled))
}

fn clear(id: &str, dirs: &Dirs) -> Result<ExitCode, Failure> {
    let Some(entry) = disabled::find(&dirs.state, id).map_err(Failure::new)? else {
        return Err(Failure::new(format!("{id} is not disabled by a rule"))
            .hint("sandboxctl reactions list".to_owned()));
    };
    // First the record: an extension must not be enabled without one.
    let data = json!({ "cleared": entry });
    acts::record(dirs, id, EventType::Reaction, Severity::Warning, &data)?;
    disabled::enable(&dirs.state, id).map_err(Failure::new)?;
    text_out(&format!("{id} may run again\n"))
}

/// Rules as a table: name, what follows, when, for whom.
pub(super) fn render<'a>(rules: impl Iterator<Item = &'a ReactionRule>) -> String {
    let mut rules = rules.peekable();
    if rules.peek().is_none() {
        return "no rules: nothing follows from violations\n".to_owned();
    }
    let mut table = Table::default();
    for rule in rules {
        table.row([&*rule.name, rule.action.name(), &when(rule), &tiers(rule), &rule.reason]);
    }
    table.render(0)
}

/// `10 of mount-attempt in 60 s`.
fn when(rule: &ReactionRule) -> String {
    let mut what = Vec::new();
    if rule.severity > Severity::Info {
        let worse = if rule.severity < Severity::Critical { " and worse" } else { "" };
        what.push(rule.severity.text().to_owned() + worse);
    }
    what.extend(rule.codes.iter().map(|code| code.text().to_owned()));
    what.extend(rule.layers.iter().map(|layer| format!("layer {}", layer.text())));
    let what = if what.is_empty() { "anything".to_owned() } else { what.join(" ") };
    let window = rule.window_s.map_or_else(String::new, |seconds| format!(" in {seconds} s"));
    format!("{} of {what}{window}", rule.count)
}

fn tiers(rule: &ReactionRule) -> String {
    if rule.tiers.is_empty() {
        return "every tier".to_owned();
    }
    rule.tiers.iter().map(|tier| tier.name()).collect::<Vec<_>>().join(" ")
}
