//! After the crowd has gone: do the engines still answer, has the trail caught up, is every event there once.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use tokio::time::Instant;

use crate::bench::marks::Marks;
use crate::clickhouse::ClickHouse;
use crate::env::Settings;
use crate::http1::{Address, Connection, Route};
use crate::ledger::Account;
use crate::report::Verdict;
use crate::verify::verify;

const REACHED: &str = "
SELECT kafka_partition AS partition, max(to_offset) AS reached FROM event_batches
WHERE topic = {topic:String} AND trail_id = (SELECT argMax(trail_id, begun_at) FROM trails)
GROUP BY kafka_partition";

const LOOK_EVERY: Duration = Duration::from_millis(500);

pub async fn check(settings: &Settings<'_>, account: &Account, patience: Duration) -> Result<Verdict> {
    let clickhouse = ClickHouse::of(settings)?;
    let (verdict, _) = verify(&clickhouse, account, patience).await?;
    let lag = lag_zero(settings, &clickhouse, patience).await;
    let query = query_answers(settings).await;
    for (name, checked) in
        [("kafka answers, and no record waits for ClickHouse", &lag), ("the query API answers", &query)]
    {
        match checked {
            Ok(()) => println!("{name}: holds"),
            Err(error) => println!("{name}: DOES NOT HOLD: {error:#}"),
        }
    }
    Ok(if lag.is_ok() && query.is_ok() { verdict } else { verdict.max(Verdict::DoesNotHold) })
}

/// Every partition's batches end where the partition ends.
async fn lag_zero(settings: &Settings<'_>, clickhouse: &ClickHouse, patience: Duration) -> Result<()> {
    let brokers = settings.plain_kafka()?;
    let ends = tokio::task::spawn_blocking(move || Marks::new(&brokers)?.all()).await.context("kafka")??;
    let began = Instant::now();
    loop {
        let waiting = waiting(clickhouse, &ends).await?;
        if waiting == 0 {
            return Ok(());
        }
        ensure!(began.elapsed() < patience, "{waiting} records are still waiting");
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn waiting(clickhouse: &ClickHouse, ends: &[(i32, i64)]) -> Result<i64> {
    #[derive(Deserialize)]
    struct Row {
        partition: i32,
        reached: i64,
    }
    let rows: Vec<Row> = clickhouse.rows(REACHED, &[("topic", schemas::EVENTS_TOPIC.to_owned())]).await?;
    let reached: HashMap<i32, i64> = rows.into_iter().map(|row| (row.partition, row.reached)).collect();
    Ok(ends.iter().map(|(partition, end)| end - reached.get(partition).copied().unwrap_or(0)).sum())
}

async fn query_answers(settings: &Settings<'_>) -> Result<()> {
    let address = Address::of(&settings.query_url()?).await?;
    let route = Route::get(&address, "/v1/stats?group_by=outcome", &settings.api_key()?)?;
    let mut connection = Connection::open(&address).await?;
    let (status, _) = connection.send(route.request(Default::default())).await?;
    ensure!(status.is_success(), "the query API answers {status}");
    Ok(())
}
