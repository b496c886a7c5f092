//! The work on one partition, from its assignment to its end: find out where to begin, replay what may be in flight,
//! then batch after batch.

use std::sync::Arc;
use std::time::Duration;

use audit_event::control::TrailRecord;
use audit_event::{NextOffset, Offset};
use clickhouse_io::restore::StoredRecord;
use clickhouse_io::tables::TableFault;
use clickhouse_io::{EngineError, ErrorKind};
use kafka_io::group::{Assignment, CommitError};
use pipeline_core::assignment::{self, Commit, Facts, Refusal, Start};
use pipeline_core::batch::{OpenBatch, OutOfOrder};
use pipeline_core::batch_run::{BatchFault, BatchRun};
use pipeline_core::dedupe::{RecordHasher, Restoring, Window, WindowTooLong};
use thiserror::Error;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::driver::{DriveError, Driver};
use crate::gather::{Gathered, Gatherer, Next};
use crate::health::Health;
use crate::metrics::{ProcessorMetrics, Uncounted};
use crate::pace::{Jitter, heavy};
use crate::pipeline::{JudgedBatch, Pipeline};
use crate::ports::{DeadLetterTopic, Engine};
use crate::sink::{BlockError, Place};
use crate::stages::dedupe::DedupeError;
use crate::stages::enrich::Enricher;
use crate::stages::schemas::Schemas;

/// What all workers share.
pub struct Shared {
    pub config: Config,
    pub trail: TrailRecord,
    pub engine: Arc<dyn Engine>,
    pub schemas: Arc<Schemas>,
    pub dead_letters: Arc<dyn DeadLetterTopic>,
    pub hasher: RecordHasher,
    pub jitter: Arc<Jitter>,
    pub enricher: Arc<Enricher>,
    pub health: Health,
    pub metrics: ProcessorMetrics,
    #[cfg(test)]
    pub without: Option<crate::simulation::Safeguard>,
}

/// Why a worker ended before its partition went away.
#[derive(Debug, Error)]
pub enum WorkerError {
    /// The consumer deals with it: it makes a new one, and the partition comes again.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// The partition stops; the others go on.
    #[error(transparent)]
    Fault(#[from] BatchFault),
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error(transparent)]
    Tables(#[from] TableFault),
    #[error(transparent)]
    Block(#[from] BlockError),
    #[error(transparent)]
    Order(#[from] OutOfOrder),
    #[error(transparent)]
    Dedupe(#[from] DedupeError),
    #[error(transparent)]
    Window(#[from] WindowTooLong),
    #[error(
        "the last {count} records are all dead letters ({reason}): something else than the records is wrong; mend it, or raise dead_letters.max_in_a_row"
    )]
    OnlyDeadLetters { count: u64, reason: &'static str },
}

impl From<DriveError> for WorkerError {
    fn from(error: DriveError) -> Self {
        match error {
            DriveError::Commit(error) => error.into(),
            DriveError::Fault(fault) => fault.into(),
            DriveError::Engine(error) => error.into(),
            DriveError::Block(error) => error.into(),
        }
    }
}

/// Works on a partition until it goes away. Dropping the future abandons it at any point without harm.
pub async fn work(shared: Arc<Shared>, assignment: Assignment) -> Result<(), WorkerError> {
    let Assignment {
        partition,
        records,
        commits,
        drain,
        committed,
        log_start,
        high_watermark,
        vitals,
        lease,
        ..
    } = assignment;
    let _held_to_the_end = lease;
    let driver = Driver {
        engine: shared.engine.clone(),
        commits,
        dead_letters: shared.dead_letters.clone(),
        settings: shared.config.insert.clone(),
        jitter: shared.jitter.clone(),
        enricher: shared.enricher.clone(),
        health: shared.health.clone(),
        vitals: vitals.clone(),
        metrics: shared.metrics.clone(),
        uncounted: Uncounted::default(),
        #[cfg(test)]
        without: shared.without,
    };
    let trail = shared.trail.trail_id;
    let stored = driver.retrying(|| shared.engine.stored_end(trail, partition)).await?;
    let commit = committed.map(|c| Commit { offset: c.offset, metadata: c.metadata });
    let facts = Facts { partition, commit, stored, log_start, high_watermark };
    let start = assignment::decide(&shared.trail, &facts)?;
    let window = restore_window(&shared, &driver, partition, start.from()).await?;
    // a restart does not forget them, or a topic full of bad records would be emptied restart by restart
    let dead_letters_in_a_row =
        driver.retrying(|| shared.engine.trailing_dead_letters(trail, partition)).await?;
    shared.metrics.progress.window(partition, &window);
    tracing::info!(%partition, ?start, window_records = window.len(), "partition begins");
    let pipeline =
        Pipeline { trail, partition, schemas: shared.schemas.clone(), hasher: shared.hasher, window };
    let mut worker = Worker {
        gatherer: Gatherer::new(records, vitals),
        tables_checked_at: Instant::now(),
        dead_letters_in_a_row,
        shared,
        driver,
        pipeline,
        drain,
    };
    worker.run(start).await
}

/// Rebuilds the dedupe window of a partition that goes on at `before`.
async fn restore_window(
    shared: &Shared,
    driver: &Driver,
    partition: audit_event::PartitionId,
    before: Offset,
) -> Result<Window, WorkerError> {
    let rules = shared.trail.dedupe;
    let restore = || async {
        let mut restoring = match Restoring::begin(rules, before) {
            Ok(restoring) => restoring,
            Err(too_long) => return Ok(Err(too_long)),
        };
        let mut take = |stored: StoredRecord<'_>| {
            driver.vitals.sign();
            let key = shared.hasher.key(stored.tenant_id, stored.event_id);
            restoring.take(stored.offset, stored.received_at, key, stored.first);
        };
        shared.engine.restore_window(shared.trail.trail_id, partition, before, rules, &mut take).await?;
        Ok(Ok(restoring))
    };
    let restoring = driver.retrying(restore).await??;
    Ok(heavy(|| restoring.finish()))
}

struct Worker {
    shared: Arc<Shared>,
    driver: Driver,
    pipeline: Pipeline,
    gatherer: Gatherer,
    drain: CancellationToken,
    tables_checked_at: Instant,
    dead_letters_in_a_row: u64,
}

/// What Kafka holds about the last batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LastCommit {
    /// Found at the assignment, as it was left by somebody else.
    Found,
    Plain,
    /// The batch is closed here; its announcement still stands in Kafka.
    Announcement,
}

impl Worker {
    async fn run(&mut self, start: Start) -> Result<(), WorkerError> {
        let mut next = NextOffset(start.from().0);
        let mut last_commit = LastCommit::Found;
        if let Start::Replay { from, announced } = start {
            match self.replay(from, &announced).await? {
                Some(to) => (next, last_commit) = (to, LastCommit::Announcement),
                None => return Ok(()),
            }
        }
        loop {
            match self.gather(next, last_commit).await? {
                Next::Batch(gathered) => {
                    self.check_tables().await?;
                    next = self.process(gathered, last_commit).await?;
                    last_commit = LastCommit::Announcement;
                }
                Next::Idle => {
                    self.close_plainly(next).await?;
                    last_commit = LastCommit::Plain;
                }
                Next::Ended => {
                    if last_commit == LastCommit::Announcement {
                        self.close_plainly(next).await?;
                    }
                    return Ok(());
                }
            }
        }
    }

    async fn gather(&mut self, next: NextOffset, last_commit: LastCommit) -> Result<Next, OutOfOrder> {
        let batch = &self.shared.config.batch;
        let idle =
            (last_commit == LastCommit::Announcement).then(|| Duration::from_millis(batch.idle_close_ms));
        let open = OpenBatch::begin(next.as_offset());
        self.gatherer.fill(open, &batch.limits(), &self.shared.schemas, None, idle, &self.drain).await
    }

    async fn process(
        &mut self,
        gathered: Gathered,
        last_commit: LastCommit,
    ) -> Result<NextOffset, WorkerError> {
        let batch = self.judge(gathered).await?;
        self.break_circuit(&batch)?;
        let run = match last_commit {
            LastCommit::Found => BatchRun::first_of_assignment(batch.expected()),
            LastCommit::Plain | LastCommit::Announcement => BatchRun::fresh(batch.expected()),
        };
        self.close(&batch, run).await
    }

    /// Takes up a range that was announced before this assignment. `None` if the partition went away meanwhile.
    async fn replay(
        &mut self,
        from: Offset,
        announced: &pipeline_core::announcement::Announcement,
    ) -> Result<Option<NextOffset>, WorkerError> {
        let open = OpenBatch::replay(from, announced.to);
        let limits = self.shared.config.batch.limits();
        let unknown = Some(&announced.unknown_schemas);
        let filled =
            self.gatherer.fill(open, &limits, &self.shared.schemas, unknown, None, &self.drain).await?;
        let Next::Batch(gathered) = filled else { return Ok(None) };
        let batch = self.judge(gathered).await?;
        if let (trailing, false) = batch.trailing_dead_letters() {
            self.dead_letters_in_a_row = trailing;
        }
        let run = BatchRun::replayed(batch.expected(), announced.attempt, announced.deadline);
        self.close(&batch, run).await.map(Some)
    }

    async fn judge(&mut self, gathered: Gathered) -> Result<JudgedBatch, WorkerError> {
        let Gathered { range, records, unknown_schemas } = gathered;
        Ok(self.pipeline.judge(range, records, unknown_schemas, &self.driver).await?)
    }

    async fn close(&mut self, batch: &JudgedBatch, run: BatchRun) -> Result<NextOffset, WorkerError> {
        let place = Place {
            trail: self.pipeline.trail,
            topic: &self.shared.trail.topic,
            partition: self.pipeline.partition,
        };
        let next = self.driver.drive(batch, run, place).await?;
        let bytes = batch.records.iter().map(|(record, _)| record.weight()).sum();
        self.driver.vitals.let_go(batch.records.len(), bytes);
        self.shared.metrics.progress.window(self.pipeline.partition, &self.pipeline.window);
        Ok(next)
    }

    async fn close_plainly(&self, next: NextOffset) -> Result<(), CommitError> {
        self.driver.commit(next, String::new()).await
    }

    /// A topic full of bad records, or a registry that forgot, must not be emptied into the dead letters.
    fn break_circuit(&mut self, batch: &JudgedBatch) -> Result<(), WorkerError> {
        let (trailing, all) = batch.trailing_dead_letters();
        self.dead_letters_in_a_row = if all { self.dead_letters_in_a_row + trailing } else { trailing };
        if self.dead_letters_in_a_row < self.shared.config.dead_letters.max_in_a_row {
            return Ok(());
        }
        let reason = batch.records.last().map_or("", |(_, verdict)| match verdict {
            pipeline_core::verdict::Verdict::DeadLetter(rejection) => rejection.reason.as_str(),
            _ => "",
        });
        Err(WorkerError::OnlyDeadLetters { count: self.dead_letters_in_a_row, reason })
    }

    /// Somebody may change a table while rows flow. Each insert compares the columns itself; here a change is named, and
    /// seen before the next batch is announced.
    async fn check_tables(&mut self) -> Result<(), WorkerError> {
        let every = Duration::from_millis(self.shared.config.insert.check_tables_every_ms);
        if self.tables_checked_at.elapsed() < every {
            return Ok(());
        }
        let longest = self.shared.config.longest_call();
        match tokio::time::timeout(longest, self.shared.engine.check_tables()).await {
            Ok(Ok(())) => self.tables_checked_at = Instant::now(),
            Ok(Err(TableFault::Engine(error))) if error.kind == ErrorKind::Retry => {
                tracing::warn!(%error, "tables not compared; trying again with the next batch");
            }
            Ok(Err(fault)) => return Err(fault.into()),
            Err(_) => tracing::warn!(
                longest_s = longest.as_secs(),
                "tables not compared in time; trying again with the next batch"
            ),
        }
        Ok(())
    }
}
