//! Events as they are answered.

use audit_event::{AuditEvent, Offset, PartitionId};
use clickhouse_io::event_row::{EventRow, RowError};
use serde::Serialize;
use utoipa::ToSchema;

/// An event, with what the trail knows about its record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EventAnswer {
    #[serde(flatten)]
    pub event: AuditEvent,
    pub received_at: String,
    pub kafka_partition: PartitionId,
    pub kafka_offset: Offset,
    pub seal: Seal,
    pub flags: Vec<String>,
    pub door: String,
    /// The request that brought it, where one is known.
    pub traceparent: Option<String>,
    pub correlation_id: Option<String>,
}

/// How far the seal of a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Seal {
    /// In the trail, not yet under a checkpoint.
    Received,
}

/// A page of events, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct EventPage {
    pub events: Vec<EventAnswer>,
    /// The `cursor` of the next page; null on the last one.
    #[schema(required)]
    pub next_cursor: Option<String>,
}

impl EventAnswer {
    pub fn from_row(row: EventRow) -> Result<Self, RowError> {
        let received_at = row.received_at();
        Ok(Self {
            received_at: received_at.to_rfc3339().unwrap_or_else(|| received_at.0.to_string()),
            kafka_partition: PartitionId(row.kafka_partition),
            kafka_offset: Offset(row.kafka_offset),
            seal: Seal::Received,
            flags: row.flags.clone(),
            door: row.door.clone(),
            traceparent: known(&row.traceparent),
            correlation_id: known(&row.correlation_id),
            event: row.into_event()?,
        })
    }
}

/// An empty column says nothing.
fn known(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use audit_event::{Actor, EventId, Operation, Outcome, Severity, Source, Timestamp};

    pub fn sample() -> EventAnswer {
        EventAnswer {
            event: AuditEvent {
                event_id: EventId(uuid::Uuid::nil()),
                tenant_id: "demo".parse().expect("a tenant"),
                occurred_at: Timestamp::from_micros(1_793_613_600_000_000),
                event_type: "user.login".to_owned(),
                operation: Operation::Access,
                outcome: Outcome::Success,
                severity: Severity::Info,
                actor: Actor {
                    id: "ann".to_owned(),
                    kind: "user".to_owned(),
                    name: None,
                    session_id: None,
                    on_behalf_of: None,
                },
                targets: vec![],
                source: Source::default(),
                trace: None,
                duration_ms: None,
                batch_id: None,
                message: None,
                changes: vec![],
                attributes: std::collections::BTreeMap::new(),
                signature: None,
            },
            received_at: "2026-11-02T10:00:00.250Z".to_owned(),
            kafka_partition: PartitionId(3),
            kafka_offset: Offset(42),
            seal: Seal::Received,
            flags: vec!["unknown_event_type".to_owned()],
            door: "http".to_owned(),
            traceparent: None,
            correlation_id: known("a-1"),
        }
    }

    #[test]
    fn the_event_and_its_record_stand_side_by_side() {
        let json = serde_json::to_value(sample()).expect("serialises");
        assert_eq!(json["event_type"], "user.login");
        assert_eq!(json["occurred_at"], "2026-11-02T10:00:00Z");
        assert_eq!(json["actor"]["type"], "user");
        assert_eq!(json["seal"], "received");
        assert_eq!(json["kafka_offset"], 42);
        assert!(json["message"].is_null() && json["traceparent"].is_null());
        assert_eq!(json["correlation_id"], "a-1");
    }
}
