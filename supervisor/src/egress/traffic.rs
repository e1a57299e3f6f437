//! What went through, by domain and port. Written by the egress thread, read by the sampler and the report.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use policies::domain::DomainName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The counters of one domain and port.
#[derive(Debug, Default)]
pub struct Flow {
    /// Connections that a rule names, whatever became of them.
    pub requests: AtomicU64,
    /// Connections to the real server.
    pub connections: AtomicU64,
    /// Connections that a check refused.
    pub refused: AtomicU64,
    /// Connections that were allowed and failed: no such name, no answer, reset.
    pub failed: AtomicU64,
    /// Payload bytes from the server.
    pub bytes_in: AtomicU64,
    /// Payload bytes to the server.
    pub bytes_out: AtomicU64,
}

/// One domain and port in a report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DomainTraffic {
    /// The name, as it was looked up.
    pub domain: String,
    /// TCP port.
    pub port: u16,
    /// Connections to the real server.
    pub connections: u64,
    /// Connections that a check refused.
    pub refused: u64,
    /// Connections that were allowed and failed.
    pub failed: u64,
    /// Payload bytes from the server.
    pub bytes_in: u64,
    /// Payload bytes to the server.
    pub bytes_out: u64,
}

type Flows = BTreeMap<(DomainName, u16), Arc<Flow>>;

/// All counters of a run; cheap to clone. Bounded by the names that a sandbox may look up and the ports it may use.
#[derive(Clone, Debug, Default)]
pub struct Traffic {
    flows: Arc<Mutex<Flows>>,
}

impl Traffic {
    /// The counters of a domain and port.
    #[must_use]
    pub fn flow(&self, name: &DomainName, port: u16) -> Arc<Flow> {
        let mut flows = self.flows.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(flows.entry((name.clone(), port)).or_default())
    }

    /// Bytes from and to all servers so far.
    #[must_use]
    pub fn bytes(&self) -> (u64, u64) {
        let flows = self.flows.lock().unwrap_or_else(PoisonError::into_inner);
        flows.values().fold((0, 0), |(received, sent), flow| {
            (
                flow.bytes_in.load(Ordering::Relaxed).saturating_add(received),
                flow.bytes_out.load(Ordering::Relaxed).saturating_add(sent),
            )
        })
    }

    /// Connections to all servers so far, and those among them that were refused or failed; each connection is at most one
    /// of these.
    #[must_use]
    pub fn requests(&self) -> (u64, u64) {
        let flows = self.flows.lock().unwrap_or_else(PoisonError::into_inner);
        flows.values().fold((0, 0), |(requests, errors), flow| {
            let refused = flow.refused.load(Ordering::Relaxed);
            let failed = flow.failed.load(Ordering::Relaxed);
            (
                flow.requests.load(Ordering::Relaxed).saturating_add(requests),
                refused.saturating_add(failed).saturating_add(errors),
            )
        })
    }

    /// For the report, in the order of names.
    #[must_use]
    pub fn by_domain(&self) -> Vec<DomainTraffic> {
        let flows = self.flows.lock().unwrap_or_else(PoisonError::into_inner);
        flows
            .iter()
            .map(|((name, port), flow)| DomainTraffic {
                domain: name.as_str().to_owned(),
                port: *port,
                connections: flow.connections.load(Ordering::Relaxed),
                refused: flow.refused.load(Ordering::Relaxed),
                failed: flow.failed.load(Ordering::Relaxed),
                bytes_in: flow.bytes_in.load(Ordering::Relaxed),
                bytes_out: flow.bytes_out.load(Ordering::Relaxed),
            })
            .collect()
    }
}
