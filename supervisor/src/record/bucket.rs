//! A token bucket that needs no timer and no floating point.

use std::time::{Duration, Instant};

/// Allows `burst` events at once and one more each interval.
///
/// Kept as the time at which the bucket would be full again (the generic cell rate algorithm): one comparison an event.
#[derive(Clone, Copy, Debug)]
pub struct TokenBucket {
    interval: Duration,
    /// How far `full_at` may lie ahead of now.
    slack: Duration,
    full_at: Option<Instant>,
}

impl TokenBucket {
    /// A full bucket of `burst` tokens that refills at `per_second` tokens a second; both at least 1.
    #[must_use]
    pub fn new(burst: u32, per_second: u32) -> Self {
        let interval = Duration::from_secs(1) / per_second.max(1);
        Self { interval, slack: interval * (burst.max(1) - 1), full_at: None }
    }

    /// Takes a token, or says no.
    pub fn take(&mut self, now: Instant) -> bool {
        if self.ready_at().is_some_and(|ready| ready > now) {
            return false;
        }
        let base = self.full_at.map_or(now, |at| at.max(now));
        self.full_at = Some(base + self.interval);
        true
    }

    /// When the next token is there; `None` if one always was.
    #[must_use]
    pub fn ready_at(&self) -> Option<Instant> {
        self.full_at.and_then(|at| at.checked_sub(self.slack))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn burst_then_rate() {
        let start = Instant::now();
        let mut bucket = TokenBucket::new(200, 1000);
        let at_once = (0..1000).filter(|_| bucket.take(start)).count();
        assert_eq!(at_once, 200);
        let next = bucket.ready_at().expect("spent");
        assert_eq!(next - start, Duration::from_millis(1));
        let later = start + Duration::from_millis(50);
        assert_eq!((0..1000).filter(|_| bucket.take(later)).count(), 50);
        let much_later = start + Duration::from_hours(1);
        assert_eq!((0..1000).filter(|_| bucket.take(much_later)).count(), 200);
    }
}
