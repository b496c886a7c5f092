//! `sealtrail doctor`: what is reachable, and which settings break the promise. It gathers facts first, all parts at
//! once and each within its time, and judges them then; nothing is written.

mod clickhouse;
mod finding;
mod kafka;
mod processing;
mod registry;
mod services;

use std::time::Duration;

use clap::Args;
use reqwest::Url;

use self::finding::Report;
use crate::connect::{
    ClickHouseFlags, GatewayUrlFlag, GroupFlags, KafkaFlags, RegistryFlags, SingleBrokerFlag,
};
use crate::output::{Format, Outcome};
use crate::trust;

/// The longest that one part is waited for. A broker that is away takes librdkafka's ten seconds to be called so.
const PART_LIMIT: Duration = Duration::from_secs(15);
const HTTP_LIMIT: Duration = Duration::from_secs(5);

/// What was read, or why it was not.
type Seen<T> = Result<T, String>;

#[derive(Debug, Args)]
pub struct DoctorFlags {
    #[command(flatten)]
    brokers: SingleBrokerFlag,
    #[command(flatten)]
    kafka: KafkaFlags,
    #[command(flatten)]
    group: GroupFlags,
    #[command(flatten)]
    clickhouse: ClickHouseFlags,
    #[command(flatten)]
    registry: RegistryFlags,
    #[command(flatten)]
    gateway: GatewayUrlFlag,
    /// Query API
    #[arg(long, env = "SEALTRAIL_QUERY_URL", default_value = "http://127.0.0.1:8081", value_name = "URL")]
    query: Url,
    /// A processor's admin port; without it processors are seen through their consumer group only
    #[arg(long, env = "SEALTRAIL_PROCESSOR_URL", value_name = "URL")]
    processor: Option<Url>,
}

pub async fn run(flags: &DoctorFlags, format: Format) -> anyhow::Result<Outcome> {
    let config = flags.kafka.config(flags.brokers.topic_check())?;
    let engine = flags.clickhouse.connect()?;
    let registry = flags.registry.connect()?;
    let client = trust::http_client(HTTP_LIMIT)?;
    let (kafka, clickhouse, registry, gateway, query, processor) = tokio::join!(
        within(kafka::gather(&config, &flags.group.group)),
        within(clickhouse::gather(&engine)),
        within(registry::gather(&registry)),
        services::ask(&client, &flags.gateway.gateway),
        services::ask(&client, &flags.query),
        services::ask_if(&client, flags.processor.as_ref()),
    );
    let trail = kafka.as_ref().ok().and_then(|facts| facts.control.as_ref().ok()?.clone());
    let positions = match (&trail, clickhouse::without_tables(&clickhouse)) {
        (Some(trail), None) => within(processing::gather(&config, &engine, trail, &flags.group.group)).await,
        (None, _) => Err("the trail is not known".to_owned()),
        (_, Some(reason)) => Err(reason.to_owned()),
    };
    let mut checks = kafka::judge(&kafka, flags.brokers.topic_check());
    checks.extend(registry::judge(&registry));
    checks.extend(clickhouse::judge(&clickhouse));
    checks.extend(clickhouse::judge_trail(&kafka, &clickhouse));
    checks.extend(services::judge("gateway", &gateway));
    checks.extend(services::judge("query-api", &query));
    checks.extend(processor.iter().flat_map(|readiness| services::judge("processor", readiness)));
    checks.extend(processing::judge(&kafka, trail.as_ref(), &positions));
    let report = Report::of(checks);
    format.print(&report)?;
    Ok(report.outcome())
}

async fn within<T>(gather: impl Future<Output = Seen<T>>) -> Seen<T> {
    let limit = tokio::time::timeout(PART_LIMIT, gather).await;
    limit.unwrap_or_else(|_| Err(format!("no answer within {} s", PART_LIMIT.as_secs())))
}

/// An error as a reason.
fn why(error: impl ToString) -> String {
    error.to_string()
}
