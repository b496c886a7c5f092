//! The processor: Kafka to ClickHouse, exactly once by announcement, token, deadline and read-back.

mod config;
mod dead_letters;
mod driver;
mod gather;
mod handler;
mod health;
mod metrics;
mod pace;
mod pipeline;
mod ports;
mod progress;
mod sending;
#[cfg(test)]
mod simulation;
mod sink;
mod stages;
mod worker;

use std::process::ExitCode;

use service_kit::lifecycle;
use service_kit::service::{Service, Started};

const SERVICE: Service = Service {
    program: "sealtrail-processor",
    environment: "PROCESSOR",
    about: "Reads audit events from Kafka, dedupes and routes them, and writes them to ClickHouse.",
    version: env!("CARGO_PKG_VERSION"),
    parts: &[
        lifecycle::ACCEPTING,
        handler::TRAIL,
        handler::TABLES,
        handler::ASSIGNMENT,
        health::CLICKHOUSE,
        health::INSERTS,
        health::KAFKA,
        health::REGISTRY,
    ],
    metrics: metrics::LIST,
    openapi: None,
};

#[tokio::main]
async fn main() -> ExitCode {
    SERVICE.run(serve).await
}

async fn serve(config: config::Config, started: Started) -> anyhow::Result<()> {
    let Started { readiness, metrics, shutdown } = started;
    tracing::info!(admin = %config.admin.listen, kafka = config.kafka.brokers, clickhouse = config.clickhouse.url, "processor started");
    handler::serve(&config, &readiness, &metrics, &shutdown).await
}
