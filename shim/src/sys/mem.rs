//! The memory functions that compiled code calls and that a C library would bring.

use core::arch::asm;

/// See memcpy(3).
///
/// # Safety
/// `to` and `from` must be valid for `n` bytes and must not overlap.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, n: usize) -> *mut u8 {
    // SAFETY: the caller gives two valid, separate ranges of n bytes; the direction flag is clear by the ABI.
    unsafe {
        asm!("rep movsb", inout("rcx") n => _, inout("rdi") to => _, inout("rsi") from => _,
            options(nostack, preserves_flags));
    }
    to
}

/// See memmove(3).
///
/// # Safety
/// `to` and `from` must be valid for `n` bytes.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, n: usize) -> *mut u8 {
    if to.addr() <= from.addr() || to.addr() >= from.addr() + n {
        // SAFETY: copying upwards never overwrites bytes that are still to be read in this case.
        return unsafe { memcpy(to, from, n) };
    }
    // SAFETY: the range is valid for n > 0 bytes, so its last byte exists.
    let last_to = unsafe { to.add(n - 1) };
    // SAFETY: as above.
    let last_from = unsafe { from.add(n - 1) };
    // SAFETY: both ranges are valid for n bytes down from their last; the flag is restored.
    unsafe {
        asm!("std", "rep movsb", "cld", inout("rcx") n => _, inout("rdi") last_to => _,
            inout("rsi") last_from => _, options(nostack));
    }
    to
}

/// See memset(3).
///
/// # Safety
/// `to` must be valid for `n` bytes.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn memset(to: *mut u8, value: i32, n: usize) -> *mut u8 {
    let byte = value.to_le_bytes()[0];
    // SAFETY: the caller gives a valid range of n bytes; the direction flag is clear by the ABI.
    unsafe {
        asm!("rep stosb", inout("rcx") n => _, inout("rdi") to => _, in("al") byte,
            options(nostack, preserves_flags));
    }
    to
}

/// See memcmp(3); also serves as bcmp.
///
/// # Safety
/// `a` and `b` must be valid for `n` bytes.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn memcmp(a: *const u8, b: *const u8, n: usize) -> i32 {
    let mut at = 0;
    while at < n {
        // SAFETY: at < n, and the range is valid for n bytes.
        let left = unsafe { a.add(at) };
        // SAFETY: as above.
        let right = unsafe { b.add(at) };
        // SAFETY: inside the range. Volatile, or the loop would become a call of itself.
        let left = unsafe { left.read_volatile() };
        // SAFETY: as above.
        let right = unsafe { right.read_volatile() };
        if left != right {
            return i32::from(left) - i32::from(right);
        }
        at += 1;
    }
    0
}

/// See bcmp(3).
///
/// # Safety
/// `a` and `b` must be valid for `n` bytes.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn bcmp(a: *const u8, b: *const u8, n: usize) -> i32 {
    // SAFETY: the same contract.
    unsafe { memcmp(a, b, n) }
}
