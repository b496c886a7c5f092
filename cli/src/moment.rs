//! Moments and spans of time as people give them: an RFC 3339 time, how long ago, how long.

use std::time::Duration;

use audit_event::{RecordTime, Timestamp};
use chrono::Utc;

const UNITS_MS: [(char, i64); 4] = [('s', 1_000), ('m', 60_000), ('h', 3_600_000), ('d', 86_400_000)];

pub fn parse_moment(text: &str) -> Result<RecordTime, String> {
    moment(text, Utc::now().timestamp_millis())
}

fn moment(text: &str, now_ms: i64) -> Result<RecordTime, String> {
    if let Some(time) = Timestamp::parse_rfc3339(text) {
        return Ok(RecordTime(time.micros().div_euclid(1_000)));
    }
    let moment = span_ms(text).and_then(|ago| now_ms.checked_sub(ago)).map(RecordTime);
    moment.filter(|time| time.to_rfc3339().is_some()).ok_or_else(|| {
        "give a time such as 2026-11-02T10:00:00Z, or how long ago, such as 90m, 24h or 7d".to_owned()
    })
}

/// Such as `90m`, `24h` or `7d`.
pub fn parse_span(text: &str) -> Result<Duration, String> {
    let span = span_ms(text).and_then(|ms| u64::try_from(ms).ok()).map(Duration::from_millis);
    span.ok_or_else(|| "give a time such as 90m, 24h or 7d".to_owned())
}

fn span_ms(text: &str) -> Option<i64> {
    UNITS_MS.iter().find_map(|(unit, unit_ms)| {
        let count: i64 = text.strip_suffix(*unit)?.parse().ok()?;
        (count >= 0).then(|| count.checked_mul(*unit_ms)).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span() {
        assert_eq!(parse_span("90m"), Ok(Duration::from_secs(5_400)));
        for bad in ["", "-1h", "1w", "2026-11-02T10:00:00Z"] {
            assert!(parse_span(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_time_or_how_long_ago() {
        let now_ms = 1_000_000_000;
        assert_eq!(moment("1970-01-01T00:00:02.5Z", now_ms), Ok(RecordTime(2_500)));
        assert_eq!(moment("90m", now_ms), Ok(RecordTime(now_ms - 5_400_000)));
        assert_eq!(moment("7d", now_ms), Ok(RecordTime(now_ms - 604_800_000)));
        for bad in ["", "7", "d", "-1h", "1w", "9223372036854775807d", "106751991167d", "2026-11-02"] {
            assert!(moment(bad, now_ms).is_err(), "{bad}");
        }
    }
}
