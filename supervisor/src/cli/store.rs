//! `sandboxctl store`.

use std::collections::BTreeSet;
use std::process::ExitCode;

use policies::digest::Digest;
use serde::Serialize;

use super::Failure;
use super::args::{StoreArgs, StoreCommand};
use super::output::{Table, json, text_out};
use crate::bundle::store::{Collected, Damage, Health, Store, StoreError};
use crate::state::Dirs;

/// One bundle of `store list`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    digest: Digest,
    extension_id: String,
    version: String,
    files: usize,
    bytes: u64,
    signed: bool,
}

/// One bundle of `store verify`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Verified {
    digest: Digest,
    intact: bool,
    damage: Vec<String>,
}

pub(super) fn main(args: &StoreArgs, dirs: &Dirs) -> Result<ExitCode, Failure> {
    let store = Store::open(&dirs.state).map_err(|error| failure(&error))?;
    match &args.command {
        StoreCommand::List { json: as_json } => list(&store, *as_json),
        StoreCommand::Verify { shallow, json: as_json } => verify(&store, !shallow, *as_json),
        StoreCommand::Gc { keep, json: as_json } => {
            // What is registered can be run by its id.
            let registry = super::ext::read(dirs)?;
            let registered = registry.digests().map_err(|error| super::ext::failure(&error))?;
            gc(&store, &keep.iter().copied().chain(registered).collect(), *as_json)
        }
    }
}

fn failure(error: &StoreError) -> Failure {
    Failure::new(error).hint(error.hint())
}

fn list(store: &Store, as_json: bool) -> Result<ExitCode, Failure> {
    let mut lines = Vec::new();
    for digest in store.digests().map_err(|error| failure(&error))? {
        let Some(stored) = store.get(&digest).map_err(|error| failure(&error))? else { continue };
        let head = &stored.statement.head;
        let list = stored.statement.list().map_err(|error| {
            failure(&StoreError::Damaged { path: store.path_of(&digest), reason: error.into() })
        })?;
        lines.push(Line {
            digest,
            extension_id: head.id().to_owned(),
            version: head.version().to_string(),
            files: list.entries().len(),
            bytes: list.total_bytes(),
            signed: stored.statement.p7s.is_some(),
        });
    }
    if as_json {
        return json(&lines);
    }
    let mut table = Table::default();
    table.row(["EXTENSION", "VERSION", "FILES", "BYTES", "SIGNED", "DIGEST"]);
    for line in &lines {
        let signed = if line.signed { "yes" } else { "no" };
        let (files, bytes) = (line.files.to_string(), line.bytes.to_string());
        let digest = format!("sha256:{}", line.digest);
        table.row([&line.extension_id, &line.version, &files, &bytes, signed, &digest]);
    }
    text_out(&table.render(0))
}

fn verify(store: &Store, deep: bool, as_json: bool) -> Result<ExitCode, Failure> {
    let all = store.verify(deep).map_err(|error| failure(&error))?;
    let lines: Vec<Verified> = all.iter().map(verified).collect();
    if as_json {
        json(&lines)?;
    } else {
        let states = lines.iter().map(|line| {
            let state = if line.intact { "intact" } else { "damaged, taken out of the store" };
            let damage = line.damage.iter().map(|damage| format!("\n  {damage}"));
            format!("sha256:{}  {state}{}\n", line.digest, damage.collect::<String>())
        });
        text_out(&states.collect::<String>())?;
    }
    match lines.iter().filter(|line| !line.intact).count() {
        0 => Ok(ExitCode::SUCCESS),
        damaged => Err(Failure::new(format!("failed to verify the store: {damaged} damaged"))
            .hint(
                "a damaged bundle is stored anew when it is run from its folder or .sbx file"
                    .to_owned(),
            )),
    }
}

fn verified(health: &Health) -> Verified {
    let damage = health.damage.as_ref().map(Damage::lines);
    let intact = damage.is_none();
    Verified { digest: health.digest, intact, damage: damage.unwrap_or_default() }
}

fn gc(store: &Store, keep: &BTreeSet<Digest>, as_json: bool) -> Result<ExitCode, Failure> {
    let collected = store.gc(keep).map_err(|error| failure(&error))?;
    if as_json { json(&collected) } else { text_out(&render(&collected)) }
}

fn render(collected: &Collected) -> String {
    let mut text = String::new();
    text.extend(collected.removed.iter().map(|digest| format!("removed sha256:{digest}\n")));
    text.extend(collected.in_use.iter().map(|digest| format!("in use: sha256:{digest}\n")));
    let unfinished = (collected.unfinished > 0).then_some(collected.unfinished);
    text.extend(unfinished.map(|number| format!("removed {number} unfinished copies\n")));
    if text.is_empty() {
        text.push_str("nothing to remove\n");
    }
    text
}
