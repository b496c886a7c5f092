//! The read-back: which offsets of a range are in the tables. It is the proof; tokens are only the fast path.

use audit_event::{NextOffset, Offset, PartitionId, TrailId};
use pipeline_core::assignment::{LastBatch, StoredEnd};
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

    /// How far the tables reach in the partition.
    pub async fn stored_end(&self, trail: TrailId, partition: PartitionId) -> Result<StoredEnd, EngineError> {
        let params = |sql: Sql| sql.param("trail", trail.to_string()).param("partition", partition.0);
        let last = Sql::new(
            "SELECT from_offset, to_offset FROM event_batches WHERE trail_id = {trail:UUID} \
             AND kafka_partition = {partition:Int32} ORDER BY to_offset DESC LIMIT 1",
        );
        let rows: Vec<(i64, i64)> = self.fetch_all("read the last batch", params(last)).await?;
        let last_batch =
            rows.first().map(|(from, to)| LastBatch { from: Offset(*from), to: NextOffset(*to) });
        let above = TABLES.map(|table| {
            format!(
                "SELECT kafka_offset FROM `{}` WHERE trail_id = {{trail:UUID}} AND kafka_partition = {{partition:Int32}} \
                 AND kafka_offset >= {{least:Int64}}",
                table.as_str()
            )
        });
        let highest = Sql::new(format!(
            "SELECT max(kafka_offset) FROM ({}) HAVING count() > 0",
            above.join(" UNION ALL ")
        ))
        .param("least", last_batch.map_or(0, |batch| batch.to.0));
        let rows: Vec<i64> = self.fetch_all("look for rows above the last batch", params(highest)).await?;
        Ok(StoredEnd { last_batch, highest_row: rows.first().copied().map(Offset) })
    }

    /// Dead letters of the partition that nothing good came behind, as far as whole batches tell.
    pub async fn trailing_dead_letters(
        &self,
        trail: TrailId,
        partition: PartitionId,
    ) -> Result<u64, EngineError> {
        let sql = Sql::new(
            "SELECT sum(dead_letters) FROM event_batches WHERE trail_id = {trail:UUID} AND kafka_partition = {partition:Int32} \
             AND to_offset > (SELECT max(to_offset) FROM event_batches WHERE trail_id = {trail:UUID} \
                 AND kafka_partition = {partition:Int32} AND rows + duplicates > 0)",
        )
        .param("trail", trail.to_string())
        .param("partition", partition.0);
        self.fetch_one("count the last dead letters", sql).await
    }
}

fn range_params(sql: Sql, trail: TrailId, partition: PartitionId, range: &Range) -> Sql {
    sql.param("trail", trail.to_string())
        .param("partition", partition.0)
        .param("from", range.from.0)
        .param("to", range.to.0)
}
