//! F43: all processors are down for so long that ClickHouse has forgotten their tokens.

use anyhow::ensure;

use super::{arm, insert_into, wait_struck};
use crate::scenario::{Expected, Scenario};
use crate::scene::Scene;
use crate::tools::proxy::{Fault, Loss};

pub const SCENARIOS: &[Scenario] =
    &[Scenario::new("F43", "all processors are down longer than the window", Expected::Recovers, |scene| {
        Box::pin(window_ends(scene))
    })];

/// While the processors are down, a table remembers so many inserts: fewer than they accept, so that they are soon gone.
const WINDOW: u32 = 1_000;
/// As the migrations have it.
const USUAL_WINDOW: u32 = 10_000;
/// ClickHouse remembers a token for each table partition that an insert touches, and takes 100 of them at most.
const DAYS: u32 = 100;
const FLOODS: u32 = WINDOW / DAYS + 1;
/// Nobody's trail, in days of which nobody has records.
const FOREIGN: &str = "00000000-0000-0000-0000-00000000f043";
const TABLES: [&str; 3] = ["events", "duplicates", "event_batches"];

async fn window_ends(scene: &mut Scene) -> anyhow::Result<()> {
    let replayed = outlast(scene).await;
    scene.stack.break_clickhouse(&Fault::Pass);
    for table in TABLES {
        set_window(scene, table, USUAL_WINDOW).await?;
        drop_foreign(scene, table).await?;
    }
    replayed?;
    scene.healed();
    scene.start_stopped().await?;
    scene.stored(500).await
}

async fn set_window(scene: &Scene, table: &str, window: u32) -> anyhow::Result<()> {
    let sql = format!("ALTER TABLE {table} MODIFY SETTING non_replicated_deduplication_window = {window}");
    scene.stack.execute(&sql).await.map(drop)
}

/// Leaves ranges whose rows are there and that nobody closed, and no token of them.
async fn outlast(scene: &Scene) -> anyhow::Result<()> {
    arm(scene, &insert_into("event_batches"), &Fault::LoseAnswer(Loss::Silence));
    wait_struck(scene, 2).await?;
    for index in scene.running() {
        scene.fleet.hold(index, nix::sys::signal::Signal::SIGKILL).await?;
    }
    let pending = pending_rows(scene).await?;
    scene.expect("rows of ranges that nobody closed are there", pending > 0)?;
    for table in TABLES {
        set_window(scene, table, WINDOW).await?;
        insert_foreign(scene, table, "first", 1).await?;
        for flood in 0..FLOODS {
            insert_foreign(scene, table, &format!("flood-{flood}"), DAYS).await?;
        }
        let before = foreign_rows(scene, table).await?;
        insert_foreign(scene, table, "first", 1).await?;
        let after = foreign_rows(scene, table).await?;
        scene.expect(&format!("{table} has forgotten a token that the window held"), after == before + 1)?;
    }
    Ok(())
}

/// Rows at or behind the commits.
async fn pending_rows(scene: &Scene) -> anyhow::Result<i64> {
    let commits = scene.commits().await?;
    ensure!(!commits.is_empty(), "there are no commits");
    let mut rows = 0;
    for (partition, committed) in commits {
        let offset = committed.offset;
        let sql = format!(
            "SELECT count() FROM events WHERE kafka_partition = {partition} AND kafka_offset >= {offset} AND trail_id != '{FOREIGN}'"
        );
        rows += scene.number(&sql).await?;
    }
    Ok(rows)
}

/// One row of each day, as another trail's processor would insert it.
async fn insert_foreign(scene: &Scene, table: &str, token: &str, days: u32) -> anyhow::Result<()> {
    let time = if table == "event_batches" { "least_received_at" } else { "received_at" };
    let sql = format!(
        "INSERT INTO {table} (trail_id, {time}) SETTINGS insert_deduplication_token = 'foreign-{token}', async_insert = 0 \
         SELECT '{FOREIGN}', toDateTime64('2001-01-01 00:00:00', 3, 'UTC') + toIntervalDay(number) FROM numbers({days})"
    );
    scene.stack.execute(&sql).await.map(drop)
}

async fn foreign_rows(scene: &Scene, table: &str) -> anyhow::Result<i64> {
    scene.number(&format!("SELECT count() FROM {table} WHERE trail_id = '{FOREIGN}'")).await
}

/// Their days are nobody else's.
async fn drop_foreign(scene: &Scene, table: &str) -> anyhow::Result<()> {
    let days = format!(
        "SELECT DISTINCT partition FROM system.parts WHERE database = currentDatabase() AND table = '{table}' AND active AND partition < '2002'"
    );
    let days = scene.stack.execute(&days).await?;
    let drops: Vec<_> = days.lines().map(|day| format!("DROP PARTITION {day}")).collect();
    if drops.is_empty() {
        return Ok(());
    }
    scene.stack.execute(&format!("ALTER TABLE {table} {}", drops.join(", "))).await.map(drop)
}
