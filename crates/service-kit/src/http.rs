//! The accept loop. axum's own has no limit on how long a client may take over its headers; this one has, and a bound
//! on connections, TLS, and a drain at the end.

mod answer;
mod connection;
pub mod cors;
pub(crate) mod patience;
pub(crate) mod tls;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::server::graceful::GracefulShutdown;
use thiserror::Error;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::task::AbortOnDropHandle;

use crate::config::HttpConfig;
use crate::lifecycle::Shutdown;
use crate::metrics::ListenerMetrics;
use crate::peers::{PeerPlace, Peers};

use connection::{Connection, Serving};
use tls::{Tls, TlsFiles};

pub use tls::TlsError;

/// The wait after an accept that failed, such as with too many open files.
const ACCEPT_RETRY_MS: u64 = 50;

#[derive(Debug, Error)]
#[error("cannot listen on {listen}: {cause}; is the port taken? choose another with the listen setting")]
pub struct BindError {
    pub listen: SocketAddr,
    pub cause: std::io::Error,
}

/// Why a listener does not open.
#[derive(Debug, Error)]
pub enum OpenError {
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// Binds before anything else starts, so that a taken port is the first thing said.
pub async fn bind(listen: SocketAddr) -> Result<TcpListener, BindError> {
    TcpListener::bind(listen).await.map_err(|cause| BindError { listen, cause })
}

/// A port that is taken, and the TLS that is spoken there.
#[derive(Debug)]
pub struct Listening {
    listener: TcpListener,
    tls: Option<Tls>,
}

/// Without TLS.
impl From<TcpListener> for Listening {
    fn from(listener: TcpListener) -> Self {
        Self { listener, tls: None }
    }
}

/// Reads the certificate and binds, before anything else starts.
pub async fn open(config: &HttpConfig) -> Result<Listening, OpenError> {
    let tls = match TlsFiles::of(&config.tls) {
        Some(files) => Some(Tls::load(files).await?),
        None => None,
    };
    Ok(Listening { listener: bind(config.listen).await?, tls })
}

/// Serves until the stop and for `stop_grace_ms` beyond it, then lets requests in flight finish within
/// `drain_timeout_ms`.
pub async fn serve(
    listening: Listening,
    router: Router,
    config: &HttpConfig,
    shutdown: &Shutdown,
    metrics: ListenerMetrics,
) {
    metrics.most.set(i64::try_from(config.max_connections).unwrap_or(i64::MAX));
    let Listening { listener, tls } = listening;
    let _until_the_end = tls.clone().map(|tls| AbortOnDropHandle::new(tokio::spawn(tls.follow())));
    let connections = Arc::new(Semaphore::new(config.max_connections));
    let peers = Peers::new(config.max_connections_per_peer);
    let graceful = GracefulShutdown::new();
    let serving = Arc::new(Serving::new(router, config, &metrics));
    let stopped = async {
        shutdown.wait().await;
        tokio::time::sleep(Duration::from_millis(config.stop_grace_ms)).await;
    };
    tokio::pin!(stopped);
    loop {
        // accept counts against the task's budget, so a peer that is refused over and over again does not keep others
        // from their turn
        let (stream, peer, permit) = tokio::select! {
            () = &mut stopped => break,
            accepted = accept(&listener, &connections) => match accepted {
                Some(accepted) => accepted,
                None => continue,
            },
        };
        let Some(place) = peers.enter(peer.ip()) else {
            metrics.refused.inc();
            continue;
        };
        let open = OpenConnection::begin(&metrics, permit, place);
        let connection = Connection { peer, watcher: graceful.watcher(), serving: serving.clone() };
        let tls = tls.as_ref().map(Tls::acceptor);
        tokio::spawn(async move {
            let _held_until_closed = open;
            connection.run(stream, tls).await;
        });
    }
    drop(listener);
    serving.closing.cancel();
    let drained =
        tokio::time::timeout(Duration::from_millis(config.drain_timeout_ms), graceful.shutdown()).await;
    if drained.is_err() {
        tracing::warn!("requests were still in flight when the drain time ended");
    }
}

/// Holds a connection's place; counted as open until dropped.
struct OpenConnection {
    open: prometheus::IntGauge,
    _permit: OwnedSemaphorePermit,
    _place: PeerPlace,
}

impl OpenConnection {
    fn begin(metrics: &ListenerMetrics, permit: OwnedSemaphorePermit, place: PeerPlace) -> Self {
        metrics.accepted.inc();
        metrics.open.inc();
        Self { open: metrics.open.clone(), _permit: permit, _place: place }
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.open.dec();
    }
}

async fn accept(
    listener: &TcpListener,
    connections: &Arc<Semaphore>,
) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let permit = connections.clone().acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, peer)) => {
            // answers are small and should not wait for more
            let _best_effort = stream.set_nodelay(true);
            Some((stream, peer, permit))
        }
        Err(error) => {
            tracing::warn!(%error, "accept failed");
            tokio::time::sleep(Duration::from_millis(ACCEPT_RETRY_MS)).await;
            None
        }
    }
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
