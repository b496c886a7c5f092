//! A small schema registry for the local stack.
//!
//! It speaks the Confluent Schema Registry REST API, for Avro, and keeps its schemas in the compacted Kafka topic
//! `_schemas`. One instance per Kafka cluster: it doesn't elect a leader.

mod api;
mod body;
mod compatibility;
mod error;
mod flags;
mod guard;
mod record;
mod schema;
mod select;
mod service;
mod state;
mod store;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use flags::RegistryFlags;

use crate::secured::door::{IdentityFlags, TlsListener};
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
    /// Further settings of the Kafka client, as librdkafka names them.
    pub kafka_properties: Vec<(String, String)>,
    /// Without them it speaks plain HTTP to everybody.
    pub secured: Option<Secured>,
}

/// Who the registry is, and whom it lets in.
#[derive(Debug, Clone)]
pub struct Secured {
    pub identity: IdentityFlags,
    pub user: String,
    pub password_file: PathBuf,
}

/// Reads the topic to its end, then serves until shutdown.
pub async fn serve(options: RegistryOptions, shutdown: CancellationToken) -> anyhow::Result<()> {
    let opened = tokio::select! {
        opened = Log::open(&options.kafka, &options.kafka_properties, &shutdown) => opened,
        () = shutdown.cancelled() => return Ok(()),
    };
    let (log, changes) = match opened {
        Err(StoreError::Stopped) if shutdown.is_cancelled() => return Ok(()),
        opened => opened.context("the schema registry cannot start")?,
    };
    let records = changes.len();
    let registry = Arc::new(Registry::new(log, changes));

    let listen = options.listen;
    let router = api::router(registry);
    let cannot_listen =
        || format!("the schema registry cannot listen on {listen}; free it or choose another address");
    match &options.secured {
        None => {
            let listener = TcpListener::bind(listen).await.with_context(cannot_listen)?;
            tracing::info!(%listen, records, "the schema registry is ready");
            serve_until(listener, router, shutdown).await
        }
        Some(secured) => {
            let password = std::fs::read_to_string(&secured.password_file).context("registry password")?;
            let login = guard::Login::new(&secured.user, password.trim_end());
            let router = router.layer(axum::middleware::from_fn_with_state(login, guard::check));
            let listener = TlsListener::bind(listen, &secured.identity).await.with_context(cannot_listen)?;
            tracing::info!(%listen, records, "the schema registry is ready, with TLS");
            serve_until(listener, router, shutdown).await
        }
    }
}

async fn serve_until<L>(listener: L, router: Router, shutdown: CancellationToken) -> anyhow::Result<()>
where
    L: axum::serve::Listener,
    L::Addr: std::fmt::Debug,
{
    let stop = shutdown.clone();
    let server = axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned());
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
