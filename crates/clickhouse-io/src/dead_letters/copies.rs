//! Dead letters that are copies of others: records that were written again and became dead letters again. Anybody may
//! write the header that says so, so values are compared.

use std::collections::HashMap;

use audit_event::TrailId;
use serde::Deserialize;
use serde_bytes::ByteBuf;

use super::filter::{POSITIONS_AT_ONCE, tuples};
use crate::client::{ClickHouse, EngineError};
use crate::position::RecordPosition;
use crate::sql::Sql;

/// The row of a record that was written again and became a dead letter again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadCopy {
    pub origin: Vec<u8>,
    pub position: RecordPosition,
    pub reason: String,
    pub value_sha256: [u8; 32],
}

#[derive(Debug, clickhouse::Row, Deserialize)]
struct DeadCopyRow {
    origin: ByteBuf,
    kafka_partition: i32,
    kafka_offset: i64,
    reason: String,
    value_sha256: [u8; 32],
}

#[derive(Debug, clickhouse::Row, Deserialize)]
struct DigestRow {
    kafka_partition: i32,
    kafka_offset: i64,
    value_sha256: [u8; 32],
}

impl ClickHouse {
    /// SHA-256 of the values of letters, by their positions; what is no letter is not there.
    pub async fn letter_digests(
        &self,
        trail: TrailId,
        positions: &[RecordPosition],
    ) -> Result<HashMap<RecordPosition, [u8; 32]>, EngineError> {
        let mut digests = HashMap::new();
        for positions in positions.chunks(POSITIONS_AT_ONCE) {
            let sql = Sql::new(
                "SELECT kafka_partition, kafka_offset, SHA256(ifNull(record_value, '')) AS value_sha256 FROM dead_letters \
                 WHERE trail_id = {trail:UUID} AND (kafka_partition, kafka_offset) IN {positions:Array(Tuple(Int32, Int64))}",
            )
            .param("trail", trail.to_string())
            .param("positions", tuples(positions));
            let rows: Vec<DigestRow> = self.fetch_all("compare dead letters", sql).await?;
            digests
                .extend(rows.into_iter().map(|row| {
                    (RecordPosition::of(row.kafka_partition, row.kafka_offset), row.value_sha256)
                }));
        }
        Ok(digests)
    }

    /// The last letter of each record value whose `header` holds one of `origins`.
    pub async fn dead_copies(
        &self,
        header: &'static str,
        origins: &[String],
    ) -> Result<Vec<DeadCopy>, EngineError> {
        let mut copies = Vec::new();
        for origins in origins.chunks(POSITIONS_AT_ONCE) {
            let sql = Sql::new(
                "SELECT header_values[indexOf(header_names, {header:String})] AS origin, kafka_partition, kafka_offset, \
                     toString(reason) AS reason, SHA256(ifNull(record_value, '')) AS value_sha256 \
                 FROM dead_letters WHERE has(header_names, {header:String}) AND origin IN {origins:Array(String)} \
                 ORDER BY received_at DESC, kafka_partition, kafka_offset DESC LIMIT 1 BY origin, value_sha256",
            )
            .param("header", header)
            .param("origins", origins.to_vec());
            let rows: Vec<DeadCopyRow> = self.fetch_all("look for earlier replays", sql).await?;
            copies.extend(rows.into_iter().map(|row| DeadCopy {
                origin: row.origin.into_vec(),
                position: RecordPosition::of(row.kafka_partition, row.kafka_offset),
                reason: row.reason,
                value_sha256: row.value_sha256,
            }));
        }
        Ok(copies)
    }
}
