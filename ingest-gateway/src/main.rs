//! The ingest gateway: authenticate, check, encode, produce, answer. It looks nothing up and stores nothing.

mod admit;
mod answer;
mod api;
mod body;
mod book;
mod buffered;
mod cloudevents;
mod config;
mod event_schema;
mod event_types;
mod form;
mod intake;
mod metrics;
mod ndjson;
mod prepare;
mod publish;
mod rates;
mod receipts;
mod stable_id;
mod stream;
mod turns;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use audit_event::credential::Pepper;
use identity::Identity;
use kafka_io::control::{ControlFollower, ControlWriter};
use kafka_io::last_use::LastUse;
use kafka_io::producer::RecordProducer;
use schemas::CONTROL_TOPIC;
use service_kit::metrics::Listener;
use service_kit::service::{Service, Started};
use service_kit::{admin, docs_page, http, lifecycle, secret};

/// Batches are many small allocations: glibc's took a fifth of the gateway's CPU in the bench of 100 events a body.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SERVICE: Service = Service {
    program: "sealtrail-gateway",
    environment: "GATEWAY",
    about: "Takes audit events over HTTP and writes them to Kafka.",
    version: env!("CARGO_PKG_VERSION"),
    parts: &[lifecycle::ACCEPTING, prepare::TRAIL, prepare::REGISTRY],
    metrics: metrics::LIST,
    openapi: Some(api::description),
};

#[tokio::main]
async fn main() -> ExitCode {
    SERVICE.run(serve).await
}

async fn serve(config: config::Config, started: Started) -> anyhow::Result<()> {
    let Started { readiness, metrics, shutdown } = started;
    let pepper = secret::require("pepper", config.pepper.as_ref(), config.pepper_file.as_ref())?;
    let pepper = Pepper::new(pepper.expose()).context("pepper")?;
    let receipts = Arc::new(receipts::Receipts::load(&config.receipts)?);
    let listener = http::open(&config.http).await?;
    let control = ControlFollower::start(&config.kafka, CONTROL_TOPIC, shutdown.token())?;
    let last_use = LastUse::start(&config.kafka, CONTROL_TOPIC, shutdown.token())?;
    let control_writer = ControlWriter::new(&config.kafka, CONTROL_TOPIC)?;
    let identity = Identity::start(pepper.clone(), &config.tokens, shutdown.token())?;
    let producer = Arc::new(RecordProducer::new(&config.kafka, &config.producer)?);
    let buffer = buffered::Buffer::open(&config.delivery, producer.clone())?;
    let prepared = prepare::spawn(&config, control.clone(), readiness.clone(), &shutdown)?;
    receipts.follow(&shutdown);
    tracing::info!(http = %config.http.listen, admin = %config.admin.listen, kafka = config.kafka.brokers, "gateway started");
    let admission = admit::Admission::new(control, identity, pepper, last_use, &config.limits);
    metrics::watch_queue(&metrics, &producer, config.producer.max_queued_records);
    metrics::watch_bodies(&metrics, &admission);
    metrics::watch_book(&metrics, buffer.as_ref().map(|buffer| buffer.book()));
    let gateway_metrics = metrics::GatewayMetrics::new(&metrics);
    let publisher = publish::Publisher {
        producer: producer.clone(),
        buffer: buffer.clone(),
        receipts,
        prepared,
        metrics: gateway_metrics,
    };
    let gateway = api::Gateway {
        publisher,
        admission,
        rates: rates::Rates::new(&config.limits),
        turns: turns::Turns::new(&config.limits),
        control_writer,
        limits: config.limits.clone(),
    };
    let router = metrics::observed(api::router(gateway), &metrics);
    let counted = metrics.listener(Listener::Http);
    let router = http::cors::allow(router, &config.http.cors_origins)
        .merge(docs_page::routes())
        .merge(admin::routes(readiness, metrics));
    http::serve(listener, router, &config.http, &shutdown, counted).await;
    if let Some(buffer) = buffer {
        buffer.drain(Duration::from_millis(u64::from(config.producer.delivery_timeout_ms))).await;
    }
    producer.drain().await;
    Ok(())
}
