//! The wall clock, for what is compared with times that people and tokens give: the end of a credential.

use std::time::{SystemTime, UNIX_EPOCH};

use audit_event::Timestamp;

/// 1970 where the clock stands before it.
pub fn now() -> Timestamp {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(i64::try_from(since_1970.as_micros()).unwrap_or(i64::MAX))
}
