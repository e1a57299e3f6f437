//! Looking names up the way the host does: `/etc/hosts`, then the name servers of `/etc/resolv.conf`.
//!
//! Not by the C library: its static form cannot load the modules that `nsswitch.conf` names.

use std::cell::OnceCell;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::ResolveHosts;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::RecordType;
use policies::domain::DomainName;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// hosts(5).
const HOSTS: &str = "/etc/hosts";
/// For one name server to answer, and for a whole lookup.
const ANSWER: Duration = Duration::from_secs(2);
const LOOKUP: Duration = Duration::from_secs(5);
/// How long IPv6 addresses are waited for when there are IPv4 addresses: name servers exist that never answer for them.
/// RFC 8305, section 3.
const GRACE: Duration = Duration::from_millis(50);
/// Addresses of a name that are looked at.
const MOST: usize = 16;

/// Why a name has no addresses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UpstreamError {
    /// The host's configuration cannot be used.
    #[error("the host's name servers cannot be asked: {reason}")]
    Config {
        /// Why.
        reason: String,
    },
    /// The name servers say no, or cannot say.
    #[error("{reason}")]
    Lookup {
        /// What they say.
        reason: String,
    },
    /// No answer in time.
    #[error("the host's name servers do not answer")]
    Timeout,
}

/// The host's resolver. Its configuration is read when the first name is looked up.
#[derive(Debug, Default)]
pub struct Upstream {
    resolver: OnceCell<Result<Rc<TokioResolver>, UpstreamError>>,
}

impl Upstream {
    /// The addresses of a name now, IPv4 first. Nothing is kept between two lookups: what a name stands for is decided for
    /// each connection.
    ///
    /// # Errors
    /// [`UpstreamError`]
    pub async fn lookup(&self, name: &DomainName) -> Result<Vec<IpAddr>, UpstreamError> {
        // By us: the library asks the name servers for the family that a line of the file does not have.
        if let Ok(text) = std::fs::read_to_string(HOSTS) {
            let addresses = in_hosts(&text, name);
            if !addresses.is_empty() {
                return Ok(addresses);
            }
        }
        let resolver = self.resolver.get_or_init(build).clone()?;
        // The dot at the end: no search list of the host's applies.
        let name = format!("{name}.");
        let mut v6 = JoinSet::new();
        v6.spawn(ask(TokioResolver::clone(&resolver), name.clone(), RecordType::AAAA));
        let v4 = ask(TokioResolver::clone(&resolver), name, RecordType::A).await;
        let patience =
            if v4.as_ref().is_ok_and(|found| !found.is_empty()) { GRACE } else { LOOKUP };
        // Given up with the set.
        let v6 = timeout(patience, v6.join_next()).await.ok().flatten().and_then(Result::ok);
        let v6 = v6.unwrap_or(Err(UpstreamError::Timeout));
        match (v4, v6) {
            (Ok(v4), Ok(v6)) => Ok(v4.into_iter().chain(v6).collect()),
            (Ok(found), Err(_)) | (Err(_), Ok(found)) => Ok(found),
            (Err(error), Err(_)) => Err(error),
        }
    }
}

/// The addresses of one family.
async fn ask(
    resolver: TokioResolver,
    name: String,
    kind: RecordType,
) -> Result<Vec<IpAddr>, UpstreamError> {
    let found = timeout(LOOKUP, resolver.lookup(name, kind))
        .await
        .map_err(|_| UpstreamError::Timeout)?
        .map_err(|error| UpstreamError::Lookup { reason: error.to_string() })?;
    Ok(found.answers().iter().filter_map(|record| record.data.ip_addr()).take(MOST).collect())
}

fn build() -> Result<Rc<TokioResolver>, UpstreamError> {
    let failed =
        |error: &dyn std::fmt::Display| UpstreamError::Config { reason: error.to_string() };
    let mut builder =
        TokioResolver::builder(TokioRuntimeProvider::default()).map_err(|error| failed(&error))?;
    let options = builder.options_mut();
    options.use_hosts_file = ResolveHosts::Never;
    options.cache_size = 0;
    options.timeout = ANSWER;
    options.attempts = 2;
    builder.build().map(Rc::new).map_err(|error| failed(&error))
}

/// The addresses of a name in a hosts file, IPv4 first.
fn in_hosts(text: &str, name: &DomainName) -> Vec<IpAddr> {
    let mut addresses: Vec<IpAddr> = text
        .lines()
        .filter_map(|line| {
            let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
            let address = words.next()?.parse().ok()?;
            let named = |word: &str| DomainName::from_ascii(word).is_ok_and(|word| word == *name);
            words.any(named).then_some(address)
        })
        .take(MOST)
        .collect();
    addresses.sort_by_key(IpAddr::is_ipv6);
    addresses
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_hosts_file_are_read_as_the_c_library_does() {
        let text = "127.0.0.1 localhost\n# 10.0.0.1 a.example.com\n2001:db8::1\tA.Example.com\n\
                    192.0.2.7  b.example.com a.example.com # c.example.com\nnonsense a.example.com\n";
        let look_up = |name: &str| -> Vec<String> {
            let name = DomainName::from_ascii(name).unwrap();
            in_hosts(text, &name).iter().map(ToString::to_string).collect()
        };
        assert_eq!(look_up("a.example.com"), ["192.0.2.7", "2001:db8::1"]);
        assert_eq!(look_up("b.example.com"), ["192.0.2.7"]);
        assert!(look_up("c.example.com").is_empty());
    }
}
