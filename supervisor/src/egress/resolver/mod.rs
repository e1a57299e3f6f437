//! The name server of a sandbox: 127.0.0.1:53 in its network namespace, UDP and TCP.
//!
//! It asks nobody. An allowed name gets its synthetic addresses from [`Names`](super::names::Names), every other name
//! does not exist, so no lookup carries anything out of the sandbox.

mod answer;
mod queries;
mod recent;
mod serve;
mod wire;

#[cfg(test)]
mod tests;

pub use answer::{Answer, Asked, Outcome, answer};
pub use queries::{DnsReport, Queries};
pub use serve::{serve_tcp, serve_udp};
pub use wire::{MAX_QUERY, Malformed, Transport};
