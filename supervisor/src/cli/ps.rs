//! `sandboxctl ps`.

use std::process::ExitCode;

use super::Failure;
use super::args::OutputArgs;
use super::output::{Table, json, text_out};
use crate::state::{Dirs, slot};

pub(super) fn main(args: OutputArgs, dirs: &Dirs) -> Result<ExitCode, Failure> {
    let holders = slot::holders(dirs).map_err(Failure::new)?;
    if args.json {
        return json(&holders);
    }
    let mut table = Table::default();
    table.row(["RUN", "EXTENSION", "SUPERVISOR", "STARTED"]);
    for holder in &holders {
        let pid = holder.pid.to_string();
        table.row([holder.run_id.as_str(), &holder.extension_id, &pid, &holder.started_at]);
    }
    text_out(&table.render(0))
}
