//! The service around the workers: what must hold before it starts, and a worker for each partition that comes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, anyhow};
use audit_event::{Offset, PartitionId};
use clickhouse_io::tables::TableFault;
use clickhouse_io::{ClickHouse, ErrorKind};
use kafka_io::control::ControlFollower;
use kafka_io::group::{Assignment, ClientStatus, GroupHandler, Incident};
use kafka_io::producer::RecordProducer;
use kafka_io::registry::SchemaRegistry;
use kafka_io::topics::{self, TopicFault};
use pipeline_core::dedupe::RecordHasher;
use schemas::{CONTROL_TOPIC, EVENTS_TOPIC};
use service_kit::metrics::Metrics;
use service_kit::{Readiness, Shutdown};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::health::Health;
use crate::metrics::ProcessorMetrics;
use crate::pace::Jitter;
use crate::stages::enrich::Enricher;
use crate::stages::schemas::Schemas;
use crate::worker::{Shared, WorkerError, work};

/// Parts of the readiness.
pub const TRAIL: &str = "trail";
pub const TABLES: &str = "tables";
pub const ASSIGNMENT: &str = "assignment";

/// The wait before a start condition that is not met is looked at again.
const START_RETRY: Duration = Duration::from_millis(500);
/// Faults that wait to be noticed; one is enough to stop.
const FAULT_QUEUE: usize = 16;

/// Runs until the stop, or until something that no retry mends.
pub async fn serve(
    config: &Config,
    readiness: &Readiness,
    metrics: &Metrics,
    shutdown: &Shutdown,
) -> anyhow::Result<()> {
    let Some(shared) = prepare(config, readiness, metrics, shutdown).await? else { return Ok(()) };
    let (fatal_in, mut fatal) = mpsc::channel(FAULT_QUEUE);
    let handler = Arc::new(Handler::new(Arc::new(shared), readiness.clone(), fatal_in));
    let (kafka, group, stop) = (config.kafka.clone(), config.group.clone(), shutdown.token());
    let polling = tokio::task::spawn_blocking(move || {
        kafka_io::group::run(&kafka, &group, EVENTS_TOPIC, handler, &stop)
    });
    tokio::pin!(polling);
    tokio::select! {
        ended = &mut polling => ended.context("the polling thread")?.map_err(Into::into),
        Some(fault) = fatal.recv() => {
            shutdown.begin();
            let _drained = polling.await;
            Err(fault)
        }
    }
}

/// Waits for what must be there. `None` if the stop came first.
async fn prepare(
    config: &Config,
    readiness: &Readiness,
    metrics: &Metrics,
    shutdown: &Shutdown,
) -> anyhow::Result<Option<Shared>> {
    let all_metrics = metrics;
    let metrics = ProcessorMetrics::new(all_metrics);
    metrics.progress.bounded_by(all_metrics, config.max_in_flight_bytes());
    let engine = ClickHouse::new(&config.clickhouse)?;
    // followed until the stop: tenants declare event types while we run
    let control = ControlFollower::start(&config.kafka, CONTROL_TOPIC, shutdown.token())?;
    let Some(trail) = wait_for_trail(config, control.clone(), readiness, shutdown).await? else {
        return Ok(None);
    };
    if !wait_for_tables(&engine, readiness, shutdown).await? {
        return Ok(None);
    }
    let jitter = Arc::new(Jitter::seeded(rand::random()));
    let health = Health::shown_by(readiness);
    let enricher = Enricher::start(&config.enrich, metrics.enrich.clone(), shutdown.token()).await;
    let enricher = enricher.knowing(Arc::new(move || control.state()));
    Ok(Some(Shared {
        trail,
        engine: Arc::new(engine),
        schemas: Arc::new(Schemas::new(
            Arc::new(SchemaRegistry::new(&config.registry)?),
            Duration::from_millis(config.dead_letters.unknown_schema_wait_ms),
            metrics.registry_retries.clone(),
            health.registry.clone(),
            jitter.clone(),
        )),
        dead_letters: Arc::new(RecordProducer::new(&config.kafka, &config.dead_letter_producer)?),
        hasher: RecordHasher::new(rand::random()),
        enricher: Arc::new(enricher),
        jitter,
        health,
        metrics,
        config: config.clone(),
        #[cfg(test)]
        without: None,
    }))
}

async fn wait_for_trail(
    config: &Config,
    mut control: ControlFollower,
    readiness: &Readiness,
    shutdown: &Shutdown,
) -> anyhow::Result<Option<audit_event::control::TrailRecord>> {
    loop {
        tokio::select! {
            () = shutdown.wait() => return Ok(None),
            () = control.caught_up() => {}
        }
        let Some(trail) = control.state().trail.clone() else {
            readiness.not_ready(TRAIL, "no trail has been begun; run `sealtrail init`");
            tokio::time::sleep(START_RETRY).await;
            continue;
        };
        match topics::check_events(&config.kafka, &trail.topic, trail.genesis.len()).await {
            Ok(()) => {
                readiness.ready(TRAIL);
                return Ok(Some(trail));
            }
            Err(TopicFault::Kafka(error)) => {
                readiness.not_ready(TRAIL, error.to_string());
                tokio::time::sleep(START_RETRY).await;
            }
            Err(fault) => return Err(fault.into()),
        }
    }
}

/// `false` if the stop came first.
async fn wait_for_tables(
    engine: &ClickHouse,
    readiness: &Readiness,
    shutdown: &Shutdown,
) -> anyhow::Result<bool> {
    while !shutdown.has_begun() {
        match engine.check_tables().await {
            Ok(()) => {
                readiness.ready(TABLES);
                return Ok(true);
            }
            Err(TableFault::Engine(error)) if error.kind == ErrorKind::Retry => {
                readiness.not_ready(TABLES, error.to_string());
                tokio::time::sleep(START_RETRY).await;
            }
            Err(fault) => return Err(fault.into()),
        }
    }
    Ok(false)
}

/// Starts a worker for each partition that comes, and hears how each ends.
pub struct Handler {
    shared: Arc<Shared>,
    runtime: Handle,
    fatal: mpsc::Sender<anyhow::Error>,
    readiness: Readiness,
    stopped: StoppedPartitions,
}

/// Partitions of this process that stopped for a fault, and why.
type StoppedPartitions = Arc<Mutex<BTreeMap<PartitionId, String>>>;

fn show_stopped(stopped: &BTreeMap<PartitionId, String>, readiness: &Readiness) {
    match stopped.iter().next() {
        None => readiness.ready(ASSIGNMENT),
        Some((partition, fault)) => {
            readiness.not_ready(ASSIGNMENT, format!("partition {partition} stopped: {fault}"));
        }
    }
}

impl Handler {
    /// What no retry mends goes to `fatal`. Needs a runtime around it.
    pub fn new(shared: Arc<Shared>, readiness: Readiness, fatal: mpsc::Sender<anyhow::Error>) -> Self {
        let stopped = StoppedPartitions::default();
        Self { shared, runtime: Handle::current(), fatal, readiness, stopped }
    }
}

/// Whether the assignment ends within the time in which Kafka tells a member that it is none any more.
async fn ends_soon(shared: &Shared, abandon: &CancellationToken) -> bool {
    let session = Duration::from_millis(u64::from(shared.config.group.session_timeout_ms));
    tokio::time::timeout(session, abandon.cancelled()).await.is_ok()
}

impl GroupHandler for Handler {
    fn genesis_of(&self, partition: PartitionId) -> Option<Offset> {
        self.shared.trail.genesis_of(partition)
    }

    fn assigned(&self, assignment: Assignment) {
        let (shared, fatal, readiness) = (self.shared.clone(), self.fatal.clone(), self.readiness.clone());
        let stopped = self.stopped.clone();
        shared.metrics.progress.begin(assignment.partition);
        shared.metrics.progress.watch(assignment.partition, assignment.vitals.clone());
        self.runtime.spawn(async move {
            let (partition, abandon) = (assignment.partition, assignment.abandon.clone());
            // a task of its own, so that a panic is noticed and does not wedge the partition unseen
            let mut working = tokio::spawn(work(shared.clone(), assignment));
            let ended = tokio::select! {
                biased;
                () = abandon.cancelled() => return working.abort(),
                ended = &mut working => ended,
            };
            let ended = match ended {
                Ok(ended) => ended,
                Err(panic) => {
                    let _queued = fatal.try_send(anyhow!(panic).context(format!("partition {partition}")));
                    return;
                }
            };
            match ended {
                Ok(()) => {}
                Err(WorkerError::Commit(error)) => tracing::warn!(%partition, %error, "partition given up"),
                Err(WorkerError::Fault(fault)) => {
                    tracing::error!(%partition, %fault, "partition stopped; the others go on");
                    let mut stopped = stopped.lock().unwrap_or_else(PoisonError::into_inner);
                    if !abandon.is_cancelled() {
                        stopped.insert(partition, fault.to_string());
                        shared.metrics.progress.stopped(partition);
                        show_stopped(&stopped, &readiness);
                    }
                }
                // facts that were read before the partition moved contradict those that were read after it
                Err(error @ WorkerError::Refused(_)) if ends_soon(&shared, &abandon).await => {
                    tracing::warn!(%partition, %error, "refused for an assignment that has ended");
                }
                Err(error) => {
                    // a full queue means that the stop is under way
                    let _queued = fatal.try_send(anyhow!(error).context(format!("partition {partition}")));
                }
            }
        });
    }

    fn owned(&self, partitions: &[PartitionId]) {
        self.shared.metrics.assigned_partitions.set(i64::try_from(partitions.len()).unwrap_or(i64::MAX));
        self.shared.metrics.assignment_changes.inc();
        self.shared.metrics.progress.keep(partitions);
        let mut stopped = self.stopped.lock().unwrap_or_else(PoisonError::into_inner);
        stopped.retain(|partition, _| partitions.contains(partition));
        show_stopped(&stopped, &self.readiness);
    }

    fn lag(&self, partition: PartitionId, records: i64) {
        self.shared.metrics.progress.lag(partition, records);
    }

    fn client(&self, status: ClientStatus) {
        self.shared.metrics.prefetched_bytes.set(i64::try_from(status.prefetched_bytes).unwrap_or(i64::MAX));
        match status.reached {
            Ok(()) => self.shared.health.kafka.succeeded(),
            Err(reason) => self.shared.health.kafka.failed(Instant::now(), reason),
        }
    }

    fn longest_call(&self) -> Duration {
        self.shared.config.longest_call()
    }

    fn incident(&self, incident: Incident) {
        let metrics = &self.shared.metrics;
        match incident {
            Incident::Paused(partition) => metrics.progress.paused(partition, true),
            Incident::Resumed(partition) => metrics.progress.paused(partition, false),
            Incident::CommitFailed => metrics.commit_failures.inc(),
            Incident::CommitPutOff => metrics.commits_put_off.inc(),
            Incident::ConsumerReplaced => metrics.consumer_restarts.inc(),
            Incident::Stalled(_) => metrics.stalls.inc(),
        }
    }
}
