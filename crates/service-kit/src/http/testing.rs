//! A listener with a few routes on a port of the system's choice, and a client that writes what it likes.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::routing::{get, post};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::{open, serve};
use crate::config::HttpConfig;
use crate::metrics::{Listener, Metrics};
use crate::{Shutdown, docs_page};

/// Longer than anything that must happen in a test, on a machine that is busy.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub fn config() -> HttpConfig {
    HttpConfig { stop_grace_ms: 0, ..HttpConfig::on(([127, 0, 0, 1], 0).into()) }
}

pub struct Running {
    pub address: SocketAddr,
    pub metrics: Metrics,
    pub shutdown: Shutdown,
    pub served: tokio::task::JoinHandle<()>,
}

impl Running {
    /// The value of a counter or gauge of the listener.
    pub fn counted(&self, name: &str) -> u64 {
        let series = format!("{name}{{listener=\"http\"}} ");
        let text = self.metrics.render();
        let value = text.lines().find_map(|line| line.strip_prefix(&series));
        value.expect("a series").parse().expect("a number")
    }

    pub async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.expect("connects")
    }

    pub async fn connect_tls(
        &self,
        trusted: &CertificateDer<'static>,
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(trusted.clone()).expect("an anchor");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let client = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from("localhost").expect("a name");
        TlsConnector::from(Arc::new(client)).connect(name, self.connect().await).await
    }
}

pub async fn start(config: HttpConfig) -> Running {
    let listening = open(&config).await.expect("opens");
    let address = listening.listener.local_addr().expect("bound");
    let (metrics, shutdown) = (Metrics::of("test", "1.0.0", &[]), Shutdown::default());
    let counted = metrics.listener(Listener::Http);
    let router = Router::new()
        .route("/", get(|| async { "hello" }))
        .route("/length", post(|body: Bytes| async move { body.len().to_string() }))
        .route("/refuse", post(|| async { "no" }))
        .route("/large", get(|| async { vec![b'x'; 64 * 1024 * 1024] }));
    let router = super::cors::allow(router, &config.cors_origins).merge(docs_page::routes());
    let served = tokio::spawn({
        let shutdown = shutdown.clone();
        async move { serve(listening, router, &config, &shutdown, counted).await }
    });
    Running { address, metrics, shutdown, served }
}

/// Sends what is written and reads one answer: its head and its body.
pub async fn ask<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, request: &str) -> (String, String) {
    stream.write_all(request.as_bytes()).await.expect("written");
    tokio::time::timeout(PATIENCE, read_answer(stream)).await.expect("an answer in time")
}

async fn read_answer<S: AsyncRead + Unpin>(stream: &mut S) -> (String, String) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.expect("a head"));
    }
    let head = String::from_utf8(head).expect("ASCII").to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.trim().parse().expect("a length"))];
    stream.read_exact(&mut body).await.expect("a body");
    (head, String::from_utf8_lossy(&body).into_owned())
}

pub const GET: &str = "GET / HTTP/1.1\r\nhost: t\r\n\r\n";

/// How long it takes until the other side closes.
pub async fn closed_after<S: AsyncRead + Unpin>(stream: &mut S) -> Duration {
    let begun = std::time::Instant::now();
    let mut byte = [0];
    let read = tokio::time::timeout(PATIENCE, stream.read(&mut byte)).await.expect("closed in time");
    assert!(!matches!(read, Ok(1..)), "something was said");
    begun.elapsed()
}

/// A certificate for `localhost` in two files, and as clients trust it.
pub fn write_certificate(dir: &Path) -> (PathBuf, PathBuf, CertificateDer<'static>) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("made");
    let (certificate, key) = (dir.join("certificate.pem"), dir.join("key.pem"));
    std::fs::write(&certificate, made.cert.pem()).expect("written");
    std::fs::write(&key, made.signing_key.serialize_pem()).expect("written");
    (certificate, key, made.cert.der().clone())
}
