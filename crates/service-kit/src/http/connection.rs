//! One connection, from its handshake to its end.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::Watcher;
use prometheus::IntCounter;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

use super::answer::{AnswerBody, answer};
use super::patience::{Patience, PatientStream};
use crate::config::HttpConfig;
use crate::lingering::LingeringBody;
use crate::metrics::ListenerMetrics;

/// The largest headers of a request, and what a connection goes on to hold once a large body came over it; hyper's own
/// bound is 408 KiB. Without large bodies a connection that rests took 16 KiB, 30 KiB with TLS (10,000 and 2,000 of
/// them, measured).
const MAX_BUFFER_BYTES: usize = 32 * 1024;

/// What all connections of a listener share.
pub struct Serving {
    router: Router,
    header_timeout: Duration,
    idle_timeout: Duration,
    request_timeout: Duration,
    body_bytes: IntCounter,
    failed_handshakes: IntCounter,
    /// Cancelled when no handshake needs to be finished any more.
    pub closing: CancellationToken,
}

impl Serving {
    pub fn new(router: Router, config: &HttpConfig, metrics: &ListenerMetrics) -> Self {
        Self {
            router,
            header_timeout: Duration::from_millis(config.header_timeout_ms),
            idle_timeout: Duration::from_millis(config.idle_timeout_ms),
            request_timeout: Duration::from_millis(config.request_timeout_ms),
            body_bytes: metrics.body_bytes.clone(),
            failed_handshakes: metrics.failed_handshakes.clone(),
            closing: CancellationToken::new(),
        }
    }
}

pub struct Connection {
    pub peer: SocketAddr,
    pub watcher: Watcher,
    pub serving: Arc<Serving>,
}

impl Connection {
    pub async fn run(self, stream: TcpStream, tls: Option<TlsAcceptor>) {
        match tls {
            None => self.serve(stream).await,
            // boxed, so that a plain connection does not take the room of a handshake
            Some(tls) => Box::pin(self.serve_tls(stream, tls)).await,
        }
    }

    async fn serve_tls(self, stream: TcpStream, tls: TlsAcceptor) {
        let serving = self.serving.clone();
        let shaken = tokio::select! {
            shaken = shake_hands(stream, tls, serving.header_timeout) => shaken,
            () = serving.closing.cancelled() => return,
        };
        match shaken {
            Ok(stream) => self.serve(stream).await,
            Err(error) => {
                serving.failed_handshakes.inc();
                tracing::debug!(peer = %self.peer, %error, "no TLS");
            }
        }
    }

    async fn serve<S>(self, stream: S)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Self { peer, watcher, serving } = self;
        let patience = Patience::new(serving.header_timeout, serving.idle_timeout);
        let stream = PatientStream::new(stream, patience.clone());
        let service = hyper::service::service_fn({
            let patience = patience.clone();
            move |request: hyper::Request<Incoming>| {
                let exchange = patience.begin();
                let read_bytes = serving.body_bytes.clone();
                let mut request: Request =
                    request.map(|body| Body::new(LingeringBody::new(body, read_bytes, exchange.clone())));
                request.extensions_mut().insert(ConnectInfo(peer));
                let answering = answer(serving.router.clone(), request, peer, serving.request_timeout);
                async move { answering.await.map(|answer| answer.map(|body| AnswerBody::new(body, exchange))) }
            }
        });
        let connection = http1::Builder::new()
            // Patience does it
            .header_read_timeout(None)
            .max_buf_size(MAX_BUFFER_BYTES)
            .serve_connection(TokioIo::new(stream), service);
        match patience.hold(watcher.watch(connection)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%peer, %error, "connection ended"),
            Err(ran_out) => tracing::debug!(%peer, %ran_out, "connection closed"),
        }
    }
}

/// A client that takes longer over its handshake than it may over its headers is no client.
async fn shake_hands(
    stream: TcpStream,
    tls: TlsAcceptor,
    limit: Duration,
) -> io::Result<TlsStream<TcpStream>> {
    match tokio::time::timeout(limit, tls.accept(stream)).await {
        Ok(shaken) => shaken,
        Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "the handshake took too long")),
    }
}
