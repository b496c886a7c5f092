//! F38 and F46: the topic itself is another one than the trail's. Each leaves the stack to be thrown away.

use std::time::Duration;

use nix::sys::signal::Signal;
use schemas::EVENTS_TOPIC;

use crate::archive::Archive;
use crate::fleet::Wanted;
use crate::kafka::{Commits, GROUP};
use crate::run::RUNNING;
use crate::scenario::{Expected, Scenario};
use crate::scene::Scene;
use crate::stack::Engine;
use crate::wait;

pub const SCENARIOS: &[Scenario] = &[
    Scenario::new("F38", "the topic is deleted and made again", Expected::Stops, |scene| {
        Box::pin(made_again(scene))
    })
    .on_its_own(),
    Scenario::new("F46", "a partition is added while the processors run", Expected::Stops, |scene| {
        Box::pin(partition_added(scene))
    })
    .on_its_own(),
];

const STOP_LIMIT: Duration = Duration::from_secs(120);
const PARTITIONS: usize = 4;

/// A copy of all records while nothing flows.
async fn archive(scene: &mut Scene) -> anyhow::Result<Archive> {
    scene.rest().await?;
    scene.lag_zero().await?;
    let watermarks = scene.stack.kafka.watermarks().await?;
    let archive = Archive::take(scene.stack.var("SEALTRAIL_KAFKA"), EVENTS_TOPIC, &watermarks).await?;
    scene.say(&format!("a mirror holds {} records", archive.record_count()));
    Ok(archive)
}

/// The topic as it was: the trail's number of partitions, the mirror's records at their offsets, the commits.
async fn restore(scene: &mut Scene, archive: &Archive, commits: Commits) -> anyhow::Result<()> {
    scene.stack.kafka.delete_topic(EVENTS_TOPIC).await?;
    let made = scene.stack.sealtrail(&["init"]).await?;
    scene.log.note(&made);
    scene.stack.kafka.commit(GROUP, commits).await?;
    archive.put_back(scene.stack.var("SEALTRAIL_KAFKA")).await?;
    // its producer knew the topic that is gone
    let pid = scene.stack.pid(Engine::Gateway)?;
    scene.stack.signal(Engine::Gateway, Signal::SIGTERM)?;
    scene.stack.wait_other(Engine::Gateway, Some(pid)).await?;
    scene.healed();
    scene.start_stopped().await?;
    scene.go_on()
}

async fn made_again(scene: &mut Scene) -> anyhow::Result<()> {
    let archive = archive(scene).await?;
    for index in 0..RUNNING {
        scene.fleet.hold(index, Signal::SIGTERM).await?;
    }
    let right = scene.commits().await?;
    scene.stack.kafka.delete_topic(EVENTS_TOPIC).await?;
    scene.stack.sealtrail(&["init"]).await?;
    let kept = scene.commits().await?;
    scene.log.note(&format!("Kafka keeps {} of {} commits of a deleted topic", kept.len(), right.len()));
    let marks = scene.mark();
    for index in 0..RUNNING {
        scene.fleet.want(index, Wanted::Once);
    }
    // Kafka forgets the commits with the topic, or their offsets lie above its end
    let reason = if kept.is_empty() { "there is no commit for the partition" } else { "the log ends at" };
    scene.wait_stopped(&marks, reason).await?;
    wait::until("both have stopped", STOP_LIMIT, || async { scene.running().is_empty() }).await?;
    scene.expect_commits_kept().await?;
    restore(scene, &archive, right).await
}

/// A real cluster lowers no number of partitions: the topic has to be made again with the trail's.
async fn partition_added(scene: &mut Scene) -> anyhow::Result<()> {
    let archive = archive(scene).await?;
    let right = scene.commits().await?;
    let marks = scene.mark();
    scene.leave_stopped();
    scene.stack.kafka.raise_partitions(EVENTS_TOPIC, PARTITIONS + 1).await?;
    scene.wait_stopped(&marks, "the trail has no partition").await?;
    wait::until("both have stopped", STOP_LIMIT, || async { scene.running().is_empty() }).await?;
    scene.expect_commits_kept().await?;
    // a start meets the same
    let marks = scene.mark();
    scene.fleet.want(0, Wanted::Once);
    scene.wait_stopped(&marks, "its trail was begun with").await?;
    restore(scene, &archive, right).await
}
