//! The table `dead_letters` as a person asks it: filtered, in pages, each letter short or whole.

mod copies;
mod filter;
mod groups;

use audit_event::{RecordTime, SchemaId};
use serde::Deserialize;
use serde_bytes::ByteBuf;

use crate::client::{ClickHouse, EngineError};
use crate::position::RecordPosition;
use crate::sql::Sql;

pub use copies::DeadCopy;
pub use filter::{LetterFilter, LetterOrder, POSITIONS_AT_ONCE};
pub use groups::{LetterGroup, MAX_GROUPS};

/// Bytes of a record key in a [`LetterHead`]: more than `tenant_id|event_id` has.
pub const HEAD_KEY_BYTES: usize = 128;

/// What a line about a letter needs; each field is short.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LetterHead {
    pub position: RecordPosition,
    pub received_at: RecordTime,
    pub reason: String,
    pub stage: String,
    pub detail: String,
    pub tenant_id: String,
    pub schema_id: Option<SchemaId>,
    /// The first [`HEAD_KEY_BYTES`].
    pub key_start: Option<Vec<u8>>,
    pub key_bytes: u64,
    pub value_bytes: Option<u64>,
    pub correlation_id: String,
    /// The header that was asked for, at most 128 bytes; empty where there is none.
    pub replay_of: Vec<u8>,
}

#[derive(Debug, clickhouse::Row, Deserialize)]
struct HeadRow {
    kafka_partition: i32,
    kafka_offset: i64,
    received_ms: i64,
    reason: String,
    stage: String,
    detail: String,
    tenant: String,
    schema_id: Option<u32>,
    key_start: Option<ByteBuf>,
    key_bytes: u64,
    value_bytes: Option<u64>,
    correlation_id: String,
    replay_of: ByteBuf,
}

/// A letter as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    pub position: RecordPosition,
    pub received_at: RecordTime,
    pub reason: String,
    pub stage: String,
    pub detail: String,
    pub tenant_id: String,
    pub schema_id: Option<SchemaId>,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(String, Vec<u8>)>,
    pub traceparent: String,
    pub correlation_id: String,
}

impl Letter {
    /// About what it takes in memory.
    pub fn bytes(&self) -> usize {
        let of = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(0, Vec::len);
        let headers: usize = self.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        size_of::<Self>() + of(&self.key) + of(&self.value) + headers
    }

    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_slice())
    }
}

#[derive(Debug, clickhouse::Row, Deserialize)]
struct LetterRow {
    kafka_partition: i32,
    kafka_offset: i64,
    received_ms: i64,
    reason: String,
    stage: String,
    detail: String,
    tenant_id: String,
    schema_id: Option<u32>,
    record_key: Option<ByteBuf>,
    record_value: Option<ByteBuf>,
    header_names: Vec<String>,
    header_values: Vec<ByteBuf>,
    traceparent: String,
    correlation_id: String,
}

/// How much of the table is read at once: whichever is reached first, and at least one letter.
#[derive(Debug, Clone, Copy)]
pub struct PageBounds {
    pub letters: usize,
    pub bytes: usize,
}

impl ClickHouse {
    /// The next letters by time received, from behind `after` on. `header` names the one that `replay_of` is read from.
    pub async fn letter_heads(
        &self,
        filter: &LetterFilter,
        order: LetterOrder,
        after: Option<&LetterHead>,
        limit: usize,
        header: &'static str,
    ) -> Result<Vec<LetterHead>, EngineError> {
        let (direction, beyond) = match order {
            LetterOrder::NewestFirst => ("DESC", "<"),
            LetterOrder::OldestFirst => ("ASC", ">"),
        };
        let behind = after.map_or(String::new(), |_| {
            format!(
                " AND (received_at, kafka_partition, kafka_offset) {beyond} \
                 (fromUnixTimestamp64Milli({{after_ms:Int64}}, 'UTC'), {{after_partition:Int32}}, {{after_offset:Int64}})"
            )
        });
        let sql = Sql::new(format!(
            "SELECT kafka_partition, kafka_offset, toUnixTimestamp64Milli(received_at) AS received_ms, reason, stage, detail, \
                 substringUTF8(toString(tenant_id), 1, {HEAD_KEY_BYTES}) AS tenant, schema_id, \
                 substring(record_key, 1, {HEAD_KEY_BYTES}) AS key_start, toUInt64(ifNull(length(record_key), 0)) AS key_bytes, \
                 length(record_value) AS value_bytes, correlation_id, \
                 substring(header_values[indexOf(header_names, {{header:String}})], 1, 128) AS replay_of \
             FROM dead_letters WHERE {}{behind} \
             ORDER BY received_at {direction}, kafka_partition {direction}, kafka_offset {direction} LIMIT {{limit:UInt64}}",
            filter.condition()
        ))
        .param("header", header)
        .param("limit", limit as u64)
        .param("after_ms", after.map_or(0, |head| head.received_at.0))
        .param("after_partition", after.map_or(0, |head| head.position.partition.0))
        .param("after_offset", after.map_or(0, |head| head.position.offset.0));
        let rows: Vec<HeadRow> = self.fetch_all("list the dead letters", filter.params(sql)).await?;
        Ok(rows.into_iter().map(head).collect())
    }

    /// The next letters by position, whole, from behind `after` on; none at the end.
    pub async fn letters(
        &self,
        filter: &LetterFilter,
        after: Option<RecordPosition>,
        bounds: PageBounds,
    ) -> Result<Vec<Letter>, EngineError> {
        const ACTION: &str = "read dead letters";
        let behind = after.map_or(
            "",
            |_| " AND (kafka_partition, kafka_offset) > ({after_partition:Int32}, {after_offset:Int64})",
        );
        let sql = Sql::new(format!(
            "SELECT kafka_partition, kafka_offset, toUnixTimestamp64Milli(received_at) AS received_ms, reason, stage, detail, \
                 tenant_id, schema_id, record_key, record_value, header_names, header_values, traceparent, correlation_id \
             FROM dead_letters WHERE {}{behind} ORDER BY kafka_partition, kafka_offset LIMIT {{limit:UInt64}}",
            filter.condition()
        ))
        .param("limit", bounds.letters as u64)
        .param("after_partition", after.map_or(0, |position| position.partition.0))
        .param("after_offset", after.map_or(0, |position| position.offset.0));
        let failed = |error| EngineError::from_client(ACTION, &error);
        let mut cursor = filter.params(sql).into_query(&self.client).fetch::<LetterRow>().map_err(failed)?;
        let (mut letters, mut bytes) = (Vec::new(), 0);
        while bytes < bounds.bytes {
            let next = tokio::time::timeout(self.query_timeout, cursor.next()).await;
            let row = next.map_err(|_| EngineError::timeout(ACTION, self.query_timeout))?.map_err(failed)?;
            let Some(row) = row else { break };
            let letter = whole(row);
            bytes += letter.bytes();
            letters.push(letter);
        }
        Ok(letters)
    }
}

fn head(row: HeadRow) -> LetterHead {
    LetterHead {
        position: RecordPosition::of(row.kafka_partition, row.kafka_offset),
        received_at: RecordTime(row.received_ms),
        reason: row.reason,
        stage: row.stage,
        detail: row.detail,
        tenant_id: row.tenant,
        schema_id: row.schema_id.map(SchemaId),
        key_start: row.key_start.map(ByteBuf::into_vec),
        key_bytes: row.key_bytes,
        value_bytes: row.value_bytes,
        correlation_id: row.correlation_id,
        replay_of: row.replay_of.into_vec(),
    }
}

fn whole(row: LetterRow) -> Letter {
    let values = row.header_values.into_iter().map(ByteBuf::into_vec);
    Letter {
        position: RecordPosition::of(row.kafka_partition, row.kafka_offset),
        received_at: RecordTime(row.received_ms),
        reason: row.reason,
        stage: row.stage,
        detail: row.detail,
        tenant_id: row.tenant_id,
        schema_id: row.schema_id.map(SchemaId),
        key: row.record_key.map(ByteBuf::into_vec),
        value: row.record_value.map(ByteBuf::into_vec),
        headers: row.header_names.into_iter().zip(values).collect(),
        traceparent: row.traceparent,
        correlation_id: row.correlation_id,
    }
}
