//! Drives one batch through the steps that `pipeline_core::batch_run` decides: announce, insert, wait, read back.

use std::sync::Arc;
use std::time::Duration;

use audit_event::NextOffset;
use clickhouse_io::client::EngineClock;
use clickhouse_io::insert::InsertTerms;
use clickhouse_io::{ClickHouse, EngineError, ErrorKind};
use kafka_io::group::{CommitError, Commits};
use kafka_io::producer::RecordProducer;
use pipeline_core::RULES;
use pipeline_core::announcement::{Announcement, Attempt, EngineSeconds};
use pipeline_core::batch_run::{BatchFault, BatchRun, InsertOutcome, Missing, Step};
use rand::Rng;
use schemas::columns::Block;
use thiserror::Error;

use crate::config::InsertConfig;
use crate::dead_letters;
use crate::metrics::ProcessorMetrics;
use crate::pipeline::JudgedBatch;
use crate::progress;
use crate::sink::{self, BlockError, Place};

/// How long a landing is waited for beyond the times that ClickHouse was given: its clock counts whole seconds.
const LANDING_GRACE_S: i64 = 2;

/// Why a batch did not close.
#[derive(Debug, Error)]
pub enum DriveError {
    #[error(transparent)]
    Commit(#[from] CommitError),
    #[error(transparent)]
    Fault(#[from] BatchFault),
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error(transparent)]
    Block(#[from] BlockError),
}

/// What a partition's batches need to get to their tables.
#[derive(Clone)]
pub struct Driver {
    pub engine: ClickHouse,
    pub commits: Commits,
    pub dead_letters: Arc<RecordProducer>,
    pub settings: InsertConfig,
    pub metrics: ProcessorMetrics,
}

/// Whether the batch's dead letters are in their topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Letters {
    Unpublished,
    Published,
}

impl Driver {
    /// Leads the batch to its close; answers the offset that the next batch begins at.
    pub async fn drive(
        &self,
        batch: &JudgedBatch,
        mut run: BatchRun,
        place: Place<'_>,
    ) -> Result<NextOffset, DriveError> {
        let mut before = None;
        let mut letters = Letters::Unpublished;
        let began = self.metrics.batch_seconds.start_timer();
        self.metrics.progress.batch_opened(place.partition, batch.range.least_received_at);
        loop {
            match run.next() {
                Step::Announce(attempt) => {
                    let clock = self.clock().await?;
                    let deadline = EngineSeconds(clock.now.0 + self.settings.deadline_s as i64);
                    self.announce(batch, attempt, deadline, &place).await?;
                    if attempt != Attempt::FIRST {
                        self.metrics.second_attempts.inc();
                    }
                    self.publish_letters(&mut letters, batch, &place).await;
                    before = Some(clock);
                    run.announced(deadline);
                }
                Step::Insert { attempt, deadline, missing } => {
                    let outcome = self.insert(batch, attempt, deadline, &missing, before, &place).await?;
                    run.inserted(outcome);
                }
                Step::AwaitLanding { deadline } => {
                    // a replay begins here, and nobody knows how far the letters of the first try came
                    self.publish_letters(&mut letters, batch, &place).await;
                    self.await_landing(deadline, &token(batch, run.attempt(), &place)).await?;
                    run.landed();
                }
                Step::ReadBack => {
                    self.metrics.read_backs.inc();
                    let account = sink::account(batch);
                    let found = self
                        .retrying(|| {
                            self.engine.read_back(place.trail, place.partition, &batch.range, account)
                        })
                        .await?;
                    run.read_back(&found);
                }
                Step::Close => {
                    began.observe_duration();
                    self.count(batch);
                    self.metrics.progress.batch_closed(place.partition, batch.range.greatest_received_at);
                    return Ok(batch.range.to);
                }
                Step::Stop(fault) => return Err(fault.into()),
            }
        }
    }

    async fn publish_letters(&self, letters: &mut Letters, batch: &JudgedBatch, place: &Place<'_>) {
        if *letters == Letters::Published {
            return;
        }
        let retries = &self.metrics.dead_letter_retries;
        let Place { trail, topic, partition } = *place;
        dead_letters::publish(&self.dead_letters, batch, trail, topic, partition.0, retries).await;
        *letters = Letters::Published;
    }

    async fn announce(
        &self,
        batch: &JudgedBatch,
        attempt: Attempt,
        deadline: EngineSeconds,
        place: &Place<'_>,
    ) -> Result<(), CommitError> {
        let announcement = Announcement::new(place.trail, batch.range.to, attempt, RULES, deadline)
            .with_unknown_schemas(batch.unknown_schemas.clone());
        self.commits.commit(NextOffset(batch.range.from.0), announcement.to_metadata()).await
    }

    /// Sends each block once. Only when every one was answered with success, by a server that did not start anew
    /// meanwhile, is the outcome sure.
    async fn insert(
        &self,
        batch: &JudgedBatch,
        attempt: Attempt,
        deadline: EngineSeconds,
        missing: &Missing,
        before: Option<EngineClock>,
        place: &Place<'_>,
    ) -> Result<InsertOutcome, DriveError> {
        let blocks = tokio::task::block_in_place(|| sink::blocks(batch, missing, attempt, place))?;
        let terms = InsertTerms {
            token: token(batch, attempt, place),
            deadline,
            max_execution_s: self.settings.max_execution_s,
        };
        let sent: Vec<_> = blocks
            .records
            .into_iter()
            .map(|block| {
                let (driver, terms) = (self.clone(), terms.clone());
                tokio::spawn(async move { driver.send(block, &terms).await })
            })
            .collect();
        let mut failed = None;
        for insert in sent {
            let answer = insert.await.map_err(|e| BlockError::from_panic(&e))?;
            failed = failed.or(answer.err());
        }
        if failed.is_none()
            && let Some(account) = blocks.account
        {
            failed = self.send(account, &terms).await.err();
        }
        if let Some(error) = failed {
            return self.unsure(error);
        }
        match (before, self.engine.clock().await) {
            (Some(before), Ok(after)) if before.is_same_run(after) => Ok(InsertOutcome::Sure),
            (_, Err(error)) => self.unsure(error),
            (_, Ok(_)) => {
                tracing::warn!("clickhouse started anew during a batch; reading back");
                self.metrics.unsure_inserts.inc();
                Ok(InsertOutcome::Unsure)
            }
        }
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
        tracing::warn!(%error, "insert not answered with success; reading back when nothing can land any more");
        Ok(InsertOutcome::Unsure)
    }

    /// Waits, by ClickHouse's own clock, until no insert under the token can land any more.
    async fn await_landing(&self, deadline: EngineSeconds, token: &str) -> Result<(), EngineError> {
        let last = deadline.0 + self.settings.max_execution_s as i64 + LANDING_GRACE_S;
        loop {
            let now = self.clock().await?.now.0;
            if now > last && !self.retrying(|| self.engine.is_inserting(token)).await? {
                return Ok(());
            }
            let wait_s = u64::try_from(last - now).unwrap_or(0).clamp(1, 5);
            tokio::time::sleep(Duration::from_secs(wait_s)).await;
        }
    }

    async fn clock(&self) -> Result<EngineClock, EngineError> {
        self.retrying(|| self.engine.clock()).await
    }

    /// Tries until it succeeds or fails for good, with growing, jittered pauses. The partition waits meanwhile; the
    /// worker is dropped when its assignment ends.
    pub async fn retrying<T, F>(&self, mut call: impl FnMut() -> F) -> Result<T, EngineError>
    where
        F: Future<Output = Result<T, EngineError>>,
    {
        let mut pause_ms = self.settings.retry_min_ms;
        loop {
            match call().await {
                Ok(value) => return Ok(value),
                Err(error) if error.kind == ErrorKind::Stop => return Err(error),
                Err(error) => {
                    self.metrics.retries.inc();
                    tracing::warn!(%error, pause_ms, "trying again");
                    let jittered = rand::rng().random_range(pause_ms / 2..=pause_ms);
                    tokio::time::sleep(Duration::from_millis(jittered)).await;
                    pause_ms = (pause_ms * 2).min(self.settings.retry_max_ms);
                }
            }
        }
    }

    fn count(&self, batch: &JudgedBatch) {
        let account = sink::account(batch);
        self.metrics.batches.inc();
        self.metrics.batch_records.observe(batch.records.len() as f64);
        let delay = progress::seconds_between(batch.range.least_received_at, progress::now());
        self.metrics.delay_seconds.observe(delay);
        self.metrics.records.with_label_values(&["events"]).inc_by(account.rows);
        self.metrics.records.with_label_values(&["duplicates"]).inc_by(account.duplicates);
        self.metrics.records.with_label_values(&["dead_letters"]).inc_by(account.dead_letters);
        self.metrics.gaps.inc_by(batch.range.gaps());
        for (_, verdict) in &batch.records {
            if let pipeline_core::verdict::Verdict::DeadLetter(rejection) = verdict {
                self.metrics.dead_letters.with_label_values(&[rejection.reason.as_str()]).inc();
            }
        }
    }
}

/// The deduplication token of one attempt. The table's name is no part of it: tokens count per table.
fn token(batch: &JudgedBatch, attempt: Attempt, place: &Place<'_>) -> String {
    let range = &batch.range;
    format!("{}:{}:{}:{}-{}:{}", place.trail, place.topic, place.partition, range.from, range.to, attempt.0)
}

impl BlockError {
    fn from_panic(error: &tokio::task::JoinError) -> DriveError {
        DriveError::Block(Self::new(error.to_string()))
    }
}
