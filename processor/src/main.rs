//! The processor: Kafka to ClickHouse, exactly once by announcement, token, deadline and read-back (design §5).

mod config;
mod dead_letters;
mod driver;
mod gather;
mod handler;
mod metrics;
mod pipeline;
mod sink;
mod stages;
mod worker;

use std::process::ExitCode;

use clap::Parser;
use service_kit::config::CommonFlags;
use service_kit::metrics::Metrics;
use service_kit::{Readiness, Shutdown, admin, config as settings, http, lifecycle, logs};

/// Reads audit events from Kafka, dedupes and routes them, and writes them to ClickHouse.
///
/// Settings: defaults, then --config FILE (TOML), then SEALTRAIL_PROCESSOR__<KEY>, then --set KEY=VALUE.
#[derive(Debug, Parser)]
#[command(name = "sealtrail-processor", version)]
struct Flags {
    #[command(flatten)]
    common: CommonFlags,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Flags::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "the processor stopped");
            eprintln!("sealtrail-processor: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(flags: Flags) -> anyhow::Result<()> {
    let config: config::Config = settings::load("PROCESSOR", &flags.common)?;
    config.check()?;
    logs::init(&config.log);
    let readiness =
        Readiness::of(&[lifecycle::ACCEPTING, handler::TRAIL, handler::TABLES, handler::ASSIGNMENT]);
    let metrics = Metrics::default();
    let admin_listener = http::bind(config.admin.listen).await?;
    let shutdown = Shutdown::on_signals(&readiness)?;
    admin::spawn(admin_listener, readiness.clone(), metrics.clone(), shutdown.clone());
    tracing::info!(admin = %config.admin.listen, kafka = config.kafka.brokers, clickhouse = config.clickhouse.url, "processor started");
    handler::serve(&config, &readiness, &metrics, &shutdown).await
}
