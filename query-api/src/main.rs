//! The query API: search and counts over HTTP, for the caller's tenant only. It only reads.

mod answer;
mod api;
mod auth;
mod config;
mod cursor;
mod filter;
mod metrics;
mod observe;
mod openapi;
mod parameters;
mod search;
mod starting;
mod stats;
mod store;

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use audit_event::credential::Pepper;
use clickhouse_io::ClickHouse;
use identity::Identity;
use kafka_io::control::ControlFollower;
use schemas::CONTROL_TOPIC;
use service_kit::metrics::Listener;
use service_kit::service::{Service, Started};
use service_kit::{admin, docs_page, http, lifecycle, secret};

const SERVICE: Service = Service {
    program: "sealtrail-query-api",
    environment: "QUERY_API",
    about: "Answers who did what to what, over HTTP.",
    version: env!("CARGO_PKG_VERSION"),
    parts: &[lifecycle::ACCEPTING, starting::CONTROL, starting::CLICKHOUSE],
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
    let engine = ClickHouse::new(&config.clickhouse)?;
    let listener = http::open(&config.http).await?;

    let control = ControlFollower::start(&config.kafka, CONTROL_TOPIC, shutdown.token())?;
    let identity = Identity::start(pepper, &config.tokens, shutdown.token())?;
    tokio::spawn(starting::wait_for_control(control.clone(), readiness.clone(), shutdown.clone()));
    tokio::spawn(starting::watch_tables(engine.clone(), readiness.clone(), shutdown.clone()));

    let query_metrics = metrics::QueryMetrics::new(&metrics);
    let store = store::Store::new(engine, &config, readiness.clone(), query_metrics.store.clone());
    metrics::watch_slots(&metrics, store.slots());
    let counted = metrics.listener(Listener::Http);
    let router = api::router(
        api::Api {
            gate: Arc::new(auth::Gate::new(control, identity, readiness.clone())),
            store: Arc::new(store),
        },
        query_metrics,
        &config.http.cors_origins,
        docs_page::routes().merge(admin::routes(readiness, metrics)),
    );
    tracing::info!(listen = %config.http.listen, admin = %config.admin.listen, kafka = config.kafka.brokers, clickhouse = config.clickhouse.url, "query api started");
    http::serve(listener, router, &config.http, &shutdown, counted).await;
    Ok(())
}
