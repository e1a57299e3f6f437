//! Loop devices that free themselves with their last user.
//!
//! # References
//! [`loop(4)`](https://man7.org/linux/man-pages/man4/loop.4.html)

use std::ffi::c_ulong;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::time::Duration;

use nix::errno::Errno;

/// From linux/loop.h.
const LOOP_CTL_GET_FREE: c_ulong = 0x4C82;
const LOOP_CONFIGURE: c_ulong = 0x4C0A;
const LO_FLAGS_READ_ONLY: u32 = 1;
const LO_FLAGS_AUTOCLEAR: u32 = 4;
const LO_FLAGS_DIRECT_IO: u32 = 16;

/// How often another process may win the race for a free device.
const ATTEMPTS: u32 = 500;

/// struct `loop_info64`.
#[repr(C)]
struct Info {
    device: u64,
    inode: u64,
    rdevice: u64,
    offset: u64,
    size_limit: u64,
    number: u32,
    encrypt_type: u32,
    encrypt_key_size: u32,
    flags: u32,
    file_name: [u8; 64],
    crypt_name: [u8; 64],
    encrypt_key: [u8; 32],
    init: [u64; 2],
}

/// struct `loop_config`.
#[repr(C)]
struct Config {
    fd: u32,
    block_size: u32,
    info: Info,
    reserved: [u64; 8],
}

const _: () = assert!(size_of::<Info>() == 232 && size_of::<Config>() == 304);

/// A loop device over a file. It is freed when it is closed and nothing is mounted from it, however that comes about.
#[derive(Debug)]
pub struct LoopDevice {
    /// Its node.
    pub path: PathBuf,
    _device: File,
}

/// Why no loop device could be had.
#[derive(Debug, thiserror::Error)]
#[error("failed to {step} {path}: {source}")]
pub struct LoopError {
    /// `open` or `configure`.
    pub step: &'static str,
    /// The node.
    pub path: PathBuf,
    /// From open(2) or ioctl(2).
    pub source: io::Error,
}

/// Puts a loop device over `file`, which the device keeps open: a flock(2) on it lasts as long as the device.
/// `block_size` is in bytes. I/O bypasses the page cache of `file` where its filesystem can do that, as the filesystem on
/// top has a cache of its own.
pub fn attach(
    file: BorrowedFd<'_>,
    block_size: u32,
    read_only: bool,
) -> Result<LoopDevice, LoopError> {
    let control_path = PathBuf::from("/dev/loop-control");
    let control = open(&control_path, true)?;
    let fd = u32::try_from(file.as_raw_fd()).unwrap_or(u32::MAX);
    let mut flags = LO_FLAGS_AUTOCLEAR | LO_FLAGS_DIRECT_IO;
    if read_only {
        flags |= LO_FLAGS_READ_ONLY;
    }
    let mut attempt = 0;
    loop {
        let number = get_free(&control).map_err(|source| LoopError {
            step: "get a free device from",
            path: control_path.clone(),
            source,
        })?;
        let path = PathBuf::from(format!("/dev/loop{number}"));
        let device = open(&path, !read_only)?;
        match configure(&device, fd, block_size, flags) {
            Ok(()) => return Ok(LoopDevice { path, _device: device }),
            // Between the two ioctls another process took it.
            Err(source) if source.raw_os_error() == Some(libc::EBUSY) && attempt < ATTEMPTS => {
                attempt += 1;
                if attempt > 8 {
                    std::thread::sleep(Duration::from_micros(200));
                }
            }
            Err(source) => return Err(LoopError { step: "configure", path, source }),
        }
    }
}

fn open(path: &PathBuf, write: bool) -> Result<File, LoopError> {
    File::options()
        .read(true)
        .write(write)
        .custom_flags(libc::O_CLOEXEC)
        .open(path)
        .map_err(|source| LoopError { step: "open", path: path.clone(), source })
}

fn get_free(control: &File) -> io::Result<i32> {
    // SAFETY: the request takes no argument; `control` is open.
    let number = unsafe { libc::ioctl(control.as_raw_fd(), LOOP_CTL_GET_FREE) };
    Ok(Errno::result(number)?)
}

fn configure(device: &File, fd: u32, block_size: u32, flags: u32) -> io::Result<()> {
    let info = Info {
        device: 0,
        inode: 0,
        rdevice: 0,
        offset: 0,
        size_limit: 0,
        number: 0,
        encrypt_type: 0,
        encrypt_key_size: 0,
        flags,
        file_name: [0; 64],
        crypt_name: [0; 64],
        encrypt_key: [0; 32],
        init: [0; 2],
    };
    let config = Config { fd, block_size, info, reserved: [0; 8] };
    // SAFETY: the request reads one struct loop_config, which lives through the call; its layout is asserted above.
    let done = unsafe { libc::ioctl(device.as_raw_fd(), LOOP_CONFIGURE, &raw const config) };
    Ok(Errno::result(done).map(drop)?)
}
