//! F38 and F44: commits that are not what this processor wrote, and settings that change between restarts.

use std::time::Duration;

use anyhow::{Context, ensure};
use nix::sys::signal::Signal;
use serde_json::Value;

use super::hold_inserts;
use crate::fleet::Wanted;
use crate::kafka::{Commits, GROUP, RawRecord};
use crate::run::RUNNING;
use crate::scenario::{Expected, Scenario};
use crate::scene::Scene;
use crate::tools::proxy::Fault;
use crate::wait;

pub const SCENARIOS: &[Scenario] = &[
    Scenario::new("F38", "all commits are erased", Expected::Stops, |scene| Box::pin(erased(scene))).in_ci(),
    Scenario::new("F38", "commits are reset to the begin of the log", Expected::Stops, |scene| {
        Box::pin(moved(scene, |_| 0, "is behind ClickHouse's last batch"))
    }),
    Scenario::new("F38", "commits are set back by ten", Expected::Stops, |scene| {
        Box::pin(moved(scene, |offset| offset - 10, "is behind ClickHouse's last batch"))
    }),
    Scenario::new("F38", "commits are set ahead by ten", Expected::Stops, |scene| {
        Box::pin(moved(scene, |offset| offset + 10, "is ahead of ClickHouse's last batch"))
    }),
    Scenario::new("F38", "the group is renamed", Expected::Stops, |scene| Box::pin(renamed(scene))),
    Scenario::new("F38", "commits hold another program's metadata", Expected::Stops, |scene| {
        Box::pin(foreign_metadata(scene))
    }),
    Scenario::new(
        "F44",
        "batch limits and intervals change, by rolling restarts and crashes",
        Expected::Recovers,
        |scene| Box::pin(limits_change(scene)),
    ),
    Scenario::new(
        "F44",
        "a range was announced under rules that this build does not know",
        Expected::Stops,
        |scene| Box::pin(unknown_rules(scene)),
    ),
    Scenario::new("F38", "the log starts above the commit", Expected::Stops, |scene| {
        Box::pin(log_start_above(scene))
    })
    .on_its_own(),
];

const PENDING_LIMIT: Duration = Duration::from_secs(30);
const REMOVED: usize = 50;

/// All processors are down in order, and every commit is plain.
async fn all_down(scene: &mut Scene) -> anyhow::Result<Commits> {
    for index in 0..RUNNING {
        scene.fleet.hold(index, Signal::SIGTERM).await?;
    }
    scene.commits().await
}

/// They start, and must stop with the reason; then the commits are put right and they go on.
async fn stop_and_mend(scene: &mut Scene, reason: &str, right: Commits) -> anyhow::Result<()> {
    let marks = scene.mark();
    for index in 0..RUNNING {
        scene.fleet.want(index, Wanted::Once);
    }
    scene.wait_stopped(&marks, reason).await?;
    wait::until("both have stopped", PENDING_LIMIT, || async { scene.running().is_empty() }).await?;
    scene.expect_commits_kept().await?;
    scene.stack.kafka.commit(GROUP, right).await?;
    scene.healed();
    scene.start_stopped().await
}

async fn erased(scene: &mut Scene) -> anyhow::Result<()> {
    let right = all_down(scene).await?;
    scene.stack.kafka.delete_group(GROUP).await?;
    scene.expect("no commit is left", scene.commits().await?.is_empty())?;
    stop_and_mend(scene, "there is no commit for the partition", right).await
}

async fn moved(scene: &mut Scene, to: fn(i64) -> i64, reason: &str) -> anyhow::Result<()> {
    let right = all_down(scene).await?;
    let mut wrong = right.clone();
    wrong.values_mut().for_each(|commit| commit.offset = to(commit.offset).max(0));
    scene.stack.kafka.commit(GROUP, wrong).await?;
    stop_and_mend(scene, reason, right).await
}

async fn renamed(scene: &mut Scene) -> anyhow::Result<()> {
    let right = all_down(scene).await?;
    for index in 0..RUNNING {
        scene.fleet.set(index, "GROUP__GROUP_ID", "another-group");
    }
    let marks = scene.mark();
    for index in 0..RUNNING {
        scene.fleet.want(index, Wanted::Once);
    }
    scene.wait_stopped(&marks, "there is no commit for the partition").await?;
    wait::until("both have stopped", PENDING_LIMIT, || async { scene.running().is_empty() }).await?;
    scene.expect("the old group's commits stay", scene.commits().await? == right)?;
    scene.restore_settings();
    scene.healed();
    scene.start_stopped().await
}

async fn foreign_metadata(scene: &mut Scene) -> anyhow::Result<()> {
    let right = all_down(scene).await?;
    let mut wrong = right.clone();
    wrong.values_mut().for_each(|commit| commit.metadata = "checkpoint of another program".to_owned());
    scene.stack.kafka.commit(GROUP, wrong).await?;
    stop_and_mend(scene, "the group id belongs to another program", right).await
}

/// Small and large batches, quick and slow, one processor after the other; also over a crash in the middle of a range.
async fn limits_change(scene: &mut Scene) -> anyhow::Result<()> {
    let versions = [
        ("50", "20", "1000000"),
        ("20000", "900", "67108864"),
        ("700", "100", "60000"),
        ("2000", "300", "67108864"),
    ];
    for (round, (rows, interval, bytes)) in versions.into_iter().enumerate() {
        for index in 0..RUNNING {
            scene.fleet.set(index, "BATCH__MAX_BATCH_ROWS", rows);
            scene.fleet.set(index, "BATCH__FLUSH_INTERVAL_MS", interval);
            scene.fleet.set(index, "BATCH__MAX_BATCH_BYTES", bytes);
            let with = if (round + index) % 2 == 0 { Signal::SIGTERM } else { Signal::SIGKILL };
            scene.fleet.hold(index, with).await?;
            scene.fleet.start(index).await?;
            scene.stored(300).await?;
        }
    }
    scene.healed();
    scene.restore_settings();
    for index in 0..RUNNING {
        scene.fleet.restart(index).await?;
    }
    Ok(())
}

/// A newer build announced a range and died: an older one must not finish it by other rules.
async fn unknown_rules(scene: &mut Scene) -> anyhow::Result<()> {
    let right = die_with_a_pending_range(scene).await?;
    let mut wrong = right.clone();
    for commit in wrong.values_mut().filter(|commit| !commit.metadata.is_empty()) {
        let mut announced: Value = serde_json::from_str(&commit.metadata).context("an announcement")?;
        let rules = announced["rules"].as_u64().context("the rules of an announcement")?;
        announced["rules"] = (rules + 1).into();
        commit.metadata = announced.to_string();
    }
    scene.expect("a range is pending", wrong != right)?;
    scene.stack.kafka.commit(GROUP, wrong).await?;
    stop_and_mend(scene, "the announced range was judged by rules", right).await
}

/// Kills all while inserts hang, so that announced ranges stand in the commits.
async fn die_with_a_pending_range(scene: &mut Scene) -> anyhow::Result<Commits> {
    hold_inserts(scene);
    wait::until("a range is announced", PENDING_LIMIT, || async {
        scene.commits().await.is_ok_and(|commits| commits.values().any(|commit| !commit.metadata.is_empty()))
    })
    .await?;
    for index in 0..RUNNING {
        scene.fleet.hold(index, Signal::SIGKILL).await?;
    }
    scene.stack.break_clickhouse(&Fault::Pass);
    scene.commits().await
}

/// Retention took records that were never stored: a person writes the loss into the account, and they go on.
async fn log_start_above(scene: &mut Scene) -> anyhow::Result<()> {
    const PARTITION: i32 = 3;
    scene.rest().await?;
    scene.lag_zero().await?;
    let right = all_down(scene).await?;
    let lost = (0..REMOVED).map(|n| RawRecord {
        partition: Some(PARTITION),
        key: None,
        value: Some(format!("removed before it was stored {n}").into_bytes()),
    });
    let places = scene.stack.kafka.produce(&lost.collect::<Vec<_>>()).await?;
    let (from, to) = (places[0].1, places[REMOVED - 1].1 + 1);
    ensure!(
        right.get(&PARTITION).is_some_and(|commit| commit.offset == from),
        "the partition was not at its end"
    );
    scene.stack.kafka.delete_records(&[(PARTITION, to)]).await?;
    let marks = scene.mark();
    for index in 0..RUNNING {
        scene.fleet.want(index, Wanted::Once);
    }
    // the start says so, or the first fetch
    scene.wait_stopped(&marks, "removed before they were stored").await?;
    wait::until("both have stopped", PENDING_LIMIT, || async { scene.running().is_empty() }).await?;
    scene.expect_commits_kept().await?;
    // the loss is a fact: it is written down as gaps, and the commit follows
    scene
        .stack
        .execute(&format!(
            "INSERT INTO event_batches SELECT * REPLACE ({from} AS from_offset, {to} AS to_offset, 0 AS rows, \
             0 AS duplicates, 0 AS dead_letters, {REMOVED} AS gaps) FROM (SELECT * FROM event_batches \
             WHERE kafka_partition = {PARTITION} ORDER BY to_offset DESC LIMIT 1)"
        ))
        .await?;
    let mut mended = right;
    mended.get_mut(&PARTITION).context("the partition's commit")?.offset = to;
    scene.stack.kafka.commit(GROUP, mended).await?;
    scene.removed_records(REMOVED as u64);
    scene.healed();
    scene.start_stopped().await?;
    scene.go_on()
}
