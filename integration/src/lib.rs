//! What the root tests share: a place to run in, bundles to run, hostile probes, and a picture of the host.
//!
//! The tests need root and a real kernel; nothing under test is replaced. None asserts a time. A test that could disturb
//! others takes the machine for itself ([`site::Site::alone`]).
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a panic is how a test fails")]
#![expect(clippy::missing_panics_doc, reason = "for the same reason, everything may panic")]
#![expect(clippy::must_use_candidate, reason = "assertions are called for their panic alone")]

pub mod bundle;
pub mod host;
pub mod internet;
pub mod publisher;
pub mod requirements;
pub mod site;

pub use bundle::Bundle;
pub use host::Snapshot;
pub use internet::Internet;
pub use publisher::Publisher;
pub use requirements::Need;
pub use site::{Outcome, Site};
