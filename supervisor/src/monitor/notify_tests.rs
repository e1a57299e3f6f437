//! The notifier against real filters.

use std::io::{IoSlice, IoSliceMut};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use nix::poll::{PollFd, PollTimeout, poll};
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg};
use nix::sys::stat::Mode;
use nix::time::{ClockId, clock_gettime};
use nix::unistd::mkdir;
use policies::plan::{ArgOp, ArgTest, DeniedSyscall};
use policies::violation::{Object, Severity, Violation};

use super::*;
use crate::record::ledger::Bounds;
use crate::sys::seccomp_testing::{getpid_i386, install, own};

const CHILD: &str = "SANDBOXCTL_TEST_SECCOMP_CHILD";

fn policy() -> Seccomp {
    let line = |nr, name: &'static str, when: Vec<ArgTest>, code: Code, errno: i32| DeniedSyscall {
        nr,
        name: name.into(),
        when,
        code,
        severity: code.severity(),
        errno: u16::try_from(errno).expect("errno"),
    };
    let inet = ArgTest { arg: 0, op: ArgOp::Eq, value: 2, wide: false };
    Seccomp {
        allow: Vec::new(),
        errno: Vec::new(),
        // By number, as a plan has them.
        deny: vec![
            line(libc::SYS_socket, "socket", vec![inet], Code::NetworkDenied, libc::EACCES),
            line(libc::SYS_mkdir, "mkdir", Vec::new(), Code::KernelTampering, libc::EXDEV),
        ],
    }
}

fn usual() -> TokenBucket {
    TokenBucket::new(ANSWER_BURST, ANSWERS_PER_SECOND)
}

/// Runs `act` on a thread under a filter, and the loop of the supervisor here until the thread is gone.
fn supervise(
    notify: &'static [i64],
    ledger: &mut Ledger,
    answers: TokenBucket,
    act: impl FnOnce() + Send + 'static,
) -> NotifyStats {
    let policy = policy();
    let (send, receive) = mpsc::channel();
    let child = thread::Builder::new()
        .name("hostile \x1b[2J".to_owned())
        .spawn(move || {
            send.send(install(notify).expect("failed to install a filter")).expect("send");
            drop(send);
            act();
        })
        .expect("thread");
    let mut notifier =
        Notifier::with_rate(receive.recv().expect("listener"), &policy, answers).expect("notifier");
    let mut state = NotifyState::Open;
    while state == NotifyState::Open {
        let mut fds = [PollFd::new(notifier.fd(), notifier.poll_events())];
        let timeout = notifier.deadline().map_or(PollTimeout::NONE, |at| {
            let left = at.saturating_duration_since(Instant::now()) + Duration::from_millis(1);
            PollTimeout::try_from(left).expect("short")
        });
        let ready = poll(&mut fds, timeout).expect("poll");
        let now = Now::read();
        state = notifier.on_timer(now, ledger).expect("timer");
        if ready > 0 && state == NotifyState::Open {
            state = notifier.on_ready(now, ledger).expect("ready");
        }
    }
    child.join().expect("the child panicked");
    notifier.stats()
}

fn by_name<'v>(all: &'v [Violation], want: &str) -> &'v Violation {
    all.iter()
        .find(|v| matches!(&v.object, Object::Syscall { name, .. } if name == want))
        .unwrap_or_else(|| panic!("no {want} in {all:?}"))
}

#[test]
fn each_denied_call_is_answered_and_recorded() {
    let mut ledger = Ledger::new(Bounds::default());
    let stats = supervise(
        &[libc::SYS_mkdir, libc::SYS_socket, libc::SYS_chroot],
        &mut ledger,
        usual(),
        || {
            for _ in 0..3 {
                assert_eq!(mkdir("/proc/x", Mode::S_IRWXU), Err(Errno::EXDEV));
            }
            assert_eq!(nix::unistd::chroot("/"), Err(Errno::EPERM));
            let error = std::net::UdpSocket::bind("127.0.0.1:0").expect_err("socket");
            assert_eq!(error.raw_os_error(), Some(libc::EACCES));
            let error = std::net::UdpSocket::bind("[::1]:0").expect_err("socket");
            assert_eq!(error.raw_os_error(), Some(libc::EPERM));
            assert_eq!(getpid_i386(), -libc::EPERM);
        },
    );
    let all = ledger.finish();
    assert_eq!((stats.received, ledger.total()), (7, 7));
    let made = by_name(&all, "mkdir");
    assert_eq!((made.count, made.code), (3, Code::KernelTampering));
    assert_eq!((made.rule.as_str(), made.args[1].as_str()), ("seccomp/denied.toml:mkdir", "0x1c0"));
    // `comm` holds 15 bytes.
    assert_eq!(made.process.comm.as_deref(), Some("hostile \x1b[2J"));
    assert_eq!(made.process.uid, Some(nix::unistd::getuid().as_raw()));
    assert_eq!(by_name(&all, "chroot").code, Code::SyscallDenied);
    assert_eq!(by_name(&all, "chroot").rule, NOT_ALLOWED);
    let sockets: Vec<_> = all
        .iter()
        .filter_map(|v| match &v.object {
            Object::Syscall { name, detail, .. } if name == "socket" => {
                Some((v.code, detail.as_str()))
            }
            _ => None,
        })
        .collect();
    assert_eq!(
        sockets,
        [(Code::NetworkDenied, "AF_INET SOCK_DGRAM"), (Code::SyscallDenied, "AF_INET6 SOCK_DGRAM"),]
    );
    let foreign = by_name(&all, "getpid");
    assert_eq!((foreign.code, foreign.severity), (Code::ForeignArchitecture, Severity::Critical));
    assert!(matches!(&foreign.object, Object::Syscall { arch, .. } if arch == "i386"));
}

#[test]
fn a_flood_is_slowed_and_counted_exactly() {
    const THREADS: u64 = 32;
    const CALLS: u64 = 20;
    let mut ledger = Ledger::new(Bounds::default());
    let stats = supervise(&[libc::SYS_mkdir], &mut ledger, TokenBucket::new(20, 1000), || {
        flood(THREADS, CALLS);
    });
    assert_eq!(stats.received, THREADS * CALLS);
    assert_eq!(ledger.total(), THREADS * CALLS);
    assert_eq!(ledger.total_of(Code::KernelTampering), THREADS * CALLS);
    assert!(stats.delayed > 0, "{stats:?}");
    assert_eq!(stats.gone, 0);
}

fn flood(threads: u64, calls: u64) {
    let threads: Vec<_> = (0..threads)
        .map(|_| {
            thread::spawn(move || {
                for _ in 0..calls {
                    assert_eq!(mkdir("/proc/x", Mode::S_IRWXU), Err(Errno::EXDEV));
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().expect("flood");
    }
}

/// Not a test: a process that never stops trying. Sends its listener over stdin, which is a socket.
#[test]
#[ignore = "the child of another test"]
fn child() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let listener = install(&[libc::SYS_mkdir]).expect("failed to install a filter");
    let fds = [listener.as_raw_fd()];
    sendmsg::<()>(
        0,
        &[IoSlice::new(b"x")],
        &[ControlMessage::ScmRights(&fds)],
        MsgFlags::empty(),
        None,
    )
    .expect("sendmsg");
    drop(listener);
    flood(16, u64::MAX);
}

#[test]
fn a_killed_process_ends_the_listener_and_every_received_call_counts() {
    let (ours, theirs) = UnixStream::pair().expect("socket pair");
    let mut child = Command::new(std::env::current_exe().expect("exe"))
        .args(["--exact", "monitor::notify::tests::child", "--ignored"])
        .env(CHILD, "1")
        .stdin(OwnedFd::from(theirs))
        .stdout(Stdio::null())
        .spawn()
        .expect("spawn");
    let listener = receive_fd(&ours);
    let policy = policy();
    let mut ledger = Ledger::new(Bounds::default());
    let mut notifier =
        Notifier::with_rate(listener, &policy, TokenBucket::new(20, 1000)).expect("notifier");
    while notifier.stats().received < 100 {
        notifier.on_ready(Now::read(), &mut ledger).expect("ready");
        notifier.on_timer(Now::read(), &mut ledger).expect("timer");
    }
    notifier.drain(Now::read(), &mut ledger).expect("drain");
    child.kill().expect("kill");
    child.wait().expect("wait");
    // Held answers find nobody; what had come in still counts.
    let mut state = NotifyState::Open;
    while state == NotifyState::Open {
        let mut fds = [PollFd::new(notifier.fd(), notifier.poll_events())];
        let ready = poll(&mut fds, PollTimeout::from(50u8)).expect("poll");
        state = notifier.on_timer(Now::read(), &mut ledger).expect("timer");
        if state == NotifyState::Open && ready > 0 {
            state = notifier.on_ready(Now::read(), &mut ledger).expect("ready");
        }
    }
    assert_eq!(ledger.total(), notifier.stats().received);
    assert_eq!(ledger.total_of(Code::KernelTampering), ledger.total());
}

fn receive_fd(socket: &UnixStream) -> OwnedFd {
    let mut space = nix::cmsg_space!([i32; 1]);
    let mut byte = [0];
    let mut data = [IoSliceMut::new(&mut byte)];
    let message = recvmsg::<()>(socket.as_raw_fd(), &mut data, Some(&mut space), MsgFlags::empty())
        .expect("recvmsg");
    let fd = message.cmsgs().expect("control").find_map(|control| match control {
        ControlMessageOwned::ScmRights(fds) => fds.first().copied(),
        _ => None,
    });
    own(fd.expect("the child sent no listener"))
}

/// `cargo test -p sandboxctl measure_ -- --ignored --nocapture --test-threads=1`
#[test]
#[ignore = "prints figures, asserts nothing"]
fn measure_notifications() {
    let cpu = || Duration::from(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("clock"));
    for (what, threads, calls) in [("quiet", 1, 150), ("flood", 32, 150)] {
        let mut ledger = Ledger::new(Bounds::default());
        let (wall, used) = (Instant::now(), cpu());
        let stats = supervise(&[libc::SYS_mkdir], &mut ledger, usual(), move || {
            flood(threads, calls);
        });
        let (wall, used) = (wall.elapsed(), cpu().saturating_sub(used));
        let each = wall / u32::try_from(threads * calls).expect("few");
        println!(
            "{what}: {} calls in {wall:?} ({each:?} each), supervisor {used:?} = {:.1} % of a core",
            stats.received,
            100.0 * used.as_secs_f64() / wall.as_secs_f64()
        );
    }
}
