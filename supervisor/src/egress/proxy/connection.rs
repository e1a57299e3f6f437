//! One connection, from accept to its end.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use policies::domain::{DomainName, DomainRule};
use policies::plan::egress::{NetworkLimits, Verdict};
use tokio::net::TcpStream;

use super::dial::{self, NoServer};
use super::http::{self, Requests};
use super::refuse::{Limit, Reason};
use super::relay::{self, End, Meter};
use super::sniff::{self, Opening};
use super::{Entered, Usage};
use crate::egress::context::Context;
use crate::egress::traffic::Flow;

/// Bytes in a unit of `traffic_mb`.
const MIB: u64 = 1 << 20;

/// What is known about a connection that a rule allows.
struct Connection<'a> {
    context: &'a Context,
    client: &'a TcpStream,
    name: DomainName,
    port: u16,
    rule: &'a DomainRule,
    flow: Arc<Flow>,
}

/// Serves one connection of the extension to `port`.
pub(super) async fn handle(client: TcpStream, port: u16, context: &Context) {
    let Some(connection) = admit(&client, port, context) else { return cut(&client) };
    count(&connection.flow.requests);
    let Some(entered) = connection.enter() else { return cut(&client) };
    let served = connection.serve().await;
    if served.is_none() {
        cut(&client);
    }
    drop(entered);
}

/// The name that the connection is meant for, and the rule that allows it.
fn admit<'a>(client: &'a TcpStream, port: u16, context: &'a Context) -> Option<Connection<'a>> {
    let address = client.local_addr().ok()?.ip().to_canonical();
    let Some(name) = context.names.borrow().name_of(address).cloned() else {
        let uid = owner(client, context);
        context.refusals.add(Reason::no_rule().refusal("", Some(address), port, uid), 1);
        return None;
    };
    let reason = match context.egress.judge(&name, port) {
        Verdict::Allowed(_, rule) => {
            let flow = context.traffic.flow(&name, port);
            return Some(Connection { context, client, name, port, rule, flow });
        }
        Verdict::NoPort(rule) => Reason::port(rule),
        Verdict::NoName => Reason::no_rule(),
    };
    let uid = owner(client, context);
    context.refusals.add(reason.refusal(name.as_str(), None, port, uid), 1);
    None
}

/// Whose the connection is: its client end, as the kernel knows it now.
fn owner(client: &TcpStream, context: &Context) -> Option<u32> {
    context.owners.uid(client.peer_addr().ok()?, client.local_addr().ok()?)
}

impl Connection<'_> {
    /// Takes a place under the caps of the tier.
    fn enter(&self) -> Option<Entered<'_>> {
        let usage = &self.context.usage;
        match over(usage, &self.context.egress.limits) {
            Some(limit) => self.refuse(limit.reason(), None),
            None => Some(usage.enter()),
        }
    }

    /// The steps of an allowed connection; none where it must be cut.
    async fn serve(&self) -> Option<()> {
        let client = self.client;
        let opening = sniff::opening(client, self.rule.tls, &self.name, self.port).await;
        let (first, requests) = self.check(opening)?;
        let server = self.dial().await?;
        // Small writes are passed on as they come; a failure costs latency only.
        client.set_nodelay(true).unwrap_or_default();
        server.set_nodelay(true).unwrap_or_default();
        count(&self.flow.connections);
        let end = relay::relay(client, &server, first, requests, &self.meter()).await;
        let done = self.ended(end);
        if done.is_none() {
            cut(&server);
        }
        done
    }

    /// Whether the connection says that it is for the name; what it has sent so far.
    fn check(&self, opening: Opening) -> Option<(Vec<u8>, Option<Requests>)> {
        let reason = match opening {
            Opening::Opaque => return Some((Vec::new(), None)),
            Opening::Tls { name: Some(name), .. } if !self.is_named(&name) => {
                Reason::server_name(self.rule, &name)
            }
            Opening::Tls { name: Some(_), read } => return Some((read, None)),
            Opening::Tls { name: None, .. } => Reason::no_server_name(self.rule),
            Opening::Http { checked, requests } => return Some((checked, Some(requests))),
            Opening::HttpRefused(refused) => self.http(refused),
            Opening::Unknown(detail) => Reason::protocol(self.rule, detail),
            Opening::Gone => return None,
        };
        self.refuse(reason, None)
    }

    fn is_named(&self, text: &str) -> bool {
        DomainName::from_ascii(text).is_ok_and(|name| name == self.name)
    }

    fn http(&self, refused: http::Refused) -> Reason {
        match refused {
            http::Refused::Host(host) => Reason::host(self.rule, &host),
            http::Refused::Protocol(detail) => Reason::protocol(self.rule, detail),
        }
    }

    /// A connection to an address of the name that may be reached.
    async fn dial(&self) -> Option<TcpStream> {
        let Ok(addresses) = self.context.upstream.lookup(&self.name).await else {
            count(&self.flow.failed);
            return None;
        };
        let checked = dial::check(&addresses, self.rule.addresses);
        for (address, class) in &checked.refused {
            self.record(Reason::address(class), Some(*address));
        }
        match dial::connect(&checked, self.port).await {
            Ok(server) => return Some(server),
            Err(NoServer::Refused) => count(&self.flow.refused),
            Err(NoServer::Failed) => {
                count(&self.flow.failed);
                self.context.upstream.forget(&self.name);
            }
        }
        None
    }

    fn meter(&self) -> Meter<'_> {
        let limits = &self.context.egress.limits;
        Meter {
            flow: &self.flow,
            usage: &self.context.usage,
            most: limits.traffic_mb.saturating_mul(MIB),
            idle: Duration::from_millis(limits.idle_ms),
            buffers: &self.context.usage.buffers,
        }
    }

    /// Accounts for the end of a relay; none where both sides are to be reset.
    fn ended(&self, end: End) -> Option<()> {
        match end {
            End::Done => Some(()),
            End::Client | End::Idle => None,
            End::Server => {
                count(&self.flow.failed);
                None
            }
            End::Traffic => self.refuse(Limit::Traffic.reason(), None),
            End::Refused(refused) => self.refuse(self.http(refused), None),
        }
    }

    fn record(&self, reason: Reason, address: Option<IpAddr>) {
        let uid = owner(self.client, self.context);
        self.context.refusals.add(reason.refusal(self.name.as_str(), address, self.port, uid), 1);
    }

    fn refuse<T>(&self, reason: Reason, address: Option<IpAddr>) -> Option<T> {
        count(&self.flow.refused);
        self.record(reason, address);
        None
    }
}

/// The cap that one more connection would be over.
fn over(usage: &Usage, limits: &NetworkLimits) -> Option<Limit> {
    if usage.open() >= u64::from(limits.connections) {
        return Some(Limit::Open);
    }
    if usage.total() >= limits.connections_total {
        return Some(Limit::Total);
    }
    (usage.bytes() >= limits.traffic_mb.saturating_mul(MIB)).then_some(Limit::Traffic)
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// Makes the peer see a reset, and not a proper end, when the socket is dropped. One that fails is gone already.
fn cut(stream: &TcpStream) {
    stream.set_zero_linger().unwrap_or_default();
}

#[cfg(test)]
mod tests;
