//! Names in every notation: the resolver, the TLS check and the HTTP check read them alike, and nobody is fooled by a
//! zero byte, a line end, an escape or another alphabet.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::fs;

use sandboxctl_integration::bundle::probe;
use sandboxctl_integration::internet::{PUBLIC_DNS, WEB};
use sandboxctl_integration::{Bundle, Internet, Need, Outcome, Site, require};
use serde_json::{Value, json};

fn run(site: &Site, internet: &Internet, program: &str, rules: &str) -> Outcome {
    let bundle = Bundle::python(program)
        .permission("EXTERNAL_API_CALLS")
        .manifest(&format!("[network]\nallow = [{rules}]\n"))
        .file("ca.pem", internet.authority());
    internet.run(site, &bundle)
}

/// Goes on only if the web server has never been asked for another host than these.
#[track_caller]
fn asked_only_for(internet: &Internet, hosts: &[&str]) {
    for request in internet.requests() {
        let host = request["host"].as_str().unwrap();
        assert!(hosts.contains(&host), "{request}");
    }
}

// field.md: parser differentials of host names, in TLS.
#[test]
fn a_server_name_is_the_rules_or_refused() {
    require!(Need::Internet);
    let site = Site::new();
    let internet = Internet::new(&site);
    let program = r#"
import socket
def vector(content, size=2): return len(content).to_bytes(size, "big") + content
def hello(name):
    names = vector(b"\0" + vector(name))
    extensions = vector(b"\0\0" + vector(names) + b"\0\x2b\0\x03\x02\x03\x03")
    body = b"\3\3" + bytes(32) + b"\0" + vector(b"\xc0\x2b\xc0\x2f") + b"\1\0" + extensions
    return b"\x16\3\1" + vector(b"\1" + vector(body, 3))
def tls(name):
    with socket.create_connection(("a.example.com", 443), 20) as s:
        s.sendall(hello(name))
        # A handshake or an alert of the real server, or the end that the proxy makes.
        if not s.recv(10): raise ConnectionResetError(errno.ECONNRESET, "")
good = [b"a.example.com", b"A.EXAMPLE.com", b"a.example.com."]
bad = [b"a.example.com\0", b"a.example.com\0.evil.example", b"evil.example\0a.example.com", b"a.example.com..",
       b".a.example.com", b"a.example.com:443", b"*.example.com", b"a.example.com ", b"a.example.com\r\n",
       b"a%2eexample.com", b"198.18.0.2", b"", b"xn--a.example.com", "\u0430.example.com".encode(),
       "a\u3002example.com".encode(), b"\xff\xfe", b"a" * 300]
print(json.dumps([[attempt(lambda: tls(name)) for name in names] for names in (good, bad)]))
"#;
    let outcome = run(&site, &internet, program, "\"a.example.com\"");
    outcome.expect(0);
    assert_eq!(outcome.json(), json!([vec!["ok"; 3], vec!["ECONNRESET"; 17]]));
    let told: u64 = ["tls-name-mismatch", "tls-name-missing", "protocol-refused"]
        .iter()
        .flat_map(|code| outcome.with_code(code))
        .map(|one| one["count"].as_u64().unwrap())
        .sum();
    assert_eq!(told, 17, "{:#?}", outcome.violations());
}

// field.md: CRLF, zero bytes and second hosts in HTTP.
#[test]
fn a_host_is_the_rules_or_refused() {
    require!(Need::Internet);
    let site = Site::new();
    let internet = Internet::new(&site);
    let program = r#"
import socket
def http(head):
    with socket.create_connection(("a.example.com", 80), 20) as s:
        s.sendall(head + b"\r\n\r\n")
        if not s.recv(10): raise ConnectionResetError(errno.ECONNRESET, "")
def get(host): return b"GET / HTTP/1.1\r\nHost: " + host
good = [get(b"a.example.com"), get(b"A.Example.COM"), get(b"a.example.com:80"), get(b"a.example.com."),
        b"GET http://a.example.com/ HTTP/1.1\r\nHost: a.example.com"]
bad = [get(b"a.example.com\0"), get(b"a.example.com\0.hidden.example.com"), get(b"a.example.com\r\nHost: hidden.example.com"),
       get(b"a.example.com\r\n hidden.example.com"), get(b"a.example.com\rHost: hidden.example.com"),
       get(b"a.example.com\nHost: hidden.example.com"), get(b"hidden.example.com\r\nHost: a.example.com"),
       get(b"a.example.com@hidden.example.com"), get(b"a.example.com:80@hidden.example.com"), get(b"a.example.com:81"),
       get(b"a.example.com, hidden.example.com"), get(b"a%2eexample.com"), get(b"a.example.com/hidden"),
       get("\u0430.example.com".encode()), get(b""), b"GET / HTTP/1.1\r\nHost : a.example.com",
       b"GET / HTTP/1.1\r\n Host: a.example.com", b"GET http://hidden.example.com/ HTTP/1.1\r\nHost: a.example.com",
       b"GET //hidden.example.com/ HTTP/1.1", b"GET / HTTP/1.1\r\nX: y\r\n\tHost: a.example.com"]
print(json.dumps([[attempt(lambda: http(head)) for head in heads] for heads in (good, bad)]))
"#;
    let outcome = run(&site, &internet, program, "\"a.example.com:80\"");
    outcome.expect(0);
    assert_eq!(outcome.json(), json!([vec!["ok"; 5], vec!["ECONNRESET"; 20]]));
    asked_only_for(
        &internet,
        &["a.example.com", "A.Example.COM", "a.example.com:80", "a.example.com."],
    );
    let told: u64 = ["http-host-mismatch", "protocol-refused"]
        .iter()
        .flat_map(|code| outcome.with_code(code))
        .map(|one| one["count"].as_u64().unwrap())
        .sum();
    assert_eq!(told, 20, "{:#?}", outcome.violations());
}

// field.md: zero bytes in host names, dots that are none.
#[test]
fn a_question_in_another_notation_gets_no_address() {
    require!(Need::Internet);
    let site = Site::new();
    let internet = Internet::new(&site);
    let program = r#"
import socket, struct
def ask(*labels):
    name = b"".join(bytes([len(label)]) + label for label in labels) + b"\0"
    query = struct.pack(">6H", 7, 0x100, 1, 0, 0, 0) + name + struct.pack(">2H", 1, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(1)
        s.sendto(query, ("127.0.0.1", 53))
        try: answer = s.recv(512)
        except TimeoutError: return "ignored"
    return "address" if struct.unpack(">H", answer[6:8])[0] else answer[3] & 15
good = [ask(b"a", b"example", b"com"), ask(b"A", b"EXAMPLE", b"com")]
bad = [ask(b"a.example.com"), ask(b"a.example", b"com"), ask(b"a\0", b"example", b"com"), ask(b"a", b"example", b"com\0"),
       ask(b"a", b"example", b"com", b"evil"), ask(b"a ", b"example", b"com"), ask("\u0430".encode(), b"example", b"com"),
       ask(b"\\097", b"example", b"com"), ask(b"*", b"example", b"com"), ask(b"example", b"com"), ask()]
print(json.dumps([good, bad]))
"#;
    let outcome = run(&site, &internet, program, "\"a.example.com\"");
    outcome.expect(0);
    let answers = outcome.json();
    assert_eq!(answers[0], json!(["address", "address"]));
    assert!(answers[1].as_array().unwrap().iter().all(|one| one != "address"), "{answers}");
    assert!(internet.queries().is_empty(), "nothing of it left: {:?}", internet.queries());
}

#[test]
fn an_international_name_is_its_ascii_form_everywhere() {
    require!(Need::Internet);
    let site = Site::new();
    let internet = Internet::new(&site);
    internet.name("xn--bcher-kva.example", &[WEB]);
    let program = r#"
import socket
def http(host):
    # Python's codec makes the ASCII form of the name that is looked up.
    with socket.create_connection(("b\u00fccher.example", 80), 20) as s:
        s.sendall(b"GET / HTTP/1.1\r\nHost: " + host + b"\r\n\r\n")
        if not s.recv(10): raise ConnectionResetError(errno.ECONNRESET, "")
def look_up(name):
    try: return bool(socket.getaddrinfo(name, 80))
    except (socket.gaierror, UnicodeError): return False
print(json.dumps([attempt(lambda: http(b"xn--bcher-kva.example")), attempt(lambda: http("b\u00fccher.example".encode())),
                  look_up("XN--BCHER-KVA.example"), look_up("bucher.example"), look_up("b\u00fccher.example.")]))
"#;
    let outcome = run(&site, &internet, program, "\"B\u{fc}cher.example:80\"");
    outcome.expect(0);
    assert_eq!(outcome.json(), json!(["ok", "ECONNRESET", true, false, true]));
    outcome.recorded("http-host-mismatch", "host", "xn--bcher-kva.example");
    outcome.recorded("name-refused", "name", "bucher.example");
    asked_only_for(&internet, &["xn--bcher-kva.example"]);
}

// field.md: encrypted DNS past the resolver.
#[test]
fn encrypted_dns_is_no_way_past_the_resolver() {
    require!(Need::Internet);
    let site = Site::new();
    let internet = Internet::new(&site);
    internet.name("dns.google", &[PUBLIC_DNS]);
    let program = r#"
import socket, ssl
context = ssl.create_default_context(cafile="/ext/ca.pem")
context.check_hostname = False
context.set_alpn_protocols(["h2", "http/1.1"])
def tls(host, port, name):
    with socket.create_connection((host, port), 20) as plain:
        with context.wrap_socket(plain, server_hostname=name): pass
def look_up(name):
    try: socket.getaddrinfo(name, 443); return "ok"
    except socket.gaierror as error: return error.errno
print(json.dumps([
    # DoH: the server's name, its address, its name behind an allowed one.
    look_up("dns.google"), look_up("one.one.one.one"), look_up("use-application-dns.net"),
    attempt(lambda: tls("8.8.8.8", 443, "dns.google")),
    attempt(lambda: tls("a.example.com", 443, "dns.google")),
    # DoT: the same, and the allowed host's own.
    attempt(lambda: tls("8.8.8.8", 853, "dns.google")),
    attempt(lambda: tls("a.example.com", 853, "a.example.com")),
]))
"#;
    let outcome = run(&site, &internet, program, "\"a.example.com\"");
    outcome.expect(0);
    let expected =
        json!([-2, -2, -2, "ECONNREFUSED", "ECONNRESET", "ECONNREFUSED", "ECONNREFUSED"]);
    assert_eq!(outcome.json(), expected);
    outcome.recorded("name-refused", "name", "dns.google");
    outcome.recorded("address-refused", "detail", "another name server");
    outcome.recorded("tls-name-mismatch", "host", "a.example.com");
    let by_port: Vec<&Value> = outcome.with_code("port-refused");
    assert!(by_port.iter().all(|one| one["object"]["port"] == 853), "{by_port:#?}");
    assert!(!internet.asked_for("dns.google"));
    internet.untouched(&[PUBLIC_DNS]);
}

/// Its own root has its own /etc, or none: C libraries ask 127.0.0.1 where /etc/resolv.conf is absent.
#[test]
fn a_bundle_with_its_own_root_has_names_too() {
    require!(Need::Internet);
    let site = Site::new();
    let internet = Internet::new(&site);
    let bundle = || {
        Bundle::command(&[
            "/bin/probe",
            "fetch",
            "/own-root",
            "a.example.com:80",
            "b.example.com:80",
        ])
        .runtime("bundle")
        .executable("rootfs/bin/probe", fs::read(probe()).unwrap())
        .permission("EXTERNAL_API_CALLS")
        .manifest("[network]\nallow = [\"a.example.com:80\"]\n")
    };
    for bundle in [bundle(), bundle().file("rootfs/etc/resolv.conf", "nameserver 127.0.0.1\n")] {
        let outcome = internet.run(&site, &bundle);
        outcome.expect(0);
        assert_eq!(outcome.stdout, "200 refused\n", "{}", outcome.stderr);
        outcome.recorded("name-refused", "name", "b.example.com");
    }
    // Another name server is out of reach, at once, and recorded.
    let elsewhere = bundle().file("rootfs/etc/resolv.conf", format!("nameserver {PUBLIC_DNS}\n"));
    let outcome = internet.run(&site, &elsewhere);
    outcome.expect(0);
    assert!(!outcome.stdout.contains("200"), "{}", outcome.stdout);
    outcome.recorded("address-refused", "address", PUBLIC_DNS);
    internet.untouched(&[PUBLIC_DNS]);
}

#[test]
fn why_advises_only_what_a_manifest_may_say() {
    require!();
    let site = Site::new();
    let built = Bundle::command(&["true"])
        .permission("EXTERNAL_API_CALLS")
        .manifest("[network]\nallow = [\"a.example.com\"]\n")
        .build(&site);
    let path = built.path.to_str().unwrap();
    for (destination, advice) in [
        ("b.example.com:8443", "add \"b.example.com:8443\" to [network] allow"),
        ("a.example.com:80", "add \"a.example.com:80\" to [network] allow"),
        ("a.example.com:53", "no rule can have port 53"),
        ("b.example.com:53", "no rule can have port 53"),
    ] {
        let outcome = site.sandboxctl(&["explain", path, "--why", destination]);
        outcome.expect(126);
        assert!(outcome.stdout.contains(advice), "{destination}: {}", outcome.stdout);
    }
}

// What a name server lets be kept is asked for once, what it does not is asked for each connection.
#[test]
fn answers_are_kept_as_long_as_the_name_server_says() {
    require!(Need::Internet, Need::Program("curl"));
    let site = Site::new();
    let internet = Internet::new(&site);
    let script = "for name in kept kept kept a a a; do
  curl -sS --max-time 20 -o /dev/null -w '%{http_code} ' http://$name.example.com/
done";
    let bundle = Bundle::shell(script)
        .permission("EXTERNAL_API_CALLS")
        .manifest("[network]\nallow = [\"kept.example.com:80\", \"a.example.com:80\"]\n");
    let outcome = internet.run(&site, &bundle);
    outcome.expect(0).well_behaved();
    assert_eq!(outcome.stdout, "200 200 200 200 200 200 ", "{}", outcome.stderr);
    let queries = internet.queries();
    let asked =
        |name: &str| queries.iter().filter(|(kind, asked)| kind == "A" && asked == name).count();
    assert_eq!((asked("kept.example.com"), asked("a.example.com")), (1, 3), "{queries:?}");
}
