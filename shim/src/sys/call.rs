//! The system call instruction.

use core::arch::asm;

use super::{Errno, Result};

/// One system call with up to six arguments.
///
/// # Safety
/// Every argument that the kernel takes for a pointer must be valid for what the call does with it.
pub(super) unsafe fn syscall(nr: usize, args: [usize; 6]) -> Result<usize> {
    let value: isize;
    // SAFETY: the caller vouches for the pointers; the instruction itself clobbers only rcx, r11 and the result.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") nr.cast_signed() => value,
            in("rdi") args[0],
            in("rsi") args[1],
            in("rdx") args[2],
            in("r10") args[3],
            in("r8") args[4],
            in("r9") args[5],
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    // The kernel returns -errno in -4095..=-1, see syscall(2).
    if (-4095..0).contains(&value) {
        Err(Errno(i32::try_from(-value).unwrap_or(Errno::EINVAL.0)))
    } else {
        Ok(value.cast_unsigned())
    }
}

/// A descriptor or flag word as a register. Sign extension is what the kernel's `int` arguments expect.
pub(super) fn int(value: i32) -> usize {
    isize::try_from(value).unwrap_or(-1).cast_unsigned()
}

/// An unsigned word as a register.
pub(super) fn word(value: u32) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

/// A 64-bit value as a register.
pub(super) fn long(value: u64) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

/// A result that is a descriptor, pid or another small number.
pub(super) fn small(value: usize) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}
