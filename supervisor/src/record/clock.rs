//! One reading of both clocks, so that a batch of events pays for it once.

use std::time::{Instant, SystemTime};

use jiff::Timestamp;

/// A point in time: one clock for records, one for rates and deadlines.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// Calendar time; may step.
    pub wall: SystemTime,
    /// Monotonic time.
    pub mono: Instant,
}

impl Now {
    /// Reads both clocks.
    #[must_use]
    pub fn read() -> Self {
        Self { wall: SystemTime::now(), mono: Instant::now() }
    }
}

/// RFC 3339 in UTC with microseconds, as in every record. A time that no calendar holds reads as the epoch.
#[must_use]
pub fn rfc3339(at: SystemTime) -> String {
    let stamp = Timestamp::try_from(at).unwrap_or(Timestamp::UNIX_EPOCH);
    format!("{stamp:.6}")
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn microseconds_always() {
        let at = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        assert_eq!(rfc3339(at), "2023-11-14T22:13:20.000000Z");
        assert_eq!(rfc3339(at + Duration::from_nanos(1500)), "2023-11-14T22:13:20.000001Z");
    }
}
