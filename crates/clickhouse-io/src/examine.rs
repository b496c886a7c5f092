//! What `sealtrail doctor` asks: the server's version and clock, the trails it knows, and whether their accounts add up.

use audit_event::control::TrailRecord;
use audit_event::{Offset, TrailId};
use uuid::Uuid;

use crate::client::{ClickHouse, EngineError};
use crate::sql::Sql;

/// A trail as the table `trails` has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredTrail {
    pub trail_id: TrailId,
    pub genesis: Vec<Offset>,
}

impl StoredTrail {
    pub fn is(&self, trail: &TrailRecord) -> bool {
        self.trail_id == trail.trail_id && self.genesis == trail.genesis
    }
}

/// What the view `batch_accounting` says about a trail, all partitions together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TrailAccount {
    pub rows: u64,
    pub breaks: u64,
    pub sums_off: u64,
    /// The greatest record time, in milliseconds since 1970; 0 while there is none.
    pub newest_ms: i64,
}

impl ClickHouse {
    pub async fn version(&self) -> Result<String, EngineError> {
        // without the database, which may not be there yet
        self.without_database().fetch_one("ask for the version", Sql::new("SELECT version()")).await
    }

    /// The server's clock, in microseconds since 1970.
    pub async fn clock_us(&self) -> Result<i64, EngineError> {
        let sql = Sql::new("SELECT toUnixTimestamp64Micro(now64(6))");
        self.without_database().fetch_one("read the clock", sql).await
    }

    /// The trails of a topic, the last begun first.
    pub async fn trails(&self, topic: &str) -> Result<Vec<StoredTrail>, EngineError> {
        let sql = Sql::new(
            "SELECT trail_id, genesis FROM trails WHERE topic = {topic:String} ORDER BY begun_at DESC",
        )
        .param("topic", topic.to_owned());
        let rows: Vec<StoredTrailRow> = self.fetch_all("read the trails", sql).await?;
        let trail = |row: StoredTrailRow| StoredTrail {
            trail_id: TrailId(row.trail_id),
            genesis: row.genesis.into_iter().map(Offset).collect(),
        };
        Ok(rows.into_iter().map(trail).collect())
    }

    pub async fn trail_account(&self, trail: TrailId) -> Result<TrailAccount, EngineError> {
        let sql = Sql::new(
            "SELECT sum(total_rows), sum(breaks), sum(sums_off) FROM batch_accounting WHERE trail_id = {trail:UUID}",
        )
        .param("trail", trail.to_string());
        let (rows, breaks, sums_off) = self.fetch_one("read the accounts", sql).await?;
        let sql = Sql::new(
            "SELECT toUnixTimestamp64Milli(max(greatest_received_at)) FROM event_batches WHERE trail_id = {trail:UUID}",
        )
        .param("trail", trail.to_string());
        let newest_ms = self.fetch_one("read the newest record's time", sql).await?;
        Ok(TrailAccount { rows, breaks, sums_off, newest_ms })
    }
}

#[derive(Debug, clickhouse::Row, serde::Deserialize)]
struct StoredTrailRow {
    #[serde(with = "clickhouse::serde::uuid")]
    trail_id: Uuid,
    genesis: Vec<i64>,
}
