//! The sealer: reads the trail on its own, builds a log of each partition, and signs what it holds. It trusts no database.

mod config;
mod log;
mod metrics;
mod partition;

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use audit_event::PartitionId;
use audit_event::control::TrailRecord;
use kafka_io::control::ControlFollower;
use kafka_io::producer::RecordProducer;
use kafka_io::{KafkaConfig, topics};
use log_store::LogStore;
use schemas::CONTROL_TOPIC;
use service_kit::service::{Service, Started};
use service_kit::{Readiness, lifecycle};
use transparency_log::LogSecret;

use crate::partition::{Logs, Sealer};

/// Part of the readiness.
const TRAIL: &str = "trail";

const SERVICE: Service = Service {
    program: "sealtrail-sealer",
    environment: "SEALER",
    about: "Seals every accepted event in a transparency log, and signs checkpoints of it.",
    version: env!("CARGO_PKG_VERSION"),
    parts: &[lifecycle::ACCEPTING, TRAIL, Logs::PART],
    metrics: metrics::LIST,
    openapi: None,
};

#[tokio::main]
async fn main() -> ExitCode {
    SERVICE.run(serve).await
}

async fn serve(config: config::Config, started: Started) -> anyhow::Result<()> {
    let Started { readiness, metrics, shutdown } = started;
    let secret = read_secret(&config)?;
    let store = LogStore::in_directory(&config.store_dir).context("store_dir")?;
    let producer = Arc::new(RecordProducer::new(&config.kafka, &config.checkpoint_producer)?);
    let control = ControlFollower::start(&config.kafka, CONTROL_TOPIC, shutdown.token())?;
    tracing::info!(admin = %config.admin.listen, kafka = config.kafka.brokers, store = %config.store_dir.display(), "sealer started");
    let stop = shutdown.token();
    let trail = tokio::select! {
        trail = wait_for_trail(&config.kafka, control, &readiness) => trail,
        () = stop.cancelled() => return Ok(()),
    };
    let partitions = (0..i32::try_from(trail.genesis.len())?).map(PartitionId);
    let sealer = Arc::new(Sealer {
        kafka: config.kafka,
        trail,
        store,
        secret,
        seal: config.seal,
        producer,
        metrics: metrics::SealerMetrics::new(&metrics),
        logs: Logs::starting(readiness, partitions.clone()),
        shutdown,
        runtime: tokio::runtime::Handle::current(),
    });
    seal_all(&sealer, partitions).await
}

fn read_secret(config: &config::Config) -> anyhow::Result<LogSecret> {
    let file = config.key_file.as_ref().context(
        "key_file is not set: `sealtrail log-keys create --file FILE` makes the secret of the logs' keys",
    )?;
    let text = std::fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
    LogSecret::parse(&text).context("key_file")
}

async fn wait_for_trail(
    kafka: &KafkaConfig,
    mut control: ControlFollower,
    readiness: &Readiness,
) -> TrailRecord {
    const RETRY: std::time::Duration = std::time::Duration::from_millis(500);
    control.caught_up().await;
    loop {
        let reason = match &control.state().trail {
            None => "no trail has been begun; run `sealtrail init`".to_owned(),
            Some(trail) => match topics::check_events(kafka, &trail.topic, trail.genesis.len()).await {
                Ok(()) => {
                    readiness.ready(TRAIL);
                    return trail.clone();
                }
                Err(fault) => fault.to_string(),
            },
        };
        tracing::warn!(reason, "waiting for the trail");
        readiness.not_ready(TRAIL, reason);
        tokio::time::sleep(RETRY).await;
    }
}

/// A thread for each partition: reading Kafka blocks.
async fn seal_all(sealer: &Arc<Sealer>, partitions: impl Iterator<Item = PartitionId>) -> anyhow::Result<()> {
    let mut threads = tokio::task::JoinSet::new();
    for partition in partitions {
        let sealer = sealer.clone();
        threads.spawn_blocking(move || sealer.run(partition));
    }
    while let Some(ended) = threads.join_next().await {
        ended.context("a log's thread broke")?;
    }
    // a log that has stopped is shown as not ready until somebody ends us
    sealer.shutdown.token().cancelled().await;
    Ok(())
}
