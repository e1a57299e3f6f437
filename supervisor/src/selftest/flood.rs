//! Floods: whether the recorder's totals are what the program counted itself, and what it says of the rest.

use policies::violation::{Code, Layer, Object};
use serde::{Deserialize, Serialize};

use super::outcome::{FloodRow, Verdict};
use super::sandbox::Ran;
use crate::monitor::coverage::Coverage;
use crate::report::{RecordingOf, RecordingStatus};

/// What a sandbox is flooded with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flood {
    /// Refused system calls, for a second.
    Syscalls,
    /// Refused paths.
    Paths,
    /// Refused packets.
    Packets,
    /// Refused names.
    Names,
}

/// What the program counted.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Attempts {
    /// Attempts that were refused.
    pub attempts: u64,
}

impl Flood {
    /// All.
    pub const ALL: [Self; 4] = [Self::Syscalls, Self::Paths, Self::Packets, Self::Names];

    /// The word on the command line of the probe and in results.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Syscalls => "flood-syscalls",
            Self::Paths => "flood-paths",
            Self::Packets => "flood-packets",
            Self::Names => "flood-names",
        }
    }

    /// The inverse of [`Self::name`].
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|flood| flood.name() == name)
    }

    /// Whether its sandbox has a network.
    #[must_use]
    pub const fn has_network(self) -> bool {
        matches!(self, Self::Packets | Self::Names)
    }

    /// How many attempts; of system calls as many as a second has.
    #[must_use]
    pub const fn most(self) -> u64 {
        match self {
            Self::Syscalls => 0,
            Self::Paths => 100_000,
            Self::Packets => 20_000,
            Self::Names => 3_000,
        }
    }

    const fn layer(self) -> Layer {
        self.code().layer()
    }

    const fn code(self) -> Code {
        match self {
            Self::Syscalls => Code::NamespaceAttempt,
            Self::Paths => Code::TripwireTouched,
            Self::Packets => Code::AddressRefused,
            Self::Names => Code::NameRefused,
        }
    }

    /// Compares.
    #[must_use]
    pub fn judge(self, ran: &Ran) -> FloodRow {
        let line = ran.lines.lines().find_map(|line| serde_json::from_str::<Attempts>(line).ok());
        let attempts = line.map_or(0, |line| line.attempts);
        let ours = |object: &Object| match object {
            Object::Syscall { name, .. } => name == "unshare",
            Object::Path { path, .. } => path == "/etc/shadow",
            Object::Name { .. } | Object::Endpoint { .. } => true,
            _ => false,
        };
        let violations = ran.report.violations.iter();
        let of = violations.filter(|one| one.code == self.code() && ours(&one.object));
        let recorded = of.map(|one| one.count).sum::<u64>();
        let recording = self.recording(ran);
        let verdict = verdict(attempts, recorded, recording);
        FloodRow {
            name: self.name(),
            layer: self.layer(),
            attempts,
            recorded,
            lost: recording.lost,
            reason: recording.reason.clone(),
            verdict,
        }
    }

    const fn recording(self, ran: &Ran) -> &RecordingOf {
        let recording = &ran.report.recording;
        match self {
            Self::Syscalls => &recording.seccomp,
            Self::Paths => &recording.landlock,
            Self::Packets | Self::Names => &recording.egress,
        }
    }
}

/// Every attempt is recorded or counted as lost, with the reason.
fn verdict(attempts: u64, recorded: u64, recording: &RecordingOf) -> Verdict {
    let off = recording.reason.as_deref() == Some(Coverage::TurnedOff.reason().as_str());
    let explained = recording.lost == 0 || recording.reason.is_some();
    match recording.status {
        RecordingStatus::Unavailable if !off => Verdict::Incomplete,
        RecordingStatus::Unavailable => Verdict::Failed,
        _ if attempts > 0 && explained && recorded + recording.lost == attempts => Verdict::Passed,
        _ => Verdict::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_total_that_differs_fails() {
        let recording = |lost, reason: Option<&str>| RecordingOf {
            lost,
            reason: reason.map(str::to_owned),
            ..RecordingOf::complete(0)
        };
        assert_eq!(verdict(10, 10, &recording(0, None)), Verdict::Passed);
        assert_eq!(verdict(10, 9, &recording(0, None)), Verdict::Failed);
        assert_eq!(verdict(10, 11, &recording(0, None)), Verdict::Failed);
        assert_eq!(verdict(10, 8, &recording(2, Some("a burst"))), Verdict::Passed);
        assert_eq!(verdict(10, 8, &recording(2, None)), Verdict::Failed);
        assert_eq!(verdict(0, 0, &recording(0, None)), Verdict::Failed);
        let old = Coverage::KernelTooOld { abi: 3 }.reason();
        assert_eq!(verdict(10, 0, &RecordingOf::unavailable(old)), Verdict::Incomplete);
        let off = Coverage::TurnedOff.reason();
        assert_eq!(verdict(10, 0, &RecordingOf::unavailable(off)), Verdict::Failed);
    }
}
