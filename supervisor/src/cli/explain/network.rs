//! The network part of `sandboxctl explain`, and `--why`.

use std::net::IpAddr;
use std::process::ExitCode;

use policies::domain::{AddressPolicy, DomainName, TlsMode};
use policies::plan::Plan;
use policies::plan::egress::{Egress, Verdict};
use policies::violation::Code;
use serde::Serialize;

use super::super::Failure;
use super::super::output::{json, text_out};
use crate::admit::Decided;
use crate::egress::netns::RESOLVER_PORT;
use crate::egress::ranges::Ranges;
use crate::egress::ruleset;
use crate::exit;

/// The port of a destination that names none.
const DEFAULT_PORT: u16 = 443;

/// Rules, bounds and packet filter.
pub(super) fn lines(plan: &Plan, ranges: &Ranges) -> Vec<String> {
    let Some(egress) = &plan.egress else {
        return vec!["none: the network namespace is empty".to_owned()];
    };
    let mut lines: Vec<String> = egress
        .rules
        .iter()
        .map(|rule| {
            let tls = match rule.tls {
                TlsMode::Checked => "TLS with that server name, or HTTP with that host",
                TlsMode::Opaque => "any protocol over TCP",
            };
            let addresses = match rule.addresses {
                AddressPolicy::Public => "public addresses",
                AddressPolicy::Private => "public and private addresses",
            };
            format!("{rule}  {tls}; {addresses}")
        })
        .collect();
    let limits = &egress.limits;
    lines.push(format!(
        "at most {} connections at once, {} in all, {} MB, {} names for each wildcard, {} ms idle",
        limits.connections,
        limits.connections_total,
        limits.traffic_mb,
        limits.names_per_wildcard,
        limits.idle_ms
    ));
    let (v4, v6) = (ranges.synthetic_v4, ranges.synthetic_v6);
    lines.push(format!("name server 127.0.0.1; synthetic addresses from {v4} and {v6}"));
    lines.push("everything else: refused at once and recorded".to_owned());
    lines
}

/// The packet filter as nft prints it.
pub(super) fn filter(plan: &Plan, ranges: &Ranges) -> Option<String> {
    plan.egress.as_ref().map(|egress| ruleset::compile(egress, ranges).text())
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Why {
    host: String,
    port: u16,
    allowed: bool,
    /// The rule that decides, or why none does.
    reason: String,
    /// What an attempt is recorded as; absent where it is allowed.
    #[serde(skip_serializing_if = "Option::is_none")]
    recorded_as: Option<Code>,
    /// What to do about it; absent where it is allowed.
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
}

/// Which rule allows or denies a destination.
pub(super) fn why(
    decided: &Decided,
    destination: &str,
    as_json: bool,
) -> Result<ExitCode, Failure> {
    let answer = judge(decided, destination)?;
    if as_json {
        json(&answer)?;
    } else {
        let verdict = if answer.allowed { "allowed" } else { "denied" };
        let mut text = format!("{}:{}: {verdict}: {}\n", answer.host, answer.port, answer.reason);
        if let Some(code) = answer.recorded_as {
            text = format!("{text}  an attempt is recorded as {}\n", code.text());
        }
        if let Some(remedy) = &answer.remedy {
            text = format!("{text}  hint: {remedy}\n");
        }
        text_out(&text)?;
    }
    Ok(if answer.allowed { ExitCode::SUCCESS } else { ExitCode::from(exit::REFUSED) })
}

fn judge(decided: &Decided, destination: &str) -> Result<Why, Failure> {
    let (host, port) = split(destination)?;
    let denied = |host: String, reason: String, code, remedy: &str| Why {
        host,
        port,
        allowed: false,
        reason,
        recorded_as: Some(code),
        remedy: Some(remedy.to_owned()),
    };
    let Some(egress) = &decided.plan.egress else {
        let reason = "this extension has no network".to_owned();
        let remedy = "a granted permission for the network and [network] allow give one";
        return Ok(denied(host.to_owned(), reason, Code::NetworkDenied, remedy));
    };
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    if bare.parse::<IpAddr>().is_ok() {
        let reason = "rules are by domain, and none can name an address".to_owned();
        let remedy = "reach it by a name that the manifest allows";
        return Ok(denied(host.to_owned(), reason, Code::AddressRefused, remedy));
    }
    let name = DomainName::parse(host).map_err(|error| {
        let hint = "a destination is HOST or HOST:PORT, without a scheme and a path";
        Failure::new(format!("failed to read \"{host}\": the name {error}"))
            .hint(hint.to_owned())
            .code(exit::FAILED)
    })?;
    let mut answer = of_name(egress, &name, port);
    if answer.allowed && !decided.decision.verdict.permits() {
        answer = Why {
            allowed: false,
            reason: format!("{}, but the extension may not run at all", answer.reason),
            remedy: Some("sandboxctl check says why".to_owned()),
            ..answer
        };
    }
    Ok(answer)
}

fn of_name(egress: &Egress, name: &DomainName, port: u16) -> Why {
    let host = name.to_string();
    let (reason, code, remedy) = match egress.judge(name, port) {
        Verdict::Allowed(_, rule) => {
            let reason = format!("[network] allow: {rule}");
            return Why { host, port, allowed: true, reason, recorded_as: None, remedy: None };
        }
        Verdict::NoPort(rule) => (
            format!("[network] allow: {rule} names the host and not the port"),
            Code::PortRefused,
            remedy(&host, port),
        ),
        Verdict::NoName => (
            "no rule names the host; its lookup gets no answer".to_owned(),
            Code::NameRefused,
            remedy(&host, port),
        ),
    };
    Why { host, port, allowed: false, reason, recorded_as: Some(code), remedy: Some(remedy) }
}

/// A rule that the manifest takes, or why there is none.
fn remedy(host: &str, port: u16) -> String {
    if port == RESOLVER_PORT {
        return format!(
            "no rule can have port {port}: the sandbox's own name server answers there"
        );
    }
    format!("add \"{host}:{port}\" to [network] allow")
}

/// `host`, `host:port`, `[v6]`, `[v6]:port` or a bare IPv6 address.
fn split(destination: &str) -> Result<(&str, u16), Failure> {
    if destination.parse::<IpAddr>().is_ok() || destination.ends_with(']') {
        return Ok((destination, DEFAULT_PORT));
    }
    let Some((host, port)) = destination.rsplit_once(':') else {
        return Ok((destination, DEFAULT_PORT));
    };
    if let Ok(port @ 1..) = port.parse() {
        return Ok((host, port));
    }
    let hint = "a destination is HOST or HOST:PORT, without a scheme and a path";
    let message = format!("failed to read \"{destination}\": no port \"{port}\"");
    Err(Failure::new(message).hint(hint.to_owned()))
}
