//! F42: ClickHouse dies again and again, also between a token and its part, and its disk fails once.

use std::time::Duration;

use super::{clickhouse_answers, metric, restart_clickhouse};
use crate::scenario::{Expected, Scenario};
use crate::scene::Scene;
use crate::stack::Engine;
use crate::tools::shim::{Part, PartFault};
use crate::wait;

pub const SCENARIOS: &[Scenario] = &[
    Scenario::new("F42", "kill -9 of clickhouse, five times under load", Expected::Recovers, |scene| {
        Box::pin(killed_again_and_again(scene))
    }),
    Scenario::new("F42", "kill -9 of clickhouse between a token and its part", Expected::Recovers, |scene| {
        Box::pin(killed_at_the_rename(scene))
    }),
    Scenario::new("F42", "the disk answers EIO between a token and its part", Expected::Recovers, |scene| {
        Box::pin(disk_fails(scene))
    })
    .in_ci(),
];

const KILLS: u32 = 5;
/// Of each table's parts.
const TABLES: [&str; 3] = ["events", "duplicates", "event_batches"];
const SECOND_ATTEMPTS: &str = "sealtrail_processor_second_attempts_total";
const MET_LIMIT: Duration = Duration::from_secs(30);
/// A batch in doubt waits until nothing of it can land any more, then reads back.
const SECOND_ATTEMPT_LIMIT: Duration = Duration::from_secs(60);

async fn killed_again_and_again(scene: &mut Scene) -> anyhow::Result<()> {
    for _ in 0..KILLS {
        scene.pass_between(200, 2_500).await;
        restart_clickhouse(scene).await?;
    }
    scene.healed();
    scene.stored(500).await
}

async fn killed_at_the_rename(scene: &mut Scene) -> anyhow::Result<()> {
    for table in TABLES {
        let attempts = metric(scene, SECOND_ATTEMPTS).await;
        let before = scene.stack.pid(Engine::ClickHouse)?;
        meet(scene, PartFault::Kill, table).await?;
        scene.stack.wait_other(Engine::ClickHouse, Some(before)).await?;
        clickhouse_answers(scene).await?;
        scene.healed();
        expect_another_attempt(scene, attempts).await?;
    }
    scene.stored(500).await
}

async fn disk_fails(scene: &mut Scene) -> anyhow::Result<()> {
    for table in TABLES {
        let attempts = metric(scene, SECOND_ATTEMPTS).await;
        meet(scene, PartFault::Eio, table).await?;
        scene.healed();
        expect_another_attempt(scene, attempts).await?;
    }
    scene.stored(500).await
}

/// The next part of the table meets the fault.
async fn meet(scene: &Scene, fault: PartFault, table: &str) -> anyhow::Result<()> {
    let uuid =
        format!("SELECT uuid FROM system.tables WHERE database = currentDatabase() AND name = '{table}'");
    let uuid = scene.stack.execute(&uuid).await?;
    let before = scene.shim.met()?.len();
    scene.shim.arm(fault, Part::of_table(&uuid))?;
    let what = format!("a part of {table} meets the fault");
    let met =
        wait::until(&what, MET_LIMIT, || async { scene.shim.met().is_ok_and(|met| met.len() > before) });
    let met = met.await;
    scene.shim.disarm()?;
    met?;
    scene.log.note(&scene.shim.met()?.last().cloned().unwrap_or_default());
    Ok(())
}

/// The token says that the rows are there; only a read-back finds that they are not, and inserts them under another.
async fn expect_another_attempt(scene: &Scene, before: f64) -> anyhow::Result<()> {
    let took = || async { metric(scene, SECOND_ATTEMPTS).await > before };
    wait::until("a batch takes another attempt", SECOND_ATTEMPT_LIMIT, took).await
}
