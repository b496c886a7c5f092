//! Before letters are written, all that is in the topic must be in the tables. Then a look into the tables shows every
//! copy that was ever sent, but those that came after the look; and these are so near to what is written now that the
//! processors' dedupe window holds both.

use std::time::{Duration, Instant};

use anyhow::bail;
use audit_event::control::TrailRecord;
use audit_event::{NextOffset, PartitionId};
use clickhouse_io::ClickHouse;
use kafka_io::unread::has_records;
use kafka_io::{KafkaConfig, topics};

const PAUSE: Duration = Duration::from_millis(200);
/// What processors have not stored in this time may be nothing to store.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Waits until every record that is in the topic now is stored.
pub async fn wait_until_stored(
    kafka: &KafkaConfig,
    engine: &ClickHouse,
    trail: &TrailRecord,
    limit: Duration,
) -> anyhow::Result<()> {
    let began = Instant::now();
    let watermarks = topics::watermarks(kafka, &trail.topic, trail.genesis.len()).await?;
    for (index, (genesis, (_, end))) in trail.genesis.iter().zip(watermarks).enumerate() {
        let (partition, end) = (PartitionId(i32::try_from(index)?), NextOffset(end));
        let mut looked_at = Instant::now();
        loop {
            let stored = engine.stored_end(trail.trail_id, partition).await?.last_batch;
            let stored = stored.map_or(NextOffset(genesis.0), |last| last.to);
            if stored >= end {
                break;
            }
            // a transaction's marker at the end is never stored
            if looked_at.elapsed() >= LOOK_EVERY {
                if !has_records(kafka, &trail.topic, partition, stored, end).await? {
                    break;
                }
                looked_at = Instant::now();
            }
            if began.elapsed() >= limit {
                bail!(
                    "partition {partition} is stored up to {stored} and kafka holds records up to {end}, so nobody can tell which \
                     letters were replayed already; start the processors, see `sealtrail doctor`, or give them more time by \
                     --wait-s; nothing is written meanwhile"
                );
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
    Ok(())
}
