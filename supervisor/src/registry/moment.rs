//! Times as the registry keeps them: seconds since the epoch.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use policies::decision::Expiry;
use policies::vulnerability::DAY_SECONDS;

/// Seconds since the epoch.
pub(super) fn seconds(at: SystemTime) -> i64 {
    Timestamp::try_from(at).map_or(0, Timestamp::as_second)
}

/// RFC 3339 in UTC, with seconds.
#[must_use]
pub fn text(seconds: i64) -> String {
    Timestamp::from_second(seconds).unwrap_or(Timestamp::UNIX_EPOCH).to_string()
}

/// Reads RFC 3339, or a date, which is its first moment in UTC; to the second, from 1970 on.
#[must_use]
pub fn parse(text: &str) -> Option<SystemTime> {
    let day = text.len() == 10;
    let whole = if day { format!("{text}T00:00:00Z") } else { text.to_owned() };
    let stamp: Timestamp = whole.parse().ok()?;
    let since = u64::try_from(stamp.as_second()).ok()?;
    UNIX_EPOCH.checked_add(Duration::from_secs(since))
}

/// An end, seen from `now`.
pub(super) fn expiry(at: i64, now: i64) -> Expiry {
    if at <= now {
        return Expiry::Past { at: text(at) };
    }
    let days = u32::try_from((at - now) / DAY_SECONDS).unwrap_or(u32::MAX);
    Expiry::Later { at: text(at), days }
}

/// For serde: times are texts in JSON.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference to the field")]
pub(super) fn ser<S: serde::Serializer>(seconds: &i64, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(&text(*seconds))
}

/// For serde.
#[expect(clippy::ref_option, reason = "serde passes a reference to the field")]
pub(super) fn ser_some<S: serde::Serializer>(
    seconds: &Option<i64>,
    to: S,
) -> Result<S::Ok, S::Error> {
    match seconds {
        Some(seconds) => ser(seconds, to),
        None => to.serialize_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_and_times() {
        for (written, seconds_since) in [
            ("1970-01-02", Some(86_400)),
            ("1970-01-01T00:00:10Z", Some(10)),
            ("1970-01-01T01:00:00+01:00", Some(0)),
            ("1970-01-01T00:00:10", None),
            ("tomorrow", None),
            ("", None),
        ] {
            assert_eq!(parse(written).map(seconds), seconds_since, "{written}");
        }
        assert_eq!(text(86_400), "1970-01-02T00:00:00Z");
    }

    #[test]
    fn ends_seen_from_now() {
        assert_eq!(expiry(10, 10), Expiry::Past { at: text(10) });
        assert_eq!(expiry(11, 10), Expiry::Later { at: text(11), days: 0 });
        assert_eq!(
            expiry(10 + 2 * DAY_SECONDS, 10),
            Expiry::Later { at: text(10 + 2 * DAY_SECONDS), days: 2 }
        );
    }
}
