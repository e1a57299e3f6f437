//! `sandboxctl data`.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use super::Failure;
use super::args::{DataArgs, DataCommand};
use super::output::{Table, json, text_out};
use crate::data::{self, DataError, EntryKind, Listing};
use crate::state::Dirs;

pub(super) fn main(args: &DataArgs, dirs: &Dirs) -> Result<ExitCode, Failure> {
    match &args.command {
        DataCommand::Ls { id, path, json: as_json } => {
            let listing = data::list(&dirs.state, id, path).map_err(|error| failure(&error))?;
            if *as_json { json(&listing) } else { text_out(&render(&listing)) }
        }
        DataCommand::Get { id, path, output } => get(dirs, id, path, output.as_deref()),
        DataCommand::Rm { id } => {
            data::remove(&dirs.state, id).map_err(|error| failure(&error))?;
            text_out(&format!("removed the data of {id}\n"))
        }
    }
}

fn failure(error: &DataError) -> Failure {
    Failure::new(error).hint(error.hint())
}

fn get(dirs: &Dirs, id: &str, path: &str, output: Option<&Path>) -> Result<ExitCode, Failure> {
    let mut sink: Box<dyn Write> = match output {
        None => Box::new(io::stdout()),
        Some(output) => Box::new(File::create(output).map_err(|error| {
            Failure::new(format!("failed to create {}: {error}", output.display()))
        })?),
    };
    data::get(&dirs.state, id, path, &mut *sink).map_err(|error| failure(&error))?;
    Ok(ExitCode::SUCCESS)
}

fn render(listing: &Listing) -> String {
    let mut table = Table::default();
    for entry in &listing.entries {
        let mark = match entry.kind {
            EntryKind::Directory => "/",
            EntryKind::Symlink => "@",
            EntryKind::File => "",
            EntryKind::Other => "?",
        };
        let modified = jiff::Timestamp::from_second(entry.modified)
            .map_or_else(|_| entry.modified.to_string(), |time| time.to_string());
        table.row([entry.size.to_string(), modified, format!("{}{mark}", entry.name)]);
    }
    let mut text = table.render(0);
    if listing.truncated {
        text.push_str("(more entries are not listed)\n");
    }
    text
}
