//! The pretend internet itself: everything that a sandbox must not reach answers the host that is joined to it. Without
//! that, a refusal would prove nothing.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::process::Output;

use sandboxctl_integration::internet::{
    METADATA, OTHER, PRIVATE, PUBLIC_DNS, WEB, WEB_V6, printed,
};
use sandboxctl_integration::{Internet, Need, Site, Snapshot, require};
use serde_json::{Value, json};

fn curl(internet: &Internet, arguments: &[&str]) -> Output {
    let authority = internet.dir().join("ca.pem");
    internet
        .command("curl")
        .args(["-sS", "--cacert"])
        .arg(authority)
        .args(arguments)
        .output()
        .unwrap()
}

fn fetch(internet: &Internet, arguments: &[&str]) -> Value {
    serde_json::from_str(&printed(&curl(internet, arguments))).unwrap()
}

#[test]
fn its_servers_answer() {
    require!(Need::Internet, Need::Program("curl"));
    let site = Site::new();
    let internet = Internet::new(&site);
    let answer = |host: &str, sni: &str, address: &str, port: &str| json!({"host": host, "sni": sni, "address": address, "port": port});
    for (url, expected) in [
        ("https://a.example.com/", answer("a.example.com", "a.example.com", WEB, "443")),
        ("https://b.example.com/", answer("b.example.com", "b.example.com", WEB, "443")),
        (
            "https://alias.example.com/",
            answer("alias.example.com", "alias.example.com", WEB, "443"),
        ),
        ("https://six.example.com/", answer("six.example.com", "six.example.com", WEB_V6, "443")),
        ("http://a.example.com:8080/", answer("a.example.com:8080", "", WEB, "8080")),
        ("http://169.254.169.254/", answer("169.254.169.254", "", METADATA, "80")),
        ("http://10.0.0.5/", answer("10.0.0.5", "", PRIVATE, "80")),
    ] {
        assert_eq!(fetch(&internet, &[url]), expected, "{url}");
    }
    // Fronting works as far as the server is concerned.
    let fronted = fetch(&internet, &["-H", "Host: hidden.example.com", "https://a.example.com/"]);
    assert_eq!(fronted, answer("hidden.example.com", "a.example.com", WEB, "443"));
    let redirected = fetch(&internet, &["-L", "http://a.example.com/to-private"]);
    assert_eq!(redirected, answer("10.0.0.5", "", PRIVATE, "80"));
    let stored = fetch(&internet, &["--data", "figures", "https://a.example.com/api/store"]);
    assert_eq!(stored["length"], 7);
    assert_eq!(internet.stored(), "figures\n");
    let big = curl(
        &internet,
        &["-o", "/dev/null", "-w", "%{size_download}", "https://a.example.com/big"],
    );
    assert_eq!(printed(&big), "67108864");
    assert_eq!(internet.requests().len(), 12);
}

#[test]
fn its_name_server_is_asked_and_can_be_changed() {
    require!(Need::Internet);
    let site = Site::new();
    let internet = Internet::new(&site);
    let look_up = |name: &str| {
        let output = internet.command("getent").args(["ahosts", name]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(look_up("rebind.example.com").contains(WEB));
    internet.name("rebind.example.com", &["127.0.0.1"]);
    assert!(look_up("rebind.example.com").contains("127.0.0.1"));
    assert!(!look_up("rebind.example.com").contains(WEB));
    assert_eq!(look_up("absent.example.com"), "");
    assert!(internet.asked_for("absent.example.com"));
    assert!(!internet.asked_for("never.example.com"));
}

#[test]
fn its_other_servers_answer() {
    require!(Need::Internet);
    let site = Site::new();
    let internet = Internet::new(&site);
    let program = r#"
import socket, sys
def talk(address, port, data, kind=socket.SOCK_STREAM, half=False):
    with socket.socket(socket.AF_INET, kind) as s:
        s.settimeout(20); s.connect((address, port)); s.sendall(data)
        if half: s.shutdown(socket.SHUT_WR)
        return s.recv(100)
print(talk(sys.argv[1], 5671, b"echo"), talk(sys.argv[1], 5672, b"four", half=True), talk(sys.argv[1], 5675, b"x\n")[:3],
      talk(sys.argv[1], 443, b"quic", socket.SOCK_DGRAM), talk(sys.argv[2], 53, b"\0\1\1\0\0\1\0\0\0\0\0\0\1a\7example\3com\0\0\1\0\1", socket.SOCK_DGRAM)[:2])
try: print(talk(sys.argv[1], 5673, b"x"))
except ConnectionResetError: print("reset")
"#;
    let output =
        internet.command("python3").args(["-c", program, OTHER, PUBLIC_DNS]).output().unwrap();
    assert_eq!(printed(&output), "b'echo' b'4\\n' b'220' b'quic' b'\\x00\\x01'\nreset\n");
    let sent = internet.sent_to(OTHER);
    assert_eq!(sent.get(&(5671, 6)), Some(&1), "{sent:?}");
    assert_eq!(sent.get(&(443, 17)), Some(&1), "{sent:?}");
    internet.untouched(&[PRIVATE, METADATA, "127.0.0.1", WEB]);
}

#[test]
fn it_leaves_nothing_and_two_do_not_meet() {
    require!(Need::Internet, Need::Program("curl"));
    let site = Site::alone();
    let before = Snapshot::take();
    let first = Internet::new(&site);
    let second = Internet::new(&site);
    printed(&curl(&first, &["https://a.example.com/"]));
    assert_eq!((first.requests().len(), second.requests().len()), (1, 0));
    assert!(
        !before.differences(&Snapshot::take()).is_empty(),
        "the snapshot shows what it would leave"
    );
    drop((first, second));
    before.assert_unchanged();
}
