//! The bounds of a tier, each met by a program that goes beyond it; and connections that end in unusual ways.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use sandboxctl_integration::{Bundle, Internet, Need, Outcome, Site, require};
use serde_json::{Value, json};

/// Ports of servers that are no web servers.
const RULES: &str = "{ host = \"mq.example.com\", ports = [5671, 5672, 5673, 5674, 5676, 5677, 5678, 8080], tls = \"opaque\" }";

/// A client of them.
const CLIENT: &str = r#"
import socket, time
# One address: a library would try the next one after a reset.
address = socket.getaddrinfo("mq.example.com", 0, socket.AF_INET)[0][4][0]
def connect(port):
    s = socket.create_connection((address, port), 60)
    s.settimeout(60)
    return s
def receive_all(s):
    count = 0
    while piece := s.recv(1 << 16):
        count += len(piece)
    return count
"#;

fn run(site: &Site, internet: &Internet, program: &str) -> Outcome {
    let bundle = Bundle::python(&format!("{CLIENT}{program}"))
        .permission("EXTERNAL_API_CALLS")
        .manifest(&format!("[network]\nallow = [{RULES}]\n"));
    internet.run(site, &bundle)
}

fn flow(outcome: &Outcome, port: u16) -> &Value {
    let domains = outcome.report()["network"]["domains"].as_array().unwrap();
    domains.iter().find(|flow| flow["port"] == port).unwrap()
}

#[test]
fn a_run_has_so_many_connections_in_all() {
    require!(Need::Internet);
    let site = Site::new();
    site.change_tier("community", &[("connections_total", "3")]);
    let internet = Internet::new(&site);
    let program = r#"
def one():
    with connect(5671) as s:
        s.sendall(b"x")
        if not s.recv(1): raise OSError(errno.ECONNRESET, "")
print(json.dumps([attempt(one) for _ in range(5)]))
"#;
    let outcome = run(&site, &internet, program);
    outcome.expect(0);
    assert_eq!(outcome.json(), json!(["ok", "ok", "ok", "ECONNRESET", "ECONNRESET"]));
    let refused = outcome.recorded("connection-limit", "host", "mq.example.com");
    assert_eq!(refused["rule"], "tier: network.connections_total");
    assert_eq!(refused["count"], 2);
    assert!(refused["process"]["uid"].as_u64().unwrap() >= 0x7000_0000, "{refused}");
    assert_eq!(flow(&outcome, 5671)["connections"], 3);
    assert_eq!(flow(&outcome, 5671)["refused"], 2);
}

#[test]
fn connections_at_once_are_bounded_and_become_free_again() {
    require!(Need::Internet);
    let site = Site::new();
    site.change_tier("community", &[("connections", "2")]);
    let internet = Internet::new(&site);
    let program = r#"
def held():
    s = connect(5671)
    s.sendall(b"x")
    return s if s.recv(1) else None
def refused():
    if not held(): raise OSError(errno.ECONNRESET, "")
two = [held(), held()]
third = attempt(refused)
two.pop().close()
# Its place is free when the proxy has seen the end, which the client cannot.
for _ in range(600):
    again = attempt(refused)
    if again == "ok": break
    time.sleep(0.05)
print(json.dumps([third, again]))
"#;
    let outcome = run(&site, &internet, program);
    outcome.expect(0);
    assert_eq!(outcome.json(), json!(["ECONNRESET", "ok"]));
    let refused = outcome.recorded("connection-limit", "host", "mq.example.com");
    assert_eq!(refused["rule"], "tier: network.connections");
    assert_eq!(flow(&outcome, 5671)["connections"], 3);
}

#[test]
fn a_run_has_so_many_bytes_and_not_one_more() {
    require!(Need::Internet);
    let site = Site::new();
    site.change_tier("community", &[("traffic_mb", "1")]);
    let internet = Internet::new(&site);
    // Four connections at once, each of which asks for more than there is.
    let program = r#"
all = [connect(8080) for _ in range(4)]
for s in all:
    s.sendall(b"GET /big HTTP/1.1\r\nHost: mq.example.com\r\n\r\n")
def drain(s):
    while s.recv(1 << 16): pass
ends = [attempt(lambda: drain(s)) for s in all]
def later():
    with connect(8080) as s:
        s.sendall(b"x")
        if not s.recv(1): raise OSError(errno.ECONNRESET, "")
print(json.dumps([ends, attempt(later)]))
"#;
    let outcome = run(&site, &internet, program);
    outcome.expect(0);
    let reset = "ECONNRESET";
    assert_eq!(outcome.json(), json!([[reset, reset, reset, reset], reset]));
    let flow = flow(&outcome, 8080);
    let bytes = flow["bytesIn"].as_u64().unwrap() + flow["bytesOut"].as_u64().unwrap();
    assert_eq!(bytes, 1 << 20);
    let refused = outcome.recorded("traffic-limit", "host", "mq.example.com");
    assert_eq!(refused["rule"], "tier: network.traffic_mb");
    assert_eq!(refused["count"], 5);
}

#[test]
fn a_connection_on_which_nothing_moves_is_closed_and_others_stay() {
    require!(Need::Internet);
    let site = Site::new();
    site.change_tier("community", &[("idle_ms", "1000")]);
    let internet = Internet::new(&site);
    let program = r#"
idle, busy = connect(5676), connect(5671)
def wait():
    if not idle.recv(1): raise OSError(0, "")
closed = None
def talk():
    busy.sendall(b"x")
    if not busy.recv(1): raise OSError(0, "")
idle.setblocking(False)
talks = []
while closed in (None, "EAGAIN"):
    talks.append(attempt(talk))
    closed = attempt(wait)
    time.sleep(0.1)
print(json.dumps([closed, set(talks) == {"ok"}, attempt(talk)]))
"#;
    let outcome = run(&site, &internet, program);
    outcome.expect(0).well_behaved();
    assert_eq!(outcome.json(), json!(["ECONNRESET", true, "ok"]));
}

#[test]
fn a_reset_in_the_middle_is_a_reset_for_the_client() {
    require!(Need::Internet);
    let site = Site::new();
    let internet = Internet::new(&site);
    let program = r#"
def cut_off():
    with connect(5673) as s:
        s.sendall(b"x")
        receive_all(s)
def cut_short():
    with connect(5678) as s:
        s.sendall(b"x")
        count = receive_all(s)
        raise OSError(0, f"a proper end after {count} bytes")
print(json.dumps([attempt(cut_off), attempt(cut_short)]))
"#;
    let outcome = run(&site, &internet, program);
    outcome.expect(0).well_behaved();
    assert_eq!(outcome.json(), json!(["ECONNRESET", "ECONNRESET"]));
    assert_eq!(flow(&outcome, 5673)["failed"], 1);
    assert!(flow(&outcome, 5678)["bytesIn"].as_u64().unwrap() > 0);
}

#[test]
fn slow_readers_on_both_sides_get_every_byte() {
    require!(Need::Internet);
    let site = Site::new();
    let internet = Internet::new(&site);
    let program = r"
import hashlib, threading
# More than all buffers on the way hold.
LENGTH = 24 << 20
sent = hashlib.sha256()
def send(s):
    block = os.urandom(1 << 20)
    for _ in range(LENGTH >> 20):
        sent.update(block)
        s.sendall(block)
    s.shutdown(socket.SHUT_WR)
with connect(5671) as s:
    writer = threading.Thread(target=send, args=[s])
    writer.start()
    time.sleep(0.5)
    got, count = hashlib.sha256(), 0
    while piece := s.recv(1 << 18):
        got.update(piece)
        count += len(piece)
        if count % 7 == 0: time.sleep(0.002)
    writer.join()
with connect(5674) as s:
    s.sendall(bytes(16 << 20))
    s.shutdown(socket.SHUT_WR)
    slow = s.recv(100).decode()
print(json.dumps([count, got.hexdigest() == sent.hexdigest(), slow]))
";
    let outcome = run(&site, &internet, program);
    outcome.expect(0).well_behaved();
    assert_eq!(outcome.json(), json!([24 << 20, true, format!("{}\n", 16 << 20)]));
    assert_eq!(flow(&outcome, 5671)["bytesIn"], 24 << 20);
}

#[test]
fn either_side_may_finish_first() {
    require!(Need::Internet);
    let site = Site::new();
    let internet = Internet::new(&site);
    let program = r#"
with connect(5672) as s:
    s.sendall(b"four")
    s.shutdown(socket.SHUT_WR)
    first = s.recv(100).decode()
with connect(5677) as s:
    greeting = receive_all(s)
    s.sendall(b"after the server's end")
print(json.dumps([first, greeting]))
"#;
    let outcome = run(&site, &internet, program);
    outcome.expect(0).well_behaved();
    assert_eq!(outcome.json(), json!(["4\n", 4]));
    assert_eq!(flow(&outcome, 5677)["bytesOut"], 22);
    let heard = std::fs::read_to_string(internet.dir().join("last-words")).unwrap();
    assert_eq!(heard, "after the server's end");
}

// Happy eyeballs, RFC 8305: with one address after the other, four dead ones take longer than the client waits.
#[test]
fn dead_addresses_of_a_name_cost_little() {
    require!(Need::Internet, Need::Program("curl"));
    let site = Site::new();
    let internet = Internet::new(&site);
    let dead: Vec<String> = (100..110).map(|last| format!("93.184.215.{last}")).collect();
    let mut some: Vec<&str> = dead.iter().take(4).map(String::as_str).collect();
    some.push(sandboxctl_integration::internet::WEB);
    internet.name("some.example.com", &some);
    let all: Vec<&str> = dead.iter().map(String::as_str).collect();
    internet.name("none.example.com", &all);
    let script = r"
curl -sS --max-time 14 -o /dev/null -w '%{http_code} ' http://some.example.com/
curl -sS --max-time 14 -o /dev/null http://none.example.com/ 2>/dev/null; echo $?";
    let bundle = Bundle::shell(script)
        .permission("EXTERNAL_API_CALLS")
        .manifest("[network]\nallow = [\"some.example.com:80\", \"none.example.com:80\"]\n");
    let outcome = internet.run(&site, &bundle);
    outcome.expect(0).well_behaved();
    // 56: reset, and not 28, curl's own patience.
    assert_eq!(outcome.stdout, "200 56\n", "{}", outcome.stderr);
    assert!(!internet.sent_to(&dead[0]).is_empty(), "a dead address was tried");
}

#[test]
fn a_name_server_that_never_answers_for_ipv6_costs_little() {
    require!(Need::Internet, Need::Program("curl"));
    let site = Site::new();
    let internet = Internet::new(&site);
    // Answers to AAAA questions for names of this length get lost: the type stands behind header and name.
    let lost = "add table ip lost; add chain ip lost in { type filter hook input priority 0; }; \
                add rule ip lost in udp sport 53 @th,280,16 28 drop";
    let dropped = internet.command("nft").arg(lost).output().unwrap();
    assert!(dropped.status.success(), "{dropped:?}");
    let script = "curl -sS --max-time 20 -o /dev/null -w '%{http_code}' http://a.example.com/";
    let bundle = Bundle::shell(script)
        .permission("EXTERNAL_API_CALLS")
        .manifest("[network]\nallow = [\"a.example.com:80\"]\n");
    let outcome = internet.run(&site, &bundle);
    outcome.expect(0).well_behaved();
    assert_eq!(outcome.stdout, "200", "{}", outcome.stderr);
    let asked = internet.queries();
    assert!(asked.contains(&("AAAA".to_owned(), "a.example.com".to_owned())), "{asked:?}");
}
