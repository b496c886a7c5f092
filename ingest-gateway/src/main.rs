//! The ingest gateway: authenticate, check, encode, produce, answer. It looks nothing up and stores nothing.

mod admit;
mod answer;
mod api;
mod config;
mod intake;
mod metrics;
mod prepare;
mod publish;

use std::process::ExitCode;
use std::sync::Arc;

use audit_event::credential::Pepper;
use clap::Parser;
use kafka_io::control::ControlFollower;
use kafka_io::producer::RecordProducer;
use schemas::CONTROL_TOPIC;
use service_kit::config::CommonFlags;
use service_kit::metrics::Metrics;
use service_kit::{Readiness, Shutdown, admin, config as settings, http, lifecycle, logs, secret};

/// Takes audit events over HTTP and writes them to Kafka.
///
/// Settings: defaults, then --config FILE (TOML), then SEALTRAIL_GATEWAY__<KEY>, then --set KEY=VALUE.
#[derive(Debug, Parser)]
#[command(name = "sealtrail-gateway", version)]
struct Flags {
    #[command(flatten)]
    common: CommonFlags,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Flags::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sealtrail-gateway: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(flags: Flags) -> anyhow::Result<()> {
    let config: config::Config = settings::load("GATEWAY", &flags.common)?;
    logs::init(&config.log);
    let pepper = secret::require("pepper", config.pepper.as_ref(), config.pepper_file.as_ref())?;
    let pepper = Pepper::new(pepper.expose())?;
    let listener = http::bind(config.http.listen).await?;
    let admin_listener = http::bind(config.admin.listen).await?;
    let readiness = Readiness::of(&[lifecycle::ACCEPTING, prepare::TRAIL, prepare::REGISTRY]);
    let metrics = Metrics::default();
    let shutdown = Shutdown::on_signals(&readiness)?;
    admin::spawn(admin_listener, readiness.clone(), metrics.clone(), shutdown.clone());
    let control = ControlFollower::start(&config.kafka, CONTROL_TOPIC, shutdown.token())?;
    let producer = Arc::new(RecordProducer::new(&config.kafka, &config.producer)?);
    let prepared = prepare::spawn(&config, control.clone(), readiness.clone(), &shutdown)?;
    tracing::info!(http = %config.http.listen, admin = %config.admin.listen, kafka = config.kafka.brokers, "gateway started");
    let gateway = api::Gateway {
        publisher: publish::Publisher::new(
            producer.clone(),
            prepared,
            metrics::GatewayMetrics::new(&metrics),
        ),
        admission: admit::Admission::new(control, pepper, &config.limits),
        limits: config.limits.clone(),
    };
    let router = api::router(gateway).merge(admin::routes(readiness, metrics));
    http::serve(listener, router, &config.http, &shutdown).await;
    producer.drain().await;
    Ok(())
}
