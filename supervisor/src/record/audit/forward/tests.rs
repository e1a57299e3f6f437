//! Events at real sockets.

use std::fs;
use std::io::Read;
use std::net::{TcpListener, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, SystemTime};

use super::super::tests::{TempDir, event, subject};
use super::super::{AuditLog, Settings, seal};
use super::*;

const WAIT: Option<Duration> = Some(Duration::from_secs(20));

fn log(dir: &TempDir, forward: Targets) -> AuditLog {
    let settings = Settings { forward, ..Settings::default() };
    AuditLog::open_with(&dir.0.join("audit"), &subject("run"), &settings).expect("open")
}

fn to(syslog: &str) -> Targets {
    Targets { syslog: Some(syslog.parse().expect("server")), ..Targets::default() }
}

/// The lines of the log, without its header.
fn written(dir: &TempDir) -> Vec<String> {
    let entries = fs::read_dir(dir.0.join("audit")).expect("dir");
    let mut paths = entries.map(|entry| entry.expect("entry").path());
    let path = paths.find(|path| path.extension().is_some_and(|end| end == "jsonl"));
    let text = fs::read_to_string(path.expect("a segment")).expect("text");
    text.lines().skip(1).map(str::to_owned).collect()
}

#[test]
fn journald_gets_fields() {
    let dir = TempDir::new("journald");
    let path = dir.0.join("journal");
    let server = UnixDatagram::bind(&path).expect("bind");
    server.set_read_timeout(WAIT).expect("timeout");
    let mut log = log(&dir, Targets { journald: Journald::Socket(path), syslog: None });
    log.append(&[event(1), event(2)]).expect("append");
    let lines = written(&dir);
    for line in &lines {
        let mut bytes = vec![0; 65536];
        let len = server.recv(&mut bytes).expect("receive");
        let text = String::from_utf8(bytes[..len].to_vec()).expect("text");
        let field = |name: &str| {
            let start = format!("{name}=");
            text.lines()
                .find_map(|line| line.strip_prefix(&start))
                .unwrap_or_else(|| panic!("{text}"))
        };
        assert_eq!(field("SANDBOXCTL_EVENT"), line);
        assert_eq!(field("PRIORITY"), "6");
        assert_eq!(field("SANDBOXCTL_TYPE"), "run.start");
        // A newline in a value would begin another field.
        assert_eq!(field("SANDBOXCTL_EXTENSION"), "acme.x\"y ");
        assert!(text.ends_with('\n'));
    }
    let done = log.finish_forwarding().expect("configured");
    assert_eq!(done, Forwarded { sent: 2, lost: 0, reason: None });
}

/// `<110>1 TIME HOST sandboxctl PID run.start [sandboxctl@32473 seq="1" ...] JSON`.
fn assert_rfc5424(message: &str, line: &str, seq: usize) {
    let (head, json) = message.split_once("] ").expect("structured data");
    assert_eq!(json, line);
    let words: Vec<&str> = head.splitn(7, ' ').collect();
    assert_eq!(words[0], "<110>1");
    assert!(words[1].ends_with('Z') && words[1].len() == 27, "{head}");
    assert_eq!((words[3], words[5]), ("sandboxctl", "run.start"));
    let data = format!("[sandboxctl@32473 seq=\"{seq}\" ext=\"acme.x\\\"y \" run=\"run\"");
    assert_eq!(words[6], data);
}

#[test]
fn syslog_gets_datagrams() {
    let dir = TempDir::new("syslog");
    let path = dir.0.join("log");
    let local = UnixDatagram::bind(&path).expect("bind");
    local.set_read_timeout(WAIT).expect("timeout");
    let udp = UdpSocket::bind("127.0.0.1:0").expect("bind");
    udp.set_read_timeout(WAIT).expect("timeout");
    let mut bytes = vec![0; 65536];
    let mut log1 = log(&dir, to(&format!("unix:{}", path.display())));
    log1.append(&[event(1)]).expect("append");
    let len = local.recv(&mut bytes).expect("receive");
    assert_rfc5424(str::from_utf8(&bytes[..len]).expect("text"), &written(&dir)[0], 1);
    let mut log2 = log(&dir, to(&format!("udp:{}", udp.local_addr().expect("address"))));
    log2.append(&[event(2)]).expect("append");
    let len = udp.recv(&mut bytes).expect("receive");
    assert_rfc5424(str::from_utf8(&bytes[..len]).expect("text"), &written(&dir)[1], 2);
}

#[test]
fn syslog_gets_a_connection_with_counted_frames() {
    let dir = TempDir::new("tcp");
    let server = TcpListener::bind("127.0.0.1:0").expect("bind");
    let mut log = log(&dir, to(&format!("tcp:{}", server.local_addr().expect("address"))));
    for n in 0..50 {
        log.append(&[event(n)]).expect("append");
    }
    let done = log.finish_forwarding().expect("configured");
    assert_eq!(done, Forwarded { sent: 50, lost: 0, reason: None });
    drop(log);
    let mut all = String::new();
    server.accept().expect("accept").0.read_to_string(&mut all).expect("text");
    let mut rest = all.as_str();
    for (at, line) in written(&dir).iter().enumerate() {
        let (len, after) = rest.split_once(' ').expect("a count");
        let (message, after) = after.split_at(len.parse().expect("a number"));
        assert_rfc5424(message, line, at + 1);
        rest = after;
    }
    assert_eq!(rest, "");
}

/// A receiver that is full, one that is not there, and one that does not answer: the log is written, and the rest counted.
#[test]
fn what_is_not_taken_is_counted() {
    let dir = TempDir::new("untaken");
    let path = dir.0.join("full");
    let full = UnixDatagram::bind(&path).expect("bind");
    let mut log1 = log(&dir, to(&format!("unix:{}", path.display())));
    for n in 0..5000 {
        log1.append(&[event(n)]).expect("append");
    }
    let done = log1.finish_forwarding().expect("configured");
    assert_eq!(done.sent + done.lost, 5000);
    assert!(done.sent > 0 && done.lost > 0, "{done:?}");
    full.set_nonblocking(true).expect("nonblocking");
    let mut taken = 0;
    while full.recv(&mut [0; 16]).is_ok() {
        taken += 1;
    }
    assert_eq!(taken, done.sent);

    let mut log2 = log(&dir, to(&format!("unix:{}/nobody", dir.0.display())));
    log2.append(&[event(1), event(2)]).expect("append");
    let done = log2.finish_forwarding().expect("configured");
    assert_eq!((done.sent, done.lost), (0, 2));
    assert!(done.reason.expect("reason").contains("nobody"));

    // A port that was free a moment ago.
    let port = TcpListener::bind("127.0.0.1:0").expect("bind").local_addr().expect("address");
    let mut log3 = log(&dir, to(&format!("tcp:{port}")));
    log3.append(&[event(1), event(2), event(3)]).expect("append");
    let done = log3.finish_forwarding().expect("configured");
    assert_eq!((done.sent, done.lost), (0, 3), "{done:?}");
    assert_eq!(written(&dir).len(), 5005);
}

/// A server that takes the connection and reads nothing.
#[test]
fn a_server_that_hangs_holds_nobody_up() {
    let dir = TempDir::new("hangs");
    let server = TcpListener::bind("127.0.0.1:0").expect("bind");
    let mut log = log(&dir, to(&format!("tcp:{}", server.local_addr().expect("address"))));
    let events: Vec<_> = (0..100).map(event).collect();
    for _ in 0..200 {
        log.append(&events).expect("append");
    }
    let done = log.finish_forwarding().expect("configured");
    assert_eq!(done.sent + done.lost, 20_000);
    assert!(done.lost > 0, "{done:?}");
    drop(log);
    // What counts as sent is what the server could read.
    let mut all = Vec::new();
    server.accept().expect("accept").0.read_to_end(&mut all).expect("bytes");
    let (mut rest, mut frames) = (all.as_slice(), 0);
    while let Some(space) = rest.iter().position(|byte| *byte == b' ') {
        let len: usize = str::from_utf8(&rest[..space]).expect("text").parse().expect("a count");
        let Some(after) = rest.get(space + 1 + len..) else { break };
        (rest, frames) = (after, frames + 1);
    }
    assert_eq!(frames, done.sent);
}

/// What the operator can act on is the first thing that the socket says, not that it is broken.
#[test]
fn a_server_that_refuses_is_said_to() {
    let dir = TempDir::new("refuses");
    let server = TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = server.local_addr().expect("address");
    drop(server);
    let mut log = log(&dir, to(&format!("tcp:{address}")));
    for n in 0..3 {
        log.append(&[event(n)]).expect("append");
    }
    let done = log.finish_forwarding().expect("configured");
    assert_eq!((done.sent, done.lost), (0, 3));
    assert!(done.reason.expect("reason").contains("Connection refused"));
}

/// What closing a segment writes goes out as well, also where events are kept until the end.
#[test]
fn the_checkpoint_of_a_segment_is_forwarded() {
    let dir = TempDir::new("sealed");
    let server = TcpListener::bind("127.0.0.1:0").expect("bind");
    let forward = to(&format!("tcp:{}", server.local_addr().expect("address")));
    let settings = Settings { forward, segment_bytes: 1, ..Settings::default() };
    let mut log =
        AuditLog::open_with(&dir.0.join("audit"), &subject("run"), &settings).expect("open");
    log.append(&[event(1)]).expect("append");
    log.append(&[event(2)]).expect("append");
    let done = log.finish_forwarding();
    seal::after_run(&mut log, done.as_ref(), SystemTime::now).expect("seal");
    drop(log);
    let mut all = String::new();
    server.accept().expect("accept").0.read_to_string(&mut all).expect("text");
    assert!(all.contains("\"type\":\"audit.sealed\""), "{all}");
}
