//! The only unsafe code of the supervisor: kernel interfaces that no safe wrapper covers, one file each.
#![expect(unsafe_code, reason = "the boundary to the kernel; everything above it is safe code")]

pub mod attributes;
pub mod idmap;
pub mod landlock;
pub mod loopdev;
pub mod netlink;
pub mod nlmsg;
pub mod newmount;
pub mod probe;
pub mod seccomp_notif;
pub mod terminal;

#[cfg(test)]
pub(crate) mod seccomp_testing;
pub mod spawn;
