//! Exit codes of `sandboxctl`, and the one place that chooses them.
//!
//! They follow env(1), timeout(1) and the shells: an extension's own code passes through, 124 and up are ours. A code of
//! an extension can collide with one of ours, so the report is the authority, not the code.

use std::process::ExitCode;

use policies::limits::LimitKind;

/// Done.
pub const OK: u8 = 0;
/// A command other than `run` failed.
pub const FAILED: u8 = 1;
/// The command line could not be understood; clap's code.
pub const USAGE: u8 = 2;
/// `selftest`: everything was refused, and this host cannot record some of it.
pub const INCOMPLETE: u8 = 3;
/// The time limit ended the run; timeout(1).
pub const TIMED_OUT: u8 = 124;
/// The supervisor or a layer failed; the extension did not run, or nothing certain can be said about it.
pub const SUPERVISOR: u8 = 125;
/// Policy refused the bundle; nothing was started.
pub const REFUSED: u8 = 126;
/// The entry command could not be executed.
pub const NOT_FOUND: u8 = 127;
/// Added to the number of the signal that ended the extension.
pub const SIGNAL_BASE: u8 = 128;
/// A limit or a reaction rule ended the run: 128 and SIGKILL. The report says which.
pub const LIMIT: u8 = 137;

/// How a run ended, as far as its exit code is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The extension ended by itself.
    Exited(u8),
    /// A signal ended the extension.
    Signalled(u8),
    /// A limit ended the run.
    Limit(LimitKind),
    /// A reaction rule ended the run.
    Reaction,
    /// Policy refused.
    Refused,
    /// The entry command could not be executed.
    NotFound,
    /// The supervisor or a layer failed.
    Failed,
}

impl End {
    /// The code of `sandboxctl run`.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Exited(code) => code,
            Self::Signalled(signal) => SIGNAL_BASE.saturating_add(signal),
            Self::Limit(LimitKind::Timeout) => TIMED_OUT,
            Self::Limit(
                LimitKind::Memory | LimitKind::Cpu | LimitKind::Disk | LimitKind::Tasks,
            )
            | Self::Reaction => LIMIT,
            Self::Refused => REFUSED,
            Self::NotFound => NOT_FOUND,
            Self::Failed => SUPERVISOR,
        }
    }
}

impl From<End> for ExitCode {
    fn from(end: End) -> Self {
        Self::from(end.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_the_documented_ones() {
        assert_eq!(End::Exited(3).code(), 3);
        assert_eq!(End::Signalled(15).code(), 143);
        assert_eq!(End::Limit(LimitKind::Timeout).code(), 124);
        for kind in LimitKind::ALL.into_iter().filter(|kind| *kind != LimitKind::Timeout) {
            assert_eq!(End::Limit(kind).code(), 137);
        }
        assert_eq!(End::Reaction.code(), 137);
        assert_eq!(End::Failed.code(), 125);
        assert_eq!(End::Refused.code(), 126);
        assert_eq!(End::NotFound.code(), 127);
    }
}
