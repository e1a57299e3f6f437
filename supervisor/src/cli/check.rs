//! `sandboxctl check`.

use std::fmt::Write as _;
use std::process::ExitCode;

use policies::decision::{Decision, DevMode, Verdict, code};
use serde::Serialize;

use super::args::BundleArgs;
use super::output::{json, text_out};
use super::{Failure, admitted};
use crate::admit::Rules;
use crate::bundle::Purpose;
use crate::exit;
use crate::record::escape::visible;
use crate::state::Dirs;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    extension_id: &'a str,
    version: String,
    tier: &'a str,
    #[serde(flatten)]
    decision: &'a Decision,
}

pub(super) fn main(args: &BundleArgs, dirs: &Dirs) -> Result<ExitCode, Failure> {
    let rules = Rules::load(dirs).map_err(|error| admitted(&error))?;
    let decided = rules
        .decide(&args.bundle, dev(args.dev), Purpose::Look)
        .map_err(|error| admitted(&error))?;
    let answer = Answer {
        extension_id: &decided.manifest.id,
        version: decided.manifest.version.to_string(),
        tier: decided.manifest.tier.name(),
        decision: &decided.decision,
    };
    if args.json {
        json(&answer)?;
    } else {
        let head = format!("{} {} ({}): ", answer.extension_id, answer.version, answer.tier);
        text_out(&(head + &render(&decided.decision)))?;
    }
    Ok(if decided.decision.verdict.permits() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(exit::REFUSED)
    })
}

/// The `--dev` switch as the decision wants it.
pub(super) const fn dev(switch: bool) -> DevMode {
    if switch { DevMode::On } else { DevMode::Off }
}

/// A decision in words: the verdict, then every reason.
pub(super) fn render(decision: &Decision) -> String {
    let mut text = String::new();
    text.push_str(match decision.verdict {
        Verdict::Allowed => "allowed\n",
        Verdict::AllowedForDevelopment => "allowed for development only\n",
        Verdict::Refused => "refused\n",
    });
    let mut line = |arguments: std::fmt::Arguments<'_>| {
        // Writing to a String cannot fail.
        text.write_fmt(arguments).unwrap_or_default();
    };
    for violated in &decision.violated {
        line(format_args!("  {}: {}\n", violated.code, violated.reason));
        line(format_args!("    hint: {}\n", violated.remedy));
    }
    for waived in &decision.dev_waived {
        line(format_args!("  waived by --dev: {}: {}\n", waived.code, waived.reason));
    }
    // Those above the tier are among the violated policies.
    for denied in
        decision.denied.iter().filter(|denied| denied.code == code::PERMISSION_DENIED_BY_HOST)
    {
        line(format_args!("  denied: {}: {}\n", denied.permission.name(), visible(&denied.reason)));
    }
    for advice in &decision.recommendations {
        line(format_args!("  note: {advice}\n"));
    }
    text
}
