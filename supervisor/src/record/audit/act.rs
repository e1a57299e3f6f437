//! Events of a command that acts on the host and ends.

use super::checkpoint::CheckpointError;
use super::{AuditLog, Event, Subject, seal};
use crate::state::Dirs;
use crate::state::config::Config;

/// Writes events of an act, kept and forwarded as the configuration says. Durable when it returns.
///
/// # Errors
/// [`CheckpointError`]: the act must not be done.
pub fn record(
    dirs: &Dirs,
    config: &Config,
    subject: &Subject,
    events: &[Event],
) -> Result<(), CheckpointError> {
    let mut log = AuditLog::open_with(&dirs.audit(), subject, &config.audit.settings())?;
    log.append_durably(events)?;
    seal::after_act(&mut log);
    Ok(())
}
