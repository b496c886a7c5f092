//! The accept loop. axum's own has no limit on how long a client may take over its headers; this one has, and a bound
//! on connections, and a drain at the end.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use thiserror::Error;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower::ServiceExt;
use tracing::Instrument;

use crate::config::HttpConfig;
use crate::lifecycle::Shutdown;
use crate::lingering::LingeringBody;
use crate::metrics::ListenerMetrics;
use crate::peers::{PeerPlace, Peers};
use crate::problem::Problem;
use crate::request_context::RequestContext;

/// The wait after an accept that failed, such as with too many open files.
const ACCEPT_RETRY_MS: u64 = 50;

#[derive(Debug, Error)]
#[error("cannot listen on {listen}: {cause}; is the port taken? choose another with the listen setting")]
pub struct BindError {
    pub listen: SocketAddr,
    pub cause: std::io::Error,
}

/// Binds before anything else starts, so that a taken port is the first thing said.
pub async fn bind(listen: SocketAddr) -> Result<TcpListener, BindError> {
    TcpListener::bind(listen).await.map_err(|cause| BindError { listen, cause })
}

/// Serves until the stop and for `stop_grace_ms` beyond it, then lets requests in flight finish within
/// `drain_timeout_ms`.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    config: &HttpConfig,
    shutdown: &Shutdown,
    metrics: ListenerMetrics,
) {
    metrics.most.set(i64::try_from(config.max_connections).unwrap_or(i64::MAX));
    let connections = Arc::new(Semaphore::new(config.max_connections));
    let peers = Peers::new(config.max_connections_per_peer);
    let graceful = GracefulShutdown::new();
    let header_timeout = Duration::from_millis(config.header_timeout_ms);
    let request_timeout = Duration::from_millis(config.request_timeout_ms);
    let stopped = async {
        shutdown.wait().await;
        tokio::time::sleep(Duration::from_millis(config.stop_grace_ms)).await;
    };
    tokio::pin!(stopped);
    loop {
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
        let service = hyper::service::service_fn({
            let (router, body_bytes) = (router.clone(), metrics.body_bytes.clone());
            move |request: hyper::Request<Incoming>| {
                let mut request: Request =
                    request.map(|body| Body::new(LingeringBody::new(body, body_bytes.clone())));
                request.extensions_mut().insert(ConnectInfo(peer));
                answer(router.clone(), request, peer, request_timeout)
            }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(header_timeout)
            .serve_connection(TokioIo::new(stream), service);
        let watched = graceful.watch(connection);
        tokio::spawn(async move {
            let _held_until_closed = open;
            if let Err(error) = watched.await {
                tracing::debug!(%peer, %error, "connection ended");
            }
        });
    }
    drop(listener);
    let drained =
        tokio::time::timeout(Duration::from_millis(config.drain_timeout_ms), graceful.shutdown()).await;
    if drained.is_err() {
        tracing::warn!("requests were still in flight when the drain time ended");
    }
}

/// Answers under the request's own correlation id, also where no route does.
async fn answer(
    router: Router,
    mut request: Request,
    peer: SocketAddr,
    limit: Duration,
) -> Result<Response, Infallible> {
    let context = RequestContext::of(request.headers());
    request.extensions_mut().insert(context.clone());
    let mut response = answer_in_time(router, request, limit).instrument(context.span(peer)).await?;
    context.mark(&mut response);
    secure(response.headers_mut());
    Ok(response)
}

/// What every answer tells a browser, unless its route says otherwise: that it is data, for the caller only.
const SECURE: [(HeaderName, HeaderValue); 4] = [
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
];

fn secure(headers: &mut HeaderMap) {
    for (name, value) in SECURE {
        headers.entry(name).or_insert(value);
    }
}

/// A request that takes longer than its time is dropped, and with it the work that was done for it.
async fn answer_in_time(router: Router, request: Request, limit: Duration) -> Result<Response, Infallible> {
    match tokio::time::timeout(limit, router.oneshot(request)).await {
        Ok(response) => response,
        Err(_) => {
            tracing::warn!(
                limit_ms = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX),
                "no answer in time"
            );
            Ok(Problem::unavailable("no answer in time; ask for less, or try again").into_response())
        }
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
