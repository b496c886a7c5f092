//! What a Prometheus finds to scrape: `.local/run/targets.json`, in the form of its file-based service discovery.

use std::fs;
use std::net::SocketAddr;

use anyhow::Context;
use serde_json::json;

use crate::layout::Layout;
use crate::ports::Ports;
use crate::services::Engines;

pub fn write(layout: &Layout, ports: &Ports, engines: &Engines) -> anyhow::Result<()> {
    let clickhouse = own_clickhouse(ports, engines);
    let targets: Vec<_> = [
        ("sealtrail-gateway", Some(ports.gateway_admin)),
        ("sealtrail-processor", Some(ports.processor_admin)),
        ("sealtrail-query-api", Some(ports.query_admin)),
        ("sealtrail-sealer", Some(ports.sealer_admin)),
        ("clickhouse", clickhouse),
    ]
    .into_iter()
    .filter_map(|(job, address)| Some(json!({"targets": [address?.to_string()], "labels": {"job": job}})))
    .collect();
    let file = layout.run_dir().join("targets.json");
    fs::write(&file, serde_json::to_string_pretty(&targets)?)
        .with_context(|| format!("write {}", file.display()))
}

/// The engine's plain HTTP port, unless the engine is a foreign one.
fn own_clickhouse(ports: &Ports, engines: &Engines) -> Option<SocketAddr> {
    let is_ours = engines.clickhouse.url.ends_with(&format!(":{}", ports.clickhouse.port()));
    is_ours.then_some(if engines.security.is_some() { ports.clickhouse_inner } else { ports.clickhouse })
}
