//! The read-back: which offsets of a range are in the tables. It is the proof; tokens are only the fast path.

use audit_event::{Offset, PartitionId, TrailId};
use pipeline_core::assignment::LastBatch;
use pipeline_core::batch::Range;
use pipeline_core::batch_run::{Found, RecordTable};

use crate::client::{ClickHouse, EngineError};
use crate::sql::Sql;

/// The account that the batch's row of `event_batches` must show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Account {
    pub rows: u64,
    pub duplicates: u64,
    pub dead_letters: u64,
}

const TABLES: [RecordTable; 3] = [RecordTable::Events, RecordTable::Duplicates, RecordTable::DeadLetters];

impl ClickHouse {
    /// Reads which records of the range are there, and what `event_batches` says about it.
    pub async fn read_back(
        &self,
        trail: TrailId,
        partition: PartitionId,
        range: &Range,
        account: Account,
    ) -> Result<Found, EngineError> {
        let mut found = Found::default();
        for table in TABLES {
            let sql = Sql::new(format!(
                "SELECT kafka_offset FROM `{}` WHERE trail_id = {{trail:UUID}} AND kafka_partition = {{partition:Int32}} \
                 AND kafka_offset >= {{from:Int64}} AND kafka_offset < {{to:Int64}}",
                table.as_str()
            ));
            let sql = range_params(sql, trail, partition, range);
            let offsets: Vec<i64> = self.fetch_all("read back", sql).await?;
            found.records.extend(offsets.into_iter().map(|offset| (table, Offset(offset))));
        }
        (found.accounts, found.foreign_accounts) = self.accounts(trail, partition, range, account).await?;
        Ok(found)
    }

    async fn accounts(
        &self,
        trail: TrailId,
        partition: PartitionId,
        range: &Range,
        account: Account,
    ) -> Result<(u64, u64), EngineError> {
        let sql = Sql::new(
            "SELECT countIf(from_offset = {from:Int64} AND to_offset = {to:Int64} AND rows = {rows:UInt64} \
                 AND duplicates = {duplicates:UInt64} AND dead_letters = {dead_letters:UInt64}) AS accounts, \
                 toUInt64(count() - accounts) AS foreign_accounts \
             FROM event_batches WHERE trail_id = {trail:UUID} AND kafka_partition = {partition:Int32} \
                 AND from_offset < {to:Int64} AND to_offset > {from:Int64}",
        )
        .param("rows", account.rows)
        .param("duplicates", account.duplicates)
        .param("dead_letters", account.dead_letters);
        self.fetch_one("read back the account", range_params(sql, trail, partition, range)).await
    }

    /// The last row of `event_batches`, and whether any record of the partition is there at all.
    pub async fn last_batch(
        &self,
        trail: TrailId,
        partition: PartitionId,
    ) -> Result<(Option<LastBatch>, bool), EngineError> {
        let params = |sql: Sql| sql.param("trail", trail.to_string()).param("partition", partition.0);
        let last = Sql::new(
            "SELECT from_offset, to_offset FROM event_batches WHERE trail_id = {trail:UUID} \
             AND kafka_partition = {partition:Int32} ORDER BY to_offset DESC LIMIT 1",
        );
        let rows: Vec<(i64, i64)> = self.fetch_all("read the last batch", params(last)).await?;
        let last = rows
            .first()
            .map(|(from, to)| LastBatch { from: Offset(*from), to: audit_event::NextOffset(*to) });
        if last.is_some() {
            return Ok((last, true));
        }
        let any = Sql::new(TABLES.map(|table| {
            format!(
                "SELECT 1 FROM `{}` WHERE trail_id = {{trail:UUID}} AND kafka_partition = {{partition:Int32}} LIMIT 1",
                table.as_str()
            )
        }).join(" UNION ALL "));
        let rows: Vec<u8> = self.fetch_all("look for rows of the partition", params(any)).await?;
        Ok((None, !rows.is_empty()))
    }
}

fn range_params(sql: Sql, trail: TrailId, partition: PartitionId, range: &Range) -> Sql {
    sql.param("trail", trail.to_string())
        .param("partition", partition.0)
        .param("from", range.from.0)
        .param("to", range.to.0)
}
