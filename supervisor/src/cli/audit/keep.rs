//! `sandboxctl audit checkpoint`, `key` and `prune`.

use std::fs;
use std::process::ExitCode;
use std::time::SystemTime;

use super::args::{CheckpointArgs, PruneArgs};
use super::failure;
use crate::cli::output::{Table, json, text_out};
use crate::cli::{Failure, configured};
use crate::record::audit::{
    AuditLog, AuditLogError, Settings, Subject, checkpoint, key, prune, seal,
};
use crate::state::Dirs;

/// The log, for events that are about no extension.
fn open(dirs: &Dirs, settings: &Settings) -> Result<AuditLog, Failure> {
    let subject = Subject { actor: format!("uid:{}", nix::unistd::getuid()), ..Subject::default() };
    AuditLog::open_with(&dirs.audit(), &subject, settings)
        .map_err(|error: AuditLogError| Failure::new(&error).hint(error.hint().map(str::to_owned)))
}

pub(super) fn checkpoint(
    args: &CheckpointArgs,
    dirs: &Dirs,
    now: SystemTime,
) -> Result<ExitCode, Failure> {
    let dir = dirs.audit();
    let settings = configured(dirs)?.audit.settings();
    if dir.exists() {
        let mut log = open(dirs, &settings)?;
        for sealed in seal::seal(&mut log, SystemTime::now).map_err(failure)? {
            match sealed.problem {
                None => eprintln!("sandboxctl: closed {}", sealed.segment),
                Some((code, detail)) => eprintln!(
                    "sandboxctl: warning: {} gets no checkpoint: {} at {detail}",
                    sealed.segment,
                    code.text()
                ),
            }
        }
        log.finish_forwarding();
    }
    let text = checkpoint::make(&dir, settings.key.as_ref(), now).map_err(failure)?;
    match &args.out {
        None => text_out(&text),
        Some(path) => {
            fs::write(path, text).map_err(|error| {
                Failure::new(format!("failed to write {}: {error}", path.display()))
            })?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

pub(super) fn key(dirs: &Dirs) -> Result<ExitCode, Failure> {
    let log = open(dirs, &configured(dirs)?.audit.settings())?;
    let key = key::open(log.dir(), log.settings().key.as_ref())
        .map_err(|error| Failure::new(&error).hint(error.hint()))?;
    text_out(&format!("{}\n", key.verify_key().text()))
}

pub(super) fn prune(args: &PruneArgs, dirs: &Dirs, now: SystemTime) -> Result<ExitCode, Failure> {
    let settings = configured(dirs)?.audit.settings();
    let keep = settings.retention;
    let dir = dirs.audit();
    let mut turn = None;
    if !args.dry_run && dir.exists() {
        let mut log = open(dirs, &settings)?;
        turn = Some(prune::Turn::take(&dir).map_err(failure)?);
        seal::seal(&mut log, SystemTime::now).map_err(failure)?;
    }
    let plan = prune::plan(&dir, keep, now).map_err(failure)?;
    if !args.dry_run && !plan.old.is_empty() {
        let mut log = open(dirs, &settings)?;
        prune::prune(&mut log, &plan, keep, SystemTime::now).map_err(failure)?;
        log.finish_forwarding();
    }
    drop(turn);
    if let Some(kept) = &plan.kept {
        eprintln!("sandboxctl: warning: kept although it is old: {kept}");
    }
    if args.json {
        return json(&plan);
    }
    if plan.old.is_empty() {
        return text_out("nothing is older than the retention\n");
    }
    let mut table = Table::default();
    let verb = if args.dry_run { "would remove" } else { "removed" };
    for old in &plan.old {
        let range = format!("events {} to {}", old.first_seq, old.last_seq);
        let size = format!("{} bytes", old.size);
        table.row([verb, &old.segment, &range, &size, &format!("until {}", old.to)]);
    }
    text_out(&table.render(0))
}
