//! F10 and F47: members come and go while inserts are open; a revoked worker hangs and goes on late.

use std::time::Duration;

use nix::sys::signal::Signal;

use crate::fleet::Wanted;
use crate::scenario::{Expected, Scenario};
use crate::scene::Scene;
use crate::tools::proxy::Fault;
use crate::wait;

pub const SCENARIOS: &[Scenario] = &[
    Scenario::new("F10", "members come and go while inserts are open", Expected::Recovers, |scene| {
        Box::pin(members_come_and_go(scene))
    }),
    Scenario::new(
        "F47",
        "a revoked worker hangs in an insert, which goes on late",
        Expected::Recovers,
        |scene| Box::pin(revoked_in_an_insert(scene)),
    ),
    Scenario::new(
        "F47",
        "a revoked worker hangs before its commit, which goes on late",
        Expected::Recovers,
        |scene| Box::pin(revoked_before_a_commit(scene)),
    ),
];

/// The one that comes and goes.
const GUEST: usize = 2;
/// Sessions are shortened to 6 s; a rebalance waits for a drain on top.
const MOVE_LIMIT: Duration = Duration::from_secs(45);
const ROUNDS: u32 = 3;
/// Above the deadline of an insert, which is shortened to 3 s.
const LATE: Duration = Duration::from_secs(5);

async fn members_come_and_go(scene: &mut Scene) -> anyhow::Result<()> {
    let before = changes(scene).await;
    let slow = Fault::Delay { request: Duration::from_millis(100), answer: Duration::from_millis(900) };
    scene.stack.break_clickhouse(&slow);
    for round in 0..ROUNDS {
        scene.fleet.want(GUEST, Wanted::Running);
        wait::until("the guest gets partitions", MOVE_LIMIT, || async { assigned(scene, GUEST).await > 0 })
            .await?;
        scene.pass_between(200, 1_500).await;
        let with = if round % 2 == 0 { Signal::SIGTERM } else { Signal::SIGKILL };
        scene.fleet.hold(GUEST, with).await?;
        wait::until("the others have all partitions", MOVE_LIMIT, || async { others_have_all(scene).await })
            .await?;
    }
    scene.stack.pass();
    scene.healed();
    let since = changes(scene).await - before;
    scene.expect(&format!("partitions came and went ({since} changes)"), since >= f64::from(ROUNDS))?;
    scene.stored(500).await
}

async fn others_have_all(scene: &Scene) -> bool {
    shares(scene).await.is_some()
}

/// What each of the two has, once that is everything.
async fn shares(scene: &Scene) -> Option<[i32; 2]> {
    let partitions = scene.stack.kafka.partitions(schemas::EVENTS_TOPIC).await.ok()?;
    let shares = [assigned(scene, 0).await, assigned(scene, 1).await];
    (shares.iter().sum::<i32>() == partitions).then_some(shares)
}

async fn assigned(scene: &Scene, index: usize) -> i32 {
    scene.fleet.metric(index, "sealtrail_processor_assigned_partitions").await.map_or(0, |count| count as i32)
}

async fn changes(scene: &Scene) -> f64 {
    let mut sum = 0.0;
    for index in [0, 1] {
        let changes = scene.fleet.metric(index, "sealtrail_processor_assignment_changes_total").await;
        sum += changes.unwrap_or_default();
    }
    sum
}

/// Its insert hangs in the middle of the body, its membership ends, the next owner inserts; then the old insert goes on.
async fn revoked_in_an_insert(scene: &mut Scene) -> anyhow::Result<()> {
    for owner in [0, 1] {
        scene.stack.clickhouse[owner].set(Fault::Stall { after_bytes: 2_000 });
        wait::until("an insert hangs", MOVE_LIMIT, || async { scene.stack.clickhouse[owner].struck() > 0 })
            .await?;
        lose_membership(scene, owner).await?;
        scene.stored(500).await?;
        scene.stack.clickhouse[owner].set(Fault::Pass);
        scene.pass(LATE).await;
        come_back(scene, owner).await?;
    }
    scene.healed();
    Ok(())
}

/// Everything that it says to Kafka is held back, its commit too, until another one has worked on its partitions.
async fn revoked_before_a_commit(scene: &mut Scene) -> anyhow::Result<()> {
    for owner in [0, 1] {
        let marks = scene.mark();
        lose_membership(scene, owner).await?;
        scene.stored(1_000).await?;
        come_back(scene, owner).await?;
        for text in ["commit", "assignment", "consumer"] {
            scene.log.note(&format!("{text}: {}", scene.line(&marks, text).unwrap_or_default()));
        }
    }
    scene.healed();
    Ok(())
}

/// Its connections to Kafka hold still until the other one has all partitions.
async fn lose_membership(scene: &Scene, owner: usize) -> anyhow::Result<()> {
    let partitions = scene.stack.kafka.partitions(schemas::EVENTS_TOPIC).await?;
    scene.stack.doors[owner].set(&Fault::Stall { after_bytes: 0 });
    let moved = || async { assigned(scene, 1 - owner).await == partitions };
    wait::until("the other one has all partitions", MOVE_LIMIT, moved).await
}

async fn come_back(scene: &Scene, owner: usize) -> anyhow::Result<()> {
    scene.stack.doors[owner].set(&Fault::Pass);
    wait::until("it has partitions again", MOVE_LIMIT, || async {
        shares(scene).await.is_some_and(|shares| shares.iter().all(|share| *share > 0))
    })
    .await
}
