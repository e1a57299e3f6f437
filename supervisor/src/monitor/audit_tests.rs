//! The audit stream of this kernel, with a process that Landlock denies. Needs root and Landlock ABI 7.

use std::fs;
use std::fs::File;
use std::process::Command;

use landlock::{
    ABI, Access, AccessFs, AccessNet, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreatedAttr, Scope,
};
use policies::violation::{Code, Object};

use super::*;
use crate::monitor::audit_record::Target;
use crate::monitor::domains::DOMAINS;
use crate::record::ledger::Bounds;

const CHILD: &str = "SANDBOXCTL_TEST_LANDLOCK_CHILD";
const BUDGET: Duration = Duration::from_secs(10);

/// Not a test: what [`spawn`] runs in a process of its own.
#[test]
#[ignore = "the child of other tests"]
fn child() {
    let Ok(opens) = std::env::var(CHILD) else {
        return;
    };
    let fs = AccessFs::from_all(ABI::V6);
    Ruleset::default()
        .handle_access(fs)
        .and_then(|set| set.handle_access(AccessNet::from_all(ABI::V6)))
        .and_then(|set| set.scope(Scope::from_all(ABI::V6)))
        .and_then(Ruleset::create)
        .and_then(|set| {
            let usr = PathFd::new("/usr").expect("usr");
            set.add_rule(PathBeneath::new(usr, AccessFs::from_read(ABI::V6)))
        })
        .and_then(landlock::RulesetCreated::restrict_self)
        .expect("failed to restrict");
    let denied = |result: std::io::Result<File>| {
        assert_eq!(result.expect_err("allowed").raw_os_error(), Some(libc::EACCES));
    };
    for _ in 0..opens.parse::<u32>().expect("number") {
        denied(File::open("/etc/shadow"));
    }
    if opens != "0" {
        denied(File::open("/root/.profile"));
        denied(File::create("/tmp/with space"));
        std::net::TcpStream::connect("127.0.0.1:9").expect_err("allowed");
        std::net::TcpListener::bind("127.0.0.1:4321").expect_err("allowed");
        let init = nix::unistd::Pid::from_raw(1);
        nix::sys::signal::kill(init, None).expect_err("allowed");
    }
}

fn begin() -> AuditSession {
    assert!(nix::unistd::geteuid().is_root(), "this test needs root");
    fs::create_dir_all(HOST_DIR).expect("run directory");
    let session = AuditSession::begin(AuditMode::Auto, Path::new(HOST_DIR), REPORTING_ABI)
        .expect("failed to begin");
    assert_eq!(session.coverage(), Coverage::Recorded);
    session
}

fn run(opens: u32) -> (Reconciled, Ledger) {
    let mut session = begin();
    session.set_tripwires(vec!["/root".to_owned()]);
    let mut ledger = Ledger::new(Bounds::default());
    let mut child = Command::new(std::env::current_exe().expect("exe"))
        .args(["--exact", "monitor::audit::tests::child", "--ignored", "--test-threads=1"])
        .env(CHILD, opens.to_string())
        .stdout(std::process::Stdio::null())
        .spawn()
        .expect("failed to spawn");
    session.set_workload_pid(i32::try_from(child.id()).expect("pid"));
    let status = loop {
        wait(session.socket.as_ref().expect("socket"), Duration::from_millis(5)).expect("wait");
        session.on_ready(Now::read(), &mut ledger).expect("read");
        if let Some(status) = child.try_wait().expect("child") {
            break status;
        }
    };
    assert!(status.success(), "the child failed");
    session.prepare_finish().expect("ask");
    let reconciled = session.finish(&mut ledger, BUDGET).expect("finish");
    session.end().expect("end");
    (reconciled, ledger)
}

fn status() -> Status {
    AuditSocket::open().and_then(|socket| socket.status()).expect("status")
}

/// One function, since all of it is about one switch of the host.
#[test]
fn denials_are_recorded_and_reconciled_and_the_switch_is_put_back() {
    // What an earlier, killed test left.
    recover(Path::new(HOST_DIR)).expect("recover");
    let before = status();
    let put_back = |what: &str| {
        let now = status();
        // Another run on this host may hold the switch.
        if !Path::new(HOST_DIR).join("audit.json").exists() {
            assert_eq!(
                (now.enabled, now.backlog_limit),
                (before.enabled, before.backlog_limit),
                "{what}"
            );
        }
    };

    let (quiet, ledger) = run(0);
    assert_eq!((quiet.recorded, quiet.lost, quiet.kernel_total), (0, 0, None));
    assert!(ledger.is_empty());
    put_back("after a quiet run");

    let (few, mut ledger) = run(3);
    assert_eq!(few.kernel_total, Some(8));
    assert_eq!((few.recorded, few.lost), (8, 0));
    let all = ledger.finish();
    let seen: Vec<_> = all
        .iter()
        .map(|v| match &v.object {
            Object::Path { path, access } => (v.code, path.as_str(), access.as_str(), v.count),
            Object::Port { port: 9, access } => (v.code, "9", access.as_str(), v.count),
            Object::Port { port: 4321, access } => (v.code, "4321", access.as_str(), v.count),
            Object::Scope { access, .. } => (v.code, "", access.as_str(), v.count),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        seen,
        [
            (Code::PathDenied, "/etc/shadow", "fs.read_file", 3),
            (Code::TripwireTouched, "/root/.profile", "fs.read_file", 1),
            (Code::PathDenied, "/tmp", "fs.make_reg", 1),
            (Code::PortDenied, "9", "net.connect_tcp", 1),
            (Code::PortDenied, "4321", "net.bind_tcp", 1),
            (Code::ScopeDenied, "", "scope.signal", 1),
        ]
    );
    put_back("after a few denials");

    let (flood, ledger) = run(20_000);
    assert_eq!(flood.kernel_total, Some(20_005));
    assert_eq!(flood.recorded + flood.lost, 20_005, "{flood:?}");
    assert_eq!(ledger.total(), flood.recorded);
    put_back("after a flood");

    // Killed: the share is dropped and not given back.
    drop(begin());
    recover(Path::new(HOST_DIR)).expect("recover");
    put_back("after a crash and recover");
    drop(begin());
    begin().end().expect("end");
    put_back("after a crash and a later run");

    let (first, second) = (begin(), begin());
    assert!(!recover(Path::new(HOST_DIR)).expect("recover"), "a run still lives");
    first.end().expect("end");
    assert_ne!(status().enabled, 0, "turned off under a run that lives");
    second.end().expect("end");
    put_back("after two runs");
}

#[test]
fn what_cannot_be_recorded_is_said() {
    let nowhere = Path::new("/nonexistent");
    let begin = |mode, abi| AuditSession::begin(mode, nowhere, abi).expect("begin").coverage();
    assert_eq!(begin(AuditMode::Off, REPORTING_ABI), Coverage::TurnedOff);
    assert_eq!(begin(AuditMode::Auto, 6), Coverage::KernelTooOld { abi: 6 });
}

#[test]
fn denials_wait_for_their_domain() {
    let mut session =
        AuditSession::begin(AuditMode::Off, Path::new("/nonexistent"), 7).expect("off");
    session.set_workload_pid(77);
    let mut ledger = Ledger::new(Bounds::default());
    let now = Now::read();
    let mut feed = |session: &mut AuditSession, text: &str| {
        let kind = if text.contains("blockers") { LANDLOCK_ACCESS } else { LANDLOCK_DOMAIN };
        session.on_record(kind, format!("audit(1.0:1): {text}").as_bytes(), now, &mut ledger);
    };
    for i in 0..300 {
        feed(
            &mut session,
            &format!("domain=a1 blockers=fs.read_file path=\"/{i}\" dev=\"x\" ino=1"),
        );
        feed(&mut session, "domain=b2 blockers=fs.read_file path=\"/foreign\" dev=\"x\" ino=1");
    }
    for i in 0..2000 {
        feed(&mut session, &format!("domain=c{i:x} blockers=fs.read_file path=\"/\" dev=\"x\""));
    }
    assert!(session.waiting.len() <= DOMAINS);
    feed(&mut session, "domain=b2 status=allocated mode=enforcing pid=78 uid=0 exe=\"/x\"");
    feed(&mut session, "domain=a1 status=allocated mode=enforcing pid=77 uid=0 exe=\"/x\"");
    assert_eq!(session.recorded(), 256);
    feed(&mut session, "domain=b2 blockers=fs.read_file path=\"/foreign\" dev=\"x\" ino=1");
    feed(&mut session, "domain=a1 blockers=fs.read_file path=\"/late\" dev=\"x\" ino=1");
    feed(&mut session, "domain=a1 status=deallocated denials=301");
    let end = session.finish(&mut ledger, Duration::ZERO).expect("finish");
    assert_eq!((end.recorded, end.kernel_total, end.lost), (257, Some(301), 44));
    assert_eq!(ledger.total(), 257);
}

/// Records of two calls at once, in the order in which the kernel writes them.
#[test]
fn denials_are_named_by_the_record_of_their_call() {
    let mut session =
        AuditSession::begin(AuditMode::Off, Path::new("/nonexistent"), 7).expect("off");
    session.processes = Some(Processes { ours: true, named: 0, unnamed: 0 });
    session.set_workload_pid(77);
    let mut ledger = Ledger::new(Bounds::default());
    let now = Now::read();
    let mut feed = |session: &mut AuditSession, kind: u16, serial: u32, text: &str| {
        session.on_record(
            kind,
            format!("audit(1.0:{serial}): {text}").as_bytes(),
            now,
            &mut ledger,
        );
    };
    let denied = "domain=a1 blockers=fs.read_file path=\"/etc/shadow\" dev=\"x\" ino=1";
    let call = |pid: u32, comm: &str| {
        format!(
            "arch=c000003e syscall=257 success=no exit=-13 ppid=1 pid={pid} auid=4 uid=9 gid=9 comm={comm} exe=\"/usr/bin/x\" key=(null)"
        )
    };
    feed(&mut session, LANDLOCK_ACCESS, 5, denied);
    feed(&mut session, LANDLOCK_ACCESS, 6, denied);
    // Whose domain it is comes last: the names must outlast that.
    feed(&mut session, SYSCALL, 6, &call(78, "\"b\""));
    feed(&mut session, SYSCALL, 4, &call(1, "\"somebody\""));
    feed(&mut session, LANDLOCK_DOMAIN, 5, "domain=a1 status=allocated mode=enforcing pid=77");
    feed(&mut session, SYSCALL, 5, &call(77, "6120622263"));
    // One call, two denials; and one that nobody names.
    feed(&mut session, LANDLOCK_ACCESS, 7, denied);
    feed(&mut session, LANDLOCK_ACCESS, 7, "domain=a1 blockers=fs.refer path=\"/x\" dev=\"x\"");
    feed(&mut session, SYSCALL, 7, &call(77, "(null)"));
    feed(&mut session, LANDLOCK_ACCESS, 8, denied);
    assert_eq!(session.recorded(), 4);
    let deadline = session.deadline().expect("one waits");
    session.on_time(now.mono, &mut ledger);
    assert_eq!(session.recorded(), 4);
    session.on_time(deadline, &mut ledger);
    let end = session.finish(&mut ledger, Duration::ZERO).expect("finish");
    assert_eq!(end.processes, Some(Processes { ours: true, named: 4, unnamed: 1 }));
    let seen: Vec<_> = ledger
        .finish()
        .into_iter()
        .map(|v| (v.process.pid, v.process.comm, v.process.exe, v.process.uid, v.count))
        .collect();
    let exe = Some("/usr/bin/x".to_owned());
    let comm = |comm: &str| Some(comm.to_owned());
    assert_eq!(
        seen,
        [
            (Some(78), comm("b"), exe.clone(), Some(9), 1),
            (Some(77), comm("a b\"c"), exe.clone(), Some(9), 2),
            (Some(77), None, exe, Some(9), 1),
            (None, None, None, None, 1),
        ]
    );
}

/// However many denials nobody names: memory is bounded, and each is counted.
#[test]
fn denials_without_a_name_are_bounded_and_counted() {
    let mut session =
        AuditSession::begin(AuditMode::Off, Path::new("/nonexistent"), 7).expect("off");
    session.processes = Some(Processes { ours: false, named: 0, unnamed: 0 });
    session.ours = Some(0xa1);
    let mut ledger = Ledger::new(Bounds::default());
    let all = u32::try_from(naming::WAITING).expect("number") + 10;
    for serial in 0..all {
        let text = format!("audit(1.0:{serial}): domain=a1 blockers=fs.refer path=\"/x\"");
        session.on_record(LANDLOCK_ACCESS, text.as_bytes(), Now::read(), &mut ledger);
    }
    assert_eq!(session.recorded(), 10);
    let end = session.finish(&mut ledger, Duration::ZERO).expect("finish");
    assert_eq!((end.recorded, ledger.total()), (u64::from(all), u64::from(all)));
    assert_eq!(end.processes.map(|of| of.unnamed), Some(u64::from(all)));
}

#[test]
fn a_tripwire_covers_what_is_beneath() {
    let tripwires = ["/root".to_owned()];
    let code = |path: &str| classify("fs.read_file", &Target::Path(path.to_owned()), &tripwires).0;
    assert_eq!(code("/root"), Code::TripwireTouched);
    assert_eq!(code("/root/.ssh/id"), Code::TripwireTouched);
    assert_eq!(code("/rootfs"), Code::PathDenied);
}

/// `cargo test -p sandboxctl measure_ -- --ignored --nocapture --test-threads=1`
#[test]
#[ignore = "prints figures, asserts nothing"]
fn measure_audit() {
    let median = |mut times: Vec<Duration>| {
        times.sort();
        times[times.len() / 2]
    };
    let (mut begins, mut finishes, mut ends) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..101 {
        let at = Instant::now();
        let mut session = begin();
        begins.push(at.elapsed());
        let at = Instant::now();
        session.finish(&mut Ledger::new(Bounds::default()), BUDGET).expect("finish");
        finishes.push(at.elapsed());
        let at = Instant::now();
        session.end().expect("end");
        ends.push(at.elapsed());
    }
    println!(
        "alone: begin {:?}, finish without denials {:?}, end {:?}",
        median(begins),
        median(finishes),
        median(ends)
    );
    let prepared: Vec<_> = (0..101)
        .map(|_| {
            let at = Instant::now();
            let preparing = AuditSession::prepare(AuditMode::Auto, REPORTING_ABI, Attribution::Run)
                .expect("prepare");
            let asked = at.elapsed();
            std::thread::sleep(Duration::from_millis(1));
            let at = Instant::now();
            preparing.begin(Path::new(HOST_DIR)).expect("begin").end().expect("end");
            (asked, at.elapsed())
        })
        .collect();
    println!(
        "in two steps: prepare {:?}, begin and end {:?}",
        median(prepared.iter().map(|times| times.0).collect()),
        median(prepared.iter().map(|times| times.1).collect())
    );
    let held = begin();
    let (mut begins, mut ends) = (Vec::new(), Vec::new());
    for _ in 0..101 {
        let at = Instant::now();
        let session = begin();
        begins.push(at.elapsed());
        let at = Instant::now();
        session.end().expect("end");
        ends.push(at.elapsed());
    }
    held.end().expect("end");
    println!("beside a live run: begin {:?}, end {:?}", median(begins), median(ends));
    let status: Vec<_> = (0..101)
        .map(|_| {
            let at = Instant::now();
            status();
            at.elapsed()
        })
        .collect();
    println!("status alone: {:?}", median(status));
    let at = Instant::now();
    let (flood, _) = run(100_000);
    println!("100k denials: {flood:?} in {:?}", at.elapsed());
}
