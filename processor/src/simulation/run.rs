//! One seed from its first record to its verdict.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use audit_event::control::TrailRecord;
use audit_event::{NextOffset, Offset, TrailId};
use kafka_io::group::Committed;
use pipeline_core::dedupe::RecordHasher;
use rand::Rng;
use service_kit::Readiness;
use service_kit::metrics::Metrics;
use tokio_util::sync::CancellationToken;

use super::broker::{Broker, DEDUPE};
use super::consumer::{Consumer, Ended};
use super::engine::SimEngine;
use super::operator::Operator;
use super::oracle;
use super::others::{SimDeadLetterTopic, SimRegistry};
use super::process::Process;
use super::server::Server;
use super::world::{Plan, World};
use crate::config::Config;
use crate::health::Health;
use crate::metrics::{self, ProcessorMetrics};
use crate::pace::Jitter;
use crate::stages::enrich::Enricher;
use crate::stages::schemas::Schemas;
use crate::worker::Shared;

/// I6: the longest time after the last fault until everything is closed.
const HEALS_WITHIN: Duration = Duration::from_secs(90);
/// Longer than anything can still be on its way.
const AFTERMATH: Duration = Duration::from_secs(20);
const COORDINATOR_TICK: Duration = Duration::from_millis(100);

/// All that a run consists of.
pub struct Stage {
    pub world: Arc<World>,
    pub broker: Arc<Broker>,
    pub server: Arc<Server>,
}

/// What a run without a fault was like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    pub flowed: u64,
    /// Tells two runs apart.
    pub draws: u64,
}

/// Runs a plan on a clock of its own, and says which fault it found.
pub fn run(plan: Plan) -> Result<Summary, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(play(plan))
}

async fn play(plan: Plan) -> Result<Summary, String> {
    let world = Arc::new(World::new(plan));
    let broker = Arc::new(Broker::new(world.clone()));
    let server = Arc::new(Server::new(world.clone()));
    let stage = Arc::new(Stage { world, broker, server });
    let coordinator = stage.clone();
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(COORDINATOR_TICK).await;
            coordinator.broker.group.tick();
        }
    });
    let producer = stage.clone();
    tokio::spawn(async move { produce(&producer).await });
    let operator = Operator::start(stage.clone());
    operator.make_turmoil().await;
    operator.heal().await?;
    let healed = tokio::time::timeout(HEALS_WITHIN, wait_until_caught_up(&stage)).await;
    if healed.is_err() {
        return Err(format!("I6: not caught up in time; {}", operator.faults()));
    }
    tokio::time::sleep(AFTERMATH).await;
    let checked = oracle::check(&stage.broker, &stage.server);
    let flowed = checked.map_err(|fault| format!("{fault}; {}", operator.faults()))?;
    Ok(Summary { flowed, draws: stage.world.draws() })
}

async fn produce(stage: &Stage) {
    let plan = &stage.world.plan;
    let mean_ms = plan.turmoil.as_millis() as u64 / plan.records as u64;
    for _ in 0..plan.records {
        // a burst, then a silence long enough for the batch before to be closed plainly
        let pause = if stage.world.chance(60) { 3_000 } else { 2 * mean_ms };
        tokio::time::sleep(stage.world.between_ms(0, pause)).await;
        let burst = if stage.world.chance(100) { 8 } else { 1 };
        (0..burst).for_each(|_| stage.broker.produce());
    }
}

async fn wait_until_caught_up(stage: &Stage) {
    while !oracle::is_caught_up(&stage.broker, &stage.server) {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

impl Stage {
    /// All that a new process is made of.
    pub fn shared(&self, process: &Arc<Process>, readiness: &Readiness) -> Shared {
        static METRICS: OnceLock<ProcessorMetrics> = OnceLock::new();
        let metrics = METRICS
            .get_or_init(|| ProcessorMetrics::new(&Metrics::of("simulation", "0.0.0", metrics::LIST)))
            .clone();
        let (world, process) = (self.world.clone(), process.clone());
        let config = config(&world.plan);
        let registry = SimRegistry { world: world.clone(), process: process.clone() };
        let unknown_wait = Duration::from_millis(config.dead_letters.unknown_schema_wait_ms);
        let (retries, health) = (metrics.registry_retries.clone(), Health::shown_by(readiness));
        let jitter = Arc::new(Jitter::seeded(world.draw(|rng| rng.random())));
        let answering = health.registry.clone();
        let schemas = Schemas::new(Arc::new(registry), unknown_wait, retries, answering, jitter.clone());
        let topic = SimDeadLetterTopic { world: world.clone(), process: process.clone() };
        let (server, broker) = (self.server.clone(), self.broker.clone());
        Shared {
            trail: trail(&world.plan),
            engine: Arc::new(SimEngine { world: world.clone(), server, broker, process }),
            schemas: Arc::new(schemas),
            dead_letters: Arc::new(topic),
            hasher: RecordHasher::new(world.draw(|rng| rng.random())),
            jitter,
            health,
            enricher: Arc::new(Enricher::new(None, None, Duration::from_secs(1), metrics.enrich.clone())),
            config,
            metrics,
            without: world.plan.without,
        }
    }

    /// Lets the process work until it ends; `readiness` says how it is meanwhile.
    pub async fn process(
        &self,
        process: Arc<Process>,
        readiness: Readiness,
        stop: CancellationToken,
    ) -> Ended {
        let consumer = Consumer::new(self.world.clone(), self.broker.clone(), process.clone(), stop);
        consumer.run(Arc::new(self.shared(&process, &readiness)), readiness).await
    }
}

fn trail(plan: &Plan) -> TrailRecord {
    TrailRecord {
        v: 1,
        trail_id: TrailId(uuid::Uuid::from_u128(7)),
        topic: "audit.events.v1".to_owned(),
        genesis: vec![Offset(0); plan.partitions as usize],
        begun_at: String::new(),
        dedupe: DEDUPE,
    }
}

/// Times are shortened as far as whole seconds of the server's clock allow.
fn config(plan: &Plan) -> Config {
    let mut config = Config::default();
    config.batch.max_batch_rows = plan.max_batch_rows;
    config.batch.flush_interval_ms = 200;
    config.batch.idle_close_ms = 500;
    config.group.session_timeout_ms = 3_000;
    config.insert.deadline_s = 2;
    config.insert.max_execution_s = 1;
    config.insert.retry_min_ms = 50;
    config.insert.retry_max_ms = 400;
    config.dead_letters.unknown_schema_wait_ms = 600;
    config
}

/// Where a person put a commit that was not theirs to put.
pub fn elsewhere(committed: &Option<Committed>, rng: &mut impl Rng) -> Option<Committed> {
    let offset = committed.as_ref()?.offset.0;
    let to = match rng.random_range(0..4) {
        0 => return None,
        // the same offset, and its announcement is gone
        1 => offset,
        2 => offset - rng.random_range(1..=10),
        _ => offset + rng.random_range(1..=10),
    };
    Some(Committed { offset: NextOffset(to.max(0)), metadata: String::new() })
}
