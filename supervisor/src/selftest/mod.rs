//! Proof of the recorder: known-bad actions, one by one, inside real sandboxes, and whether each was refused and recorded.
//!
//! Each sandbox is a run of this very binary, `sandboxctl run` with a bundle made for it, so that nothing is tested but
//! the launch that every extension gets. State, and with it the audit log, is a folder of its own: a selftest leaves no
//! record of attacks that were none.

pub mod catalogue;
pub mod flood;
pub mod judge;
pub mod outcome;
pub mod probe;
mod sandbox;
mod workshop;

use std::path::PathBuf;

use policies::tier::{Tier, TierPolicy};

use crate::state::StateError;
use catalogue::Sandbox;
use flood::Flood;
use outcome::Selftest;
use sandbox::Started;
use workshop::Workshop;

/// A selftest that could not be carried out; it says nothing about the recorder.
#[derive(Debug, thiserror::Error)]
pub enum SelftestError {
    /// A folder or file of the selftest's own.
    #[error(transparent)]
    State(#[from] StateError),
    /// The operator's configuration cannot be taken over.
    #[error("failed to take over {}: {reason}", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A socket that a sandbox is to inherit.
    #[error("failed to make a socket to be inherited: {source}")]
    Socket {
        /// The errno.
        source: std::io::Error,
    },
    /// `sandboxctl run` could not be started or waited for.
    #[error("failed to {action} the sandbox {sandbox}: {source}")]
    Process {
        /// `start`, `wait for`.
        action: &'static str,
        /// Which.
        sandbox: &'static str,
        /// The errno.
        source: std::io::Error,
    },
    /// A run left no report.
    #[error("failed to run the sandbox {sandbox}: {reason}")]
    Run {
        /// Which.
        sandbox: &'static str,
        /// What it said.
        reason: String,
    },
}

/// What to do.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The tier whose sandbox is tested.
    pub tier: Tier,
    /// Whether the floods are done, too.
    pub flood: bool,
}

/// Runs every sandbox and judges.
///
/// # Errors
/// [`SelftestError`]. An action that was not refused or not recorded is no error but a result.
pub fn run(
    dirs: &crate::state::Dirs,
    policy: &TierPolicy,
    options: Options,
) -> Result<Selftest, SelftestError> {
    let workshop = Workshop::new(dirs)?;
    // It takes seconds, which the others use.
    let slow = Started::actions(&workshop, policy, Sandbox::Cpu)?;
    let mut selftest = Selftest::new(options.tier);
    for sandbox in Sandbox::ALL.into_iter().filter(|sandbox| *sandbox != Sandbox::Cpu) {
        let ran = Started::actions(&workshop, policy, sandbox)?.wait()?;
        selftest.add(judge::judge(sandbox, &ran));
    }
    selftest.add(judge::judge(Sandbox::Cpu, &slow.wait()?));
    if options.flood {
        for flood in Flood::ALL {
            let ran = Started::flood(&workshop, policy, flood)?.wait()?;
            selftest.floods.push(flood.judge(&ran));
        }
    }
    Ok(selftest.conclude())
}
