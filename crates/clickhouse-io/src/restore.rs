//! What the dedupe window is rebuilt from: the rows of `events` and `duplicates` are every decodable record.

use audit_event::control::DedupeRules;
use audit_event::{EventId, Offset, PartitionId, RecordTime, TrailId};
use serde::Deserialize;
use uuid::Uuid;

use crate::client::{ClickHouse, EngineError};
use crate::sql::Sql;

/// A stored record as the window needs it.
#[derive(Debug, Clone, Copy)]
pub struct StoredRecord<'a> {
    pub offset: Offset,
    pub received_at: RecordTime,
    pub tenant_id: &'a str,
    pub event_id: EventId,
    /// The record's own offset for an event, the repeated one's for a duplicate.
    pub first: Offset,
}

#[derive(Debug, clickhouse::Row, Deserialize)]
struct StoredRow<'a> {
    tenant_id: &'a str,
    #[serde(with = "clickhouse::serde::uuid")]
    event_id: Uuid,
    kafka_offset: i64,
    received_ms: i64,
    first_offset: i64,
}

/// The tables with every decodable record, and the expression for what a row of it repeats.
const TABLES: [(&str, &str); 2] = [("events", "kafka_offset"), ("duplicates", "first_offset")];

impl ClickHouse {
    /// Hands every stored record of the window below `before` to `take`, in any order: ten million rows in order are a
    /// sort in the server, in no order they pass through it.
    pub async fn restore_window(
        &self,
        trail: TrailId,
        partition: PartitionId,
        before: Offset,
        rules: DedupeRules,
        take: &mut (dyn FnMut(StoredRecord<'_>) + Send),
    ) -> Result<u64, EngineError> {
        let mut taken = 0;
        for (table, first) in TABLES {
            let sql = Sql::new(format!(
                "SELECT tenant_id, event_id, kafka_offset, toUnixTimestamp64Milli(received_at) AS received_ms, \
                 {first} AS first_offset FROM `{table}` \
                 WHERE trail_id = {{trail:UUID}} AND kafka_partition = {{partition:Int32}} \
                 AND kafka_offset >= {{least:Int64}} AND kafka_offset < {{before:Int64}}"
            ))
            .param("trail", trail.to_string())
            .param("partition", partition.0)
            .param("least", before.0.saturating_sub(rules.window_offsets))
            .param("before", before.0);
            taken += self.take_stored(sql, take).await?;
        }
        Ok(taken)
    }

    async fn take_stored(
        &self,
        sql: Sql,
        take: &mut (dyn FnMut(StoredRecord<'_>) + Send),
    ) -> Result<u64, EngineError> {
        const ACTION: &str = "restore the dedupe window";
        let failed = |error| EngineError::from_client(ACTION, &error);
        let mut cursor = sql.into_query(&self.client).fetch::<StoredRow<'_>>().map_err(failed)?;
        let mut taken = 0;
        loop {
            let next = tokio::time::timeout(self.query_timeout, cursor.next());
            let row =
                next.await.map_err(|_| EngineError::timeout(ACTION, self.query_timeout))?.map_err(failed)?;
            let Some(row) = row else { return Ok(taken) };
            take(StoredRecord {
                offset: Offset(row.kafka_offset),
                received_at: RecordTime(row.received_ms),
                tenant_id: row.tenant_id,
                event_id: EventId(row.event_id),
                first: Offset(row.first_offset),
            });
            taken += 1;
        }
    }
}
