//! Egress of one run: set up before the extension starts, served by a thread of its own, accounted for at the end.
//!
//! The thread is started after the fork, and only where a plan has egress. Everything in it runs in one task set
//! without locks; what it refuses and counts goes to the supervisor's own thread through [`Refusals`] and [`Traffic`].

use std::cell::RefCell;
use std::io;
use std::os::fd::BorrowedFd;
use std::rc::Rc;
use std::thread::JoinHandle;
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use policies::plan::Plan;
use policies::plan::egress::Egress;
use policies::violation::{Action, Code, Process};
use tokio::sync::oneshot;
use tokio::task::{LocalSet, spawn_local};

use super::context::Context;
use super::error::EgressError;
use super::names::Names;
use super::netns::{self, Counters, Sockets};
use super::nflog::{self, Recorded};
use super::ranges::Ranges;
use super::refusals::{Refusal, Refusals};
use super::resolver::{self, DnsReport};
use super::ruleset;
use super::traffic::{DomainTraffic, Traffic};
use super::{proxy, upstream};
use crate::record::clock::Now;
use crate::record::ledger::{Attempt, Ledger};
use crate::record::object::{OTHERS, ObjectRef};
use crate::spawn::Shim;

/// How long what the extension sent before it ended may still take to leave.
const DRAIN: Duration = Duration::from_millis(500);
/// How often it is looked whether it has.
const DRAIN_STEP: Duration = Duration::from_millis(2);

/// Egress of one run; nothing where its plan has none.
#[derive(Debug)]
pub struct Session {
    running: Option<Running>,
    traffic: Traffic,
}

#[derive(Debug)]
struct Running {
    refusals: Refusals,
    thread: JoinHandle<Result<Served, EgressError>>,
    stop: oneshot::Sender<Left>,
}

/// What happens to connections that are open when the sandbox is dead.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Left {
    /// What was sent may still leave, for a moment: the extension ended by itself.
    Delivered,
    /// They are cut: the run was ended.
    #[default]
    Cut,
}

/// What the thread leaves.
#[derive(Debug)]
struct Served {
    dns: DnsReport,
    /// Packets that the rules rejected, as the kernel counted them.
    refused: u64,
    recorded: Recorded,
}

/// What a run did over the network.
#[derive(Debug, Default)]
pub struct Account {
    /// By domain and port.
    pub domains: Vec<DomainTraffic>,
    /// Lookups; none where there was no resolver.
    pub dns: Option<DnsReport>,
    /// Packets that the rules rejected, exactly.
    pub refused_packets: u64,
    /// Those among them that have a record of their own; the others are in one folded record.
    pub recorded_packets: u64,
}

impl Session {
    /// Sets the namespace of a started shim up and starts to serve it.
    ///
    /// # Errors
    /// [`EgressError`]; the shim must not be released then.
    pub fn begin(plan: &Plan, shim: &Shim, ranges: Ranges) -> Result<Self, EgressError> {
        let traffic = Traffic::default();
        let Some(egress) = &plan.egress else {
            return Ok(Self { running: None, traffic });
        };
        let rules = ruleset::compile(egress, &ranges);
        let sockets = netns::prepare(shim.pidfd(), &rules, &egress.ports())?;
        raise_descriptor_limit();
        let refusals = Refusals::new().map_err(EgressError::thread)?;
        let (stop, stopped) = oneshot::channel();
        let part = Part {
            egress: egress.clone(),
            ranges,
            refusals: refusals.clone(),
            traffic: traffic.clone(),
        };
        let thread = std::thread::Builder::new()
            .name("egress".to_owned())
            .spawn(move || part.serve(sockets, stopped))
            .map_err(EgressError::thread)?;
        Ok(Self { running: Some(Running { refusals, thread, stop }), traffic })
    }

    /// Bytes and connections so far.
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        self.traffic.clone()
    }

    /// Readable when something was refused.
    #[must_use]
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.running.as_ref().map(|running| running.refusals.fd())
    }

    /// Records what was refused.
    pub fn on_ready(&self, now: Now, ledger: &mut Ledger) {
        if let Some(running) = &self.running {
            record(&running.refusals, now, ledger);
        }
    }

    /// The sandbox is dead: lets what it sent leave, records the rest, and accounts.
    ///
    /// # Errors
    /// [`EgressError`] of the thread: counters could not be read.
    pub fn finish(self, left: Left, ledger: &mut Ledger) -> Result<Account, EgressError> {
        let Some(Running { refusals, thread, stop }) = self.running else {
            return Ok(Account::default());
        };
        // A thread that has ended already says why below.
        stop.send(left).unwrap_or_default();
        let served = thread.join().map_err(|_| {
            EgressError::thread(io::Error::other("the egress thread did not end properly"))
        })??;
        let now = Now::read();
        record(&refusals, now, ledger);
        let folded = served.refused.saturating_sub(served.recorded.events);
        if folded > 0 {
            let code = Code::AddressRefused;
            let object = ObjectRef::Endpoint {
                host: "",
                address: OTHERS,
                port: 0,
                protocol: OTHERS,
                detail: "",
            };
            ledger.record(&attempt(now, code, nflog::RULE, object, folded), Process::default);
        }
        Ok(Account {
            domains: self.traffic.by_domain(),
            dns: Some(served.dns),
            refused_packets: served.refused,
            recorded_packets: served.refused - folded,
        })
    }
}

/// Two descriptors a connection: a soft limit of 1024 is too few for the connections of a tier. The sandbox was forked
/// before and has limits of its own. Where it cannot be raised, connections beyond it wait to be accepted.
fn raise_descriptor_limit() {
    if let Ok((_, most)) = getrlimit(Resource::RLIMIT_NOFILE) {
        setrlimit(Resource::RLIMIT_NOFILE, most, most).unwrap_or_default();
    }
}

/// What the thread gets.
struct Part {
    egress: Egress,
    ranges: Ranges,
    refusals: Refusals,
    traffic: Traffic,
}

impl Part {
    fn serve(
        self,
        sockets: Sockets,
        stopped: oneshot::Receiver<Left>,
    ) -> Result<Served, EgressError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(EgressError::thread)?;
        let Sockets { dns_udp, dns_tcp, proxies, log, counters, owners } = sockets;
        let context = Rc::new(Context {
            names: RefCell::new(Names::new(&self.egress, self.ranges)),
            egress: self.egress,
            refusals: self.refusals,
            traffic: self.traffic,
            upstream: upstream::Upstream::default(),
            owners,
            queries: resolver::Queries::default(),
            usage: proxy::Usage::default(),
        });
        let log = Rc::new(log);
        let tasks = LocalSet::new();
        tasks.block_on(&runtime, async {
            spawn_local(said(resolver::serve_udp(dns_udp, Rc::clone(&context))));
            spawn_local(said(resolver::serve_tcp(dns_tcp, Rc::clone(&context))));
            for (port, listener) in proxies {
                spawn_local(said(proxy::serve(listener, port, Rc::clone(&context))));
            }
            spawn_local(said(nflog::serve(Rc::clone(&log), Rc::clone(&context))));
            // An error means that the launch failed.
            if stopped.await.unwrap_or_default() == Left::Delivered {
                drain(&context).await;
            }
        });
        // Nobody reads the log any more but this.
        drop(tasks);
        let recorded = nflog::finish(&log, &context)?;
        account(&context, &counters, recorded)
    }
}

/// A part that ends by an error leaves the sandbox without it, which is less than it was given, and is said.
async fn said(part: impl Future<Output = io::Result<()>>) {
    if let Err(error) = part.await {
        tracing::error!(%error, "a part of the sandbox's network has stopped");
    }
}

/// Waits until every connection has passed on what it got, up to a bound.
async fn drain(context: &Context) {
    let mut left = DRAIN;
    while context.usage.open() > 0 && !left.is_zero() {
        tokio::time::sleep(DRAIN_STEP).await;
        left = left.saturating_sub(DRAIN_STEP);
    }
}

fn account(
    context: &Context,
    counters: &Counters,
    recorded: Recorded,
) -> Result<Served, EgressError> {
    let totals = counters.read()?;
    Ok(Served { dns: context.queries.report(), refused: totals.refused, recorded })
}

fn record(refusals: &Refusals, now: Now, ledger: &mut Ledger) {
    let mut waiting = refusals.take();
    // In one order, so that equal runs have equal reports.
    waiting.sort_by(|(a, _), (b, _)| (a.code, &a.object).cmp(&(b.code, &b.object)));
    for (Refusal { code, rule, object, uid }, count) in waiting {
        let attempt = attempt(now, code, &rule, ObjectRef::of(&object), count);
        ledger.record(&attempt, || Process { uid, ..Process::default() });
    }
}

fn attempt<'a>(
    at: Now,
    code: Code,
    rule: &'a str,
    object: ObjectRef<'a>,
    count: u64,
) -> Attempt<'a> {
    let severity = code.severity();
    Attempt { at, code, severity, action: Action::Denied, rule, object, args: &[], by: None, count }
}
