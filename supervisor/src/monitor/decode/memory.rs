//! Reading the memory of a process that waits in a system call. Bounded, and never more than advice.

use std::io::IoSliceMut;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV4, SocketAddrV6};

use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use nix::unistd::Pid;

/// Bytes of a text that are read. Longer than [`super::LONGEST`], because a character has up to four.
const TEXT: usize = 512;
/// The longest socket address: `struct sockaddr_storage`.
const ADDRESS: usize = 128;
const PAGE: usize = 4096;

/// A text that ends with a NUL, lossily decoded; what is read of one that does not end in time.
pub(super) fn text(pid: Pid, at: u64) -> Option<String> {
    let mut buffer = [0; TEXT];
    let read = read(pid, at, &mut buffer)?;
    let end = read.iter().position(|byte| *byte == 0).unwrap_or(read.len());
    Some(String::from_utf8_lossy(&read[..end]).into_owned())
}

/// A socket address: `127.0.0.1:80`, `[::1]:80`, `/run/x.sock`, `@abstract`, or the number of its family.
pub(super) fn address(pid: Pid, at: u64, length: u64) -> Option<String> {
    let mut buffer = [0; ADDRESS];
    let length = usize::try_from(length & 0xffff_ffff).ok()?.min(ADDRESS);
    let bytes = read(pid, at, buffer.get_mut(..length)?)?;
    let family = u16::from_ne_bytes(*bytes.first_chunk()?);
    let port = || bytes.get(2..4)?.first_chunk().map(|port| u16::from_be_bytes(*port));
    match i32::from(family) {
        libc::AF_INET => {
            let host = Ipv4Addr::from(*bytes.get(4..)?.first_chunk::<4>()?);
            Some(SocketAddrV4::new(host, port()?).to_string())
        }
        libc::AF_INET6 => {
            let host = Ipv6Addr::from(*bytes.get(8..)?.first_chunk::<16>()?);
            Some(SocketAddrV6::new(host, port()?, 0, 0).to_string())
        }
        libc::AF_UNIX => Some(unix(&bytes[2..])),
        other => Some(format!("family {other}")),
    }
}

/// unix(7): a path ends with a NUL, an abstract name begins with one.
fn unix(path: &[u8]) -> String {
    if let Some(name) = path.strip_prefix(b"\0") {
        return format!("@{}", String::from_utf8_lossy(name));
    }
    let end = path.iter().position(|byte| *byte == 0).unwrap_or(path.len());
    String::from_utf8_lossy(&path[..end]).into_owned()
}

/// As much as is mapped; none where nothing is, or where it may not be read.
fn read(pid: Pid, at: u64, buffer: &mut [u8]) -> Option<&[u8]> {
    let base = usize::try_from(at).ok().filter(|base| *base != 0)?;
    // In two parts, the second beginning with a page: what ends where its page ends is read all the same.
    let first = (PAGE - base % PAGE).min(buffer.len());
    let parts = [
        RemoteIoVec { base, len: first },
        RemoteIoVec { base: base.checked_add(first)?, len: buffer.len() - first },
    ];
    let length = process_vm_readv(pid, &mut [IoSliceMut::new(buffer)], &parts).ok()?;
    buffer.get(..length).filter(|read| !read.is_empty())
}
