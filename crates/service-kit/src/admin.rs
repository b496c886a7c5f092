//! The admin port: `/healthz` (the process lives), `/readyz` (with reasons), `/metrics` (Prometheus).

use std::net::SocketAddr;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use tokio::net::TcpListener;

use crate::config::HttpConfig;
use crate::health::Readiness;
use crate::lifecycle::Shutdown;
use crate::metrics::{Listener, Metrics};

#[derive(Clone)]
struct Admin {
    readiness: Readiness,
    metrics: Metrics,
}

/// The three routes; the services that serve HTTP show them on their main port too.
pub fn routes(readiness: Readiness, metrics: Metrics) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(render_metrics))
        .with_state(Admin { readiness, metrics })
}

/// Serves the admin port in the background as long as the process lives: while the service stops, `/readyz` says so.
pub fn spawn(listener: TcpListener, readiness: Readiness, metrics: Metrics) {
    let listen: SocketAddr = listener.local_addr().unwrap_or_else(|_| SocketAddr::from(([127, 0, 0, 1], 0)));
    metrics.show_readiness(&readiness);
    tokio::spawn(async move {
        let counted = metrics.listener(Listener::Admin);
        let config = HttpConfig { max_connections: 64, ..HttpConfig::on(listen) };
        let never = Shutdown::default();
        crate::http::serve(listener.into(), routes(readiness, metrics), &config, &never, counted).await;
    });
}

async fn readyz(State(admin): State<Admin>) -> impl IntoResponse {
    let status = if admin.readiness.is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(serde_json::json!({ "parts": admin.readiness.parts() })))
}

async fn render_metrics(State(admin): State<Admin>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], admin.metrics.render())
}
