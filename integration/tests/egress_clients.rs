//! HTTP clients of other languages: each reaches the allowed host with no setting but the test's authority, and is refused
//! at another at once, by its own name resolution and its own error handling.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::fs;
use std::path::Path;
use std::process::Command;

use sandboxctl_integration::{Bundle, Internet, Need, Site, require};

const ALLOWED: &str = "a.example.com";
const OTHER: &str = "b.example.com";

/// Runs a client. It prints the status of its request to `/NAME` of the allowed host, and what became of one to the
/// other host and of one to an address.
fn client(site: &Site, internet: &Internet, name: &str, bundle: Bundle) {
    let bundle = bundle
        .permission("EXTERNAL_API_CALLS")
        .manifest("[network]\nallow = [\"a.example.com:80,443\"]\n")
        .file("ca.pem", internet.authority());
    let outcome = internet.run(site, &bundle);
    outcome.expect(0);
    assert_eq!(outcome.stdout, "200 refused refused\n", "{name}: {}", outcome.stderr);
    let name_refused = outcome.recorded("name-refused", "name", OTHER);
    assert_eq!(name_refused["count"], 1, "{name}: A and AAAA are one attempt");
    outcome.recorded("address-refused", "address", "93.184.215.11");
    let worse: Vec<_> = outcome
        .violations()
        .iter()
        .filter(|one| one["severity"] != "INFO")
        .filter(|one| one["code"] != "name-refused" && one["code"] != "address-refused")
        .collect();
    assert!(worse.is_empty(), "{name}: {worse:#?}");
    let uri = format!("/{name}");
    let seen = internet.requests();
    assert!(seen.iter().any(|one| one["host"] == ALLOWED && one["uri"] == uri), "{name}: {seen:?}");
    assert!(!internet.asked_for(OTHER), "{name}: a name that is not allowed never leaves the host");
}

/// A folder's files, in a bundle.
fn with_files(mut bundle: Bundle, dir: &Path, suffix: &str) -> Bundle {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if name.ends_with(suffix) {
            bundle = bundle.file(name, fs::read(&path).unwrap());
        }
    }
    bundle
}

#[test]
fn java_http_client() {
    require!(Need::Internet, Need::Program("javac"));
    let site = Site::new();
    let internet = Internet::new(&site);
    let program = r#"
import java.io.*; import java.net.*; import java.net.http.*; import java.security.*; import java.security.cert.*;
import javax.net.ssl.*;
public class Main {
  static HttpClient client;
  static String get(String url) throws Exception {
    try {
      HttpRequest request = HttpRequest.newBuilder(URI.create(url)).build();
      return "" + client.send(request, HttpResponse.BodyHandlers.ofString()).statusCode();
    } catch (ConnectException refused) { return "refused"; }
  }
  public static void main(String[] args) throws Exception {
    KeyStore trusted = KeyStore.getInstance(KeyStore.getDefaultType());
    trusted.load(null, null);
    try (InputStream file = new FileInputStream("/ext/ca.pem")) {
      trusted.setCertificateEntry("ca", CertificateFactory.getInstance("X.509").generateCertificate(file));
    }
    TrustManagerFactory factory = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
    factory.init(trusted);
    SSLContext context = SSLContext.getInstance("TLS");
    context.init(null, factory.getTrustManagers(), null);
    client = HttpClient.newBuilder().sslContext(context).build();
    System.out.println(get("https://a.example.com/java") + " " + get("https://b.example.com/") + " "
      + get("http://93.184.215.11/"));
  }
}
"#;
    // Compiled outside: the compiler needs more than a community extension gets.
    let place = site.fresh_dir("java");
    fs::write(place.join("Main.java"), program).unwrap();
    let status = Command::new("javac").arg("Main.java").current_dir(&place).status().unwrap();
    assert!(status.success());
    let bundle = Bundle::command(&["java", "-cp", "/ext", "Main"]);
    client(&site, &internet, "java", with_files(bundle, &place, ".class"));
}

// Without C: Go reads /etc/resolv.conf and asks by itself.
#[test]
fn go_with_its_own_resolver() {
    require!(Need::Internet, Need::Program("go"));
    let site = Site::new();
    let internet = Internet::new(&site);
    let program = r#"
package main
import ("errors"; "fmt"; "net"; "net/http"; "syscall")
func get(url string) string {
  answer, err := http.Get(url)
  var dns *net.DNSError
  if errors.As(err, &dns) && dns.IsNotFound && !dns.IsTemporary { return "refused" }
  if errors.Is(err, syscall.ECONNREFUSED) { return "refused" }
  if err != nil { return err.Error() }
  return fmt.Sprint(answer.StatusCode)
}
func main() {
  fmt.Println(get("https://a.example.com/go"), get("https://b.example.com/"), get("http://93.184.215.11/"))
}
"#;
    let place = site.fresh_dir("go");
    fs::write(place.join("main.go"), program).unwrap();
    // Not the name `go` in PATH, which may be of another installation.
    let built = Command::new("/usr/bin/go")
        .args(["build", "-o", "client", "main.go"])
        .envs([("CGO_ENABLED", "0"), ("GO111MODULE", "off"), ("GOFLAGS", "")])
        .current_dir(&place)
        .output()
        .unwrap();
    assert!(built.status.success(), "{built:?}");
    let bundle = Bundle::command(&["/ext/client"])
        .executable("client", fs::read(place.join("client")).unwrap())
        .env("SSL_CERT_FILE", "/ext/ca.pem");
    client(&site, &internet, "go", bundle);
}

// getaddrinfo(3) of a static C library, which can load no modules.
#[test]
fn rust_as_a_static_program() {
    require!(Need::Internet);
    let site = Site::new();
    let internet = Internet::new(&site);
    let bundle = Bundle::probe(&[
        "fetch",
        "/rust",
        "a.example.com:80",
        "b.example.com:80",
        "93.184.215.11:80",
    ]);
    client(&site, &internet, "rust", bundle);
}

#[test]
fn python_requests() {
    require!(Need::Internet, Need::Path("/usr/lib/python3/dist-packages/requests"));
    let site = Site::new();
    let internet = Internet::new(&site);
    let program = r#"
import requests
def get(url):
    try: return requests.get(url, timeout=20).status_code
    except requests.exceptions.Timeout: return "waited"
    except requests.exceptions.ConnectionError: return "refused"
print(get("https://a.example.com/python"), get("https://b.example.com/"), get("http://93.184.215.11/"))
"#;
    let bundle = Bundle::python(program).env("REQUESTS_CA_BUNDLE", "/ext/ca.pem");
    client(&site, &internet, "python", bundle);
}

#[test]
fn node_fetch() {
    require!(Need::Internet, Need::Program("node"));
    let site = Site::new();
    let internet = Internet::new(&site);
    let program = r#"
async function get(url) {
  try { return (await fetch(url)).status; }
  catch (error) { return ["ENOTFOUND", "ECONNREFUSED"].includes(error.cause.code) ? "refused" : error.cause; }
}
(async () => console.log(await get("https://a.example.com/node"), await get("https://b.example.com/"),
  await get("http://93.184.215.11/")))();
"#;
    let bundle = Bundle::command(&["node", "main.js"])
        .file("main.js", program)
        .env("NODE_EXTRA_CA_CERTS", "/ext/ca.pem");
    client(&site, &internet, "node", bundle);
}
