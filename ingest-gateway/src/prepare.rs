//! What must be there before events are taken: the trail, a topic that keeps the promise, and the registered schema.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use audit_event::{SchemaId, TrailId};
use kafka_io::KafkaConfig;
use kafka_io::control::ControlFollower;
use kafka_io::registry::{RegistryError, SchemaRegistry};
use kafka_io::topics::{self, TopicFault};
use schemas::EVENTS_SUBJECT;
use schemas::avro::SCHEMA_TEXT;
use service_kit::{Readiness, Shutdown};

use crate::config::Config;

/// Parts of the readiness.
pub const TRAIL: &str = "trail";
pub const REGISTRY: &str = "registry";

const RETRY: Duration = Duration::from_millis(500);

/// What records are written under.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    pub trail_id: TrailId,
    pub schema_id: SchemaId,
}

/// The target, once everything is there.
pub type Prepared = Arc<OnceLock<Target>>;

/// Prepares in the background; until it is done the gateway answers 503.
pub fn spawn(
    config: &Config,
    control: ControlFollower,
    readiness: Readiness,
    shutdown: &Shutdown,
) -> Result<Prepared, RegistryError> {
    let prepared = Prepared::default();
    let registry = SchemaRegistry::new(&config.registry)?;
    let (kafka, done, stop) = (config.kafka.clone(), prepared.clone(), shutdown.token());
    tokio::spawn(async move {
        let prepare = async {
            let trail_id = wait_for_trail(&kafka, control, &readiness).await;
            let schema_id = register(&registry, &readiness).await;
            tracing::info!(%schema_id, %trail_id, "ready to take events");
            done.get_or_init(|| Target { trail_id, schema_id });
        };
        tokio::select! {
            () = prepare => {}
            () = stop.cancelled() => {}
        }
    });
    Ok(prepared)
}

async fn wait_for_trail(kafka: &KafkaConfig, mut control: ControlFollower, readiness: &Readiness) -> TrailId {
    loop {
        control.caught_up().await;
        let reason = match &control.state().trail {
            None => "no trail has been begun; run `sealtrail init`".to_owned(),
            Some(trail) => match topics::check_events(kafka, &trail.topic, trail.genesis.len()).await {
                Ok(()) => {
                    readiness.ready(TRAIL);
                    return trail.trail_id;
                }
                Err(TopicFault::Kafka(error)) => error.to_string(),
                Err(fault) => {
                    tracing::error!(%fault, "the events topic breaks the promise");
                    fault.to_string()
                }
            },
        };
        readiness.not_ready(TRAIL, reason);
        tokio::time::sleep(RETRY).await;
    }
}

async fn register(registry: &SchemaRegistry, readiness: &Readiness) -> SchemaId {
    loop {
        match registry.register(EVENTS_SUBJECT, SCHEMA_TEXT).await {
            Ok(schema_id) => {
                readiness.ready(REGISTRY);
                return schema_id;
            }
            Err(error) => {
                tracing::warn!(%error, "schema not registered, trying again");
                readiness.not_ready(REGISTRY, error.to_string());
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}
