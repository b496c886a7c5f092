//! The HTTP client under ClickHouse's: the same for http and https, and with the authorities that we choose.

use std::time::Duration;

use client_security::ClientConfig;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

/// A silent connection is asked whether it is alive.
const TCP_KEEPALIVE: Duration = Duration::from_secs(60);
/// Below the 3 s after which ClickHouse closes an idle connection.
const POOL_IDLE: Duration = Duration::from_secs(2);

pub(crate) fn client(tls: ClientConfig) -> clickhouse::Client {
    let mut tcp = HttpConnector::new();
    tcp.set_keepalive(Some(TCP_KEEPALIVE));
    // which scheme is meant, the layer above decides
    tcp.enforce_http(false);
    let connector = hyper_rustls::HttpsConnectorBuilder::new()
        .with_tls_config(tls)
        .https_or_http()
        .enable_http1()
        .wrap_connector(tcp);
    let http = legacy::Client::builder(TokioExecutor::new()).pool_idle_timeout(POOL_IDLE).build(connector);
    clickhouse::Client::with_http_client(http)
}
