//! A partition on a thread of its own: read, take, seal, until the stop.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use audit_event::control::TrailRecord;
use audit_event::{NextOffset, Offset, PartitionId};
use kafka_io::KafkaConfig;
use kafka_io::producer::{NewRecord, RecordProducer};
use kafka_io::tail::{Tail, Tailed};
use kafka_io::topics;
use log_store::LogStore;
use schemas::CHECKPOINTS_TOPIC;
use service_kit::{Readiness, Shutdown, clock};
use tokio::runtime::Handle;
use transparency_log::LogSecret;

use crate::config::SealConfig;
use crate::log::{SealError, Sealed, SealedLog, Terms};
use crate::metrics::SealerMetrics;

/// The longest wait for a record; also how late a stop is noticed.
const POLL: Duration = Duration::from_millis(50);
const MICROS: i64 = 1_000_000;

/// What all partitions have in common.
pub struct Sealer {
    pub kafka: KafkaConfig,
    pub trail: TrailRecord,
    pub store: LogStore,
    pub secret: LogSecret,
    pub seal: SealConfig,
    pub producer: Arc<RecordProducer>,
    pub metrics: SealerMetrics,
    pub logs: Logs,
    pub shutdown: Shutdown,
    pub runtime: Handle,
}

/// Which logs are not being continued just now, and why.
pub struct Logs {
    readiness: Readiness,
    waiting: Mutex<BTreeMap<PartitionId, String>>,
}

impl Logs {
    /// The part of the readiness.
    pub const PART: &str = "logs";

    pub fn starting(readiness: Readiness, partitions: impl Iterator<Item = PartitionId>) -> Self {
        let waiting = partitions.map(|partition| (partition, "starting".to_owned())).collect();
        let logs = Self { readiness, waiting: Mutex::new(waiting) };
        logs.set(|_| {});
        logs
    }

    fn goes_on(&self, partition: PartitionId) {
        self.set(|waiting| drop(waiting.remove(&partition)));
    }

    fn waits(&self, partition: PartitionId, reason: &str) {
        self.set(|waiting| drop(waiting.insert(partition, reason.to_owned())));
    }

    fn set(&self, change: impl FnOnce(&mut BTreeMap<PartitionId, String>)) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut waiting);
        match waiting.first_key_value() {
            None => self.readiness.ready(Self::PART),
            Some((partition, reason)) => {
                self.readiness.not_ready(Self::PART, format!("partition {partition}: {reason}"));
            }
        }
    }
}

/// Why a log is not continued.
enum Stop {
    /// What it says may pass.
    Passing(String),
    /// A person must look.
    Final(String),
}

impl From<SealError> for Stop {
    fn from(error: SealError) -> Self {
        if error.is_passing() { Self::Passing(error.to_string()) } else { Self::Final(error.to_string()) }
    }
}

impl Sealer {
    /// Seals one partition until the stop. Blocks.
    pub fn run(&self, partition: PartitionId) {
        let stopped = self.metrics.stopped.with_label_values(&[&partition.to_string()]);
        stopped.set(0);
        let stop = self.shutdown.token();
        while !stop.is_cancelled() {
            match self.seal_on(partition) {
                Ok(()) => return,
                Err(Stop::Passing(reason)) => {
                    tracing::warn!(%partition, reason, "log interrupted; trying again");
                    self.logs.waits(partition, &reason);
                }
                Err(Stop::Final(reason)) => {
                    stopped.set(1);
                    tracing::error!(%partition, reason, "log stopped");
                    self.logs.waits(partition, &reason);
                    return;
                }
            }
            self.runtime.block_on(async {
                let _stopped_or_waited = tokio::time::timeout(self.seal.retry(), stop.cancelled()).await;
            });
        }
    }

    fn terms(&self, partition: PartitionId) -> Result<Terms, SealError> {
        let (trail, genesis) = (self.trail.trail_id, self.trail.genesis_of(partition));
        Ok(Terms {
            files: self.store.log(trail, partition),
            genesis: genesis.unwrap_or(Offset(0)),
            key: self.secret.signing_key(trail, partition)?,
            witness: self.secret.heartbeat(trail)?,
        })
    }

    fn seal_on(&self, partition: PartitionId) -> Result<(), Stop> {
        let mut log = self.runtime.block_on(SealedLog::resume(self.terms(partition)?))?;
        self.show_size(partition, &log);
        let fault = |error: kafka_io::KafkaError| Stop::Passing(error.to_string());
        self.check_begin(partition, &mut log)?;
        let tail = Tail::open(&self.kafka, &self.trail.topic, partition, log.read_from()).map_err(fault)?;
        tracing::info!(%partition, from = %log.next_unsealed(), "sealing");
        self.logs.goes_on(partition);
        let stop = self.shutdown.token();
        let mut heartbeat = Instant::now();
        while !stop.is_cancelled() {
            let due = Instant::now() + self.seal.interval();
            while Instant::now() < due
                && !stop.is_cancelled()
                && log.waiting_tiles() < self.seal.max_waiting_tiles
            {
                let wait = due.saturating_duration_since(Instant::now()).min(POLL);
                let mut taken = Ok(());
                let tailed =
                    tail.next(wait, |record| taken = log.take(record.offset, record.timestamp, record.value));
                taken?;
                if tailed.map_err(fault)? == Tailed::Nothing {
                    continue;
                }
            }
            if log.has_news() {
                let sealed = self.runtime.block_on(log.seal(now_s()))?;
                self.count(&sealed);
                self.show_size(partition, &log);
                self.publish(partition, &sealed.note);
                heartbeat = Instant::now();
            } else if heartbeat.elapsed() >= self.seal.heartbeat() {
                if let Some(note) = self.runtime.block_on(log.heartbeat(now_s()))? {
                    self.publish(partition, &note);
                }
                heartbeat = Instant::now();
            }
        }
        Ok(())
    }

    /// Retention may have taken what would be compared, and must not have taken what is not sealed.
    fn check_begin(&self, partition: PartitionId, log: &mut SealedLog) -> Result<(), Stop> {
        let topic = &self.trail.topic;
        let asked = self.runtime.block_on(topics::watermarks(&self.kafka, topic, self.trail.genesis.len()));
        let all = asked.map_err(|error| Stop::Passing(error.to_string()))?;
        let at = usize::try_from(partition.0).ok().and_then(|at| all.get(at));
        let (low, high) = *at.ok_or_else(|| Stop::Final("the partition is gone".to_owned()))?;
        let next = log.next_unsealed();
        if low > next.0 || high < next.0 {
            return Err(Stop::Final(format!(
                "the topic holds offsets {low} to {high}, and {next} is to be sealed next: records were removed before they \
                 were sealed, or the topic was made anew"
            )));
        }
        if low > log.read_from().0 {
            tracing::warn!(%partition, low, "sealed records are gone by retention, and are not compared");
            log.compare_from(NextOffset(low));
        }
        Ok(())
    }

    fn show_size(&self, partition: PartitionId, log: &SealedLog) {
        let size = log.sealed().map_or(0, |tree| tree.size);
        let gauge = self.metrics.tree_size.with_label_values(&[&partition.to_string()]);
        gauge.set(i64::try_from(size).unwrap_or(i64::MAX));
    }

    fn count(&self, sealed: &Sealed) {
        let now_ms = clock::now().micros() / 1_000;
        self.metrics.checkpoints.inc();
        self.metrics.records.inc_by(sealed.accepted.len() as u64);
        for accepted in &sealed.accepted {
            // a broker's clock may be ahead of ours
            self.metrics.delay_seconds.observe((now_ms - accepted.0).max(0) as f64 / 1_000.0);
        }
    }

    /// The store is the log; the topic tells others of it, and a checkpoint that it lacks is in the next one.
    fn publish(&self, partition: PartitionId, note: &str) {
        let key = format!("{}/{partition}", self.trail.trail_id);
        let record = NewRecord {
            topic: CHECKPOINTS_TOPIC,
            key: Some(key.as_bytes()),
            value: Some(note.as_bytes()),
            headers: &[],
        };
        let (producer, unpublished) = (self.producer.clone(), self.metrics.unpublished.clone());
        let sent = producer.enqueue(&record);
        // apart: a topic that does not answer must not hold the next seal up; the producer's queue is the bound
        self.runtime.spawn(async move {
            let answered = match sent {
                Ok(pending) => producer.confirm(pending).await,
                Err(error) => Err(error),
            };
            if let Err(error) = answered {
                unpublished.inc();
                tracing::warn!(%partition, %error, "checkpoint not published");
            }
        });
    }
}

fn now_s() -> u64 {
    u64::try_from(clock::now().micros() / MICROS).unwrap_or_default()
}
