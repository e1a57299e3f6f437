//! `sandboxctl audit`.

pub(super) mod args;
mod keep;
mod replay;
mod search;
mod verify;

use std::process::ExitCode;
use std::time::SystemTime;

use args::{AuditArgs, AuditCommand};

use super::Failure;
use crate::record::audit::checkpoint::CheckpointError;
use crate::state::Dirs;

pub(super) fn main(args: AuditArgs, dirs: &Dirs) -> Result<ExitCode, Failure> {
    let now = SystemTime::now();
    match args.command {
        AuditCommand::Verify(args) => verify::main(args, dirs),
        AuditCommand::Query(args) => search::query(args, dirs, now),
        AuditCommand::Tail(args) => search::tail(args, dirs, now),
        AuditCommand::Export(args) => search::export(args, dirs, now),
        AuditCommand::Checkpoint(args) => keep::checkpoint(&args, dirs, now),
        AuditCommand::Key => keep::key(dirs),
        AuditCommand::Prune(args) => keep::prune(&args, dirs, now),
        AuditCommand::Replay(args) => replay::main(&args, dirs),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "map_err hands an error over by value")]
fn failure(error: CheckpointError) -> Failure {
    Failure::new(&error).hint(error.hint())
}
