//! What resolver, proxy and packet log share. One thread, so no locks.

use std::cell::RefCell;

use policies::plan::egress::Egress;

use super::names::Names;
use super::owner::Owners;
use super::refusals::Refusals;
use super::traffic::Traffic;
use super::upstream::Upstream;

/// Shared by everything that runs in the egress thread.
#[derive(Debug)]
pub struct Context {
    /// What is allowed.
    pub egress: Egress,
    /// Which name has which synthetic address.
    pub names: RefCell<Names>,
    /// The way to the record.
    pub refusals: Refusals,
    /// Counters by domain.
    pub traffic: Traffic,
    /// The host's resolver.
    pub upstream: Upstream,
    /// Whose connections are.
    pub owners: Owners,
    /// Counters of the resolver.
    pub queries: super::resolver::Queries,
    /// Counters and caps of the proxy.
    pub usage: super::proxy::Usage,
}
