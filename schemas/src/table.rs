//! The ClickHouse tables as this build expects them: names and exact types of the columns that it writes.
//!
//! One list serves the insert's structure, its column names, and the comparison at start, so that they can't differ.

/// A column and its exact ClickHouse type, as `system.columns` spells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    pub name: &'static str,
    pub sql_type: &'static str,
}

/// A table that the processor writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Table {
    pub name: &'static str,
    pub columns: &'static [Column],
}

impl Table {
    /// The names, quoted and joined, as in `INSERT INTO t (…)`.
    pub fn column_names(&self) -> String {
        let names: Vec<_> = self.columns.iter().map(|c| format!("`{}`", c.name)).collect();
        names.join(", ")
    }

    /// Names and types, as in `input('…')`.
    pub fn structure(&self) -> String {
        let parts: Vec<_> = self.columns.iter().map(|c| format!("`{}` {}", c.name, c.sql_type)).collect();
        parts.join(", ")
    }
}

macro_rules! table {
    ($const_name:ident, $name:literal, { $($column:literal: $sql_type:literal),+ $(,)? }) => {
        pub const $const_name: Table = Table {
            name: $name,
            columns: &[$(Column { name: $column, sql_type: $sql_type }),+],
        };
    };
}

table!(EVENTS, "events", {
    "tenant_id": "LowCardinality(String)",
    "event_id": "UUID",
    "occurred_at": "DateTime64(6, 'UTC')",
    "event_type": "LowCardinality(String)",
    "operation": "LowCardinality(String)",
    "outcome": "LowCardinality(String)",
    "severity": "LowCardinality(String)",
    "actor_id": "String",
    "actor_type": "LowCardinality(String)",
    "actor_name": "Nullable(String)",
    "actor_session_id": "Nullable(String)",
    "actor_on_behalf_of": "Nullable(String)",
    "targets.id": "Array(String)",
    "targets.type": "Array(LowCardinality(String))",
    "targets.name": "Array(Nullable(String))",
    "source_ip": "Nullable(String)",
    "source_user_agent": "Nullable(String)",
    "source_service": "LowCardinality(Nullable(String))",
    "source_host": "Nullable(String)",
    "source_request_id": "Nullable(String)",
    "trace_id": "Nullable(String)",
    "span_id": "Nullable(String)",
    "duration_ms": "Nullable(Int64)",
    "batch_id": "Nullable(String)",
    "message": "Nullable(String)",
    "changes.path": "Array(String)",
    "changes.before": "Array(Nullable(String))",
    "changes.after": "Array(Nullable(String))",
    "attributes": "Map(LowCardinality(String), String)",
    "signature_key_id": "Nullable(String)",
    "signature_algorithm": "LowCardinality(Nullable(String))",
    "signature_value": "Nullable(String)",
    "trail_id": "UUID",
    "kafka_partition": "Int32",
    "kafka_offset": "Int64",
    "received_at": "DateTime64(3, 'UTC')",
    "door": "LowCardinality(String)",
    "peer_address": "LowCardinality(String)",
    "schema_id": "UInt32",
    "codec_version": "UInt8",
    "raw_record": "String",
    "flags": "Array(LowCardinality(String))",
    "traceparent": "String",
    "correlation_id": "String",
    "geo_country_iso_code": "LowCardinality(String)",
    "geo_region_name": "LowCardinality(String)",
    "geo_city_name": "LowCardinality(String)",
    "geo_latitude": "Nullable(Float32)",
    "geo_longitude": "Nullable(Float32)",
    "geo_as_number": "UInt32",
    "geo_as_organization_name": "LowCardinality(String)",
    "user_agent_name": "LowCardinality(String)",
    "user_agent_version": "LowCardinality(String)",
    "user_agent_os_name": "LowCardinality(String)",
    "user_agent_os_version": "LowCardinality(String)",
    "user_agent_device_name": "LowCardinality(String)",
});

table!(DUPLICATES, "duplicates", {
    "trail_id": "UUID",
    "kafka_partition": "Int32",
    "kafka_offset": "Int64",
    "received_at": "DateTime64(3, 'UTC')",
    "tenant_id": "LowCardinality(String)",
    "event_id": "UUID",
    "record_sha256": "FixedString(32)",
    "first_offset": "Int64",
});

table!(DEAD_LETTERS, "dead_letters", {
    "trail_id": "UUID",
    "kafka_partition": "Int32",
    "kafka_offset": "Int64",
    "received_at": "DateTime64(3, 'UTC')",
    "reason": "LowCardinality(String)",
    "stage": "LowCardinality(String)",
    "detail": "String",
    "tenant_id": "LowCardinality(String)",
    "schema_id": "Nullable(UInt32)",
    "record_key": "Nullable(String)",
    "record_value": "Nullable(String)",
    "header_names": "Array(String)",
    "header_values": "Array(String)",
    "traceparent": "String",
    "correlation_id": "String",
});

table!(EVENT_BATCHES, "event_batches", {
    "trail_id": "UUID",
    "topic": "LowCardinality(String)",
    "kafka_partition": "Int32",
    "from_offset": "Int64",
    "to_offset": "Int64",
    "rows": "UInt64",
    "duplicates": "UInt64",
    "dead_letters": "UInt64",
    "gaps": "UInt64",
    "least_received_at": "DateTime64(3, 'UTC')",
    "greatest_received_at": "DateTime64(3, 'UTC')",
    "rules": "UInt32",
    "attempt": "UInt32",
});

/// In the order in which a batch is written: the row of `event_batches` comes last.
pub const ALL: [Table; 4] = [DUPLICATES, DEAD_LETTERS, EVENTS, EVENT_BATCHES];
