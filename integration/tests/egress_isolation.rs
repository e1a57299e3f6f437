//! A sandbox's network is its own: its rules stand against whoever is inside, other runs have nothing of it, and it ends
//! with its supervisor.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::fs;
use std::process::{Command, Output};

use nix::sys::signal::Signal;
use sandboxctl_integration::site::Started;
use sandboxctl_integration::{Bundle, Internet, Need, Outcome, Site, Snapshot, require};
use serde_json::json;

/// What a dead supervisor cannot take back itself.
const LEFT_TO_GC: [&str; 3] = ["control groups:", "run slots:", "kernel audit:"];

/// Waits for SIGUSR1 between its two parts.
const PAUSE: &str = r#"
import signal, socket
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
def pause():
    print("ready", file=sys.stdout, flush=True)
    signal.sigwait([signal.SIGUSR1])
def get(host, address=None):
    with socket.create_connection((address or host, 80), 30) as s:
        s.sendall(f"GET / HTTP/1.0\r\nHost: {host}\r\n\r\n".encode())
        if not s.recv(100): raise ConnectionResetError(errno.ECONNRESET, "")
def connect(address, port):
    with socket.create_connection((address, port), 30): pass
def look_up(name):
    try: return socket.getaddrinfo(name, 80, socket.AF_INET)[0][4][0]
    except socket.gaierror as error: return error.errno
"#;

/// Enters a user namespace and goes on there with `CAP_NET_ADMIN`, which the extension never has.
const NETWORK_ADMIN: &str = r#"
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
def call(result):
    if result < 0: raise OSError(ctypes.get_errno(), "")
namespace = os.open(sys.argv[1], os.O_RDONLY)
call(libc.setns(namespace, 0x10000000))
# capset(2), version 3: effective, permitted, inheritable; prctl(2): raise it into the ambient set.
call(libc.capset((ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)(1 << 12, 1 << 12, 1 << 12)))
call(libc.prctl(47, 2, 12, 0, 0))
os.execvp(sys.argv[2], sys.argv[2:])
"#;

/// What would open the network, and what became of each.
const ACTS: &str = r#"
while read -r act; do
  if said=$($act 2>&1); then echo "done: $act"; else echo "refused: $act:" $said; fi
done <<'END'
nft flush ruleset
nft delete table inet sandboxctl
nft insert rule inet sandboxctl output accept
nft add element inet sandboxctl ports { 80 }
ip link set lo down
ip link add out0 type veth peer name out1
ip address add 203.0.113.9/32 dev lo
ip route del local default dev lo table local
ip -6 route del local default dev lo table local
ip route add default dev lo
END"#;

fn bundle(program: &str, rules: &str) -> Bundle {
    Bundle::python(&format!("{PAUSE}{program}"))
        .permission("EXTERNAL_API_CALLS")
        .manifest(&format!("[network]\nallow = [{rules}]\n"))
}

fn children(pid: u32) -> Vec<u32> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten();
    let lists = tasks.map(|task| fs::read_to_string(task.path().join("children")).unwrap());
    lists
        .flat_map(|list| list.split(' ').filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>())
        .collect()
}

/// The first process of a run's sandbox, and the extension's.
fn inside(run: &Started) -> (u32, u32) {
    let init = children(run.pid())[0];
    (init, children(init)[0])
}

fn host_uid(pid: u32) -> String {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:")).unwrap();
    line.split_whitespace().next().unwrap().to_owned()
}

/// A program in the network namespace of a process, as root of the host.
fn in_network(pid: u32, words: &[&str]) -> Output {
    let mut command = Command::new("timeout");
    command.args(["30", "nsenter", "--target", &pid.to_string(), "--net", "--"]);
    command.args(words).output().unwrap()
}

/// Rules, interfaces and routes, without counters and what times out.
fn network(pid: u32) -> String {
    let script = "nft --stateless list ruleset; ip -o link; ip route show table all; ip -6 route show table all";
    let output = in_network(pid, &["sh", "-c", script]);
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .filter(|line| !line.trim_start().starts_with("elements"))
        .collect::<Vec<_>>()
        .join("\n")
}

// Whoever gets rid of the system call filter still cannot touch the network: he has no capability over its namespace.
#[test]
fn nobody_inside_can_change_rules_interface_or_routes() {
    require!(Need::Internet);
    let site = Site::new();
    let internet = Internet::new(&site);
    let program = r#"
first = attempt(lambda: get("a.example.com"))
pause()
print(json.dumps([first, attempt(lambda: get("a.example.com")), attempt(lambda: connect("93.184.215.10", 80))]))
"#;
    let built = bundle(program, "\"a.example.com:80\"").build(&site);
    let mut run = internet.start(&site, &built, &[]);
    run.wait_for("ready");
    let (init, extension) = inside(&run);
    let before = network(init);
    for word in ["table inet sandboxctl", "policy drop", "local default dev lo"] {
        assert!(before.contains(word), "{word}: {before}");
    }
    let uid = host_uid(extension);
    let as_user = ["setpriv", "--reuid", &uid, "--regid", &uid, "--clear-groups", "--"];
    let as_root_of_child = [&as_user[..], &["unshare", "--user", "--map-root-user", "--"]].concat();
    let namespace = format!("/proc/{extension}/ns/user");
    let as_owner_of_sandbox = ["python3", "-c", NETWORK_ADMIN, &namespace];
    for (who, prefix, is_admin) in [
        ("the run's user", &as_user[..], false),
        ("root of a child user namespace", &as_root_of_child, true),
        ("whoever had it in the sandbox's user namespace", &as_owner_of_sandbox, true),
    ] {
        let words = [prefix, &["grep", "CapEff", "/proc/self/status"]].concat();
        let printed = String::from_utf8(in_network(init, &words).stdout).unwrap();
        let set = u64::from_str_radix(printed.trim_start_matches("CapEff:").trim(), 16).unwrap();
        // CAP_NET_ADMIN is 12.
        assert_eq!(set & 1 << 12 != 0, is_admin, "{who}: {printed}");
        let words = [prefix, &["sh", "-c", ACTS]].concat();
        let output = in_network(init, &words);
        let answers = String::from_utf8(output.stdout).unwrap();
        assert_eq!(answers.lines().count(), 10, "{who}: {answers}");
        for answer in answers.lines() {
            let refused =
                answer.starts_with("refused:") && answer.contains("Operation not permitted");
            assert!(refused, "{who}: {answer}");
        }
        assert_eq!(network(init), before, "{who}");
    }
    run.signal(Signal::SIGUSR1);
    let outcome = run.wait();
    outcome.expect(0);
    assert_eq!(answers(&outcome), json!(["ok", "ok", "ECONNREFUSED"]));
    outcome.recorded("address-refused", "address", "93.184.215.10");
}

/// What stands behind `ready`.
fn answers(outcome: &Outcome) -> serde_json::Value {
    serde_json::from_str(outcome.stdout.strip_prefix("ready\n").unwrap()).unwrap()
}

#[test]
fn runs_side_by_side_have_nothing_of_each_others_network() {
    require!(Need::Internet);
    let site = Site::new();
    let internet = Internet::new(&site);
    let program = |own: &str, other: &str| {
        format!(
            r#"
own, other = {own:?}, {other:?}
address = look_up(own)
pause()
print(json.dumps({{
    "own": attempt(lambda: get(own)), "address": address, "other": look_up(other),
    "its host at the own address": attempt(lambda: get(other, address)),
    "the next address": attempt(lambda: get(own, "198.18.0.3")),
}}))
"#
        )
    };
    let (a, b) = ("a.example.com", "b.example.com");
    let of = |own: &str, other: &str| {
        bundle(&program(own, other), &format!("\"{own}:80\"")).build(&site)
    };
    let (first, second) = (of(a, b), of(b, a));
    // Two of one extension, and another one.
    let mut runs: Vec<_> = [(&first, a, b), (&first, a, b), (&second, b, a)]
        .map(|(built, own, other)| (internet.start(&site, built, &[]), own, other))
        .into_iter()
        .collect();
    for (run, ..) in &mut runs {
        run.wait_for("ready");
    }
    let networks: std::collections::BTreeSet<_> = runs
        .iter()
        .map(|(run, ..)| fs::read_link(format!("/proc/{}/ns/net", inside(run).1)).unwrap())
        .collect();
    assert_eq!(networks.len(), 3);
    for (run, ..) in &runs {
        run.signal(Signal::SIGUSR1);
    }
    for (run, own, other) in runs {
        let outcome = run.wait();
        outcome.expect(0);
        let expected = json!({
            "own": "ok", "address": "198.18.0.2", "other": -2,
            "its host at the own address": "ECONNRESET", "the next address": "ECONNRESET",
        });
        assert_eq!(answers(&outcome), expected);
        outcome.recorded("name-refused", "name", other);
        outcome.recorded("http-host-mismatch", "host", own);
        outcome.recorded("address-refused", "address", "198.18.0.3");
        let domains = outcome.report()["network"]["domains"].as_array().unwrap();
        let names: Vec<&str> = domains.iter().map(|one| one["domain"].as_str().unwrap()).collect();
        assert_eq!(names, [own]);
        assert_eq!(domains[0]["connections"], 1);
    }
}

#[test]
fn a_killed_supervisor_leaves_no_network() {
    require!(Need::Internet);
    let site = Site::alone();
    let internet = Internet::new(&site);
    // Connections that stay open, and traffic without end.
    let program = r#"
held = socket.create_connection(("mq.example.com", 5671), 30)
print("ready", flush=True)
while True:
    held.sendall(b"x")
    held.recv(1)
    attempt(lambda: connect("93.184.215.10", 80))
"#;
    let rules = "{ host = \"mq.example.com\", ports = [5671], tls = \"opaque\" }";
    let busy = bundle(program, rules).build(&site);
    let quick = bundle("connect(\"mq.example.com\", 5671)", rules).build(&site);
    let before = Snapshot::take();
    let began = std::time::Instant::now();
    let mut whole = internet.start(&site, &busy, &[]);
    whole.wait_for("ready");
    let (init, extension) = inside(&whole);
    let namespace = fs::read_link(format!("/proc/{extension}/ns/net")).unwrap();
    whole.signal(Signal::SIGKILL);
    drop(whole.wait());
    let step = began.elapsed() / 16;
    for pid in [init, extension] {
        let again = fs::read_link(format!("/proc/{pid}/ns/net")).ok();
        assert_ne!(again.as_ref(), Some(&namespace), "process {pid} lives on");
    }
    // From its first instruction to well into the traffic.
    for number in 0..20 {
        let run = internet.start(&site, &busy, &[]);
        std::thread::sleep(step * number);
        run.signal(Signal::SIGKILL);
        assert!(run.wait().status.code().is_none(), "it was killed");
    }
    let left: Vec<String> = before
        .differences_to_now()
        .into_iter()
        .filter(|line| !LEFT_TO_GC.iter().any(|kind| line.starts_with(kind)))
        .collect();
    assert!(left.is_empty(), "the kernel should have cleared:\n  {}", left.join("\n  "));
    internet.start(&site, &quick, &[]).wait().expect(0).well_behaved();
    site.sandboxctl(&["gc"]).expect(0);
    before.assert_unchanged();
}
