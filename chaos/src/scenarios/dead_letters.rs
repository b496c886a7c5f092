//! F25: dead letters that are replayed after their cause was mended: twice, out of order, and cut off in the middle.

use std::time::Duration;

use anyhow::Context;
use uuid::Uuid;

use crate::raw;
use crate::scenario::{Expected, Scenario};
use crate::scene::Scene;
use crate::tools::registry::RegistryFault;
use crate::wait;

pub const SCENARIOS: &[Scenario] = &[Scenario::new(
    "F25",
    "dead letters are replayed: out of order, twice, two at once",
    Expected::Recovers,
    |scene| Box::pin(replayed(scene)),
)];

const LETTERS: usize = 60;
/// dead_letters.unknown_schema_wait_ms for each of the batches, and what stands before them.
const STORED_LIMIT: Duration = Duration::from_secs(60);
const REPLAY: [&str; 4] = ["dlq", "replay", "--reason", "unknown_schema"];

async fn replayed(scene: &mut Scene) -> anyhow::Result<()> {
    let schema = raw::another_schema(&scene.stack, "chaos-f25-value").await?;
    scene.stack.registry.set(RegistryFault::Forget { schema_ids: vec![schema.0], first: u64::MAX });
    let (mut ids, mut records) = (Vec::new(), Vec::new());
    for _ in 0..LETTERS {
        let id = Uuid::new_v4();
        records.push(raw::record(&raw::event(id, chrono::Utc::now().timestamp_micros())?, schema)?);
        ids.push(format!("'{id}'"));
    }
    let places = scene.stack.kafka.produce(&records).await?;
    let ids = ids.join(",");
    let letters = format!(
        "SELECT count() FROM dead_letters WHERE toUUIDOrZero(splitByChar('|', ifNull(record_key, ''))[2]) IN ({ids})"
    );
    let all = || async { scene.number(&letters).await.is_ok_and(|count| count == LETTERS as i64) };
    wait::until("all of them are dead letters", STORED_LIMIT, all).await?;

    scene.stack.registry.set(RegistryFault::Pass);
    scene.healed();
    let stored = format!("SELECT count() FROM events WHERE event_id IN ({ids})");
    scene.log.note(&scene.stack.sealtrail(&REPLAY).await?);
    scene.expect("a dry run changes nothing", scene.number(&stored).await? == 0)?;

    // the later half of one partition first, then all of them by two people at once, then all again
    let (partition, offset) = *places.last().context("a place")?;
    let (partition, offset) = (partition.to_string(), offset.to_string());
    let later = ["--partition", &partition, "--from-offset", &offset, "--execute"];
    scene.log.note(&scene.stack.sealtrail(&[REPLAY.as_slice(), &later].concat()).await?);
    let everything = [REPLAY.as_slice(), &["--execute"]].concat();
    let (one, two) = tokio::join!(scene.stack.sealtrail(&everything), scene.stack.sealtrail(&everything));
    scene.log.note(&format!("two at once: {one:?} and {two:?}"));
    one.or(two).context("neither of two replays went through")?;
    let all = || async { scene.number(&stored).await.is_ok_and(|count| count == LETTERS as i64) };
    wait::until("all of them are events", STORED_LIMIT, all).await?;
    scene.log.note(&scene.stack.sealtrail(&everything).await?);

    scene.lag_settles().await?;
    scene.expect("each is an event once", scene.number(&stored).await? == LETTERS as i64)?;
    scene.expect("the dead letters stay", scene.number(&letters).await? == LETTERS as i64)?;
    let recorded = "SELECT count() FROM events WHERE event_type = 'trail.dead_letters_replayed'";
    scene.expect("the replays are events themselves", scene.number(recorded).await? >= 2)
}
