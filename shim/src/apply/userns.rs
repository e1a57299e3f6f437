//! The extension's user namespace: entered last, so that it owns none of the other namespaces.

use shim::step::Step;
use shim::wire::Reader;

use crate::failure::{At, Failure};
use crate::sys::fs::{self, Path};
use crate::sys::process::{self, Fork};

/// Forks the workload into a new user namespace.
pub(crate) fn fork() -> crate::sys::Result<Fork> {
    process::fork_into_user_namespace()
}

/// Maps one user and one group id. `setgroups` is denied for good before the group map, see user_namespaces(7).
pub(crate) fn map(plan: &mut Reader<'static>, workload: i32) -> Result<(), Failure<'static>> {
    let map = plan.bytes()?;
    for (file, text) in [("uid_map", map), ("setgroups", &b"deny"[..]), ("gid_map", map)] {
        let mut path = ProcPath::new();
        path.push(b"/proc/").push_number(workload).push(b"/").push(file.as_bytes()).push(b"\0");
        fs::write_file(path.path(), fs::O_WRONLY, 0, text).at_path(Step::IdMap, file.as_bytes())?;
    }
    Ok(())
}

/// Opens the gate that the workload waits at.
pub(crate) fn release(gate: i32) -> Result<(), Failure<'static>> {
    fs::write(gate, &1_u64.to_le_bytes()).at(Step::Release)?;
    fs::close(gate);
    Ok(())
}

/// A short path built without a heap.
struct ProcPath {
    bytes: [u8; 40],
    length: usize,
}

impl ProcPath {
    const fn new() -> Self {
        Self { bytes: [0; 40], length: 0 }
    }

    fn push(&mut self, text: &[u8]) -> &mut Self {
        for &byte in text {
            // The longest path here is /proc/2147483647/setgroups, 26 bytes.
            if let Some(place) = self.bytes.get_mut(self.length) {
                *place = byte;
                self.length += 1;
            }
        }
        self
    }

    fn push_number(&mut self, number: i32) -> &mut Self {
        let mut digits = [0_u8; 10];
        let mut at = digits.len();
        let mut rest = number.unsigned_abs();
        loop {
            at -= 1;
            digits[at] = b'0' + u8::try_from(rest % 10).unwrap_or(0);
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        self.push(&digits[at..])
    }

    fn path(&self) -> Path<'_> {
        Path::fixed(
            core::ffi::CStr::from_bytes_until_nul(&self.bytes).unwrap_or(c"/proc/unreachable"),
        )
    }
}
