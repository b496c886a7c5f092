//! A small schema registry for the local stack.
//!
//! It speaks the Confluent Schema Registry REST API, for Avro, and keeps its schemas in the compacted Kafka topic
//! `_schemas`. One instance per Kafka cluster: it doesn't elect a leader.

mod api;
mod body;
mod compatibility;
mod error;
mod record;
mod schema;
mod select;
mod service;
mod state;
mod store;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use service::Registry;
use store::{Log, StoreError};

/// The largest request body taken.
pub(crate) const MAX_BODY_BYTES: usize = 1024 * 1024;
pub(crate) const MAX_SUBJECT_BYTES: usize = 1024;
/// How long requests under way may take once a shutdown was asked for.
const SHUTDOWN_PATIENCE: Duration = Duration::from_secs(5);

#[derive(Debug, Clone)]
pub struct RegistryOptions {
    pub listen: SocketAddr,
    /// Bootstrap servers.
    pub kafka: String,
}

/// Reads the topic to its end, then serves until shutdown.
pub async fn serve(options: RegistryOptions, shutdown: CancellationToken) -> anyhow::Result<()> {
    let opened = tokio::select! {
        opened = Log::open(&options.kafka, &shutdown) => opened,
        () = shutdown.cancelled() => return Ok(()),
    };
    let (log, changes) = match opened {
        Err(StoreError::Stopped) if shutdown.is_cancelled() => return Ok(()),
        opened => opened.context("the schema registry cannot start")?,
    };
    let records = changes.len();
    let registry = Arc::new(Registry::new(log, changes));

    let listen = options.listen;
    let listener = TcpListener::bind(listen).await.with_context(|| {
        format!("the schema registry cannot listen on {listen}; free it or choose another address")
    })?;
    tracing::info!(%listen, records, "the schema registry is ready");
    let stop = shutdown.clone();
    let server = axum::serve(listener, api::router(registry)).with_graceful_shutdown(stop.cancelled_owned());
    tokio::select! {
        served = server.into_future() => served.context("the schema registry stopped serving"),
        () = async {
            shutdown.cancelled().await;
            tokio::time::sleep(SHUTDOWN_PATIENCE).await;
        } => Ok(()),
    }
}

#[cfg(test)]
mod tests;
