//! Drives one batch through the steps that `pipeline_core::batch_run` decides: announce, insert, wait, read back.

use std::sync::Arc;
use std::time::Duration;

use audit_event::NextOffset;
use clickhouse_io::client::EngineClock;
use clickhouse_io::insert::InsertTerms;
use clickhouse_io::{EngineError, ErrorKind};
use kafka_io::group::{CommitError, Commits, Vitals};
use pipeline_core::RULES;
use pipeline_core::announcement::{Announcement, Attempt, EngineSeconds};
use pipeline_core::batch_run::{BatchFault, BatchRun, Found, Step, TokenCover};
use thiserror::Error;
use tokio::time::Instant;

use crate::config::InsertConfig;
use crate::dead_letters::{self, Again};
use crate::health::Health;
use crate::metrics::{ProcessorMetrics, Uncounted};
use crate::pace::{Backoff, Jitter, heavy};
use crate::pipeline::JudgedBatch;
use crate::ports::{DeadLetterTopic, Engine};
use crate::sending::Attempted;
use crate::sink::{self, BlockError, Place};
use crate::stages::enrich::Enricher;

/// How long a landing is waited for beyond the times that ClickHouse was given: its clock counts whole seconds.
pub const LANDING_GRACE_S: i64 = 2;

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
    pub engine: Arc<dyn Engine>,
    pub commits: Commits,
    pub dead_letters: Arc<dyn DeadLetterTopic>,
    pub settings: InsertConfig,
    pub jitter: Arc<Jitter>,
    pub enricher: Arc<Enricher>,
    pub health: Health,
    pub vitals: Vitals,
    pub metrics: ProcessorMetrics,
    pub uncounted: Uncounted,
    /// The simulation takes the wait out and must see what it is for.
    #[cfg(test)]
    pub without: Option<crate::simulation::Safeguard>,
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
        let mut announced_at = None;
        let mut attempted = None;
        let mut backoff = self.backoff();
        let mut letters = Letters::Unpublished;
        let began = self.metrics.batch_seconds.start_timer();
        self.metrics.progress.batch_opened(place.partition, batch.range.least_received_at);
        loop {
            self.vitals.sign();
            match run.next() {
                Step::Announce(attempt) => {
                    let clock = self.clock().await?;
                    let deadline = self.deadline_after(&clock);
                    self.announce(batch, attempt, deadline, &place).await?;
                    if attempt != Attempt::FIRST {
                        self.metrics.second_attempts.inc();
                    }
                    self.publish_letters(&mut letters, batch, &place).await;
                    (announced_at, attempted) = (Some(clock), None);
                    run.announced(deadline);
                }
                Step::Insert { attempt, deadline, missing, .. } => {
                    if attempted.is_none() {
                        let blocks =
                            heavy(|| sink::blocks(batch, &missing, attempt, &place, &self.enricher))?;
                        let terms = self.terms(token(batch, attempt, &place), deadline);
                        let announced_at = announced_at.expect("an attempt is announced before it is sent");
                        attempted = Some(Attempted { terms, blocks, announced_at });
                    }
                    if let Some(attempted) = &attempted {
                        run.inserted(self.send_all(attempted).await?);
                    }
                }
                Step::AskToken { .. } => {
                    backoff.pause().await;
                    let cover = match &attempted {
                        Some(attempted) => self.token_cover(attempted).await?,
                        None => TokenCover::Unsure,
                    };
                    run.token(cover);
                }
                Step::AwaitLanding { deadline } => {
                    // a replay begins here, and nobody knows how far the letters of the first try came
                    self.publish_letters(&mut letters, batch, &place).await;
                    self.await_landing(deadline, &token(batch, run.attempt(), &place)).await?;
                    run.landed();
                }
                Step::ReadBack => run.read_back(&self.read_back(batch, &place).await?),
                Step::Close => {
                    began.observe_duration();
                    self.uncounted.closes(batch);
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
        let mut again = Again { retries, backoff: self.backoff() };
        dead_letters::publish(&*self.dead_letters, batch, trail, topic, partition.0, &mut again).await;
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
        self.commit(NextOffset(batch.range.from.0), announcement.to_metadata()).await
    }

    /// Says that the batch before `next` is closed, and if there is metadata, what is begun.
    pub async fn commit(&self, next: NextOffset, metadata: String) -> Result<(), CommitError> {
        self.commits.commit(next, metadata).await?;
        self.uncounted.is_committed(&self.metrics);
        Ok(())
    }

    async fn read_back(&self, batch: &JudgedBatch, place: &Place<'_>) -> Result<Found, EngineError> {
        self.metrics.read_backs.inc();
        let account = sink::account(batch);
        let read = || self.engine.read_back(place.trail, place.partition, &batch.range, account);
        self.retrying(read).await
    }

    fn terms(&self, token: String, deadline: EngineSeconds) -> InsertTerms {
        InsertTerms { token, deadline, max_execution_s: self.settings.max_execution_s }
    }

    /// Waits, by ClickHouse's own clock, until no insert under the token can land any more.
    async fn await_landing(&self, deadline: EngineSeconds, token: &str) -> Result<(), EngineError> {
        #[cfg(test)]
        if self.without == Some(crate::simulation::Safeguard::LandingWait) {
            return Ok(());
        }
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

    pub async fn clock(&self) -> Result<EngineClock, EngineError> {
        self.retrying(|| self.engine.clock()).await
    }

    /// Tries until it succeeds or fails for good, with growing, jittered pauses. The partition waits meanwhile; the
    /// worker is dropped when its assignment ends.
    pub async fn retrying<T, F>(&self, mut call: impl FnMut() -> F) -> Result<T, EngineError>
    where
        F: Future<Output = Result<T, EngineError>>,
    {
        let mut backoff = self.backoff();
        loop {
            self.vitals.sign();
            let began = Instant::now();
            match call().await {
                Ok(value) => {
                    self.health.clickhouse.succeeded();
                    return Ok(value);
                }
                Err(error) if error.kind == ErrorKind::Stop => return Err(error),
                Err(error) => {
                    self.metrics.retries.inc();
                    self.health.clickhouse.failed(began, &error);
                    tracing::warn!(%error, "trying again");
                    backoff.pause().await;
                }
            }
        }
    }

    fn backoff(&self) -> Backoff<'_> {
        Backoff::new(&self.jitter, &self.vitals, self.settings.retry_min_ms, self.settings.retry_max_ms)
    }
}

/// The deduplication token of one attempt. The table's name is no part of it: tokens count per table.
fn token(batch: &JudgedBatch, attempt: Attempt, place: &Place<'_>) -> String {
    let range = &batch.range;
    format!("{}:{}:{}:{}-{}:{}", place.trail, place.topic, place.partition, range.from, range.to, attempt.0)
}
