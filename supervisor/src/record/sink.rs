//! Where a violation goes while the run goes on.

use std::io::{self, Write};

use policies::violation::{Argument, Object, Violation};

use crate::record::escape::visible;
use crate::report::progress::CLEAR;

/// Why a violation is written now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// The first attempt of its kind.
    First,
    /// It repeats: the count has reached the next power of ten.
    Repeat,
    /// The run is over and the count is final; only for those whose last written count is not.
    Final,
}

/// Takes violations, at a bounded rate. An error is counted by the ledger and never stops the run.
pub trait Sink {
    /// Writes one violation.
    fn emit(&mut self, moment: Moment, violation: &Violation) -> io::Result<()>;

    /// The run is over: whatever is buffered must be written now.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Lines for people: `violation: seccomp mount-attempt: tried to change mounts: mount (pid 12 python3)`.
#[derive(Debug)]
pub struct HumanSink<W: Write> {
    out: W,
    terminal: bool,
}

impl<W: Write> HumanSink<W> {
    /// Writes to `out`, one write a line; on a terminal over the progress line.
    pub fn new(out: W, terminal: bool) -> Self {
        Self { out, terminal }
    }
}

impl<W: Write> Sink for HumanSink<W> {
    fn emit(&mut self, moment: Moment, violation: &Violation) -> io::Result<()> {
        // The report that follows holds the final counts.
        if moment == Moment::Final {
            return Ok(());
        }
        let mut line = if self.terminal { CLEAR.to_owned() } else { String::new() };
        line.push_str(&sentence(violation));
        line.push('\n');
        self.out.write_all(line.as_bytes())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// One violation in one line, safe on a terminal.
#[must_use]
pub fn sentence(violation: &Violation) -> String {
    let process = &violation.process;
    let who = match (process.pid, process.comm.as_deref().map(visible)) {
        (Some(pid), Some(comm)) => format!(" (pid {pid} {comm})"),
        (Some(pid), None) => format!(" (pid {pid})"),
        (None, Some(comm)) => format!(" ({comm})"),
        (None, None) => String::new(),
    };
    let exe = process.exe.as_deref().map_or_else(String::new, |exe| format!(" {}", visible(exe)));
    let times = if violation.count > 1 { format!(" x{}", violation.count) } else { String::new() };
    format!(
        "violation: {} {}: {}: {}{who}{exe}{times}",
        layer(violation),
        violation.code.text(),
        violation.code.words(),
        aim(violation)
    )
}

/// What a violation was aimed at, with the arguments of a call: `mount(source="tmpfs", target="/tmp")`.
#[must_use]
pub fn aim(violation: &Violation) -> String {
    match &violation.object {
        Object::Syscall { name, arch, .. }
            if arch == "x86_64" && !violation.arguments.is_empty() =>
        {
            let arguments: Vec<String> = violation.arguments.iter().map(argument).collect();
            format!("{name}({})", arguments.join(", "))
        }
        other => object(other),
    }
}

/// In quotes what came from the caller's memory.
fn argument(argument: &Argument) -> String {
    let value = visible(&argument.value);
    let quote = if argument.advisory { "\"" } else { "" };
    format!("{}={quote}{value}{quote}", argument.name)
}

/// The object in words, safe on a terminal.
#[must_use]
pub fn object(object: &Object) -> String {
    match object {
        Object::Syscall { name, arch, detail, .. } => {
            let arch = if arch == "x86_64" { String::new() } else { format!(" [{arch}]") };
            let space = if detail.is_empty() { "" } else { " " };
            format!("{name}{space}{}{arch}", visible(detail))
        }
        Object::Path { path, access } => {
            format!("{} ({})", visible(path), rights(access))
        }
        Object::Port { port, access } => {
            format!("{} port {port}", access.trim_start_matches("net."))
        }
        Object::Scope { access, name } => {
            let space = if name.is_empty() { "" } else { " " };
            let what = access.trim_start_matches("scope.").replace('_', " ");
            format!("{what}{space}{}", visible(name))
        }
        Object::Name { name } => visible(name).into_owned(),
        Object::Endpoint { host, address, port, protocol, detail } => {
            endpoint(host, address, *port, protocol, detail)
        }
        Object::Limit { value, .. } => value.clone(),
    }
}

/// `api.example.com:443 (203.0.113.7, tcp): detail`.
fn endpoint(host: &str, address: &str, port: u16, protocol: &str, detail: &str) -> String {
    let (first, second) = if host.is_empty() { (address, "") } else { (host, address) };
    let first = visible(first).into_owned();
    let mut text = match (port, first.contains(':')) {
        (0, _) => first,
        (port, true) => format!("[{first}]:{port}"),
        (port, false) => format!("{first}:{port}"),
    };
    let known: Vec<&str> = [second, protocol].into_iter().filter(|part| !part.is_empty()).collect();
    text = format!("{text} ({})", known.join(", "));
    if !detail.is_empty() {
        text = format!("{text}: {}", visible(detail));
    }
    text
}

/// The layer as records write it.
#[must_use]
pub fn layer(violation: &Violation) -> &'static str {
    use policies::violation::Layer;
    match violation.layer {
        Layer::Seccomp => "seccomp",
        Layer::Landlock => "landlock",
        Layer::Egress => "egress",
        Layer::Dns => "dns",
        Layer::Limit => "limit",
        Layer::Api => "api",
        Layer::Integrity => "integrity",
        Layer::Policy => "policy",
    }
}

/// Landlock's words for rights, the first few of them: a rename lacks up to sixteen.
fn rights(access: &str) -> String {
    let mut all = access.split(',').map(|right| right.trim_start_matches("fs."));
    let mut text = all.by_ref().take(3).collect::<Vec<_>>().join(", ");
    let more = all.count();
    if more > 0 {
        text = format!("{text} and {more} more");
    }
    text
}

#[cfg(test)]
mod tests {
    use policies::violation::{Action, Code, Process};

    use super::*;

    fn violation(object: Object) -> Violation {
        let code = Code::MountAttempt;
        Violation {
            seq: 1,
            ts: String::new(),
            first_ts: String::new(),
            layer: code.layer(),
            code,
            severity: code.severity(),
            action: Action::Denied,
            rule: String::new(),
            object,
            args: Vec::new(),
            arguments: Vec::new(),
            process: Process {
                pid: Some(12),
                comm: Some("a\x1bb".to_owned()),
                exe: None,
                uid: None,
            },
            count: 1,
        }
    }

    #[test]
    fn one_safe_line() {
        let name = "mount".to_owned();
        let (arch, detail) = ("x86_64".to_owned(), String::new());
        let mount = violation(Object::Syscall { name, nr: 165, arch, detail });
        let mut out = Vec::new();
        let mut sink = HumanSink::new(&mut out, false);
        sink.emit(Moment::First, &mount).expect("emit");
        sink.emit(Moment::Repeat, &Violation { count: 10, ..mount.clone() }).expect("emit");
        sink.emit(Moment::Final, &mount).expect("emit");
        let line = "violation: seccomp mount-attempt: tried to change mounts: mount";
        assert_eq!(
            String::from_utf8(out).expect("text"),
            format!("{line} (pid 12 a\\u{{1b}}b)\n{line} (pid 12 a\\u{{1b}}b) x10\n")
        );
    }

    #[test]
    fn calls_have_arguments_and_callers_a_program() {
        let (arch, detail) = ("x86_64".to_owned(), String::new());
        let object = Object::Syscall { name: "mount".to_owned(), nr: 165, arch, detail };
        let argument = |name: &str, value: &str, advisory| Argument {
            name: name.to_owned(),
            value: value.to_owned(),
            advisory,
        };
        let mut mount = violation(object);
        mount.arguments =
            vec![argument("target", "/a\n\"", true), argument("mountflags", "MS_BIND", false)];
        mount.process.exe = Some("/ext/p\x1b".to_owned());
        assert_eq!(
            sentence(&mount),
            "violation: seccomp mount-attempt: tried to change mounts: \
             mount(target=\"/a\\n\"\", mountflags=MS_BIND) (pid 12 a\\u{1b}b) /ext/p\\u{1b}"
        );
    }

    #[test]
    fn objects() {
        let path = |path: &str, access: &str| {
            object(&Object::Path { path: path.to_owned(), access: access.to_owned() })
        };
        assert_eq!(path("/a\n", "fs.make_reg,fs.refer"), "/a\\n (make_reg, refer)");
        assert_eq!(path("/", "fs.a,fs.b,fs.c,fs.d,fs.e"), "/ (a, b, c and 2 more)");
        let access = "net.bind_tcp".to_owned();
        assert_eq!(object(&Object::Port { port: 80, access }), "bind_tcp port 80");
        let (arch, detail) = ("i386".to_owned(), "AF_INET".to_owned());
        let call = Object::Syscall { name: "socket".to_owned(), nr: 1, arch, detail };
        assert_eq!(object(&call), "socket AF_INET [i386]");
    }
}
