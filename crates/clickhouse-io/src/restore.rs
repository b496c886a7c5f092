//! What the dedupe window is rebuilt from: the rows of `events` and `duplicates` are every decodable record.

use audit_event::control::DedupeRules;
use audit_event::{AuditEvent, EventId, Offset, PartitionId, RecordTime, SchemaId, TenantId, TrailId};
use serde::Deserialize;
use uuid::Uuid;

use crate::client::{ClickHouse, EngineError};
use crate::event_row::{EventRow, SELECT_COLUMNS};
use crate::sql::Sql;

/// A stored record as the window needs it.
#[derive(Debug, Clone)]
pub struct StoredRecord {
    pub offset: Offset,
    pub received_at: RecordTime,
    pub tenant_id: TenantId,
    pub event_id: EventId,
    /// The record's own offset for an event, the repeated one's for a duplicate.
    pub first: Offset,
}

#[derive(Debug, clickhouse::Row, Deserialize)]
struct StoredRow {
    tenant_id: String,
    #[serde(with = "clickhouse::serde::uuid")]
    event_id: Uuid,
    kafka_offset: i64,
    received_ms: i64,
    first_offset: i64,
}

/// A stored event's body, or the bytes that hold it.
#[derive(Debug)]
pub enum StoredBody {
    Event(Box<AuditEvent>),
    /// The columns can't hold it: decode the record.
    Raw {
        schema_id: SchemaId,
        record: Vec<u8>,
    },
}

impl ClickHouse {
    /// Hands every stored record of the window below `before` to `take`, in the order of offsets.
    pub async fn restore_window(
        &self,
        trail: TrailId,
        partition: PartitionId,
        before: Offset,
        rules: DedupeRules,
        take: &mut (dyn FnMut(StoredRecord) + Send),
    ) -> Result<u64, EngineError> {
        const ACTION: &str = "restore the dedupe window";
        let select = |table: &str, first: &str| {
            format!(
                "SELECT tenant_id, event_id, kafka_offset, toUnixTimestamp64Milli(received_at) AS received_ms, {first} AS first_offset \
                 FROM `{table}` WHERE trail_id = {{trail:UUID}} AND kafka_partition = {{partition:Int32}} \
                 AND kafka_offset >= {{least:Int64}} AND kafka_offset < {{before:Int64}}"
            )
        };
        let sql = Sql::new(format!(
            "SELECT * FROM ({} UNION ALL {}) ORDER BY kafka_offset",
            select("events", "kafka_offset"),
            select("duplicates", "first_offset"),
        ))
        .param("trail", trail.to_string())
        .param("partition", partition.0)
        .param("least", before.0.saturating_sub(rules.window_offsets))
        .param("before", before.0);
        let failed = |error| EngineError::from_client(ACTION, &error);
        let mut cursor = sql.into_query(&self.client).fetch::<StoredRow>().map_err(failed)?;
        let mut taken = 0;
        loop {
            let next = tokio::time::timeout(self.query_timeout, cursor.next());
            let row =
                next.await.map_err(|_| EngineError::timeout(ACTION, self.query_timeout))?.map_err(failed)?;
            let Some(row) = row else { return Ok(taken) };
            let tenant_id = row.tenant_id.parse().map_err(|e| EngineError::stop(ACTION, format!("{e}")))?;
            take(StoredRecord {
                offset: Offset(row.kafka_offset),
                received_at: RecordTime(row.received_ms),
                tenant_id,
                event_id: EventId(row.event_id),
                first: Offset(row.first_offset),
            });
            taken += 1;
        }
    }

    /// The bodies of stored events, by offset.
    pub async fn stored_bodies(
        &self,
        trail: TrailId,
        partition: PartitionId,
        offsets: Vec<Offset>,
    ) -> Result<Vec<(Offset, StoredBody)>, EngineError> {
        const ACTION: &str = "read earlier events";
        let sql = Sql::new(format!(
            "SELECT {SELECT_COLUMNS} FROM events WHERE trail_id = {{trail:UUID}} AND kafka_partition = {{partition:Int32}} \
             AND kafka_offset IN {{offsets:Array(Int64)}}"
        ))
        .param("trail", trail.to_string())
        .param("partition", partition.0)
        .param("offsets", offsets.iter().map(|o| o.0).collect::<Vec<_>>());
        let rows: Vec<EventRow> = self.fetch_all(ACTION, sql).await?;
        rows.into_iter()
            .map(|row| {
                let offset = Offset(row.kafka_offset);
                if !row.raw_record.is_empty() {
                    let schema_id = SchemaId(row.schema_id);
                    return Ok((offset, StoredBody::Raw { schema_id, record: row.raw_record.into_vec() }));
                }
                let event = row.into_event().map_err(|e| EngineError::stop(ACTION, e.to_string()))?;
                Ok((offset, StoredBody::Event(Box::new(event))))
            })
            .collect()
    }
}
