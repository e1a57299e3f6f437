//! Decoded from this very process, whose memory is read as that of a sandbox would be.

use std::ffi::CStr;

use nix::sys::socket::{SockaddrIn, SockaddrIn6, SockaddrLike, UnixAddr};

use super::*;

fn words(sysno: Sysno, args: [u64; 6]) -> Vec<(String, String, bool)> {
    let own = nix::unistd::getpid();
    decode(own, sysno.id(), &args)
        .into_iter()
        .map(|argument| (argument.name, argument.value, argument.advisory))
        .collect()
}

fn values(sysno: Sysno, args: [u64; 6]) -> Vec<String> {
    words(sysno, args).into_iter().map(|(_, value, _)| value).collect()
}

fn at(text: &CStr) -> u64 {
    u64::try_from(text.as_ptr().addr()).expect("address")
}

#[test]
fn texts_are_read_and_marked() {
    let args = [at(c"tmpfs"), at(c"/t\xff"), 0, 0x1003, 0, 0];
    let expected = [
        ("source", "tmpfs", true),
        ("target", "/t\u{fffd}", true),
        ("filesystemtype", "null", false),
        ("mountflags", "MS_RDONLY|MS_NOSUID|MS_BIND", false),
    ];
    let expected: Vec<_> = expected.map(|(n, v, a)| (n.to_owned(), v.to_owned(), a)).into();
    assert_eq!(words(Sysno::mount, args), expected);
}

/// Neither a wild pointer nor an endless text is trouble.
#[test]
fn what_cannot_be_read_stays_a_pointer() {
    for wild in [1, 0xffff_8000_0000_0000, u64::MAX] {
        assert_eq!(values(Sysno::chroot, [wild, 0, 0, 0, 0, 0]), [format!("{wild:#x}")]);
    }
    let long = vec![b'x'; 100_000];
    let args = [u64::try_from(long.as_ptr().addr()).expect("address"), 0, 0, 0, 0, 0];
    assert_eq!(values(Sysno::chroot, args), ["x".repeat(LONGEST)]);
}

#[test]
fn flags_and_constants_have_names() {
    let own = |sysno, args| values(sysno, args).join(" ");
    assert_eq!(own(Sysno::unshare, [0x1002_0000, 0, 0, 0, 0, 0]), "CLONE_NEWNS|CLONE_NEWUSER");
    assert_eq!(own(Sysno::clone, [0x1000_0011, 0, 0, 0, 0, 0]), "CLONE_NEWUSER|0x11");
    assert_eq!(own(Sysno::setns, [u64::MAX, 0x4000_0000, 0, 0, 0, 0]), "-1 CLONE_NEWNET");
    assert_eq!(
        own(Sysno::socket, [2, 0x8_0803, 1, 0, 0, 0]),
        "AF_INET SOCK_RAW|SOCK_NONBLOCK|SOCK_CLOEXEC IPPROTO_ICMP"
    );
    assert_eq!(own(Sysno::socket, [16, 3, 12, 0, 0, 0]), "AF_NETLINK SOCK_RAW NETLINK_NETFILTER");
    // The kernel looks at the lower half.
    assert_eq!(own(Sysno::ioctl, [0, 0xffff_ffff_0000_5412, 0, 0, 0, 0]), "0 TIOCSTI null");
    assert_eq!(own(Sysno::prctl, [22, 2, 0, 0, 0, 0]), "PR_SET_SECCOMP 0x2 0x0");
    assert_eq!(own(Sysno::ptrace, [16, 1, 0, 0, 0, 0]), "PTRACE_ATTACH 1");
    let name = at(c"/dev/x");
    assert_eq!(own(Sysno::mknod, [name, 0o060_666, 0x800, 0, 0, 0]), "/dev/x 0o60666 0x800");
    assert_eq!(
        own(Sysno::openat, [0xffff_ff9c, name, 0x241, 0o644, 0, 0]),
        "AT_FDCWD /dev/x O_WRONLY|O_CREAT|O_TRUNC 0o644"
    );
    assert_eq!(own(Sysno::getpid, [0; 6]), "");
    assert!(decode(nix::unistd::getpid(), -1, &[0; 6]).is_empty());
}

#[test]
fn socket_addresses_are_decoded() {
    fn shown(address: &impl SockaddrLike) -> String {
        let at = u64::try_from(address.as_ptr().addr()).expect("address");
        values(Sysno::connect, [3, at, address.len().into(), 0, 0, 0]).swap_remove(1)
    }
    assert_eq!(shown(&SockaddrIn::new(192, 0, 2, 1, 80)), "192.0.2.1:80");
    let v6: SockaddrIn6 = "[2001:db8::1]:443".parse().expect("address");
    assert_eq!(shown(&v6), "[2001:db8::1]:443");
    assert_eq!(shown(&UnixAddr::new("/run/x").expect("path")), "/run/x");
    assert_eq!(shown(&UnixAddr::new_abstract(b"x").expect("name")), "@x");
    // Too short to say anything.
    let at = u64::try_from(v6.as_ptr().addr()).expect("address");
    assert_eq!(values(Sysno::connect, [3, at, 1, 0, 0, 0])[1], format!("{at:#x}"));
    assert_eq!(values(Sysno::connect, [3, at, 4, 0, 0, 0])[1], format!("{at:#x}"));
}
