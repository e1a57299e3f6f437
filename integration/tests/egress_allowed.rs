//! What an extension may reach, it reaches with ordinary programs and no setting of its own.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use sandboxctl_integration::{Bundle, Internet, Need, Outcome, Site, require};
use serde_json::Value;

/// An extension with these rules and the authority of the pretend internet.
fn bundle(internet: &Internet, base: Bundle, rules: &str) -> Bundle {
    base.permission("EXTERNAL_API_CALLS")
        .manifest(&format!("[network]\nallow = [{rules}]\n"))
        .file("ca.pem", internet.authority())
}

fn flow<'a>(outcome: &'a Outcome, domain: &str, port: u16) -> &'a Value {
    let domains = outcome.report()["network"]["domains"].as_array().unwrap();
    let is = |flow: &&Value| flow["domain"] == domain && flow["port"] == port;
    domains.iter().find(is).unwrap_or_else(|| panic!("no {domain}:{port} in {domains:#?}"))
}

#[test]
fn curl_python_and_node_work_unchanged() {
    require!(Need::Internet, Need::Program("curl"), Need::Program("node"));
    let site = Site::new();
    let internet = Internet::new(&site);
    let script = r#"
set -e
curl -sS --max-time 20 --cacert /ext/ca.pem https://a.example.com/from-curl >/dev/null
SSL_CERT_FILE=/ext/ca.pem python3 -c '
import urllib.request
print(urllib.request.urlopen("https://b.example.com/from-python", timeout=20).status)'
NODE_EXTRA_CA_CERTS=/ext/ca.pem node -e '
require("https").get("https://a.example.com/from-node", r => { console.log(r.statusCode); r.resume(); })'
"#;
    let rules = "\"a.example.com\", \"b.example.com\"";
    let outcome = internet.run(&site, &bundle(&internet, Bundle::shell(script), rules));
    outcome.expect(0).well_behaved();
    assert_eq!(outcome.stdout, "200\n200\n");
    let seen: Vec<String> = internet
        .requests()
        .iter()
        .map(|one| format!("{} {}", one["sni"].as_str().unwrap(), one["uri"].as_str().unwrap()))
        .collect();
    for wanted in
        ["a.example.com /from-curl", "b.example.com /from-python", "a.example.com /from-node"]
    {
        assert!(seen.iter().any(|one| one == wanted), "{wanted}: {seen:?}");
    }
    assert_eq!(flow(&outcome, "a.example.com", 443)["connections"], 2);
    assert_eq!(flow(&outcome, "b.example.com", 443)["connections"], 1);
    assert_eq!(outcome.report()["network"]["mode"], "domains");
    assert!(outcome.report()["usage"]["networkBytesIn"].as_u64().unwrap() > 1000);
    assert!(outcome.report()["usage"]["networkBytesOut"].as_u64().unwrap() > 500);
}

#[test]
fn wildcards_ports_aliases_and_ipv6_servers() {
    require!(Need::Internet, Need::Program("curl"));
    let site = Site::new();
    let internet = Internet::new(&site);
    let script = r#"
for url in https://x.wild.example.net/ http://deep.x.wild.example.net:8080/ https://alias.example.com/ \
    https://six.example.com/ https://a.example.com:8443/ http://a.example.com:8080/; do
  curl -sS --max-time 20 --cacert /ext/ca.pem -o /dev/null -w '%{http_code} ' "$url"
done
for url in https://wild.example.net/ https://evilwild.example.net/; do
  curl -sS --max-time 20 --cacert /ext/ca.pem -o /dev/null "$url" 2>/dev/null
  echo -n "$? "
done"#;
    let rules = "\"*.wild.example.net:443,8080\", \"alias.example.com\", \"six.example.com\", \
                 \"a.example.com:8443,8080\"";
    let outcome = internet.run(&site, &bundle(&internet, Bundle::shell(script), rules));
    outcome.expect(0);
    // 6: could not resolve the host.
    assert_eq!(outcome.stdout, "200 200 200 200 200 200 6 6 ", "{}", outcome.stderr);
    for name in ["wild.example.net", "evilwild.example.net"] {
        outcome.recorded("name-refused", "name", name);
        assert!(!internet.asked_for(name), "a name that is not allowed never leaves the host");
    }
}

#[test]
fn uploads_and_downloads_arrive_whole_and_are_counted() {
    require!(Need::Internet, Need::Program("curl"));
    let site = Site::new();
    let internet = Internet::new(&site);
    let script = r"
curl -sS --max-time 25 --cacert /ext/ca.pem -o /dev/null -w '%{size_download}' https://a.example.com/big
head -c 3000000 /dev/zero | tr '\0' x >/tmp/up
curl -sS --max-time 25 -H 'Content-Type: text/plain' --data-binary @/tmp/up http://a.example.com:8080/api/store";
    let rules = "\"a.example.com:443,8080\"";
    let outcome = internet.run(&site, &bundle(&internet, Bundle::shell(script), rules));
    outcome.expect(0).well_behaved();
    assert!(outcome.stdout.starts_with("67108864"), "{}", outcome.stdout);
    assert!(outcome.stdout.contains("\"length\": 3000000"), "{}", outcome.stdout);
    let down = flow(&outcome, "a.example.com", 443)["bytesIn"].as_u64().unwrap();
    assert!((67_108_864..70_000_000).contains(&down), "{down}");
    let up = flow(&outcome, "a.example.com", 8080)["bytesOut"].as_u64().unwrap();
    assert!((3_000_000..3_010_000).contains(&up), "{up}");
}

#[test]
fn an_opaque_rule_carries_any_protocol_and_half_closed_connections() {
    require!(Need::Internet);
    let site = Site::new();
    let internet = Internet::new(&site);
    let program = r#"
import socket
with socket.create_connection(("mq.example.com", 5671), 20) as connection:
    connection.sendall(b"ping")
    connection.shutdown(socket.SHUT_WR)
    answer = b""
    while piece := connection.recv(100):
        answer += piece
print(json.dumps(answer.decode()))
"#;
    let rules = "{ host = \"mq.example.com\", ports = [5671], tls = \"opaque\" }";
    let outcome = internet.run(&site, &bundle(&internet, Bundle::python(program), rules));
    outcome.expect(0).well_behaved();
    assert!(outcome.stdout.contains("ping"), "{}", outcome.stdout);
    assert_eq!(flow(&outcome, "mq.example.com", 5671)["bytesOut"], 4);
}

#[test]
fn without_a_permission_or_a_rule_there_is_no_network() {
    let site = Site::new();
    let program = r"
import socket
print(json.dumps(attempt(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))))";
    let outcome = site.run(&Bundle::python(program).permission("EXTERNAL_API_CALLS"));
    outcome.expect(0);
    assert_eq!(outcome.json(), "EPERM");
    assert_eq!(outcome.report()["network"]["mode"], "none");
    let bundle = Bundle::python(program).manifest("[network]\nallow = [\"a.example.com\"]\n");
    site.run(&bundle).expect(126);
}

#[test]
fn a_thousand_connections_at_once() {
    require!(Need::Internet);
    let site = Site::new();
    let internet = Internet::new(&site);
    let program = r#"
import socket
all = [socket.create_connection(("mq.example.com", 5671), 60) for _ in range(1000)]
for number, connection in enumerate(all):
    connection.sendall(str(number).encode())
good = 0
for number, connection in enumerate(all):
    connection.settimeout(60)
    good += connection.recv(100).decode() == str(number)
print(good)
"#;
    let rules = "{ host = \"mq.example.com\", ports = [5671], tls = \"opaque\" }";
    let many = bundle(&internet, Bundle::python(program), rules);
    let outcome = internet.run_with(&site, &many.clone().tier("enterprise"), &["--dev"]);
    outcome.expect(0).well_behaved();
    assert_eq!(outcome.stdout, "1000\n");
    assert_eq!(flow(&outcome, "mq.example.com", 5671)["connections"], 1000);
    // A community extension has 64 at once: the others are reset and recorded.
    let outcome = internet.run(&site, &many);
    let refused = outcome.recorded("connection-limit", "host", "mq.example.com");
    assert_eq!(refused["rule"], "tier: network.connections");
    assert_eq!(flow(&outcome, "mq.example.com", 5671)["connections"], 64);
}
