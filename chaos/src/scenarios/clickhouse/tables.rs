//! F20 and F21: somebody changes the tables, while the processors run or before they start.

use std::time::Duration;

use nix::sys::signal::Signal;

use super::{Calm, SETTLED_AFTER, all_stopped};
use crate::scenario::{Expected, Scenario};
use crate::scene::Scene;

pub const SCENARIOS: &[Scenario] = &[
    Scenario::new("F20", "deduplication is switched off while they run", Expected::Stops, |scene| {
        Box::pin(changed(scene, &DEDUPLICATION_OFF))
    }),
    Scenario::new("F20", "deduplication is off at their start", Expected::Stops, |scene| {
        Box::pin(off_at_start(scene))
    }),
    Scenario::new("F21", "a column is dropped", Expected::Stops, |scene| Box::pin(changed(scene, &DROPPED))),
    Scenario::new("F21", "a column gets a narrower type", Expected::Stops, |scene| {
        Box::pin(lossy(scene, &NARROWED))
    })
    // the change itself narrows what is there
    .on_its_own(),
    Scenario::new("F21", "a column is made non-nullable", Expected::Stops, |scene| {
        Box::pin(lossy(scene, &NON_NULLABLE))
    })
    .on_its_own(),
    Scenario::new("F21", "a column is added", Expected::Recovers, |scene| Box::pin(added(scene))),
];

/// Somebody's change of a table, and how it is undone.
struct Change {
    sql: &'static str,
    undo: &'static str,
    /// What a processor may say when it stops.
    reasons: &'static [&'static str],
}

const DEDUPLICATION_OFF: Change = Change {
    sql: "ALTER TABLE event_batches MODIFY SETTING non_replicated_deduplication_window = 0",
    undo: "ALTER TABLE event_batches MODIFY SETTING non_replicated_deduplication_window = 10000",
    reasons: &["table event_batches has non_replicated_deduplication_window = 0"],
};

/// Its values of before are lost with it, and no check here needs them.
const DROPPED: Change = Change {
    sql: "ALTER TABLE events DROP COLUMN peer_address",
    undo: "ALTER TABLE events ADD COLUMN peer_address LowCardinality(String) AFTER door",
    reasons: &["column events.peer_address has type nothing", "NO_SUCH_COLUMN_IN_TABLE"],
};

/// A change under which ClickHouse would answer 200 and store another value: 300 becomes 44, NULL a default.
struct LossyChange {
    change: Change,
    /// Of the rows, those that have another value than their record.
    lost: &'static str,
    kept: Option<Kept>,
}

/// What a person who narrows a column keeps of it: the change narrows the values that are there, and a later look at them
/// would find that somebody has changed them.
struct Kept {
    save: &'static str,
    restore: &'static str,
}

/// The load's durations go up to 2,000, so some of them would be negative.
const NARROWED: LossyChange = LossyChange {
    change: Change {
        sql: "ALTER TABLE events MODIFY COLUMN duration_ms Nullable(Int8)",
        undo: "ALTER TABLE events MODIFY COLUMN duration_ms Nullable(Int64)",
        reasons: &["duration_ms", "TYPE_MISMATCH"],
    },
    lost: "duration_ms < 0",
    kept: Some(Kept {
        save: "CREATE OR REPLACE TABLE chaos_kept ENGINE = Join(ANY, LEFT, kafka_partition, kafka_offset) \
               AS SELECT kafka_partition, kafka_offset, duration_ms FROM events",
        restore: "ALTER TABLE events UPDATE \
                  duration_ms = joinGet('sealtrail.chaos_kept', 'duration_ms', kafka_partition, kafka_offset) \
                  WHERE duration_ms IS NOT NULL SETTINGS mutations_sync = 2",
    }),
};

/// No event of the load has a host.
const NON_NULLABLE: LossyChange = LossyChange {
    change: Change {
        sql: "ALTER TABLE events MODIFY COLUMN source_host String DEFAULT 'lost'",
        undo: "ALTER TABLE events MODIFY COLUMN source_host Nullable(String)",
        reasons: &["source_host", "TYPE_MISMATCH"],
    },
    lost: "source_host = 'lost'",
    kept: None,
};

async fn changed(scene: &mut Scene, change: &Change) -> anyhow::Result<()> {
    let marks = scene.mark();
    scene.leave_stopped();
    scene.stack.execute(change.sql).await?;
    let stopped = all_stopped(scene, &marks, change.reasons).await;
    scene.stack.execute(change.undo).await?;
    stopped?;
    scene.healed();
    scene.start_stopped().await?;
    scene.stored(500).await
}

async fn off_at_start(scene: &mut Scene) -> anyhow::Result<()> {
    let marks = scene.mark();
    let running = scene.running();
    for index in &running {
        scene.fleet.hold(*index, Signal::SIGTERM).await?;
    }
    scene.stack.execute(DEDUPLICATION_OFF.sql).await?;
    for index in &running {
        scene.fleet.want(*index, crate::fleet::Wanted::Once);
    }
    // until they run, none does
    scene.pass(Duration::from_secs(1)).await;
    let stopped = all_stopped(scene, &marks, DEDUPLICATION_OFF.reasons).await;
    scene.stack.execute(DEDUPLICATION_OFF.undo).await?;
    stopped?;
    scene.healed();
    scene.start_stopped().await?;
    scene.stored(500).await
}

/// Every row that is stored after the change has its record's value, though the tables are compared as seldom as by
/// default.
async fn lossy(scene: &mut Scene, lossy: &LossyChange) -> anyhow::Result<()> {
    let running = scene.running();
    for index in &running {
        scene.fleet.set(*index, "INSERT__CHECK_TABLES_EVERY_MS", "60000");
        scene.fleet.restart(*index).await?;
    }
    scene.stored(500).await?;
    let marks = scene.mark();
    scene.leave_stopped();
    // no insert is under way while the table changes, so that what comes before it can be told from what comes after
    for index in &running {
        scene.fleet.signal(*index, Signal::SIGSTOP)?;
    }
    scene.pass(SETTLED_AFTER).await;
    let rows = "SELECT groupArray((kafka_partition, next)) FROM \
         (SELECT kafka_partition, max(kafka_offset) + 1 AS next FROM events GROUP BY 1)";
    if let Some(kept) = &lossy.kept {
        scene.stack.execute(kept.save).await?;
    }
    let before = scene.stack.execute(rows).await;
    let changed = scene.stack.execute(lossy.change.sql).await;
    for index in &running {
        scene.fleet.signal(*index, Signal::SIGCONT)?;
    }
    let (before, _) = (before?, changed?);
    let stopped = all_stopped(scene, &marks, lossy.change.reasons).await;
    let lost = scene
        .number(&format!(
            "SELECT countIf({}) FROM events ARRAY JOIN {before} AS place \
             WHERE kafka_partition = place.1 AND kafka_offset >= place.2",
            lossy.lost
        ))
        .await;
    scene.stack.execute(lossy.change.undo).await?;
    if let Some(kept) = &lossy.kept {
        scene.stack.execute(kept.restore).await?;
    }
    scene.expect("no row has another value than its record", lost? == 0)?;
    stopped?;
    scene.healed();
    scene.start_stopped().await?;
    scene.stored(500).await
}

async fn added(scene: &mut Scene) -> anyhow::Result<()> {
    let calm = Calm::take(scene).await?;
    scene.stack.execute("ALTER TABLE events ADD COLUMN chaos UInt8 DEFAULT 7").await?;
    // the tables are compared again within this
    scene.pass(Duration::from_secs(5)).await;
    let stored = scene.stored(1_000).await;
    let filled = scene.number("SELECT count() FROM events WHERE chaos != 7").await?;
    scene.stack.execute("ALTER TABLE events DROP COLUMN chaos").await?;
    stored?;
    scene.healed();
    scene.expect("the column has its default in every row", filled == 0)?;
    calm.expect_kept(scene).await
}
