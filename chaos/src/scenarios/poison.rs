//! F22, F23, F24: records that nobody can read, too many of them, and nowhere to put them.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, ensure};
use nix::sys::signal::Signal;
use schemas::DEAD_LETTERS_TOPIC;
use serde::Deserialize;

use crate::kafka::RawRecord;
use crate::raw::{self, Poison};
use crate::run::RUNNING;
use crate::scenario::{Expected, Scenario};
use crate::scene::Scene;
use crate::wait;

pub const SCENARIOS: &[Scenario] = &[
    Scenario::new("F22", "poison of every kind, cut at every byte", Expected::Recovers, |scene| {
        Box::pin(every_kind(scene))
    }),
    Scenario::new("F23", "everything on a partition is poison", Expected::Stops, |scene| {
        Box::pin(only_poison(scene))
    }),
    Scenario::new("F24", "the topic of dead letters is gone", Expected::Recovers, |scene| {
        Box::pin(no_topic_of_dead_letters(scene))
    }),
];

/// dead_letters.unknown_schema_wait_ms, retries and a rebalance on top.
const STORED_LIMIT: Duration = Duration::from_secs(60);
const MAX_IN_A_ROW: usize = 300;
const FLOOD: usize = 6_000;
/// Where the flood goes.
const FLOODED: i32 = 1;
const TOPIC_GONE_FOR: Duration = Duration::from_secs(8);

async fn every_kind(scene: &mut Scene) -> anyhow::Result<()> {
    let schema = raw::schema_id(&scene.stack).await?;
    let all = raw::all_poison(schema)?;
    let records: Vec<_> = all.iter().map(|poison| poison.record.clone()).collect();
    let places = scene.stack.kafka.produce(&records).await?;
    scene.say(&format!("{} kinds of poison are in the topic", places.len()));
    scene.healed();
    let of: BTreeMap<_, _> = places.into_iter().zip(&all).collect();
    let found = wait::until_some("all poison is in dead_letters", STORED_LIMIT, || async {
        dead_letters(scene, &of).await.ok().filter(|found| found.len() == of.len())
    })
    .await?;
    for letter in found {
        let poison = of[&(letter.kafka_partition, letter.kafka_offset)];
        let wanted = hex(poison.record.value.as_deref().unwrap_or_default());
        ensure!(letter.value == wanted, "{}: the dead letter has other bytes", poison.what);
        ensure!(letter.reason == poison.reason, "{}: the reason is {}", poison.what, letter.reason);
    }
    scene.expect("each has its bytes, its place and its reason", true)
}

#[derive(Debug, Deserialize)]
struct Letter {
    kafka_partition: i32,
    kafka_offset: i64,
    reason: String,
    /// In hexadecimal.
    value: String,
}

async fn dead_letters(scene: &Scene, of: &BTreeMap<(i32, i64), &Poison>) -> anyhow::Result<Vec<Letter>> {
    let list = |values: Vec<String>| format!("[{}]", values.join(","));
    let places = of.keys().map(|(partition, offset)| format!("({partition},{offset})")).collect();
    let sql = "SELECT kafka_partition, kafka_offset, reason, lower(hex(ifNull(record_value, ''))) AS value \
        FROM dead_letters WHERE (kafka_partition, kafka_offset) IN {places:Array(Tuple(Int32, Int64))}";
    scene.stack.sql()?.rows(sql, &[("places", list(places))]).await
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn junk(partition: Option<i32>, count: usize) -> Vec<RawRecord> {
    let record = |n: usize| RawRecord { partition, key: None, value: Some(format!("junk {n}").into_bytes()) };
    (0..count).map(record).collect()
}

/// The limit is low, so that the flood needs not be large; the cause is that a person takes it for what it is.
async fn only_poison(scene: &mut Scene) -> anyhow::Result<()> {
    for index in 0..RUNNING {
        scene.fleet.set(index, "DEAD_LETTERS__MAX_IN_A_ROW", &MAX_IN_A_ROW.to_string());
        scene.fleet.set(index, "BATCH__MAX_BATCH_ROWS", "100");
        scene.fleet.restart(index).await?;
    }
    let (marks, before) = (scene.mark(), letters(scene).await?);
    scene.leave_stopped();
    scene.stack.kafka.produce(&junk(Some(FLOODED), FLOOD)).await?;
    scene.wait_stopped(&marks, "are all dead letters").await?;
    // the partition moves to the other one, which meets the same
    wait::until("both have stopped", STORED_LIMIT, || async { scene.running().is_empty() }).await?;
    scene.expect_commits_kept().await?;
    let emptied = letters(scene).await? - before;
    scene.expect(
        &format!("the topic is not emptied into the dead letters ({emptied} of {FLOOD})"),
        emptied <= 4 * MAX_IN_A_ROW as i64,
    )?;
    for index in 0..RUNNING {
        scene.fleet.set(index, "DEAD_LETTERS__MAX_IN_A_ROW", "1000000");
    }
    scene.healed();
    scene.start_stopped().await?;
    let all = || async { letters(scene).await.is_ok_and(|now| now - before >= FLOOD as i64) };
    wait::until("all of the flood is in dead_letters", STORED_LIMIT, all).await?;
    put_back(scene).await
}

async fn letters(scene: &Scene) -> anyhow::Result<i64> {
    scene.number("SELECT count() FROM dead_letters").await
}

/// The settings as they were, by a restart of their own.
async fn put_back(scene: &Scene) -> anyhow::Result<()> {
    scene.restore_settings();
    for index in 0..RUNNING {
        scene.fleet.restart(index).await?;
    }
    Ok(())
}

async fn no_topic_of_dead_letters(scene: &mut Scene) -> anyhow::Result<()> {
    scene.stack.kafka.delete_topic(DEAD_LETTERS_TOPIC).await?;
    let (marks, before) = (scene.mark(), letters(scene).await?);
    let places = scene.stack.kafka.produce(&junk(Some(FLOODED), 3)).await?;
    let waiting = places.first().context("places")?.1;
    scene.wait_logged(&marks, "dead letter not confirmed", STORED_LIMIT).await?;
    scene.pass(TOPIC_GONE_FOR).await;
    let closed = format!("SELECT max(to_offset) FROM event_batches WHERE kafka_partition = {FLOODED}");
    scene.expect("the partition waits", scene.number(&closed).await? <= waiting)?;
    // the others go on
    scene.stored(300).await?;
    scene.fleet.hold(1, Signal::SIGKILL).await?;
    scene.fleet.start(1).await?;
    let made = scene.stack.sealtrail(&["init"]).await?;
    scene.expect("the topic is made again", made.contains(DEAD_LETTERS_TOPIC))?;
    scene.healed();
    let stored = || async { letters(scene).await.is_ok_and(|now| now == before + 3) };
    wait::until("the three dead letters are stored", STORED_LIMIT, stored).await
}
