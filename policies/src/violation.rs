//! The one schema of everything that was denied, throttled or killed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::limits::LimitKind;

/// The layer that denied.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Layer {
    /// System call filter.
    Seccomp,
    /// Path, port and scope rules.
    Landlock,
    /// Connections by domain.
    Egress,
    /// Name lookups.
    Dns,
    /// Memory, CPU, disk, tasks, wall clock.
    Limit,
    /// The host application's API.
    Api,
    /// Bundle bytes.
    Integrity,
    /// Manifest, tier and registry.
    Policy,
}

impl Layer {
    /// Every layer.
    pub const ALL: [Self; 8] = [
        Self::Seccomp,
        Self::Landlock,
        Self::Egress,
        Self::Dns,
        Self::Limit,
        Self::Api,
        Self::Integrity,
        Self::Policy,
    ];

    /// The name in records and policy files.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Seccomp => "seccomp",
            Self::Landlock => "landlock",
            Self::Egress => "egress",
            Self::Dns => "dns",
            Self::Limit => "limit",
            Self::Api => "api",
            Self::Integrity => "integrity",
            Self::Policy => "policy",
        }
    }

    /// The layer of a name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|layer| layer.text() == text)
    }
}

/// How much a violation matters.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "UPPERCASE")]
pub enum Severity {
    /// A well-behaved runtime does this too.
    Info,
    /// Not allowed; often a mistake of the author.
    Warning,
    /// Only an attack does this.
    Critical,
}

impl Severity {
    /// As in JSON.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Info => "INFO",
            Self::Warning => "WARNING",
            Self::Critical => "CRITICAL",
        }
    }
}

/// What was done about it.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Refused with an errno.
    Denied,
    /// Slowed down.
    Throttled,
    /// The run was ended.
    Killed,
}

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal, $layer:ident, $severity:ident, $words:literal, $advice:literal;)+) => {
        /// The stable code of a violation.
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
        )]
        #[serde(rename_all = "kebab-case")]
        pub enum Code {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Code {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The kebab-case text in records.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self { $(Self::$name => $text,)+ }
            }

            /// The code of a text.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|code| code.text() == text)
            }

            /// The layer that emits it.
            #[must_use]
            pub const fn layer(self) -> Layer {
                match self { $(Self::$name => Layer::$layer,)+ }
            }

            /// The severity, unless a policy line says otherwise.
            #[must_use]
            pub const fn severity(self) -> Severity {
                match self { $(Self::$name => Severity::$severity,)+ }
            }

            /// What happened, for people; the object follows it.
            #[must_use]
            pub const fn words(self) -> &'static str {
                match self { $(Self::$name => $words,)+ }
            }

            /// What it means, in one sentence.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc),+).trim_ascii_start(),)+ }
            }

            /// What the extension's author should do.
            #[must_use]
            pub const fn advice(self) -> &'static str {
                match self { $(Self::$name => $advice,)+ }
            }
        }
    };
}

codes! {
    /// A system call that the policy does not allow.
    SyscallDenied = "syscall-denied", Seccomp, Warning, "system call refused",
        "Use another call; if the extension cannot do without it, ask the operator whether the tier's system call groups are meant to have it.";
    /// A system call that runtimes merely probe and live without.
    SyscallProbe = "syscall-probe", Seccomp, Info, "harmless probe refused",
        "Nothing: a runtime tried something and went on without it.";
    /// A call through a foreign architecture's entry (i386, x32).
    ForeignArchitecture = "foreign-architecture", Seccomp, Critical, "system call of a foreign architecture refused",
        "Build for x86-64; a 64-bit program never makes such a call by itself.";
    /// `mount`, `umount`, `pivot_root`, the new mount API.
    MountAttempt = "mount-attempt", Seccomp, Critical, "tried to change mounts",
        "Leave the file tree as it is: ask for files in `[files]`, or ship them in the bundle.";
    /// unshare, setns, clone with namespace flags.
    NamespaceAttempt = "namespace-attempt", Seccomp, Critical, "tried to make or enter a namespace",
        "Do not sandbox within the sandbox: switch such a feature off (browsers: `--no-sandbox`).";
    /// `ptrace`, `process_vm_*`, `pidfd_getfd`, `kcmp`.
    ProcessInspection = "process-inspection", Seccomp, Critical, "tried to inspect or control another process",
        "Take debuggers, profilers and crash handlers out of what is shipped.";
    /// bpf, modules, kexec, reboot, clock and other host-wide calls.
    KernelTampering = "kernel-tampering", Seccomp, Critical, "tried to change the kernel or the host",
        "Remove the call: no extension is given the host's kernel, clock or log.";
    /// `seccomp`, `landlock_*`: could hide later denials from the record.
    RecorderTampering = "recorder-tampering", Seccomp, Critical, "tried to change its own confinement",
        "Leave confinement to the host: a filter or domain of one's own could hide denials.";
    /// A socket of a family that the extension has no permission for.
    NetworkDenied = "network-denied", Seccomp, Warning, "tried to use the network without permission",
        "Ask for `EXTERNAL_API_CALLS` (or another network permission) and name the domains in `[network] allow`; only TCP and UDP sockets are given.";
    /// A path outside the extension's files.
    PathDenied = "path-denied", Landlock, Warning, "tried to reach a path outside its files",
        "Read from `/ext` and `/usr`, write to `/data` and `/tmp`; ask for files of the host in `[files]`.";
    /// A path that only the curious touch.
    TripwireTouched = "tripwire-touched", Landlock, Critical, "touched a tripwire",
        "Remove the access, or the library that looks there: nothing at such a path is an extension's business.";
    /// bind or connect to a TCP port.
    PortDenied = "port-denied", Landlock, Warning, "tried to use a TCP port",
        "Ask for a network permission; without one no port is open, not even on loopback.";
    /// A signal or abstract socket outside the sandbox.
    ScopeDenied = "scope-denied", Landlock, Critical, "tried to reach a process outside the sandbox",
        "Talk to own processes only; for anything else use the host's interfaces.";
    /// A lookup of a name that no rule allows.
    NameRefused = "name-refused", Dns, Warning, "looked up a name that is not allowed",
        "Name the domain in `[network] allow`; look for a library that reports home if the name is not yours.";
    /// More distinct names under one wildcard than the tier allows: a way to carry data out.
    NameLimit = "name-limit", Dns, Critical, "looked up more names than a wildcard may stand for",
        "Use fewer names beneath the wildcard, or name those that are needed.";
    /// A packet to the resolver that is no query.
    QueryMalformed = "query-malformed", Dns, Warning, "sent the resolver something that is no query",
        "Look names up through the C library or a resolver that speaks DNS (RFC 1035).";
    /// A packet to an address that no lookup gave out, or in a protocol other than TCP.
    AddressRefused = "address-refused", Egress, Warning, "tried to reach an address directly",
        "Connect to a name from `[network] allow`, over TCP; addresses, UDP, QUIC and ICMP are not let out.";
    /// A port that no rule of the domain names.
    PortRefused = "port-refused", Egress, Warning, "tried a port that is not allowed",
        "Name the port in the domain's rule: `\"host:443,8443\"`.";
    /// A domain that stands for an address which is not public.
    PrivateAddress = "private-address", Egress, Critical, "an allowed name stands for an address that is not public",
        "Ask for a rule with `addresses = \"private\"` if the host is meant to be inside; the tier must allow it. If it is not meant to be, somebody changed its name's addresses.";
    /// A TLS server name other than the domain that was looked up.
    TlsNameMismatch = "tls-name-mismatch", Egress, Critical, "asked a TLS server for another name",
        "Connect to the name that is meant, and send it as the server name (SNI).";
    /// A TLS connection without a server name.
    TlsNameMissing = "tls-name-missing", Egress, Warning, "opened a TLS connection without a server name",
        "Send the server name (SNI): every current TLS library does when it is given a name.";
    /// An HTTP request for another host than the domain that was looked up.
    HttpHostMismatch = "http-host-mismatch", Egress, Critical, "asked a web server for another host",
        "Connect to the name that is meant, and send it as `Host`.";
    /// A protocol whose destination cannot be checked, or a broken one.
    ProtocolRefused = "protocol-refused", Egress, Warning, "spoke a protocol that cannot be checked",
        "Speak TLS or HTTP/1; for another protocol ask for a rule with `tls = \"opaque\"`.";
    /// More connections than the tier allows.
    ConnectionLimit = "connection-limit", Egress, Warning, "hit the limit of connections",
        "Keep connections and use them again; close those that are done.";
    /// More bytes than the tier allows.
    TrafficLimit = "traffic-limit", Egress, Warning, "hit the limit of network traffic",
        "Transfer less in one run: compress, page, or fetch only what changed.";
    /// The memory limit was hit and a process was killed.
    MemoryLimit = "memory-limit", Limit, Warning, "hit the memory limit",
        "Use less memory at once, files in `/tmp` included, or ask for a tier with more.";
    /// The CPU limit slowed the extension down.
    CpuThrottled = "cpu-throttled", Limit, Info, "was slowed down at the CPU limit",
        "Nothing, if the run is in time; else do less, or ask for a tier with more.";
    /// `/data` or `/tmp` was full.
    DiskLimit = "disk-limit", Limit, Warning, "hit the disk limit",
        "Remove what is not needed from `/data` and `/tmp`, or ask for a tier with more.";
    /// The wall clock limit ended the run.
    TimeLimit = "time-limit", Limit, Warning, "hit the time limit",
        "Do less in one run and end by yourself; SIGTERM comes before the end.";
    /// No more processes or threads were given.
    TaskLimit = "task-limit", Limit, Warning, "hit the limit of processes and threads",
        "Start fewer processes and threads: bound pools by the `tasks` of the tier.";
}

/// What the attempt was aimed at.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(tag = "type", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum Object {
    /// A system call.
    Syscall {
        /// Name as in the kernel's table, or `syscall_N` for an unknown number.
        name: String,
        /// Number in the table of `arch`.
        nr: i64,
        /// `x86_64`, `i386`, `x32` or the hexadecimal audit architecture.
        arch: String,
        /// The argument that made the difference, in words: a socket family, namespace flags. Part of what makes two
        /// attempts the same; empty where none matters.
        detail: String,
    },
    /// A path, as the kernel or the process named it.
    Path {
        /// Absolute, inside the sandbox.
        path: String,
        /// Access that was missing, in Landlock's words: `fs.read_file`.
        access: String,
    },
    /// A TCP port.
    Port {
        /// Number, host byte order.
        port: u16,
        /// `net.bind_tcp` or `net.connect_tcp`.
        access: String,
    },
    /// Something outside the sandbox: a process, an abstract socket.
    Scope {
        /// `scope.signal` or `scope.abstract_unix_socket`.
        access: String,
        /// Name of the abstract socket, `@` for its first byte; empty for a process, which the kernel does not name.
        name: String,
    },
    /// A domain name.
    Name {
        /// As it was asked for, lower case, `\\ddd` for bytes that no name has.
        name: String,
    },
    /// The other end of a connection or packet.
    Endpoint {
        /// Domain name; empty if unknown.
        host: String,
        /// IP address; empty if unknown. Of a known domain the real one, never the synthetic one.
        address: String,
        /// Destination port; 0 in protocols without ports.
        port: u16,
        /// `tcp`, `udp`, `icmp`, `icmpv6` or `ip-N`.
        protocol: String,
        /// What made the difference, in words: the server name that was asked for. Empty where nothing did.
        detail: String,
    },
    /// A limit.
    Limit {
        /// Which.
        kind: LimitKind,
        /// Its value, with the unit: `256 MB`.
        value: String,
    },
}

/// An argument of a system call, in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Argument {
    /// As the man page calls it; empty where that says nothing.
    pub name: String,
    /// Flags and constants by name, numbers, or what a pointer points to; the pointer where that cannot be read.
    pub value: String,
    /// Read from the caller's memory, which it could change before and after: shown, and never decided by.
    pub advisory: bool,
}

/// Who tried. Empty fields are unknown, never guessed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Process {
    /// Process id in the supervisor's pid namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<i32>,
    /// Command name (`comm`), at most 15 bytes, lossily decoded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comm: Option<String>,
    /// Executable as the sandbox names it, lossily decoded; the kernel adds ` (deleted)` where it has no name any more.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub exe: Option<String>,
    /// User id in the supervisor's user namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
}

/// One kind of attempt on one object, with how often it happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Violation {
    /// Number within the run, from 1.
    pub seq: u64,
    /// RFC 3339, UTC: the latest attempt.
    pub ts: String,
    /// RFC 3339, UTC: the first attempt.
    pub first_ts: String,
    /// The layer that denied.
    pub layer: Layer,
    /// Stable code.
    pub code: Code,
    /// How much it matters.
    pub severity: Severity,
    /// What was done.
    pub action: Action,
    /// The policy line that decided: `seccomp/base.toml:mount`, `landlock:no rule`, `tier community:memory_mb`.
    pub rule: String,
    /// What it was aimed at.
    pub object: Object,
    /// Arguments of the first attempt, as hexadecimal registers; only for system calls.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub args: Vec<String>,
    /// The same in words, for calls of x86-64 whose arguments say something.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub arguments: Vec<Argument>,
    /// Who tried first.
    pub process: Process,
    /// How often, exactly.
    pub count: u64,
}
