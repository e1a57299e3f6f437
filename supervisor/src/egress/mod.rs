//! Egress by domain: the extension's network namespace has no way out but the supervisor.
//!
//! Inside it are `lo`, routes that make every address local, and nftables rules that let connections to synthetic
//! addresses through to the proxy's listeners and reject and log everything else. The resolver hands synthetic addresses
//! out for allowed names; so the proxy knows, from the address that a connection was meant for, which domain it is.

pub mod context;
pub mod error;
pub mod names;
#[cfg(not(fuzzing))]
pub mod netns;
pub mod nflog;
pub mod owner;
pub mod proxy;
pub mod ranges;
pub mod refusals;
pub mod resolver;
#[cfg(not(fuzzing))]
pub mod ruleset;
#[cfg(not(fuzzing))]
pub mod service;
pub mod traffic;
pub mod upstream;
