//! The only unsafe code of the shim: system calls without a C library, x86-64.
//!
//! Each function is one system call. Results are `Ok(value)` or `Err(errno)`, errno positive.
#![expect(unsafe_code, reason = "the boundary to the kernel; everything above it is safe code")]

pub(crate) mod call;
pub(crate) mod fs;
pub(crate) mod ipc;
pub(crate) mod lockdown;
pub(crate) mod mem;
pub(crate) mod nr;
pub(crate) mod process;
pub(crate) mod start;

/// An errno, positive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Errno(pub(crate) i32);

/// Errnos that the code above tells apart; from asm-generic/errno-base.h and errno.h.
impl Errno {
    pub(crate) const EPERM: Self = Self(1);
    pub(crate) const ENOENT: Self = Self(2);
    pub(crate) const EINTR: Self = Self(4);
    pub(crate) const EACCES: Self = Self(13);
    pub(crate) const EEXIST: Self = Self(17);
    pub(crate) const ENOTDIR: Self = Self(20);
    pub(crate) const EINVAL: Self = Self(22);
    pub(crate) const EROFS: Self = Self(30);
    pub(crate) const EPIPE: Self = Self(32);
    pub(crate) const EPROTO: Self = Self(71);
}

pub(crate) type Result<T> = core::result::Result<T, Errno>;
