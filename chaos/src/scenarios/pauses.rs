//! F11: a process that sleeps longer than its membership lasts, and wakes.

use std::time::Duration;

use nix::sys::signal::Signal;

use crate::scenario::{Expected, Scenario};
use crate::scene::{Marks, Scene};
use crate::wait;

pub const SCENARIOS: &[Scenario] = &[Scenario::new(
    "F11",
    "SIGSTOP of an owner until its partitions moved, each once",
    Expected::Recovers,
    |scene| Box::pin(one_pause_each(scene)),
)
.in_ci()];

/// Above the session, which is shortened to 6 s, and above insert.deadline_s.
const MOVE_LIMIT: Duration = Duration::from_secs(40);
const PAUSES: u32 = 2;
/// What the woken one says of its commit.
const REFUSED: &[&str] = &[
    "IllegalGeneration",
    "UnknownMemberId",
    "FencedInstanceId",
    "assignment was lost",
    "commit was not sent",
];

async fn one_pause_each(scene: &mut Scene) -> anyhow::Result<()> {
    for round in 0..PAUSES {
        scene.pass_between(300, 1_500).await;
        let sleeper = (round as usize) % 2;
        pause_until_moved(scene, sleeper).await?;
    }
    scene.healed();
    scene.fleet.wait_all_ready().await
}

/// The other one takes all partitions while the owner sleeps in the middle of its work.
async fn pause_until_moved(scene: &mut Scene, sleeper: usize) -> anyhow::Result<()> {
    let other = 1 - sleeper;
    let partitions = scene.stack.kafka.partitions(schemas::EVENTS_TOPIC).await?;
    let marks = scene.mark();
    scene.fleet.signal(sleeper, Signal::SIGSTOP)?;
    let moved = wait::until("the partitions move to the other processor", MOVE_LIMIT, || async {
        let assigned = scene.fleet.metric(other, "sealtrail_processor_assigned_partitions").await;
        assigned.is_ok_and(|assigned| assigned as i32 == partitions)
    })
    .await;
    // the new owner has to be at work when the old one wakes
    let stored = if moved.is_ok() { scene.stored(500).await } else { Ok(()) };
    scene.fleet.signal(sleeper, Signal::SIGCONT)?;
    moved?;
    stored?;
    scene.log.note("the partitions moved, and the old owner wakes");
    // what it shows of itself until it has noticed is of before
    wait::until("its commit is refused or never sent", MOVE_LIMIT, || async {
        refused(scene, &marks).is_some()
    })
    .await?;
    scene.log.note(&refused(scene, &marks).unwrap_or_default());
    wait::until("the woken one is a member again", MOVE_LIMIT, || async {
        let assigned = scene.fleet.metric(sleeper, "sealtrail_processor_assigned_partitions").await;
        assigned.is_ok_and(|assigned| assigned > 0.0) && scene.fleet.is_ready(sleeper).await
    })
    .await
}

fn refused(scene: &Scene, marks: &Marks) -> Option<String> {
    REFUSED.iter().find_map(|text| scene.line(marks, text))
}
