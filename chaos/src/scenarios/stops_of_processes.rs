//! F02, F03, F04: processes that are killed or asked to stop.

use std::time::Duration;

use anyhow::Context;
use nix::sys::signal::Signal;
use rand::Rng;
use tokio::time::Instant;

use crate::fleet::Wanted;
use crate::scenario::{Expected, Scenario};
use crate::scene::Scene;
use crate::stack::Engine;
use crate::tools::proxy::Fault;
use crate::{fleet, process, wait};

pub const SCENARIOS: &[Scenario] = &[
    Scenario::new("F02", "kill -9 of a processor at 12 random moments", Expected::Recovers, |scene| {
        Box::pin(random_kills(scene))
    })
    .in_ci(),
    Scenario::new("F02", "kill -9 while the answers of ClickHouse are late", Expected::Recovers, |scene| {
        Box::pin(kills_around_the_insert(scene))
    }),
    Scenario::new("F02", "kill -9 while the answers of Kafka are late", Expected::Recovers, |scene| {
        Box::pin(kills_around_the_commit(scene))
    }),
    Scenario::new("F03", "SIGTERM of each processor under load", Expected::Recovers, |scene| {
        Box::pin(terminate_processors(scene))
    }),
    Scenario::new("F03", "SIGTERM of gateway and query API under load", Expected::Recovers, |scene| {
        Box::pin(terminate_fronts(scene))
    }),
    Scenario::new("F04", "SIGTERM, then SIGKILL before the work is done", Expected::Recovers, |scene| {
        Box::pin(terminate_then_kill(scene))
    }),
];

const RANDOM_KILLS: u32 = 12;
const KILLS_IN_A_WINDOW: u32 = 4;
/// group.drain_timeout_ms is shortened to 8 s; a member's leave and the process's end come on top.
const PROCESSOR_BUDGET: Duration = Duration::from_secs(12);
/// http.drain_timeout_ms is 10 s, producer.delivery_timeout_ms shortened to 5 s.
const FRONT_BUDGET: Duration = Duration::from_secs(16);
/// An end that is quicker than this may not let anybody see that readiness went first.
const READINESS_TICK: Duration = Duration::from_millis(2);
/// ClickHouse answers so late that a drain takes longer than that.
const LATE_ANSWER: Fault = Fault::Delay { request: Duration::ZERO, answer: Duration::from_millis(300) };

async fn random_kills(scene: &mut Scene) -> anyhow::Result<()> {
    for _ in 0..RANDOM_KILLS {
        scene.pass_between(200, 2_500).await;
        kill_one(scene).await?;
    }
    scene.healed();
    scene.fleet.wait_all_ready().await
}

/// Kills one that runs; it comes back.
async fn kill_one(scene: &mut Scene) -> anyhow::Result<()> {
    let index = scene.any_processor()?;
    let pid = scene.fleet.pid(index);
    scene.fleet.kill(index)?;
    scene.log.note(&format!("killed {} ({pid:?})", fleet::name(index)));
    Ok(())
}

/// With each insert answered half a second late most moments are between an insert and its answer.
async fn kills_around_the_insert(scene: &mut Scene) -> anyhow::Result<()> {
    let late = Fault::Delay { request: Duration::from_millis(50), answer: Duration::from_millis(500) };
    scene.stack.break_clickhouse(&late);
    kills_in_a_window(scene).await?;
    scene.stack.pass();
    scene.healed();
    scene.fleet.wait_all_ready().await
}

/// With each answer of the brokers half a second late most moments are within an announcement, or a dead letter's write.
async fn kills_around_the_commit(scene: &mut Scene) -> anyhow::Result<()> {
    let late = Fault::Delay { request: Duration::from_millis(20), answer: Duration::from_millis(400) };
    scene.stack.doors.iter().for_each(|door| door.set(&late));
    kills_in_a_window(scene).await?;
    scene.stack.pass();
    scene.healed();
    scene.fleet.wait_all_ready().await
}

async fn kills_in_a_window(scene: &mut Scene) -> anyhow::Result<()> {
    for _ in 0..KILLS_IN_A_WINDOW {
        scene.pass_between(2_000, 5_000).await;
        kill_one(scene).await?;
    }
    Ok(())
}

async fn terminate_processors(scene: &mut Scene) -> anyhow::Result<()> {
    for index in scene.running() {
        scene.stack.break_clickhouse(&LATE_ANSWER);
        scene.pass(Duration::from_secs(1)).await;
        let (pid, marks) = (scene.fleet.pid(index).context("it runs")?, scene.mark());
        let began = Instant::now();
        scene.fleet.signal(index, Signal::SIGTERM)?;
        let admin = scene.stack.ports.processor_admin(index);
        let is_first = not_ready_before_gone(admin, pid).await?;
        let end = scene.fleet.wait_end(index, pid).await?;
        scene.stack.pass();
        scene.expect("readiness flips before the processor ends", is_first)?;
        scene.expect("it ends with status 0", end.status.code() == Some(0))?;
        scene.expect("it ends within its budget", began.elapsed() <= PROCESSOR_BUDGET)?;
        scene.log.note(&scene.line(&marks, "stopping").unwrap_or_default());
        scene.fleet.wait_ready(index).await?;
        scene.stored(500).await?;
    }
    scene.healed();
    Ok(())
}

/// Whether `/readyz` said no while the process still lived. An end between two looks counts as no.
async fn not_ready_before_gone(admin: std::net::SocketAddr, pid: nix::unistd::Pid) -> anyhow::Result<bool> {
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(2)).build()?;
    let began = Instant::now();
    while began.elapsed() < FRONT_BUDGET {
        let answer = client.get(format!("http://{admin}/readyz")).send().await;
        if answer.is_ok_and(|answer| answer.status() == reqwest::StatusCode::SERVICE_UNAVAILABLE) {
            return Ok(true);
        }
        if !process::is_alive(pid) {
            return Ok(false);
        }
        tokio::time::sleep(READINESS_TICK).await;
    }
    Ok(false)
}

async fn terminate_fronts(scene: &mut Scene) -> anyhow::Result<()> {
    let fronts = [
        (Engine::Gateway, scene.stack.ports.gateway_admin()),
        (Engine::QueryApi, scene.stack.ports.query_admin()),
    ];
    for (engine, admin) in fronts {
        let (pid, began) = (scene.stack.pid(engine)?, Instant::now());
        let ended = format!("{} ended (exit status: 0)", engine.name());
        let before = scene.stack.said().matches(&ended).count();
        scene.stack.signal(engine, Signal::SIGTERM)?;
        let is_first = not_ready_before_gone(admin, pid).await?;
        wait::until(&format!("{} ends", engine.name()), FRONT_BUDGET, || async { !process::is_alive(pid) })
            .await?;
        let took = began.elapsed();
        scene.log.note(&format!("{} ended after {} ms", engine.name(), took.as_millis()));
        scene.stack.wait_other(engine, Some(pid)).await?;
        scene.expect(&format!("readiness flips before {} ends", engine.name()), is_first)?;
        let ends = || async { scene.stack.said().matches(&ended).count() > before };
        wait::until(&format!("{} ends with status 0", engine.name()), FRONT_BUDGET, ends).await?;
    }
    scene.healed();
    scene.stored(500).await
}

/// The supervisor's patience ends somewhere in the drain, which waits for ClickHouse.
async fn terminate_then_kill(scene: &mut Scene) -> anyhow::Result<()> {
    let late = Fault::Delay { request: Duration::ZERO, answer: Duration::from_millis(700) };
    for round in 0..6 {
        scene.stack.break_clickhouse(&late);
        scene.pass_between(500, 1_500).await;
        let index = round % 2;
        let pid = scene.fleet.pid(index).context("it runs")?;
        scene.fleet.signal(index, Signal::SIGTERM)?;
        let patience = scene.rng.random_range(5..400);
        scene.pass(Duration::from_millis(patience)).await;
        if scene.fleet.pid(index) == Some(pid) {
            scene.fleet.kill(index)?;
        }
        let end = scene.fleet.wait_end(index, pid).await?;
        scene.log.note(&format!("SIGKILL after {patience} ms: {}", end.status));
        scene.stack.pass();
        scene.fleet.want(index, Wanted::Running);
        scene.fleet.wait_ready(index).await?;
    }
    scene.healed();
    Ok(())
}
