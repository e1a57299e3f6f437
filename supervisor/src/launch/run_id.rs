//! Names of runs.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::time::SystemTime;

use jiff::Timestamp;

/// A run id: the time to the second and 40 random bits, so that ids sort by time and never collide in practice.
///
/// # Errors
/// A time that no calendar has.
pub(super) fn new(now: SystemTime) -> io::Result<String> {
    // The keys of a new hasher are the kernel's random numbers: getrandom(2), without another dependency.
    let random = RandomState::new().build_hasher().finish();
    let stamp = Timestamp::try_from(now).map_err(io::Error::other)?;
    let time = stamp.strftime("%Y%m%dT%H%M%SZ");
    Ok(format!("{time}-{:010x}", random & 0xff_ffff_ffff))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_sort_by_time_and_differ() {
        let then = SystemTime::UNIX_EPOCH;
        let (first, second) = (new(then).unwrap(), new(then).unwrap());
        assert_ne!(first, second);
        assert!(first.starts_with("19700101T000000Z-"), "{first}");
        assert_eq!(first.len(), 27);
    }
}
