//! Looking names up the way the host does: `/etc/hosts`, then the name servers of `/etc/resolv.conf`.
//!
//! Not by the C library: its static form cannot load the modules that `nsswitch.conf` names.

mod answers;

use std::cell::OnceCell;
use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ResolveHosts, ResolverConfig, ResolverOpts};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::RecordType;
use hickory_resolver::system_conf::parse_resolv_conf;
use policies::domain::DomainName;
use tokio::task::JoinSet;
use tokio::time::timeout;

use answers::{Answers, Found};

/// hosts(5).
const HOSTS: &str = "/etc/hosts";
/// resolv.conf(5).
const CONFIGURATION: &str = "/etc/resolv.conf";
/// The name server of a configuration that names none: resolv.conf(5), `nameserver`.
const LOCAL: &[u8] = b"\nnameserver 127.0.0.1\n";
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

/// The host's resolver. Its configuration is read when the first name is looked up, and again for the next one as long as
/// that fails.
#[derive(Debug, Default)]
pub struct Upstream {
    resolver: OnceCell<Rc<TokioResolver>>,
    answers: Answers,
}

impl Upstream {
    /// The addresses of a name, IPv4 first, as new as its name servers ask for. What may be connected to is decided for each
    /// connection all the same.
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
        self.answers.get(name, async || self.ask_servers(name).await).await
    }

    /// Nobody answered at the addresses of a name: they may be old.
    pub fn forget(&self, name: &DomainName) {
        self.answers.forget(name);
    }

    async fn ask_servers(&self, name: &DomainName) -> Result<Found, UpstreamError> {
        let resolver = self.resolver(Path::new(CONFIGURATION))?;
        // The dot at the end: no search list of the host's applies.
        let name = format!("{name}.");
        let mut v6 = JoinSet::new();
        v6.spawn(ask(TokioResolver::clone(&resolver), name.clone(), RecordType::AAAA));
        let v4 = ask(TokioResolver::clone(&resolver), name, RecordType::A).await;
        let patience =
            if v4.as_ref().is_ok_and(|found| !found.addresses.is_empty()) { GRACE } else { LOOKUP };
        // Given up with the set.
        let v6 = timeout(patience, v6.join_next()).await.ok().flatten().and_then(Result::ok);
        let v6 = v6.unwrap_or(Err(UpstreamError::Timeout));
        match (v4, v6) {
            (Ok(v4), Ok(v6)) => Ok(Found {
                addresses: v4.addresses.into_iter().chain(v6.addresses).collect(),
                ttl: v4.ttl.min(v6.ttl),
            }),
            (Ok(found), Err(_)) | (Err(_), Ok(found)) => Ok(found),
            (Err(error), Err(_)) => Err(error),
        }
    }

    fn resolver(&self, configuration: &Path) -> Result<Rc<TokioResolver>, UpstreamError> {
        if let Some(resolver) = self.resolver.get() {
            return Ok(Rc::clone(resolver));
        }
        let failed = |error: &dyn std::fmt::Display| UpstreamError::Config {
            reason: format!("{}: {error}", configuration.display()),
        };
        let text = match std::fs::read(configuration) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            read => read.map_err(|error| failed(&error))?,
        };
        let resolver = build(&text).map_err(|error| failed(&error))?;
        Ok(Rc::clone(self.resolver.get_or_init(|| Rc::new(resolver))))
    }
}

/// The addresses of one family.
async fn ask(
    resolver: TokioResolver,
    name: String,
    kind: RecordType,
) -> Result<Found, UpstreamError> {
    let found = timeout(LOOKUP, resolver.lookup(name, kind))
        .await
        .map_err(|_| UpstreamError::Timeout)?
        .map_err(|error| UpstreamError::Lookup { reason: error.to_string() })?;
    let records = found.answers();
    let ttl = records.iter().map(|record| record.ttl).min().unwrap_or(0);
    let addresses = records.iter().filter_map(|record| record.data.ip_addr()).take(MOST).collect();
    Ok(Found { addresses, ttl: Duration::from_secs(ttl.into()) })
}

fn build(text: &[u8]) -> Result<TokioResolver, NetError> {
    let (configuration, mut options) = parse(text)?;
    options.use_hosts_file = ResolveHosts::Never;
    // Answers are kept by us, because those who ask at once shall share one lookup.
    options.cache_size = 0;
    options.timeout = ANSWER;
    options.attempts = 2;
    TokioResolver::builder_with_config(configuration, TokioRuntimeProvider::default())
        .with_options(options)
        .build()
}

/// A file that names no server is an error to the library, and not to the C library.
fn parse(text: &[u8]) -> Result<(ResolverConfig, ResolverOpts), NetError> {
    parse_resolv_conf(text).or_else(|_| parse_resolv_conf([text, LOCAL].concat()))
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

    #[test]
    fn a_configuration_without_name_servers_means_the_local_one() {
        let servers = |text: &str| -> Vec<String> {
            let (configuration, _) = parse(text.as_bytes()).unwrap();
            configuration.name_servers().iter().map(|server| server.ip.to_string()).collect()
        };
        let two = "search example.com\nnameserver 192.0.2.53\nnameserver 2001:db8::53\n";
        assert_eq!(servers(two), ["192.0.2.53", "2001:db8::53"]);
        for text in ["", "# nameserver 192.0.2.53", "search example.com", "nameserver nonsense\n"] {
            assert_eq!(servers(text), ["127.0.0.1"], "{text:?}");
        }
    }

    #[test]
    fn a_configuration_that_cannot_be_read_is_read_again() {
        let folder = std::env::temp_dir().join(format!("resolv-conf-{}", std::process::id()));
        std::fs::create_dir(&folder).unwrap();
        let file = folder.join("resolv.conf");
        let upstream = Upstream::default();
        // Reading a folder fails, for root too.
        let error = upstream.resolver(&folder).unwrap_err();
        let UpstreamError::Config { reason } = &error else { panic!("{error}") };
        assert!(reason.starts_with(folder.to_str().unwrap()), "{reason}");
        std::fs::write(&file, "nameserver 192.0.2.53\n").unwrap();
        let resolver = upstream.resolver(&file).unwrap();
        std::fs::remove_file(&file).unwrap();
        // From then on it is not.
        assert!(Rc::ptr_eq(&resolver, &upstream.resolver(&folder).unwrap()));
        // None at all is as good as an empty one.
        Upstream::default().resolver(&file).unwrap();
        std::fs::remove_dir(&folder).unwrap();
    }
}
