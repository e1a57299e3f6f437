//! Counters of the resolver, and what it hands to the record.

use std::cell::{Cell, RefCell};

use policies::violation::{Code, Object};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::answer::Outcome;
use super::recent::Recent;
use super::wire::Transport;
use crate::egress::names::NameRefusal;
use crate::egress::refusals::Refusal;

/// Name lookups in a report. Every query is in one of the five counters after the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DnsReport {
    /// Packets and messages that came.
    pub queries: u64,
    /// Answered with an address, or with the name of one.
    pub answered: u64,
    /// Of an allowed name, for records that it does not have.
    pub empty: u64,
    /// For the name of an address that no name was given.
    pub nameless: u64,
    /// Of names that do not exist here. One lookup may take several queries; violations count lookups.
    pub refused: u64,
    /// Not queries.
    pub malformed: u64,
    /// Distinct names that were refused; exact up to 1024.
    pub names_refused: u64,
    /// TCP connections to the resolver that were closed at once because too many were open.
    pub connections_refused: u64,
}

/// Counters of the resolver.
#[derive(Debug, Default)]
pub struct Queries {
    report: Cell<DnsReport>,
    recent: RefCell<Recent>,
}

/// The address that the resolver listens at.
const ADDRESS: &str = "127.0.0.1";
/// Its port.
const PORT: u16 = 53;

impl Queries {
    /// What was counted so far.
    #[must_use]
    pub const fn report(&self) -> DnsReport {
        self.report.get()
    }

    /// Counts a query; returns what the record is to show.
    pub(super) fn count(&self, outcome: Outcome, transport: Transport) -> Option<Refusal> {
        let mut report = self.report.get();
        report.queries += 1;
        let mut refusal = None;
        match outcome {
            Outcome::Answered => report.answered += 1,
            Outcome::Empty => report.empty += 1,
            Outcome::Nameless => report.nameless += 1,
            Outcome::Refused { name, asked, why } => {
                report.refused += 1;
                let added = self.recent.borrow_mut().add(&name, asked);
                report.names_refused += u64::from(added.name);
                refusal = added.lookup.then(|| refused_name(name, &why));
            }
            Outcome::Malformed(reason) => {
                report.malformed += 1;
                let object = endpoint(transport, reason.text());
                refusal = Some(refused(Code::QueryMalformed, "egress: resolver", object));
            }
        }
        self.report.set(report);
        refusal
    }

    /// Counts a connection that was closed at once.
    pub(super) fn count_connection(&self) -> Refusal {
        let mut report = self.report.get();
        report.connections_refused += 1;
        self.report.set(report);
        let object = endpoint(Transport::Tcp, "connections to the resolver");
        refused(Code::ConnectionLimit, "egress: resolver", object)
    }
}

fn refused_name(name: String, why: &NameRefusal) -> Refusal {
    let (code, rule) = match why {
        NameRefusal::NotAllowed => (Code::NameRefused, "egress: no rule"),
        NameRefusal::TooMany(_) => (Code::NameLimit, "tier: network.names_per_wildcard"),
        NameRefusal::Exhausted => (Code::NameLimit, "egress: synthetic addresses"),
    };
    refused(code, rule, Object::Name { name })
}

fn refused(code: Code, rule: &str, object: Object) -> Refusal {
    Refusal { code, rule: rule.to_owned(), object, uid: None }
}

fn endpoint(transport: Transport, detail: &str) -> Object {
    Object::Endpoint {
        host: String::new(),
        address: ADDRESS.to_owned(),
        port: PORT,
        protocol: transport.text().to_owned(),
        detail: detail.to_owned(),
    }
}
