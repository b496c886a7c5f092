//! The tenant `demo`: its credentials, a small sample to see, and the addresses to try.

use std::fs;
use std::path::Path;

use anyhow::Context;
use audit_event::TenantId;

use crate::layout::{Layout, write_private};
use crate::ports::Ports;
use crate::services::{Engines, sealtrail};

const TENANT: &str = "demo";
macro_rules! examples {
    ($($name:literal),+ $(,)?) => {
        &[$(include_str!(concat!("../../schemas/examples/", $name, ".json"))),+]
    };
}

/// The examples of the schema, which show what an event can be.
const SAMPLE: &[&str] = examples![
    "agent_step",
    "agent_step_anomaly",
    "attribute_values",
    "batch_item",
    "changes",
    "data_class_phi",
    "denied",
    "empty_strings",
    "full",
    "many_targets",
    "minimal",
    "no_targets",
    "review",
    "trace",
    "unicode",
    "unknown_type",
];

pub fn tenant() -> anyhow::Result<TenantId> {
    Ok(TENANT.parse()?)
}

/// Creates the tenant and its key. Answers the key.
pub async fn create_tenant(engines: &Engines, layout: &Layout) -> anyhow::Result<String> {
    let key_file = layout.secret_file("demo.key");
    let mut variables = engines.variables();
    variables.push(("SEALTRAIL_PEPPER_FILE", layout.secret_file("pepper").display().to_string()));
    sealtrail(&["tenants", "create", TENANT, "--level", "all"], &variables).await?;
    let file = key_file.display().to_string();
    sealtrail(&["keys", "create", "--tenant", TENANT, "--role", "admin", "--file", &file], &variables)
        .await?;
    let key = fs::read_to_string(&key_file).with_context(|| format!("read {file}"))?;
    Ok(key.trim().to_owned())
}

/// Writes `.local/demo.env`: what clients and the `sealtrail` command read.
pub fn write_env(layout: &Layout, ports: &Ports, engines: &Engines, api_key: &str) -> anyhow::Result<()> {
    let mut lines = vec![
        ("SEALTRAIL_GATEWAY_URL", format!("http://{}", ports.gateway)),
        ("SEALTRAIL_QUERY_URL", format!("http://{}", ports.query)),
        ("SEALTRAIL_PROCESSOR_URL", format!("http://{}", ports.processor_admin)),
        ("SEALTRAIL_API_KEY", api_key.to_owned()),
        ("SEALTRAIL_PEPPER_FILE", layout.secret_file("pepper").display().to_string()),
        ("SEALTRAIL_RUN_DIR", layout.run_dir().display().to_string()),
    ];
    lines.extend(engines.variables());
    if engines.topic_check == "single_broker" {
        lines.push(("SEALTRAIL_SINGLE_BROKER", "true".to_owned()));
    }
    // quoted: the file is read by shells, and the ClickHouse URL holds an ampersand
    let text: Vec<_> = lines.iter().map(|(name, value)| format!("{name}='{value}'")).collect();
    write_private(&layout.demo_env(), &text.join("\n"))
}

/// Sends our own sample through the gateway, once in the life of the data directory.
pub async fn load_sample(layout: &Layout, ports: &Ports, api_key: &str) -> anyhow::Result<()> {
    let loaded = layout.data("sample-loaded");
    if loaded.exists() {
        return Ok(());
    }
    let variables = [
        ("SEALTRAIL_GATEWAY_URL", format!("http://{}", ports.gateway)),
        ("SEALTRAIL_API_KEY", api_key.to_owned()),
    ];
    let file = layout.run_dir().join("sample.json");
    fs::write(&file, format!("[{}]", SAMPLE.join(",")))?;
    sealtrail(&["send", &file.display().to_string()], &variables).await?;
    fs::write(loaded, "")?;
    Ok(())
}

/// Says where everything is, with a call for each.
pub fn print_addresses(layout: &Layout, ports: &Ports, engines: &Engines) {
    let ca = if engines.security.is_some() { " --cacert $SEALTRAIL_CA_FILE" } else { "" };
    let env = display_short(&layout.demo_env());
    println!("\nSealtrail is up. In another terminal:\n\n  set -a; . {env}; set +a\n");
    println!("gateway          http://{}", ports.gateway);
    println!(
        "  curl -s $SEALTRAIL_GATEWAY_URL/v1/events -H \"Authorization: Bearer $SEALTRAIL_API_KEY\" -H 'Content-Type: application/json' \\\n    \
         -d '{{\"event_type\":\"user.login\",\"occurred_at\":\"'$(date -u +%FT%TZ)'\",\"actor\":{{\"id\":\"ada\"}},\"outcome\":\"success\"}}'"
    );
    println!("query API        http://{}", ports.query);
    println!(
        "  curl -s \"$SEALTRAIL_QUERY_URL/v1/events?limit=3\" -H \"Authorization: Bearer $SEALTRAIL_API_KEY\""
    );
    println!("ClickHouse       {} (native {})", engines.clickhouse.url, ports.clickhouse_native);
    println!(
        "  curl -s{ca} \"$SEALTRAIL_CLICKHOUSE_URL\" -d 'SELECT event_type, count() FROM events GROUP BY 1 ORDER BY 2 DESC FORMAT PrettyCompact'"
    );
    if engines.clickhouse.analyst.is_some() {
        println!(
            "  curl -s{ca} \"$SEALTRAIL_ANALYST_URL\" -d 'SELECT count() FROM audit_events'  # sees its tenant only"
        );
    }
    println!("Kafka            {}", engines.kafka);
    println!("  kcat -b $SEALTRAIL_KAFKA{} -L", engines.kcat_flags());
    println!("schema registry  {}", engines.registry_url);
    println!("  curl -s{ca} $SEALTRAIL_REGISTRY_URL/subjects");
    println!(
        "health, metrics  gateway http://{}, processor http://{}, query API http://{}, sealer http://{}",
        ports.gateway_admin, ports.processor_admin, ports.query_admin, ports.sealer_admin
    );
    println!("  curl -s http://{}/readyz", ports.processor_admin);
    println!("\nCtrl-C (or `make down`) stops everything; data is kept until `make reset`.");
}

fn display_short(path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(here).unwrap_or(path).display().to_string()
}
