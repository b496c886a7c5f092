//! F29: clocks of processes that are a day off, and jump.

use std::time::Duration;

use anyhow::Context;
use chrono::Utc;

use crate::scenario::{Expected, Scenario};
use crate::scene::Scene;
use crate::tools::clock::{FakeClock, Shift};
use crate::tools::library::VARIABLE;
use crate::wait;

pub const SCENARIOS: &[Scenario] = &[
    Scenario::new(
        "F29",
        "the processors' clocks are a day off, and jump back",
        Expected::Recovers,
        |scene| Box::pin(processors_off(scene)),
    ),
    Scenario::new("F29", "the brokers' clocks jump 23 hours ahead, and back", Expected::Recovers, |scene| {
        Box::pin(brokers_off(scene))
    })
    .with_a_clock(),
];

const DAY: Duration = Duration::from_secs(86_400);
/// Within the dedupe window, which is 24 hours of the brokers' clocks: a retry across a longer jump is a new event.
const BROKERS_JUMP: Duration = Duration::from_secs(23 * 3_600);
/// A running process follows its clock at once; then it has to write, or log, something.
const FOLLOW_LIMIT: Duration = Duration::from_secs(30);

/// Deadlines are in ClickHouse's clock and waits in the monotonic one, so that the wall clock of a processor decides
/// nothing.
async fn processors_off(scene: &mut Scene) -> anyhow::Result<()> {
    let clock = FakeClock::create(&scene.stack.dir.join("processors-clock"), Shift::ahead(DAY))?;
    let library = clock.library().display().to_string();
    let running = scene.running();
    let marks = scene.mark();
    for index in &running {
        scene.fleet.set_env(*index, VARIABLE, Some(&library));
        scene.fleet.restart(*index).await?;
    }
    let tomorrow = (Utc::now() + DAY).format("%Y-%m-%dT").to_string();
    scene.wait_logged(&marks, &tomorrow, FOLLOW_LIMIT).await?;
    scene.stored(500).await?;
    for shift in [Shift::NONE, Shift::behind(DAY), Shift::ahead(DAY)] {
        clock.set(shift)?;
        scene.stored(500).await?;
        // a range that was announced under one clock is taken up under another
        scene.fleet.kill(running[0])?;
        scene.stored(500).await?;
    }
    let yesterday = (Utc::now() - DAY).format("%Y-%m-%dT").to_string();
    scene.expect("a processor has gone back by a day", scene.logged(&marks, &yesterday))?;
    clock.set(Shift::NONE)?;
    scene.healed();
    scene.stored(500).await
}

/// Records then have times far ahead, and those after them lie before them.
async fn brokers_off(scene: &mut Scene) -> anyhow::Result<()> {
    let clock = scene.stack.clock.clone().context("the stack has no clock that can be set")?;
    const AHEAD: &str = "SELECT count() FROM events WHERE received_at > now() + INTERVAL 12 HOUR";
    const BACK: &str = "SELECT countIf(least_received_at < before) FROM (SELECT least_received_at, \
         lagInFrame(greatest_received_at) OVER (PARTITION BY kafka_partition ORDER BY from_offset) AS before \
         FROM event_batches)";
    clock.set(Shift::ahead(BROKERS_JUMP))?;
    let ahead = || async { scene.number(AHEAD).await.is_ok_and(|rows| rows > 500) };
    wait::until("records of the time ahead are stored", FOLLOW_LIMIT, ahead).await?;
    scene.fleet.kill(0)?;
    scene.stored(500).await?;
    clock.set(Shift::NONE)?;
    scene.healed();
    let back = || async { scene.number(BACK).await.is_ok_and(|batches| batches > 0) };
    wait::until("records of now follow those of the time ahead", FOLLOW_LIMIT, back).await?;
    scene.fleet.kill(0)?;
    scene.stored(500).await
}
