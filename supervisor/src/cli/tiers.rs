//! `sandboxctl tiers`.

use std::process::ExitCode;

use policies::tier::TierPolicy;
use serde::Serialize;

use super::args::OutputArgs;
use super::output::{Table, json, text_out};
use super::{Failure, admitted};
use crate::admit::Rules;
use crate::state::Dirs;

pub(super) fn main(args: OutputArgs, dirs: &Dirs) -> Result<ExitCode, Failure> {
    let rules = Rules::load(dirs).map_err(|error| admitted(&error))?;
    let tiers = rules.policies.tiers();
    if args.json { json(tiers) } else { text_out(&render(tiers)) }
}

/// A policy value as the policy files write it.
fn word<T: Serialize>(value: &T) -> String {
    serde_json::to_value(value)
        .ok()
        .and_then(|value| value.as_str().map(str::to_owned))
        .unwrap_or_default()
}

fn render(tiers: &[TierPolicy; 3]) -> String {
    let mut table = Table::default();
    let mut line = |name: &str, cell: &dyn Fn(&TierPolicy) -> String| {
        let [community, professional, enterprise] = tiers;
        table.row([name.to_owned(), cell(community), cell(professional), cell(enterprise)]);
    };
    line("", &|tier| tier.tier.name().to_owned());
    line("memory", &|tier| format!("{} MB", tier.limits.memory_mb));
    line("cpu, of one core", &|tier| format!("{} %", tier.limits.cpu_percent));
    line("disk (/data)", &|tier| format!("{} MB", tier.limits.disk_mb));
    line("/tmp", &|tier| format!("{} MB", tier.limits.tmp_mb));
    line("wall clock", &|tier| format!("{} s", tier.limits.timeout_ms / 1000));
    line("tasks", &|tier| tier.limits.tasks.to_string());
    line("open files", &|tier| tier.limits.open_files.to_string());
    line("one file", &|tier| format!("{} MB", tier.limits.file_mb));
    line("signature", &|tier| word(&tier.signature));
    line("review", &|tier| word(&tier.review));
    line("review level", &|tier| tier.review_level.name().to_owned());
    line("registration", &|tier| word(&tier.registration));
    line("vulnerability score", &|tier| format!("<= {}", tier.max_vulnerability_score));
    line("vulnerability check", &|tier| {
        format!("{} days, {}", tier.vulnerability_check_days, word(&tier.vulnerability_check))
    });
    line("bill of materials", &|tier| word(&tier.sbom));
    line("network \"*\"", &|tier| if tier.any_domain { "yes" } else { "no" }.to_owned());
    line("private addresses", &|tier| if tier.private_addresses { "yes" } else { "no" }.to_owned());
    line("connections", &|tier| tier.network.connections.to_string());
    line("connections in all", &|tier| tier.network.connections_total.to_string());
    line("traffic", &|tier| format!("{} MB", tier.network.traffic_mb));
    line("names per wildcard", &|tier| tier.network.names_per_wildcard.to_string());
    line("idle connection", &|tier| format!("{} ms", tier.network.idle_ms));
    line("isolation", &|tier| tier.default_isolation.name().to_owned());
    line("permissions", &|tier| tier.permissions.len().to_string());
    let mut text = table.render(0);
    text.push_str("\npermissions of community:\n");
    let mut before: &[policies::permission::Permission] = &[];
    for (index, tier) in tiers.iter().enumerate() {
        if index > 0 {
            text.extend([tier.tier.name(), " adds:\n"]);
        }
        let new = tier.permissions.iter().filter(|permission| !before.contains(permission));
        for permission in new {
            text.extend(["  ", permission.name(), "\n"]);
        }
        before = &tier.permissions;
    }
    text.push_str(
        "\nA run with --dev goes without the signature, registration, review and vulnerability check that its\n\
         author does not have yet, unless config.toml forbids it; never without anything else.\n",
    );
    text
}
