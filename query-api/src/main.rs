//! The query API: search and counts over HTTP, for the caller's tenant only. It only reads.

mod answer;
mod api;
mod auth;
mod config;
mod cursor;
mod filter;
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
use clap::Parser;
use clickhouse_io::ClickHouse;
use kafka_io::control::ControlFollower;
use schemas::CONTROL_TOPIC;
use service_kit::config::CommonFlags;
use service_kit::metrics::Metrics;
use service_kit::{Readiness, Secret, Shutdown, admin, config as settings, http, lifecycle, logs, secret};

/// Answers who did what to what, over HTTP.
///
/// Settings: defaults, then --config FILE (TOML), then SEALTRAIL_QUERY_API__<KEY>, then --set KEY=VALUE.
#[derive(Debug, Parser)]
#[command(name = "sealtrail-query-api", version)]
struct Flags {
    #[command(flatten)]
    common: CommonFlags,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Flags::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "the query api stopped");
            eprintln!("sealtrail-query-api: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(flags: Flags) -> anyhow::Result<()> {
    let config: config::Config = settings::load("QUERY_API", &flags.common)?;
    config.check()?;
    logs::init(&config.log);
    let pepper = secret::require("pepper", config.pepper.as_ref(), config.pepper_file.as_ref())?;
    let pepper = Pepper::new(pepper.expose()).context("pepper")?;
    let engine = connect(&config)?;

    let readiness = Readiness::of(&[lifecycle::ACCEPTING, starting::CONTROL, starting::CLICKHOUSE]);
    let metrics = Metrics::default();
    let listener = http::bind(config.http.listen).await?;
    let admin_listener = http::bind(config.admin.listen).await?;
    let shutdown = Shutdown::on_signals(&readiness)?;
    admin::spawn(admin_listener, readiness.clone(), metrics.clone(), shutdown.clone());

    let control = ControlFollower::start(&config.kafka, CONTROL_TOPIC, shutdown.token())?;
    tokio::spawn(starting::wait_for_control(control.clone(), readiness.clone(), shutdown.clone()));
    tokio::spawn(starting::watch_tables(engine.clone(), readiness.clone(), shutdown.clone()));

    let query_metrics = observe::QueryMetrics::new(&metrics);
    let router = api::router(
        api::Api {
            gate: Arc::new(auth::Gate::new(control, pepper, readiness.clone())),
            store: Arc::new(store::Store::new(
                engine,
                &config,
                readiness.clone(),
                query_metrics.query_seconds.clone(),
            )),
        },
        query_metrics,
        admin::routes(readiness, metrics),
    );
    tracing::info!(listen = %config.http.listen, admin = %config.admin.listen, kafka = config.kafka.brokers, clickhouse = config.clickhouse.url, "query api started");
    http::serve(listener, router, &config.http, &shutdown).await;
    tracing::info!("query api stopped");
    Ok(())
}

fn connect(config: &config::Config) -> Result<ClickHouse, secret::SecretError> {
    let password = secret::resolve(
        "clickhouse.password",
        config.clickhouse.password.clone().map(Secret::new).as_ref(),
        config.clickhouse.password_file.as_ref(),
    )?;
    Ok(ClickHouse::new(&config.clickhouse, password.as_ref().map(Secret::expose)))
}
