//! F05, F07, F12, F13: brokers that go, answers of theirs that are lost, a coordinator that moves, a partition that stands
//! still.

use std::time::Duration;

use anyhow::Context;
use nix::sys::signal::Signal;
use schemas::EVENTS_TOPIC;

use crate::kafka::GROUP;
use crate::scenario::{Expected, Scenario};
use crate::scene::Scene;
use crate::stack::Engine;
use crate::tools::proxy::{Fault, Loss, Trigger};
use crate::wait;

pub const SCENARIOS: &[Scenario] = &[
    Scenario::new("F05", "each broker restarts, one after the other", Expected::Recovers, |scene| {
        Box::pin(rolling_restart(scene))
    }),
    Scenario::new("F05", "kill -9 of a partition's leader, which moves", Expected::Recovers, |scene| {
        Box::pin(leader_moves(scene))
    }),
    Scenario::new("F05", "all brokers are gone for 30 s", Expected::Recovers, |scene| {
        Box::pin(all_gone(scene))
    }),
    Scenario::new("F07", "brokers write, and their acknowledgements are lost", Expected::Recovers, |scene| {
        Box::pin(acknowledgements_lost(scene))
    }),
    Scenario::new("F12", "kill -9 of the group's coordinator, which moves", Expected::Recovers, |scene| {
        Box::pin(coordinator_moves(scene))
    }),
    Scenario::new("F12", "answers to commits are lost", Expected::Recovers, |scene| {
        Box::pin(commits_unanswered(scene))
    }),
    Scenario::new("F13", "one broker's fetches hang while the others go on", Expected::Recovers, |scene| {
        Box::pin(one_leader_hangs(scene))
    }),
];

const BROKERS_GONE_FOR: Duration = Duration::from_secs(30);
/// A broker's start, its log's recovery, and its way back into the in-sync replicas.
const IN_SYNC_LIMIT: Duration = Duration::from_secs(90);
const MOVE_LIMIT: Duration = Duration::from_secs(60);
/// The announcement in a commit's metadata, which no other request holds.
const ANNOUNCEMENT: &[u8] = b"\"deadline\":";
const LOST_ANSWERS: u64 = 6;
const COORDINATORS: u32 = 1;
/// The client id of the processors' consumers.
const CONSUMER: &[u8] = b"sealtrail-processor";
/// The watchdog's patience is shortened with the other waits.
const NOTICED_LIMIT: Duration = Duration::from_secs(60);

async fn rolling_restart(scene: &mut Scene) -> anyhow::Result<()> {
    for broker in Engine::brokers() {
        scene.stack.hold(broker, Signal::SIGTERM).await?;
        scene.flow(500).await.context("two brokers of three take events")?;
        scene.stack.release(broker).await?;
        in_sync(scene).await?;
    }
    scene.healed();
    scene.stored(500).await
}

/// Waits until all brokers are back and in the in-sync replicas, so that the next one may go.
pub(super) async fn in_sync(scene: &Scene) -> anyhow::Result<()> {
    wait::until("all replicas are in sync", IN_SYNC_LIMIT, || async {
        scene.stack.kafka.is_in_sync().await.unwrap_or(false)
    })
    .await
}

async fn leader_moves(scene: &mut Scene) -> anyhow::Result<()> {
    let leader = leader_of(scene, 0).await?;
    scene.stack.hold(Engine::Broker(leader), Signal::SIGKILL).await?;
    wait::until("partition 0 has another leader", MOVE_LIMIT, || async {
        leader_of(scene, 0).await.is_ok_and(|now| now != leader)
    })
    .await?;
    scene.flow(1_000).await?;
    scene.stored(1_000).await?;
    scene.stack.release(Engine::Broker(leader)).await?;
    in_sync(scene).await?;
    scene.healed();
    Ok(())
}

async fn leader_of(scene: &Scene, partition: usize) -> anyhow::Result<u16> {
    let leaders = scene.stack.kafka.leaders(EVENTS_TOPIC).await?;
    let leader = *leaders.get(partition).context("no such partition")?;
    u16::try_from(leader).context("the partition has no leader")
}

async fn all_gone(scene: &mut Scene) -> anyhow::Result<()> {
    for broker in Engine::brokers() {
        scene.stack.hold(broker, Signal::SIGKILL).await?;
    }
    scene.say("all brokers are gone");
    scene.pass(BROKERS_GONE_FOR).await;
    for broker in Engine::brokers() {
        scene.stack.release(broker).await?;
    }
    in_sync(scene).await?;
    scene.healed();
    scene.flow(500).await
}

/// The requests that name the topic are the produce requests, and now and then one for metadata.
async fn acknowledgements_lost(scene: &mut Scene) -> anyhow::Result<()> {
    let mut struck = 0;
    for loss in [Loss::Reset, Loss::Silence, Loss::Reset] {
        for broker in 0..crate::ports::BROKERS {
            let trigger = Trigger::on(EVENTS_TOPIC.as_bytes()).times(LOST_ANSWERS);
            scene.stack.gateway_door.broker(broker).arm(trigger, Fault::LoseAnswer(loss));
        }
        scene.pass(Duration::from_secs(6)).await;
        struck += scene.stack.gateway_door.struck();
        scene.stack.pass();
        scene.stack.gateway_door.cut();
        scene.flow(300).await?;
    }
    scene.expect(&format!("acknowledgements were lost ({struck})"), struck >= 3)?;
    scene.healed();
    Ok(())
}

async fn coordinator_moves(scene: &mut Scene) -> anyhow::Result<()> {
    for _ in 0..COORDINATORS {
        let coordinator = scene.stack.kafka.coordinator(GROUP).await?;
        scene.say(&format!("broker {} coordinates the group and is killed", coordinator + 1));
        scene.stack.hold(Engine::Broker(coordinator), Signal::SIGKILL).await?;
        wait::until("the group has another coordinator", MOVE_LIMIT, || async {
            scene.stack.kafka.coordinator(GROUP).await.is_ok_and(|now| now != coordinator)
        })
        .await?;
        scene.stored(1_000).await?;
        scene.stack.release(Engine::Broker(coordinator)).await?;
        in_sync(scene).await?;
    }
    scene.healed();
    Ok(())
}

async fn commits_unanswered(scene: &mut Scene) -> anyhow::Result<()> {
    let mut struck = 0;
    for loss in [Loss::Reset, Loss::Silence] {
        for door in &scene.stack.doors {
            for broker in 0..crate::ports::BROKERS {
                let trigger = Trigger::on(ANNOUNCEMENT).times(2);
                door.broker(broker).arm(trigger, Fault::LoseAnswer(loss));
            }
        }
        scene.pass(Duration::from_secs(8)).await;
        struck += scene.stack.doors.iter().map(crate::stack::Door::struck).sum::<u64>();
        scene.stack.pass();
        scene.stack.doors.iter().for_each(crate::stack::Door::cut);
        scene.stored(500).await?;
    }
    scene.expect(&format!("answers to commits were lost ({struck})"), struck >= 2)?;
    scene.healed();
    Ok(())
}

/// One broker's answers to the consumers hang, the connections stay open; all others who ask it are answered, and the
/// group's coordinator, another one, keeps the members alive.
async fn one_leader_hangs(scene: &mut Scene) -> anyhow::Result<()> {
    let coordinator = i32::from(scene.stack.kafka.coordinator(GROUP).await?);
    let leaders = scene.stack.kafka.leaders(EVENTS_TOPIC).await?;
    let hung = leaders
        .iter()
        .position(|leader| *leader != coordinator)
        .context("one broker leads all partitions")?;
    let broker = u16::try_from(leaders[hung]).context("the partition has no leader")?;
    let before = restarts(scene).await;
    for door in &scene.stack.doors {
        door.broker(broker).arm(Trigger::on(CONSUMER), Fault::Stall { after_bytes: 0 });
    }
    scene.say(&format!("the fetches from broker {} hang, which leads partition {hung}", broker + 1));
    let noticed =
        wait::until("the watchdog notices, restarts the consumer and counts it", NOTICED_LIMIT, || async {
            restarts(scene).await > before
        });
    let noticed = noticed.await;
    let lag = partition_lag(scene, hung).await?;
    scene.stack.pass();
    scene.healed();
    scene.expect(&format!("the partition stood still ({lag} records behind)"), lag > 1_000)?;
    scene.stored(1_000).await?;
    noticed
}

async fn restarts(scene: &Scene) -> f64 {
    let mut sum = 0.0;
    for index in scene.running() {
        sum += scene.fleet.metric(index, WATCHDOG_METRIC).await.unwrap_or_default();
    }
    sum
}

const WATCHDOG_METRIC: &str = "sealtrail_processor_stalls_total";

/// Records of a partition that no batch holds yet.
async fn partition_lag(scene: &Scene, partition: usize) -> anyhow::Result<i64> {
    let watermarks = scene.stack.kafka.watermarks().await?;
    let (_, high) = watermarks.get(partition).context("no such partition")?;
    let closed = format!("SELECT max(to_offset) FROM event_batches WHERE kafka_partition = {partition}");
    Ok(high - scene.number(&closed).await?)
}
