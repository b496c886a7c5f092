//! F14 and F15: ClickHouse is away, unknown, slow, or holds still.

use std::time::Duration;

use nix::sys::signal::Signal;

use super::{Calm, arm, body_of_insert_into, clickhouse_answers, rows_stored, sit_out, struck, wait_struck};
use crate::ports::PROCESSORS;
use crate::scenario::{Expected, Scenario};
use crate::scene::Scene;
use crate::stack::Engine;
use crate::tools::library::VARIABLE;
use crate::tools::proxy::Fault;

pub const SCENARIOS: &[Scenario] = &[
    Scenario::new("F14", "clickhouse is killed and stays down for a while", Expected::Recovers, |scene| {
        Box::pin(down(scene))
    }),
    Scenario::new("F14", "clickhouse refuses connections, twice", Expected::Recovers, |scene| {
        Box::pin(refusing(scene))
    }),
    Scenario::new("F14", "the name of clickhouse's host is unknown", Expected::Recovers, |scene| {
        Box::pin(unknown_host(scene))
    }),
    Scenario::new("F15", "clickhouse is slow in both directions", Expected::Recovers, |scene| {
        Box::pin(slow(scene))
    }),
    Scenario::new("F15", "inserts hang in the middle of their bodies", Expected::Recovers, |scene| {
        Box::pin(hanging_mid_insert(scene))
    }),
    Scenario::new("F15", "connections are half-open", Expected::Recovers, |scene| Box::pin(half_open(scene))),
    Scenario::new("F15", "SIGSTOP of clickhouse, longer than a deadline", Expected::Recovers, |scene| {
        Box::pin(stopped_engine(scene))
    }),
];

/// Longer than insert.deadline_s and the longest pause between tries, which are shortened.
const OUTAGE: Duration = Duration::from_secs(5);
/// Longer than clickhouse.query_timeout_ms, which is shortened to 5 s.
const HANG: Duration = Duration::from_secs(8);

async fn down(scene: &mut Scene) -> anyhow::Result<()> {
    let calm = Calm::take(scene).await?;
    scene.stack.hold(Engine::ClickHouse, Signal::SIGKILL).await?;
    scene.flow(1_000).await?;
    scene.pass(OUTAGE).await;
    scene.stack.release(Engine::ClickHouse).await?;
    clickhouse_answers(scene).await?;
    scene.healed();
    scene.stored(1_000).await?;
    calm.expect_kept(scene).await
}

async fn refusing(scene: &mut Scene) -> anyhow::Result<()> {
    let calm = Calm::take(scene).await?;
    for outage in [OUTAGE, Duration::from_millis(500)] {
        scene.stack.break_clickhouse(&Fault::Refuse);
        sit_out(scene, outage).await?;
        scene.stack.break_clickhouse(&Fault::Pass);
        scene.healed();
        scene.stored(1_000).await?;
    }
    calm.expect_kept(scene).await
}

/// The processors reach ClickHouse by a name, and the library in them forgets all names.
async fn unknown_host(scene: &mut Scene) -> anyhow::Result<()> {
    let library = scene.shim.library().display().to_string();
    let by_name = |index: usize| {
        let port = scene.stack.clickhouse[index].address().port();
        scene.fleet.set(index, "CLICKHOUSE__URL", &format!("http://localhost:{port}"));
        scene.fleet.set_env(index, VARIABLE, Some(&library));
    };
    (0..PROCESSORS).for_each(by_name);
    let running = scene.running();
    for index in &running {
        scene.fleet.restart(*index).await?;
    }
    scene.stored(200).await?;
    let calm = Calm::take(scene).await?;
    let marks = scene.mark();
    scene.shim.forget_names(true)?;
    // or the connections that are open would do
    scene.stack.clickhouse.iter().for_each(crate::tools::proxy::Proxy::cut);
    sit_out(scene, OUTAGE).await?;
    scene.expect("a processor names the fault", scene.logged(&marks, "dns error"))?;
    scene.shim.forget_names(false)?;
    scene.healed();
    scene.stored(1_000).await?;
    calm.expect_kept(scene).await
}

/// Later than an insert may land, now and then.
async fn slow(scene: &mut Scene) -> anyhow::Result<()> {
    let calm = Calm::take(scene).await?;
    for (request_ms, answer_ms) in [(300, 300), (2_500, 1_000)] {
        let (request, answer) = (Duration::from_millis(request_ms), Duration::from_millis(answer_ms));
        scene.stack.break_clickhouse(&Fault::Delay { request, answer });
        scene.pass(HANG).await;
        scene.expect("requests were slowed down", struck(scene) > 0)?;
    }
    scene.stack.break_clickhouse(&Fault::Pass);
    scene.healed();
    scene.stored(500).await?;
    calm.expect_kept(scene).await
}

/// What was held back arrives when its deadline has passed, and must have no effect.
async fn hanging_mid_insert(scene: &mut Scene) -> anyhow::Result<()> {
    let calm = Calm::take(scene).await?;
    for table in ["events", "event_batches"] {
        arm(scene, &body_of_insert_into(table).times(2), &Fault::Stall { after_bytes: 100 });
        wait_struck(scene, 2).await?;
        scene.pass(HANG).await;
        scene.stack.break_clickhouse(&Fault::Pass);
        scene.healed();
        scene.stored(500).await?;
    }
    calm.expect_kept(scene).await
}

async fn half_open(scene: &mut Scene) -> anyhow::Result<()> {
    let calm = Calm::take(scene).await?;
    scene.stack.break_clickhouse(&Fault::Stall { after_bytes: 0 });
    scene.pass(HANG).await;
    scene.expect("connections are held", struck(scene) > 0)?;
    sit_out(scene, HANG).await?;
    scene.stack.break_clickhouse(&Fault::Pass);
    scene.healed();
    scene.stored(1_000).await?;
    calm.expect_kept(scene).await
}

/// The engine wakes in the middle of an insert whose deadline is over.
async fn stopped_engine(scene: &mut Scene) -> anyhow::Result<()> {
    let calm = Calm::take(scene).await?;
    for _ in 0..2 {
        scene.pass_between(200, 1_500).await;
        scene.stack.signal(Engine::ClickHouse, Signal::SIGSTOP)?;
        let flowed = scene.flow(1_000).await;
        scene.pass(HANG).await;
        scene.stack.signal(Engine::ClickHouse, Signal::SIGCONT)?;
        flowed?;
        scene.healed();
        let before = rows_stored(scene).await?;
        scene.stored(1_000).await?;
        scene.log.note(&format!("{before} rows when it woke"));
    }
    calm.expect_kept(scene).await
}
