//! A pretend internet: two network namespaces of a test, one with the servers, one where the supervisor runs.
//!
//! The servers are real ones (dnsmasq, nginx, Python's) and listen on every address and on the ports of denied services
//! too, so what a sandbox must not reach would answer. Nothing has a name on the host; both namespaces end with the
//! value, or with the test's process.

mod guest;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::bundle::Built;
use crate::site::{self, Started};
use crate::{Bundle, Outcome, Site};
pub use guest::Guest;

/// Of `a.example.com`, `b.example.com` and `hidden.example.com` together, as at a hoster. Addresses of the pretend
/// internet are public ones: those for documentation are not.
pub const WEB: &str = "93.184.215.10";
/// Of `other.example.net`.
pub const OTHER: &str = "93.184.215.11";
/// The web server over IPv6, the only address of `six.example.com`.
pub const WEB_V6: &str = "2606:2800:21f::10";
/// The name server of the host.
pub const DNS: &str = "93.184.215.53";
/// A name server that everybody knows.
pub const PUBLIC_DNS: &str = "8.8.8.8";
/// A private server (RFC 1918).
pub const PRIVATE: &str = "10.0.0.5";
/// Where clouds hand out credentials.
pub const METADATA: &str = "169.254.169.254";

const ADDRESSES: [&str; 15] = [
    WEB,
    OTHER,
    WEB_V6,
    DNS,
    PUBLIC_DNS,
    PRIVATE,
    METADATA,
    "93.184.215.66",
    "192.168.1.1",
    "172.16.0.1",
    "100.64.0.1",
    "0.1.2.3",
    "fd00::5",
    "64:ff9b::a00:5",
    "2606:4700:4700::1111",
];

/// Names that the certificate is good for.
const CERTIFIED: [&str; 12] = [
    "a.example.com",
    "b.example.com",
    "hidden.example.com",
    "alias.example.com",
    "six.example.com",
    "private.example.com",
    "rebind.example.com",
    "other.example.net",
    "mq.example.com",
    "erp.corp.example",
    "*.wild.example.net",
    "wild.example.net",
];

/// Names at the start.
const NAMES: [(&str, &[&str]); 20] = [
    ("a.example.com", &[WEB]),
    ("b.example.com", &[WEB]),
    ("hidden.example.com", &[WEB]),
    ("other.example.net", &[OTHER, WEB_V6]),
    ("six.example.com", &[WEB_V6]),
    ("mq.example.com", &[OTHER]),
    ("wild.example.net", &[WEB]),
    ("x.wild.example.net", &[WEB]),
    ("deep.x.wild.example.net", &[WEB]),
    ("evilwild.example.net", &[WEB]),
    ("private.example.com", &[PRIVATE]),
    ("erp.corp.example", &[PRIVATE]),
    ("loopback.example.com", &["127.0.0.1"]),
    ("metadata.example.com", &[METADATA]),
    ("ula.example.com", &["fd00::5"]),
    ("cgnat.example.com", &["100.64.0.1"]),
    ("mapped.example.com", &["::ffff:10.0.0.5"]),
    ("nat64.example.com", &["64:ff9b::a00:5"]),
    ("rebind.example.com", &[WEB]),
    ("dead.example.com", &["93.184.215.99"]),
];

/// The pretend internet and a host that is joined to it.
#[derive(Debug)]
pub struct Internet {
    dir: PathBuf,
    host: Holder,
    inet: Holder,
    names: Mutex<BTreeMap<String, Vec<String>>>,
}

impl Internet {
    /// Starts it, in a folder of the site. Needs [`crate::Need::Internet`]. Community extensions get more time and CPU from
    /// now on: nothing here measures either, and an emulated machine has little.
    #[must_use]
    pub fn new(site: &Site) -> Self {
        site.change_tier("community", &[("timeout_ms", "110_000"), ("cpu_percent", "100")]);
        let dir = site.fresh_dir("internet");
        for (name, text) in [
            ("inet.sh", include_str!("internet/inet.sh")),
            ("host.sh", include_str!("internet/host.sh")),
            ("servers.py", include_str!("internet/servers.py")),
            ("nginx.conf", include_str!("internet/nginx.conf")),
            ("certified", &CERTIFIED.join("\n")),
            ("resolv.conf", &format!("nameserver {DNS}\n")),
            ("hosts", "127.0.0.1 localhost\n::1 localhost\n"),
            ("nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n"),
        ] {
            fs::write(dir.join(name), text).unwrap();
        }
        let names = NAMES
            .iter()
            .map(|(name, addresses)| {
                ((*name).to_owned(), addresses.iter().map(|one| (*one).to_owned()).collect())
            })
            .collect();
        write_names(&dir, &names);
        let path = dir.to_str().unwrap();
        let mut words = vec!["--pid", "--fork", "--kill-child", "--mount-proc", "bash"];
        let script = dir.join("inet.sh");
        words.extend([script.to_str().unwrap(), path]);
        words.extend(ADDRESSES);
        let inet = Holder::start(&dir, "inet.log", &words);
        let script = dir.join("host.sh");
        let pid = inet.child.id().to_string();
        let host = Holder::start(&dir, "host.log", &["bash", script.to_str().unwrap(), path, &pid]);
        Self { dir, host, inet, names: Mutex::new(names) }
    }

    /// A program on the joined host, ended after a while.
    #[must_use]
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        self.host.command(program)
    }

    /// `sandboxctl run` on the joined host. The process is the supervisor itself.
    #[must_use]
    pub fn supervisor(&self, site: &Site) -> Command {
        let mut command = site.prepare("nsenter");
        command.args(["--target", &self.host.child.id().to_string(), "--net", "--mount", "--"]);
        command.arg(site::binary()).arg("run");
        command
    }

    /// Builds and runs a bundle on the joined host.
    #[must_use]
    pub fn run(&self, site: &Site, bundle: &Bundle) -> Outcome {
        self.run_with(site, bundle, &[])
    }

    /// The same with more arguments of `sandboxctl run`.
    #[must_use]
    pub fn run_with(&self, site: &Site, bundle: &Bundle, arguments: &[&str]) -> Outcome {
        self.start(site, &bundle.build(site), arguments).wait()
    }

    /// Starts a run on the joined host and does not wait for it.
    #[must_use]
    pub fn start(&self, site: &Site, bundle: &Built, arguments: &[&str]) -> Started {
        site.start_command(self.supervisor(site), bundle, arguments)
    }

    /// The certificate of the authority that signed the servers' one.
    #[must_use]
    pub fn authority(&self) -> Vec<u8> {
        fs::read(self.dir.join("ca.pem")).unwrap()
    }

    /// From now on the name has these addresses; the name server gives them out when this returns.
    pub fn name(&self, name: &str, addresses: &[&str]) {
        let mut names = self.names.lock().unwrap();
        names.insert(
            name.to_owned(),
            addresses.iter().map(|address| (*address).to_owned()).collect(),
        );
        // A name that this call alone gives: once it is there, the file was read.
        let marker = format!("read-{}.internal.example", names.len());
        names.insert(marker.clone(), vec![OTHER.to_owned()]);
        write_names(&self.dir, &names);
        self.inet.say("names");
        let began = Instant::now();
        while !self.command("getent").args(["ahostsv4", &marker]).output().unwrap().status.success()
        {
            assert!(began.elapsed() < PATIENCE, "the name server does not read {name}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// How many connections and datagrams the joined host has sent to an address, by port and protocol's number.
    #[must_use]
    pub fn sent_to(&self, address: &str) -> BTreeMap<(u64, u64), u64> {
        let wanted: IpAddr = address.parse().unwrap();
        let family = if wanted.is_ipv4() { "four" } else { "six" };
        let output = self
            .command("nft")
            .args(["--json", "--numeric", "list", "set", "inet", "watch", family])
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        let listed: Value = serde_json::from_slice(&output.stdout).unwrap();
        let elements = listed["nftables"]
            .as_array()
            .unwrap()
            .iter()
            .find_map(|one| one["set"]["elem"].as_array())
            .cloned()
            .unwrap_or_default();
        let mut sent = BTreeMap::new();
        for element in &elements {
            let key = element["elem"]["val"]["concat"].as_array().unwrap();
            let own: IpAddr = key[0].as_str().unwrap().parse().unwrap();
            if own == wanted {
                let packets = element["elem"]["counter"]["packets"].as_u64().unwrap();
                let protocol = protocol(&key[1]);
                sent.insert((key[2].as_u64().unwrap(), protocol), packets);
            }
        }
        sent
    }

    /// Goes on only if the joined host has sent nothing to an address, not even the start of a connection.
    ///
    /// # Panics
    /// With what was sent, otherwise.
    #[track_caller]
    pub fn untouched(&self, addresses: &[&str]) {
        for address in addresses {
            let sent = self.sent_to(address);
            assert!(sent.is_empty(), "(port, protocol): packets sent to {address}: {sent:?}");
        }
    }

    /// What the host's name server was asked: type and name of each query, lower case.
    #[must_use]
    pub fn queries(&self) -> Vec<(String, String)> {
        let log = fs::read_to_string(self.dir.join("dns.log")).unwrap();
        let query = |line: &str| {
            let (_, rest) = line.split_once(" query[")?;
            let (kind, rest) = rest.split_once("] ")?;
            Some((kind.to_owned(), rest.split(' ').next()?.to_lowercase()))
        };
        log.lines().filter_map(query).collect()
    }

    /// Whether the host's name server was asked for a name.
    #[must_use]
    pub fn asked_for(&self, name: &str) -> bool {
        self.queries().iter().any(|(_, asked)| asked == name)
    }

    /// What the web server has answered so far: `sni`, `host`, `address`, `port`, `method`, `uri`, `status`.
    #[must_use]
    pub fn requests(&self) -> Vec<Value> {
        // It logs a request after the answer has left, and one request after the other: when this one is answered, all
        // earlier ones are in the log.
        let last =
            r"exec 3<>/dev/tcp/192.0.2.1/80; printf 'GET /settled HTTP/1.0\r\n\r\n' >&3; cat <&3";
        printed(&self.command("bash").args(["-c", last]).output().unwrap());
        let log = fs::read_to_string(self.dir.join("requests.log")).unwrap();
        log.lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap())
            .filter(|request| request["uri"] != "/settled")
            .collect()
    }

    /// What was sent to `/api/store`, one body a line.
    #[must_use]
    pub fn stored(&self) -> String {
        fs::read_to_string(self.dir.join("stored")).unwrap_or_default()
    }

    /// The folder of its files.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }
}

/// The number of a protocol that nft may name.
fn protocol(value: &Value) -> u64 {
    match value.as_str() {
        Some("tcp") => 6,
        Some("udp") => 17,
        Some(other) => other.parse().unwrap(),
        None => value.as_u64().unwrap(),
    }
}

fn write_names(dir: &Path, names: &BTreeMap<String, Vec<String>>) {
    let mut text = String::new();
    for (name, addresses) in names {
        for address in addresses {
            writeln!(text, "{address} {name}").unwrap();
        }
    }
    fs::write(dir.join("names"), text).unwrap();
}

/// After this long a server is stuck; no test measures with it.
const PATIENCE: Duration = Duration::from_mins(1);

/// A process that holds namespaces. Its script ends with its standard input, and it is killed with the thread that
/// started it.
#[derive(Debug)]
struct Holder {
    child: Child,
}

impl Holder {
    /// Returns when the script says that it is ready.
    fn start(dir: &Path, log: &str, words: &[&str]) -> Self {
        let log = dir.join(log);
        let mut child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "unshare", "--net", "--mount"])
            .args(["--propagation", "private"])
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let holder = Self { child };
        let said = fs::read_to_string(log).unwrap();
        assert_eq!(line, "ready\n", "{words:?}: {said}");
        holder
    }

    /// A program in these namespaces, ended after a while.
    fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("timeout");
        command.args(["60", "nsenter", "--target", &self.child.id().to_string()]);
        command.args(["--net", "--mount", "--"]).arg(program).stdin(Stdio::null());
        command
    }

    fn say(&self, line: &str) {
        writeln!(self.child.stdin.as_ref().unwrap(), "{line}").unwrap();
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        // Ends the script, and so its namespaces; the signal is for a script that hangs.
        drop(self.child.stdin.take());
        let began = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) {
            if began.elapsed() > Duration::from_secs(5) {
                drop(self.child.kill());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// What a command on the joined host printed.
///
/// # Panics
/// Where it failed.
pub fn printed(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}
