//! Every other way out is refused at once and recorded, and nothing of it reaches the other side.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use sandboxctl_integration::internet::{METADATA, PRIVATE, PUBLIC_DNS};
use sandboxctl_integration::{Bundle, Internet, Need, Outcome, Site, require};
use serde_json::{Value, json};

fn bundle(internet: &Internet, base: Bundle, rules: &str) -> Bundle {
    base.permission("EXTERNAL_API_CALLS")
        .manifest(&format!("[network]\nallow = [{rules}]\n"))
        .file("ca.pem", internet.authority())
}

/// The violations with this code whose object has all of these.
fn found<'a>(outcome: &'a Outcome, code: &str, object: &Value) -> Vec<&'a Value> {
    let wanted = object.as_object().unwrap();
    let matches =
        |one: &&Value| wanted.iter().all(|(key, value)| one["object"][key.as_str()] == *value);
    outcome.with_code(code).into_iter().filter(matches).collect()
}

#[track_caller]
fn one<'a>(outcome: &'a Outcome, code: &str, object: &Value) -> &'a Value {
    let all = found(outcome, code, object);
    assert_eq!(all.len(), 1, "{code} {object}: {:#?}", outcome.violations());
    all[0]
}

// field.md: direct IP, UDP, QUIC, other name servers, IPv6 literals.
#[test]
fn addresses_are_refused_with_address_port_protocol_and_uid() {
    require!(Need::Internet);
    let site = Site::new();
    let internet = Internet::new(&site);
    let program = r#"
import socket
def tcp(family, address, port):
    with socket.socket(family, socket.SOCK_STREAM) as s:
        s.settimeout(20)
        s.connect((address, port))
def udp(family, address, port):
    with socket.socket(family, socket.SOCK_DGRAM) as s:
        s.settimeout(20)
        s.sendto(b"x", (address, port))
quic = socket.getaddrinfo("a.example.com", 443, socket.AF_INET)[0][4][0]
print(json.dumps([
    attempt(lambda: tcp(socket.AF_INET, "93.184.215.10", 443)),
    attempt(lambda: tcp(socket.AF_INET6, "2606:2800:21f::10", 443)),
    attempt(lambda: tcp(socket.AF_INET, "169.254.169.254", 80)),
    attempt(lambda: tcp(socket.AF_INET, quic, 8080)),
    attempt(lambda: tcp(socket.AF_INET, "8.8.8.8", 53)),
    attempt(lambda: tcp(socket.AF_INET, "8.8.8.8", 853)),
    attempt(lambda: udp(socket.AF_INET, "8.8.8.8", 53)),
    attempt(lambda: udp(socket.AF_INET6, "2606:4700:4700::1111", 53)),
    attempt(lambda: udp(socket.AF_INET, quic, 443)),
]))
"#;
    let outcome =
        internet.run(&site, &bundle(&internet, Bundle::python(program), "\"a.example.com\""));
    outcome.expect(0);
    let refused = "ECONNREFUSED";
    let expected =
        [refused, refused, refused, refused, refused, refused, "EPERM", "EPERM", "EPERM"];
    assert_eq!(outcome.json(), json!(expected));
    for (address, port, protocol) in [
        ("93.184.215.10", 443, "tcp"),
        ("2606:2800:21f::10", 443, "tcp"),
        (METADATA, 80, "tcp"),
        (PUBLIC_DNS, 53, "tcp"),
        (PUBLIC_DNS, 853, "tcp"),
        (PUBLIC_DNS, 53, "udp"),
        ("2606:4700:4700::1111", 53, "udp"),
    ] {
        let object = json!({"address": address, "port": port, "protocol": protocol, "host": ""});
        let violation = one(&outcome, "address-refused", &object);
        assert!(violation["process"]["uid"].as_u64().unwrap() >= 0x7000_0000, "{violation}");
        assert_eq!(violation["count"], 1);
    }
    for (port, protocol) in [(8080, "tcp"), (443, "udp")] {
        let object = json!({"host": "a.example.com", "port": port, "protocol": protocol});
        one(&outcome, "port-refused", &object);
    }
    internet.untouched(&["93.184.215.10", METADATA, PUBLIC_DNS]);
}

// field.md: raw packets, AF_PACKET, AF_VSOCK, abstract sockets of the host, changes to the rules.
#[test]
fn other_sockets_and_the_rules_themselves_are_out_of_reach() {
    require!(Need::Internet);
    let site = Site::new();
    let internet = Internet::new(&site);
    let program = r#"
import ctypes, socket
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *arguments):
    if libc.syscall(number, *arguments) < 0:
        raise OSError(ctypes.get_errno(), "")
def abstract():
    with socket.socket(socket.AF_UNIX) as s:
        s.connect("\0egress-test")
print(json.dumps([
    attempt(lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)),
    attempt(lambda: socket.socket(socket.AF_INET6, socket.SOCK_RAW, 58)),
    attempt(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM, 1)),
    attempt(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)),
    attempt(lambda: socket.socket(40, socket.SOCK_STREAM, 0)),
    attempt(lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12)),
    attempt(lambda: call(272, 0x40000000)),
    attempt(lambda: call(308, 0, 0x40000000)),
    attempt(abstract),
]))
"#;
    // A service of the very network that the supervisor is in; it answers whoever is there.
    let service = r#"
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.bind("\0egress-test"); s.listen(); print("ready", flush=True); sys.stdin.read()"#;
    let mut service = internet
        .command("python3")
        .args(["-c", service])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(service.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    let beside = "import socket; socket.socket(socket.AF_UNIX).connect('\\0egress-test')";
    assert!(internet.command("python3").args(["-c", beside]).status().unwrap().success());
    let outcome =
        internet.run(&site, &bundle(&internet, Bundle::python(program), "\"a.example.com\""));
    drop(service.stdin.take());
    assert!(service.wait().unwrap().success(), "it was there until the end");
    outcome.expect(0);
    let (denied, absent) = ("EPERM", "ECONNREFUSED");
    // Netlink is refused as where it does not exist: many programs look for it and go on without.
    let netlink = "EAFNOSUPPORT";
    let expected = [denied, denied, denied, denied, denied, netlink, denied, denied, absent];
    assert_eq!(outcome.json(), json!(expected));
    assert!(outcome.with_code("network-denied").len() >= 5, "{:#?}", outcome.violations());
    assert_eq!(outcome.with_code("namespace-attempt").len(), 2);
}

// field.md: DNS tunnelling, DNS exfiltration.
#[test]
fn names_that_are_not_allowed_do_not_exist_and_never_leave() {
    require!(Need::Internet);
    let site = Site::new();
    let internet = Internet::new(&site);
    let program = r#"
import socket
def look_up(name):
    try:
        socket.getaddrinfo(name, 443, type=socket.SOCK_STREAM)
        return "ok"
    except socket.gaierror as error:
        return error.errno
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
    for garbage in [b"", b"x", b"\0" * 12, b"\xff" * 40]:
        s.sendto(garbage, ("127.0.0.1", 53))
answers = [look_up("secret.attacker.example"), look_up("Other.Example.NET"), look_up("a.example.com.evil.example")]
tunnel = [look_up(f"{number}.wild.example.net") for number in range(66)]
print(json.dumps([answers, tunnel.count("ok")]))
"#;
    let rules = "\"a.example.com\", \"*.wild.example.net\"";
    let outcome = internet.run(&site, &bundle(&internet, Bundle::python(program), rules));
    outcome.expect(0);
    // EAI_NONAME, at once: not a temporary failure that is tried again. A community wildcard is 64 names.
    assert_eq!(outcome.json(), json!([[-2, -2, -2], 64]));
    for name in ["secret.attacker.example", "other.example.net", "a.example.com.evil.example"] {
        assert_eq!(one(&outcome, "name-refused", &json!({"name": name}))["count"], 1);
        assert!(!internet.asked_for(name));
    }
    assert_eq!(outcome.with_code("name-limit").len(), 2);
    assert!(!internet.asked_for("0.wild.example.net"), "only who connects looks a name up");
    assert_eq!(outcome.report()["network"]["dns"]["malformed"], 4);
}

// field.md: SNI and Host fronting.
#[test]
fn fronting_by_server_name_or_host_is_refused() {
    require!(Need::Internet, Need::Program("curl"));
    let site = Site::new();
    let internet = Internet::new(&site);
    let program = r#"
import socket, ssl
context = ssl.create_default_context(cafile="/ext/ca.pem")
context.check_hostname = False
def tls(name):
    with socket.create_connection(("a.example.com", 443), 20) as plain:
        with context.wrap_socket(plain, server_hostname=name) as s:
            s.sendall(b"GET /tls HTTP/1.1\r\nHost: hidden.example.com\r\n\r\n")
            s.recv(10)
def http(*hosts):
    with socket.create_connection(("a.example.com", 80), 20) as s:
        for host in hosts:
            s.sendall(f"GET /{host} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            if not s.recv(1000):
                raise ConnectionResetError(errno.ECONNRESET, "")
def other():
    with socket.create_connection(("a.example.com", 80), 20) as s:
        s.sendall(b"SSH-2.0-x\r\n")
        if not s.recv(10):
            raise ConnectionResetError(errno.ECONNRESET, "")
print(json.dumps([
    attempt(lambda: tls("a.example.com")),
    attempt(lambda: tls("hidden.example.com")),
    attempt(lambda: tls(None)),
    attempt(lambda: http("a.example.com", "a.example.com")),
    attempt(lambda: http("hidden.example.com")),
    attempt(lambda: http("a.example.com", "hidden.example.com")),
    attempt(other),
]))
"#;
    let outcome = internet
        .run(&site, &bundle(&internet, Bundle::python(program), "\"a.example.com:80,443\""));
    outcome.expect(0);
    let reset = "ECONNRESET";
    assert_eq!(outcome.json(), json!(["ok", reset, reset, "ok", reset, reset, reset]));
    let host =
        |port: u16, detail: &str| json!({"host": "a.example.com", "port": port, "detail": detail});
    let front = one(&outcome, "tls-name-mismatch", &host(443, "server name hidden.example.com"));
    assert_eq!(front["severity"], "CRITICAL");
    assert_eq!(outcome.with_code("tls-name-missing").len(), 1);
    let refused = outcome.with_code("http-host-mismatch");
    assert_eq!(refused.iter().map(|one| one["count"].as_u64().unwrap()).sum::<u64>(), 2);
    assert_eq!(outcome.with_code("protocol-refused").len(), 1);
    let hidden = |one: &Value| one["host"] == "hidden.example.com" && one["uri"] != "/tls";
    assert!(!internet.requests().iter().any(hidden), "{:?}", internet.requests());
}

// field.md: DNS rebinding, metadata, private ranges in every notation.
#[test]
fn names_that_stand_for_private_addresses_are_refused_and_nothing_is_sent() {
    require!(Need::Internet, Need::Program("curl"));
    let site = Site::new();
    let internet = Internet::new(&site);
    let names = [
        ("private", PRIVATE, "private"),
        ("loopback", "127.0.0.1", "loopback"),
        ("metadata", METADATA, "metadata service"),
        ("ula", "fd00::5", "private"),
        ("cgnat", "100.64.0.1", "carrier-grade NAT"),
        ("mapped", "::ffff:10.0.0.5", "private"),
        ("nat64", "64:ff9b::a00:5", "private"),
    ];
    let mut script = String::new();
    let mut rules = vec!["\"a.example.com:80\"".to_owned()];
    for (name, _, _) in names {
        script = format!(
            "{script}curl -sS --max-time 20 -o /dev/null http://{name}.example.com/ 2>/dev/null; \
             echo -n \"$? \"\n"
        );
        rules.push(format!("\"{name}.example.com:80\""));
    }
    // An allowed server that sends its clients on: the address is refused like any other.
    script.push_str(
        "curl -sSL --max-time 20 -o /dev/null http://a.example.com/to-private 2>/dev/null; echo -n \"$? \"\n\
         curl -sSL --max-time 20 -o /dev/null http://a.example.com/to-metadata 2>/dev/null; echo -n \"$? \"\n",
    );
    let outcome =
        internet.run(&site, &bundle(&internet, Bundle::shell(&script), &rules.join(", ")));
    outcome.expect(0);
    // 56: reset; 7: refused.
    assert_eq!(outcome.stdout, "56 56 56 56 56 56 56 7 7 ", "{}", outcome.stderr);
    for (name, address, class) in names {
        let object = json!({"host": format!("{name}.example.com"), "detail": class});
        let violation = one(&outcome, "private-address", &object);
        let shown = violation["object"]["address"].as_str().unwrap();
        assert_eq!(shown.parse::<std::net::IpAddr>(), address.parse(), "{violation}");
    }
    internet.untouched(&[PRIVATE, METADATA, "fd00::5", "100.64.0.1", "64:ff9b::a00:5"]);
}

#[test]
fn a_name_that_changes_to_a_private_address_is_refused_from_then_on() {
    require!(Need::Internet, Need::Program("curl"));
    let site = Site::new();
    let internet = Internet::new(&site);
    let script = r#"
get() { curl -sS --max-time 20 -o /dev/null http://rebind.example.com/; echo "$1 $?"; }
get first
while ! [ -e /data/on ] && read -r _; do get again; done"#;
    let built = bundle(&internet, Bundle::shell(script), "\"rebind.example.com:80\"").build(&site);
    let first = internet.start(&site, &built, &[]).wait();
    first.expect(0);
    assert_eq!(first.stdout, "first 0\n");
    for address in ["127.0.0.1", METADATA] {
        internet.name("rebind.example.com", &[address]);
        let later = internet.start(&site, &built, &[]).wait();
        later.expect(0);
        assert_eq!(later.stdout, "first 56\n");
        one(&later, "private-address", &json!({"address": address}));
    }
    internet.untouched(&[METADATA]);
}

#[test]
fn a_private_host_needs_a_rule_that_says_so_and_a_tier_that_has_them() {
    require!(Need::Internet, Need::Program("curl"));
    let site = Site::new();
    let internet = Internet::new(&site);
    let script = "curl -sS --max-time 20 http://erp.corp.example/ -o /dev/null; echo $?";
    let rule = "{ host = \"erp.corp.example\", ports = [80], addresses = \"private\" }";
    let community = bundle(&internet, Bundle::shell(script), rule);
    internet.run(&site, &community).expect(126);
    let professional = community.tier("professional");
    let outcome = internet.run_with(&site, &professional, &["--dev"]);
    outcome.expect(0);
    assert_eq!(outcome.stdout, "0\n");
}

#[test]
fn a_flood_is_counted_exactly_and_hides_nothing() {
    require!(Need::Internet);
    let site = Site::new();
    let internet = Internet::new(&site);
    let program = r#"
import socket
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
    for _ in range(20000):
        attempt(lambda: s.sendto(b"x", ("203.0.113.1", 9)))
    attempt(lambda: s.sendto(b"x", ("203.0.113.2", 9)))
"#;
    let outcome =
        internet.run(&site, &bundle(&internet, Bundle::python(program), "\"a.example.com\""));
    outcome.expect(0);
    let counts = outcome.with_code("address-refused");
    let total: u64 = counts.iter().map(|one| one["count"].as_u64().unwrap()).sum();
    assert_eq!(total, 20_001, "{:#?}", outcome.violations());
    assert_eq!(outcome.report()["network"]["refusedPackets"], 20_001);
    one(&outcome, "address-refused", &json!({"address": "203.0.113.2"}));
    assert!(outcome.report()["network"]["recordedPackets"].as_u64().unwrap() < 20_001);
}
