//! The ingest gateway: authenticate, check, encode, produce, answer. It looks nothing up and stores nothing.

mod admit;
mod answer;
mod api;
mod body;
mod cloudevents;
mod config;
mod form;
mod intake;
mod metrics;
mod ndjson;
mod prepare;
mod publish;
mod rates;
mod stable_id;
mod stream;

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use audit_event::credential::Pepper;
use kafka_io::control::ControlFollower;
use kafka_io::producer::RecordProducer;
use schemas::CONTROL_TOPIC;
use service_kit::metrics::Listener;
use service_kit::service::{Service, Started};
use service_kit::{admin, docs_page, http, lifecycle, secret};

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
    let listener = http::open(&config.http).await?;
    let control = ControlFollower::start(&config.kafka, CONTROL_TOPIC, shutdown.token())?;
    let producer = Arc::new(RecordProducer::new(&config.kafka, &config.producer)?);
    let prepared = prepare::spawn(&config, control.clone(), readiness.clone(), &shutdown)?;
    tracing::info!(http = %config.http.listen, admin = %config.admin.listen, kafka = config.kafka.brokers, "gateway started");
    let admission = admit::Admission::new(control, pepper, &config.limits);
    metrics::watch_queue(&metrics, &producer, config.producer.max_queued_records);
    metrics::watch_bodies(&metrics, &admission);
    let gateway = api::Gateway {
        publisher: publish::Publisher::new(
            producer.clone(),
            prepared,
            metrics::GatewayMetrics::new(&metrics),
        ),
        admission,
        rates: rates::Rates::new(&config.limits),
        limits: config.limits.clone(),
    };
    let router = metrics::observed(api::router(gateway), &metrics);
    let counted = metrics.listener(Listener::Http);
    let router = http::cors::allow(router, &config.http.cors_origins)
        .merge(docs_page::routes())
        .merge(admin::routes(readiness, metrics));
    http::serve(listener, router, &config.http, &shutdown, counted).await;
    producer.drain().await;
    Ok(())
}
