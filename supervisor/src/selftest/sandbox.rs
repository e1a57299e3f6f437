//! One sandbox of a selftest: its bundle, its run, what came of both.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use nix::unistd::Pid;
use policies::tier::TierPolicy;

use super::SelftestError;
use super::catalogue::{ALLOWED, Sandbox, WILDCARD};
use super::flood::Flood;
use super::probe::{ABSTRACT, CONNECTIONS, HOST_NAMESPACE, NAMES, PORT};
use super::workshop::Workshop;
use crate::report::{Report, Status};

/// Longer than any run of a selftest may take, its own time limit included.
const STUCK: Duration = Duration::from_secs(90);
/// How often it is looked whether a run has ended.
const LOOK: Duration = Duration::from_millis(5);
/// A run of a selftest has this long, or what its tier gives.
const TIMEOUT_MS: u64 = 60_000;

/// A run that has ended.
#[derive(Debug)]
pub struct Ran {
    /// What the probe printed.
    pub lines: String,
    /// What the run reported.
    pub report: Report,
}

/// A run that was started.
#[derive(Debug)]
pub(super) struct Started {
    name: &'static str,
    child: Child,
    files: Files,
    /// Closed with the run.
    _listeners: Listeners,
}

/// What a sandbox would reach on the host if it were let: on loopback, and by an abstract name.
#[derive(Debug)]
struct Listeners {
    tcp: TcpListener,
    _unix: Option<UnixListener>,
}

#[derive(Debug)]
struct Files {
    stdout: PathBuf,
    stderr: PathBuf,
    report: PathBuf,
}

impl Started {
    /// The sandbox of these actions.
    pub(super) fn actions(
        workshop: &Workshop,
        tier: &TierPolicy,
        sandbox: Sandbox,
    ) -> Result<Self, SelftestError> {
        let network = sandbox == Sandbox::Network;
        Self::start(workshop, sandbox.name(), sandbox, |port| {
            manifest(tier, sandbox.name(), network, &[sandbox.name()], sandbox, port)
        })
    }

    /// The sandbox of a flood.
    pub(super) fn flood(
        workshop: &Workshop,
        tier: &TierPolicy,
        flood: Flood,
    ) -> Result<Self, SelftestError> {
        let network = flood.has_network();
        let sandbox = if network { Sandbox::Network } else { Sandbox::Closed };
        Self::start(workshop, flood.name(), sandbox, |port| {
            manifest(tier, flood.name(), network, &["flood", flood.name()], sandbox, port)
        })
    }

    fn start(
        workshop: &Workshop,
        name: &'static str,
        sandbox: Sandbox,
        manifest: impl FnOnce(u16) -> String,
    ) -> Result<Self, SelftestError> {
        let listeners = listen(sandbox)?;
        let port = listeners.tcp.local_addr().map_or(0, |address| address.port());
        let failed = |source| SelftestError::Process { action: "start", sandbox: name, source };
        // The slow one lives beside the others.
        let folder = if sandbox == Sandbox::Cpu { "slow" } else { "bundle" };
        let bundle = workshop.bundle(folder, &manifest(port))?;
        let file = |end: &str| workshop.path(&format!("{name}.{end}"));
        let files = Files { stdout: file("out"), stderr: file("err"), report: file("json") };
        let child = Command::new("/proc/self/exe")
            .args(["run", "--dev", "--quiet", "--report"])
            .arg(&files.report)
            .arg(&bundle)
            .env("SANDBOXCTL_STATE_DIR", workshop.state())
            .env("SANDBOXCTL_CONFIG_DIR", workshop.config())
            .stdin(stdin(sandbox)?)
            .stdout(File::create(&files.stdout).map_err(failed)?)
            .stderr(File::create(&files.stderr).map_err(failed)?)
            .spawn()
            .map_err(failed)?;
        Ok(Self { name, child, files, _listeners: listeners })
    }

    /// Waits for its end, which its own time limit bounds; a supervisor that hangs is ended.
    pub(super) fn wait(mut self) -> Result<Ran, SelftestError> {
        let sandbox = self.name;
        let failed = |source| SelftestError::Process { action: "wait for", sandbox, source };
        let began = Instant::now();
        while self.child.try_wait().map_err(failed)?.is_none() {
            if began.elapsed() > STUCK {
                return Err(SelftestError::Run { sandbox, reason: "it hangs".to_owned() });
            }
            std::thread::sleep(LOOK);
        }
        let report = fs::read(&self.files.report).unwrap_or_default();
        let report: Report = serde_json::from_slice(&report).map_err(|error| {
            let said = fs::read_to_string(&self.files.stderr).unwrap_or_default();
            let reason = if said.is_empty() { error.to_string() } else { said.trim().to_owned() };
            SelftestError::Run { sandbox, reason }
        })?;
        if matches!(report.result.status, Status::Failed | Status::Refused) {
            return Err(SelftestError::Run { sandbox, reason: report.result.reason });
        }
        let lines = fs::read_to_string(&self.files.stdout).unwrap_or_default();
        Ok(Ran { lines, report })
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        // Of a selftest that failed. Asked twice, a supervisor ends its run at once and cleans up.
        let Ok(pid) = i32::try_from(self.child.id()).map(Pid::from_raw) else { return };
        for _ in 0..200 {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            kill(pid, Signal::SIGTERM).unwrap_or_default();
            std::thread::sleep(Duration::from_millis(25));
        }
        self.child.kill().unwrap_or_default();
        drop(self.child.wait());
    }
}

/// What the sandbox inherits as standard input: sockets of the host's network namespace, as careless launchers leave.
fn stdin(sandbox: Sandbox) -> Result<Stdio, SelftestError> {
    let family = match sandbox {
        Sandbox::Closed => AddressFamily::Inet,
        Sandbox::Inherited => AddressFamily::Unix,
        _ => return Ok(Stdio::null()),
    };
    let socket: OwnedFd = socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)
        .map_err(|errno| SelftestError::Socket { source: errno.into() })?;
    Ok(socket.into())
}

/// Unique on the host, and nobody else's.
fn abstract_name() -> String {
    format!("sandboxctl-selftest-{}", std::process::id())
}

fn listen(sandbox: Sandbox) -> Result<Listeners, SelftestError> {
    let failed = |source| SelftestError::Socket { source };
    let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(failed)?;
    let unix = || {
        let address = SocketAddr::from_abstract_name(abstract_name())?;
        UnixListener::bind_addr(&address)
    };
    let unix = (sandbox == Sandbox::Inherited).then(unix).transpose().map_err(failed)?;
    Ok(Listeners { tcp, _unix: unix })
}

/// The manifest of a bundle. Limits are never higher than the tier's, whatever the operator made of it.
fn manifest(
    tier: &TierPolicy,
    name: &str,
    network: bool,
    arguments: &[&str],
    sandbox: Sandbox,
    port: u16,
) -> String {
    let host = fs::metadata("/proc/self/ns/mnt").map_or(0, |namespace| namespace.ino());
    let words: Vec<String> = arguments.iter().map(|word| format!(", \"{word}\"")).collect();
    let mut text = format!(
        "[extension]\nid = \"sandboxctl.selftest-{name}\"\nname = \"Selftest\"\nversion = \"1.0.0\"\n\
         publisher = \"sandboxctl\"\ntier = \"{}\"\n\
         [run]\ncommand = [\"/ext/probe\", \"selftest-probe\"{}]\n\
         [run.env]\n{HOST_NAMESPACE} = \"{host}\"\n{NAMES} = \"{}\"\n{CONNECTIONS} = \"{}\"\n\
         {ABSTRACT} = \"{}\"\n{PORT} = \"{port}\"\n",
        tier.tier.name(),
        words.concat(),
        tier.network.names_per_wildcard,
        tier.network.connections,
        abstract_name(),
    );
    if network {
        let allow = format!("\"{ALLOWED}:80,443\", \"*.{WILDCARD}:443\"");
        // Writing to a String cannot fail.
        write!(
            text,
            "[permissions]\nrequest = [\"EXTERNAL_API_CALLS\"]\n[network]\nallow = [{allow}]\n"
        )
        .unwrap_or_default();
    }
    if sandbox == Sandbox::Disk {
        text.push_str("[storage]\ndata = \"ephemeral\"\n");
    }
    text.push_str("[limits]\n");
    let most = &tier.limits;
    let mut limit = |key: &str, wanted: u64, most: u64| {
        writeln!(text, "{key} = {}", wanted.min(most)).unwrap_or_default();
    };
    match sandbox {
        Sandbox::Memory => limit("memory_mb", 48, most.memory_mb),
        Sandbox::Tasks => limit("tasks", 8, most.tasks.into()),
        Sandbox::Disk => limit("disk_mb", 4, most.disk_mb),
        Sandbox::Temporary => limit("tmp_mb", 4, most.tmp_mb),
        Sandbox::Cpu => limit("cpu_percent", 2, most.cpu_percent.into()),
        Sandbox::Time => {
            limit("timeout_ms", 1000, most.timeout_ms);
            limit("grace_ms", 100, most.grace_ms);
        }
        Sandbox::Closed | Sandbox::Inherited | Sandbox::Network => {}
    }
    if sandbox != Sandbox::Time {
        limit("timeout_ms", TIMEOUT_MS, most.timeout_ms);
    }
    text
}
