//! Flags: what is odd about an event, though nothing is wrong with its record.

use ::schemas::catalogue;
use audit_event::control::ControlState;
use audit_event::{AuditEvent, RecordTime};

/// A producer's clock may be this far ahead of the broker's before it is flagged.
const MAX_AHEAD_MS: i64 = 5 * 60 * 1000;
/// An event that comes in this long after it happened is flagged.
const LATE_AFTER_MS: i64 = 24 * 60 * 60 * 1000;

pub const UNKNOWN_EVENT_TYPE: &str = "unknown_event_type";
pub const CLOCK_SKEW: &str = "clock_skew";
pub const LATE_ARRIVAL: &str = "late_arrival";
/// Columns beside the sealed ones may be empty though something could have been found out.
pub const ENRICHMENT_INCOMPLETE: &str = "enrichment_incomplete";

pub fn flags(event: &AuditEvent, received_at: RecordTime, control: &ControlState) -> Vec<&'static str> {
    let mut flags = Vec::new();
    let is_own = || control.own_event_type(&event.tenant_id, &event.event_type).is_some();
    if catalogue::find(&event.event_type).is_none() && !is_own() {
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

#[cfg(test)]
mod tests {
    use super::super::tests::event;
    use super::*;

    const OCCURRED_MS: i64 = 1_793_613_600_000;

    fn flagged(event_type: &str, received_ms: i64) -> Vec<&'static str> {
        let mut event = event();
        event.event_type = event_type.to_owned();
        event.occurred_at = audit_event::Timestamp::from_micros(OCCURRED_MS * 1000);
        flags(&event, RecordTime(received_ms), &ControlState::default())
    }

    #[test]
    fn a_clock_ahead_and_a_late_arrival_are_flagged_from_their_bounds_on() {
        let known = "user.login";
        for age_ms in [-MAX_AHEAD_MS, 0, LATE_AFTER_MS] {
            assert!(flagged(known, OCCURRED_MS + age_ms).is_empty(), "{age_ms}");
        }
        assert_eq!(flagged(known, OCCURRED_MS - MAX_AHEAD_MS - 1), [CLOCK_SKEW]);
        assert_eq!(flagged(known, OCCURRED_MS + LATE_AFTER_MS + 1), [LATE_ARRIVAL]);
        assert_eq!(flagged(known, i64::MIN), [CLOCK_SKEW], "no overflow");
        assert_eq!(flagged(known, i64::MAX), [LATE_ARRIVAL], "no overflow");
    }

    #[test]
    fn a_type_that_the_catalogue_lacks_is_flagged() {
        assert_eq!(flagged("payroll.run", OCCURRED_MS), [UNKNOWN_EVENT_TYPE]);
    }

    #[test]
    fn a_type_that_the_tenant_has_declared_is_known_for_that_tenant() {
        let mut event = event();
        event.event_type = "payroll.run".to_owned();
        let declared = |tenant: &str| {
            let mut control = ControlState::default();
            let record = format!(
                r#"{{"v":1,"tenant_id":"{tenant}","name":"payroll.run","operation":"execute","severity":"info","description":"A run."}}"#
            );
            let key = format!("event-type/{tenant}/payroll.run");
            control.apply(&key, Some(record.as_bytes())).expect("applies");
            control
        };
        let received = RecordTime(event.occurred_at.micros() / 1000);
        assert!(flags(&event, received, &declared(event.tenant_id.as_str())).is_empty());
        assert_eq!(flags(&event, received, &declared("another")), [UNKNOWN_EVENT_TYPE]);
    }
}
