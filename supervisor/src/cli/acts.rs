//! Acts of the operator on the host, put on record before they are done.

use std::time::SystemTime;

use policies::violation::Severity;
use serde_json::Value;

use super::{Failure, configured};
use crate::record::audit::{Event, EventType, Subject, act};
use crate::state::Dirs;

/// Who acts, unless somebody is named: the user behind sudo(8), or the user id.
pub(super) fn actor() -> String {
    let behind_sudo = std::env::var("SUDO_USER").ok().filter(|name| !name.is_empty());
    behind_sudo.unwrap_or_else(|| format!("uid:{}", nix::unistd::getuid()))
}

/// Puts an act on record; `ext` is empty where it is about no extension.
pub(super) fn record(
    dirs: &Dirs,
    ext: &str,
    kind: EventType,
    severity: Severity,
    data: &Value,
) -> Result<(), Failure> {
    let config = configured(dirs)?;
    let subject = Subject { ext: ext.to_owned(), actor: actor(), ..Subject::default() };
    let event = Event::new(kind, severity, SystemTime::now(), data);
    let event = event.map_err(|error| Failure::new(&error))?;
    act::record(dirs, &config, &subject, &[event])
        .map_err(|error| Failure::new(&error).hint(error.hint()))
}
