//! Sending one attempt's blocks: first, and again under the same token where that is surely safe.

use clickhouse_io::client::EngineClock;
use clickhouse_io::insert::InsertTerms;
use clickhouse_io::tables::MIN_DEDUPLICATION_WINDOW;
use clickhouse_io::{EngineError, ErrorKind};
use pipeline_core::announcement::EngineSeconds;
use pipeline_core::batch_run::{InsertOutcome, TokenCover};
use schemas::columns::Block;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::driver::{DriveError, Driver, LANDING_GRACE_S};
use crate::sink::{BlockError, Blocks};

/// The most blocks that a table is believed to take in a second: each is flushed to the disk before it is answered. A
/// token that could be pushed out at this pace before the resent block lands is not trusted.
pub const MAX_BLOCKS_PER_S: u64 = 400;
/// Nothing is sent again in the last seconds before the deadline: the server's clock counts whole seconds.
const RESEND_MARGIN_S: i64 = 1;

/// What an announced attempt sends. The blocks are built once: other bytes under a used token would be dropped.
pub struct Attempted {
    pub terms: InsertTerms,
    pub blocks: Blocks,
    /// ClickHouse's clock at the announcement.
    pub announced_at: EngineClock,
}

impl Driver {
    /// Sends each block once: the records side by side, then their account. Only when every one was answered with
    /// success, by a server that did not start anew meanwhile, is the outcome sure.
    pub async fn send_all(&self, attempted: &Attempted) -> Result<InsertOutcome, DriveError> {
        let began = Instant::now();
        let mut failed = self.send_records(attempted).await?;
        if failed.is_none()
            && let Some(account) = &attempted.blocks.account
        {
            failed = self.send(account.clone(), &attempted.terms).await.err();
        }
        if let Some(error) = failed {
            self.health.inserts.failed(began, &error);
            return self.unsure(error);
        }
        self.health.inserts.succeeded();
        match self.engine.clock().await {
            Ok(after) if attempted.announced_at.is_same_run(after) => Ok(InsertOutcome::Sure),
            Err(error) => self.unsure(error),
            Ok(_) => {
                tracing::warn!("clickhouse started anew during a batch; reading back");
                self.metrics.unsure_inserts.inc();
                Ok(InsertOutcome::Unsure)
            }
        }
    }

    /// Waits for every answer, also when one has failed: what is on its way may still land.
    async fn send_records(&self, attempted: &Attempted) -> Result<Option<EngineError>, DriveError> {
        let mut sent = JoinSet::new();
        for block in attempted.blocks.records.iter().cloned() {
            let (driver, terms) = (self.clone(), attempted.terms.clone());
            sent.spawn(async move { driver.send(block, &terms).await });
        }
        let mut failed = None;
        while let Some(ended) = sent.join_next().await {
            let answer = ended.map_err(|panic| BlockError::new(panic.to_string()))?;
            failed = failed.or(answer.err());
        }
        Ok(failed)
    }

    async fn send(&self, block: Block, terms: &InsertTerms) -> Result<(), EngineError> {
        let seconds = self.metrics.insert_seconds.with_label_values(&[block.table.name]);
        let _observed_when_dropped = seconds.start_timer();
        self.engine.insert(block, terms).await
    }

    fn unsure(&self, error: EngineError) -> Result<InsertOutcome, DriveError> {
        self.metrics.unsure_inserts.inc();
        if error.kind == ErrorKind::Stop {
            return Err(error.into());
        }
        tracing::warn!(%error, "insert not answered with success");
        Ok(InsertOutcome::Unsure)
    }

    /// Whether ClickHouse surely still knows the attempt's token, and would take its blocks in time. After a restart
    /// nothing is sure: the token may have been lost with the power, and its rows not.
    pub async fn token_cover(&self, attempted: &Attempted) -> Result<TokenCover, EngineError> {
        let now = self.clock().await?;
        let blocks = now.newest_blocks.since(&attempted.announced_at.newest_blocks);
        let left_s = attempted.terms.deadline.0 - now.now.0;
        let is_in_time = left_s > RESEND_MARGIN_S;
        let lands_within_s =
            left_s.unsigned_abs() + attempted.terms.max_execution_s + LANDING_GRACE_S.unsigned_abs();
        let room = MIN_DEDUPLICATION_WINDOW.checked_sub(lands_within_s.saturating_mul(MAX_BLOCKS_PER_S));
        let is_remembered = attempted.announced_at.is_same_run(now)
            && blocks.zip(room).is_some_and(|(taken, room)| taken <= room);
        Ok(if is_in_time && is_remembered { TokenCover::Sure } else { TokenCover::Unsure })
    }

    /// The last second in which ClickHouse takes blocks of an attempt that is announced at `clock`.
    pub fn deadline_after(&self, clock: &EngineClock) -> EngineSeconds {
        EngineSeconds(clock.now.0 + i64::try_from(self.settings.deadline_s).unwrap_or(i64::MAX))
    }
}
