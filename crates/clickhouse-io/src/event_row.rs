//! A row of `events` on its way out, and the event in it.

use std::collections::BTreeMap;

use audit_event::ids::IdError;
use audit_event::{
    Actor, AuditEvent, Change, EventId, Operation, Outcome, RecordTime, SchemaId, Severity, Signature,
    Source, Target, Timestamp, Trace,
};
use schemas::avro::{self, CodecError};
use serde::Deserialize;
use serde_bytes::ByteBuf;
use uuid::Uuid;

/// The columns of [`EventRow`], in its order.
pub const SELECT_COLUMNS: &str = "tenant_id, event_id, toUnixTimestamp64Micro(occurred_at) AS occurred_us, event_type, \
    operation, outcome, severity, actor_id, actor_type, actor_name, actor_session_id, actor_on_behalf_of, \
    `targets.id` AS target_ids, `targets.type` AS target_types, `targets.name` AS target_names, source_ip, \
    source_user_agent, source_service, source_host, source_request_id, trace_id, span_id, duration_ms, batch_id, message, \
    `changes.path` AS change_paths, `changes.before` AS change_befores, `changes.after` AS change_afters, attributes, \
    signature_key_id, signature_algorithm, signature_value, kafka_partition, kafka_offset, \
    toUnixTimestamp64Milli(received_at) AS received_ms, door, schema_id, raw_record, flags, \
    traceparent, correlation_id";

#[derive(Debug, Clone, clickhouse::Row, Deserialize)]
pub struct EventRow {
    pub tenant_id: String,
    #[serde(with = "clickhouse::serde::uuid")]
    pub event_id: Uuid,
    pub occurred_us: i64,
    pub event_type: String,
    pub operation: String,
    pub outcome: String,
    pub severity: String,
    pub actor_id: String,
    pub actor_type: String,
    pub actor_name: Option<String>,
    pub actor_session_id: Option<String>,
    pub actor_on_behalf_of: Option<String>,
    pub target_ids: Vec<String>,
    pub target_types: Vec<String>,
    pub target_names: Vec<Option<String>>,
    pub source_ip: Option<String>,
    pub source_user_agent: Option<String>,
    pub source_service: Option<String>,
    pub source_host: Option<String>,
    pub source_request_id: Option<String>,
    pub trace_id: Option<String>,
    pub span_id: Option<String>,
    pub duration_ms: Option<i64>,
    pub batch_id: Option<String>,
    pub message: Option<String>,
    pub change_paths: Vec<String>,
    pub change_befores: Vec<Option<String>>,
    pub change_afters: Vec<Option<String>>,
    pub attributes: Vec<(String, String)>,
    pub signature_key_id: Option<String>,
    pub signature_algorithm: Option<String>,
    pub signature_value: Option<String>,
    pub kafka_partition: i32,
    pub kafka_offset: i64,
    pub received_ms: i64,
    pub door: String,
    pub schema_id: u32,
    pub raw_record: ByteBuf,
    pub flags: Vec<String>,
    pub traceparent: String,
    pub correlation_id: String,
}

#[derive(Debug, thiserror::Error)]
pub enum RowError {
    #[error("the row's tenant id is not one: {0}")]
    Tenant(#[from] IdError),
    #[error(transparent)]
    Codec(#[from] CodecError),
}

impl EventRow {
    pub fn received_at(&self) -> RecordTime {
        RecordTime(self.received_ms)
    }

    /// The exact bytes that were in Kafka.
    pub fn rebuild_record(self) -> Result<Vec<u8>, RowError> {
        if !self.raw_record.is_empty() {
            return Ok(self.raw_record.into_vec());
        }
        let schema_id = SchemaId(self.schema_id);
        Ok(avro::encode(&self.into_event()?, schema_id)?)
    }

    /// The event in the columns. Where `raw_record` is not empty, the record says more than the columns do.
    pub fn into_event(self) -> Result<AuditEvent, RowError> {
        let targets = self.target_ids.into_iter().zip(self.target_types).zip(self.target_names);
        let changes = self.change_paths.into_iter().zip(self.change_befores).zip(self.change_afters);
        Ok(AuditEvent {
            event_id: EventId(self.event_id),
            tenant_id: self.tenant_id.parse()?,
            occurred_at: Timestamp::from_micros(self.occurred_us),
            event_type: self.event_type,
            operation: self.operation.parse().unwrap_or(Operation::DEFAULT),
            outcome: self.outcome.parse().unwrap_or(Outcome::DEFAULT),
            severity: self.severity.parse().unwrap_or(Severity::DEFAULT),
            actor: Actor {
                id: self.actor_id,
                kind: self.actor_type,
                name: self.actor_name,
                session_id: self.actor_session_id,
                on_behalf_of: self.actor_on_behalf_of,
            },
            targets: targets.map(|((id, kind), name)| Target { id, kind, name }).collect(),
            source: Source {
                ip: self.source_ip,
                user_agent: self.source_user_agent,
                service: self.source_service,
                host: self.source_host,
                request_id: self.source_request_id,
            },
            trace: self.trace_id.zip(self.span_id).map(|(trace_id, span_id)| Trace { trace_id, span_id }),
            duration_ms: self.duration_ms,
            batch_id: self.batch_id,
            message: self.message,
            changes: changes.map(|((path, before), after)| Change { path, before, after }).collect(),
            attributes: self.attributes.into_iter().collect::<BTreeMap<_, _>>(),
            signature: match (self.signature_key_id, self.signature_algorithm, self.signature_value) {
                (Some(key_id), Some(algorithm), Some(value)) => Some(Signature { key_id, algorithm, value }),
                _ => None,
            },
        })
    }
}
