//! The table `events`.

use std::sync::Arc;

use arrow_array::ArrayRef;
use arrow_array::builder::{
    FixedSizeBinaryBuilder, Int64Builder, ListBuilder, MapBuilder, MapFieldNames, StringBuilder,
    TimestampMicrosecondBuilder, UInt8Builder, UInt32Builder,
};
use arrow_schema::ArrowError;
use audit_event::{AuditEvent, SchemaId, Timestamp, TrailId};

use super::enrichment::{GeoBuilders, UserAgentBuilders};
use super::{
    Block, Dictionary, GeoColumns, Position, PositionColumns, RequestBuilders, RequestColumns, TextList,
    UserAgentColumns, block, push_list, push_text, push_uuid, uuid_column,
};
use crate::avro::CODEC_VERSION;
use crate::table::EVENTS;

/// One row: the event and what stands beside its sealed bytes.
#[derive(Debug)]
pub struct EventRow<'a> {
    pub event: &'a AuditEvent,
    pub position: Position,
    pub door: &'a str,
    pub peer_address: &'a str,
    pub schema_id: SchemaId,
    /// The record value where `rebuild` from the columns would not give it, else empty.
    pub raw_record: &'a [u8],
    pub flags: &'a [&'static str],
    pub request: RequestColumns<'a>,
    pub geo: GeoColumns<'a>,
    pub user_agent: UserAgentColumns<'a>,
}

/// `DateTime64(6)` holds 1900-01-01 up to the end of 2299; an event outside is shown at the edge.
const LEAST_MICROS: i64 = -2_208_988_800_000_000;
const GREATEST_MICROS: i64 = 10_413_791_999_999_999;

/// Whether the columns hold the event as it is; where not, its row carries the record's own bytes.
pub fn representable(event: &AuditEvent) -> bool {
    clamp(event.occurred_at) == event.occurred_at.micros()
}

fn clamp(at: Timestamp) -> i64 {
    at.micros().clamp(LEAST_MICROS, GREATEST_MICROS)
}

/// Builds one block of `events`.
pub struct EventsColumns {
    tenant_id: Dictionary,
    event_id: FixedSizeBinaryBuilder,
    occurred_at: TimestampMicrosecondBuilder,
    event_type: Dictionary,
    operation: Dictionary,
    outcome: Dictionary,
    severity: Dictionary,
    actor_id: StringBuilder,
    actor_type: Dictionary,
    actor_name: StringBuilder,
    actor_session_id: StringBuilder,
    actor_on_behalf_of: StringBuilder,
    target_ids: TextList,
    target_types: ListBuilder<Dictionary>,
    target_names: TextList,
    source_ip: StringBuilder,
    source_user_agent: StringBuilder,
    source_service: Dictionary,
    source_host: StringBuilder,
    source_request_id: StringBuilder,
    trace_id: StringBuilder,
    span_id: StringBuilder,
    duration_ms: Int64Builder,
    batch_id: StringBuilder,
    message: StringBuilder,
    change_paths: TextList,
    change_befores: TextList,
    change_afters: TextList,
    attributes: MapBuilder<Dictionary, StringBuilder>,
    signature_key_id: StringBuilder,
    signature_algorithm: Dictionary,
    signature_value: StringBuilder,
    position: PositionColumns,
    door: Dictionary,
    peer_address: Dictionary,
    schema_id: UInt32Builder,
    codec_version: UInt8Builder,
    raw_record: arrow_array::builder::BinaryBuilder,
    flags: ListBuilder<Dictionary>,
    request: RequestBuilders,
    geo: GeoBuilders,
    user_agent: UserAgentBuilders,
    rows: usize,
}

impl EventsColumns {
    pub fn new(trail_id: TrailId) -> Self {
        let map_names = MapFieldNames { entry: "entries".into(), key: "key".into(), value: "value".into() };
        Self {
            tenant_id: Dictionary::new(),
            event_id: uuid_column(),
            occurred_at: TimestampMicrosecondBuilder::new().with_timezone("UTC"),
            event_type: Dictionary::new(),
            operation: Dictionary::new(),
            outcome: Dictionary::new(),
            severity: Dictionary::new(),
            actor_id: StringBuilder::new(),
            actor_type: Dictionary::new(),
            actor_name: StringBuilder::new(),
            actor_session_id: StringBuilder::new(),
            actor_on_behalf_of: StringBuilder::new(),
            target_ids: TextList::default(),
            target_types: ListBuilder::default(),
            target_names: TextList::default(),
            source_ip: StringBuilder::new(),
            source_user_agent: StringBuilder::new(),
            source_service: Dictionary::new(),
            source_host: StringBuilder::new(),
            source_request_id: StringBuilder::new(),
            trace_id: StringBuilder::new(),
            span_id: StringBuilder::new(),
            duration_ms: Int64Builder::new(),
            batch_id: StringBuilder::new(),
            message: StringBuilder::new(),
            change_paths: TextList::default(),
            change_befores: TextList::default(),
            change_afters: TextList::default(),
            attributes: MapBuilder::new(Some(map_names), Dictionary::new(), StringBuilder::new()),
            signature_key_id: StringBuilder::new(),
            signature_algorithm: Dictionary::new(),
            signature_value: StringBuilder::new(),
            position: PositionColumns::new(trail_id),
            door: Dictionary::new(),
            peer_address: Dictionary::new(),
            schema_id: UInt32Builder::new(),
            codec_version: UInt8Builder::new(),
            raw_record: Default::default(),
            flags: ListBuilder::default(),
            request: RequestBuilders::default(),
            geo: GeoBuilders::default(),
            user_agent: UserAgentBuilders::default(),
            rows: 0,
        }
    }

    pub fn rows(&self) -> usize {
        self.rows
    }

    pub fn push(&mut self, row: &EventRow<'_>) {
        self.push_event(row.event);
        self.push_lists(row.event);
        self.position.push(row.position);
        push_text(&mut self.door, row.door);
        push_text(&mut self.peer_address, row.peer_address);
        self.schema_id.append_value(row.schema_id.0);
        self.codec_version.append_value(CODEC_VERSION);
        self.raw_record.append_value(row.raw_record);
        for flag in row.flags {
            self.flags.values().append_value(flag);
        }
        self.flags.append(true);
        self.request.push(row.request);
        self.geo.push(row.geo);
        self.user_agent.push(row.user_agent);
        self.rows += 1;
    }

    fn push_event(&mut self, event: &AuditEvent) {
        push_text(&mut self.tenant_id, event.tenant_id.as_str());
        push_uuid(&mut self.event_id, event.event_id.0);
        self.occurred_at.append_value(clamp(event.occurred_at));
        push_text(&mut self.event_type, &event.event_type);
        push_text(&mut self.operation, event.operation.as_str());
        push_text(&mut self.outcome, event.outcome.as_str());
        push_text(&mut self.severity, event.severity.as_str());
        self.actor_id.append_value(&event.actor.id);
        push_text(&mut self.actor_type, &event.actor.kind);
        self.actor_name.append_option(event.actor.name.as_deref());
        self.actor_session_id.append_option(event.actor.session_id.as_deref());
        self.actor_on_behalf_of.append_option(event.actor.on_behalf_of.as_deref());
        self.source_ip.append_option(event.source.ip.as_deref());
        self.source_user_agent.append_option(event.source.user_agent.as_deref());
        self.source_service.append_option(event.source.service.as_deref());
        self.source_host.append_option(event.source.host.as_deref());
        self.source_request_id.append_option(event.source.request_id.as_deref());
        self.trace_id.append_option(event.trace.as_ref().map(|t| t.trace_id.as_str()));
        self.span_id.append_option(event.trace.as_ref().map(|t| t.span_id.as_str()));
        self.duration_ms.append_option(event.duration_ms);
        self.batch_id.append_option(event.batch_id.as_deref());
        self.message.append_option(event.message.as_deref());
        let signature = event.signature.as_ref();
        self.signature_key_id.append_option(signature.map(|s| s.key_id.as_str()));
        self.signature_algorithm.append_option(signature.map(|s| s.algorithm.as_str()));
        self.signature_value.append_option(signature.map(|s| s.value.as_str()));
    }

    fn push_lists(&mut self, event: &AuditEvent) {
        push_list(&mut self.target_ids, event.targets.iter().map(|t| Some(t.id.as_str())));
        for target in &event.targets {
            self.target_types.values().append_value(&target.kind);
        }
        self.target_types.append(true);
        push_list(&mut self.target_names, event.targets.iter().map(|t| t.name.as_deref()));
        push_list(&mut self.change_paths, event.changes.iter().map(|c| Some(c.path.as_str())));
        push_list(&mut self.change_befores, event.changes.iter().map(|c| c.before.as_deref()));
        push_list(&mut self.change_afters, event.changes.iter().map(|c| c.after.as_deref()));
        for (key, value) in &event.attributes {
            self.attributes.keys().append_value(key);
            self.attributes.values().append_value(value);
        }
        self.attributes.append(true).expect("as many keys as values");
    }

    pub fn finish(mut self) -> Result<Block, ArrowError> {
        let [trail, partition, offset, received_at] = self.position.finish();
        let [traceparent, correlation_id] = self.request.finish();
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(self.tenant_id.finish()),
            Arc::new(self.event_id.finish()),
            Arc::new(self.occurred_at.finish()),
            Arc::new(self.event_type.finish()),
            Arc::new(self.operation.finish()),
            Arc::new(self.outcome.finish()),
            Arc::new(self.severity.finish()),
            Arc::new(self.actor_id.finish()),
            Arc::new(self.actor_type.finish()),
            Arc::new(self.actor_name.finish()),
            Arc::new(self.actor_session_id.finish()),
            Arc::new(self.actor_on_behalf_of.finish()),
            Arc::new(self.target_ids.finish()),
            Arc::new(self.target_types.finish()),
            Arc::new(self.target_names.finish()),
            Arc::new(self.source_ip.finish()),
            Arc::new(self.source_user_agent.finish()),
            Arc::new(self.source_service.finish()),
            Arc::new(self.source_host.finish()),
            Arc::new(self.source_request_id.finish()),
            Arc::new(self.trace_id.finish()),
            Arc::new(self.span_id.finish()),
            Arc::new(self.duration_ms.finish()),
            Arc::new(self.batch_id.finish()),
            Arc::new(self.message.finish()),
            Arc::new(self.change_paths.finish()),
            Arc::new(self.change_befores.finish()),
            Arc::new(self.change_afters.finish()),
            Arc::new(self.attributes.finish()),
            Arc::new(self.signature_key_id.finish()),
            Arc::new(self.signature_algorithm.finish()),
            Arc::new(self.signature_value.finish()),
            trail,
            partition,
            offset,
            received_at,
            Arc::new(self.door.finish()),
            Arc::new(self.peer_address.finish()),
            Arc::new(self.schema_id.finish()),
            Arc::new(self.codec_version.finish()),
            Arc::new(self.raw_record.finish()),
            Arc::new(self.flags.finish()),
            traceparent,
            correlation_id,
        ];
        columns.extend(self.geo.finish());
        columns.extend(self.user_agent.finish());
        block(EVENTS, columns)
    }
}
