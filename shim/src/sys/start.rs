//! The entry point and the way out.

use core::arch::global_asm;

use super::call::{int, syscall};
use super::nr;

// The kernel enters with the stack aligned to 16 bytes and no return address; `call` makes it what the ABI promises a
// function. Nothing on the stack is needed: the plan comes by a socket.
global_asm!(
    ".globl _start",
    "_start:",
    "xor %ebp, %ebp",
    "and $-16, %rsp",
    "call {main}",
    "ud2",
    main = sym crate::main,
    options(att_syntax),
);

/// Ends the process with `code`.
pub(crate) fn exit(code: i32) -> ! {
    loop {
        // SAFETY: exit_group(2) takes no pointer and does not return.
        let ended = unsafe { syscall(nr::EXIT_GROUP, [int(code), 0, 0, 0, 0, 0]) };
        // Unreachable, but the type of `ended` says otherwise: try again rather than run on.
        if ended.is_ok() {
            core::hint::spin_loop();
        }
    }
}

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    // A defect in the shim must end the sandbox, never open it.
    exit(125)
}
