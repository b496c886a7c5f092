//! Stage enrich: columns beside the sealed bytes. It never rejects, and a fault in it changes nothing that is sealed.

use ::schemas::catalogue;
use audit_event::{AuditEvent, RecordTime};

/// A producer's clock may be this far ahead of the broker's before it is flagged.
const MAX_AHEAD_MS: i64 = 5 * 60 * 1000;
/// An event that comes in this long after it happened is flagged.
const LATE_AFTER_MS: i64 = 24 * 60 * 60 * 1000;

pub const UNKNOWN_EVENT_TYPE: &str = "unknown_event_type";
pub const CLOCK_SKEW: &str = "clock_skew";
pub const LATE_ARRIVAL: &str = "late_arrival";

pub fn flags(event: &AuditEvent, received_at: RecordTime) -> Vec<&'static str> {
    let mut flags = Vec::new();
    if catalogue::find(&event.event_type).is_none() {
        flags.push(UNKNOWN_EVENT_TYPE);
    }
    let age_ms = received_at.0.saturating_sub(event.occurred_at.micros() / 1000);
    if age_ms < -MAX_AHEAD_MS {
        flags.push(CLOCK_SKEW);
    } else if age_ms > LATE_AFTER_MS {
        flags.push(LATE_ARRIVAL);
    }
    flags
}
