//! Blow after blow, drawn from the seed: 100 kills in a row, and everything at once.

use std::time::Duration;

use anyhow::Context;
use nix::sys::signal::Signal;
use rand::Rng;

use super::brokers::in_sync;
use crate::fleet::{self, Wanted};
use crate::run::RUNNING;
use crate::scenario::{Expected, Scenario};
use crate::scene::Scene;
use crate::stack::Engine;
use crate::tools::proxy::{Fault, Loss, Trigger};
use crate::tools::registry::RegistryFault;

pub const SCENARIOS: &[Scenario] = &[
    Scenario::new(
        "kills",
        "100 random kills in a row, of every kind of process",
        Expected::Recovers,
        |scene| Box::pin(kills_in_a_row(scene)),
    ),
    Scenario::new("F41", "random faults of every kind, several at once", Expected::Recovers, |scene| {
        Box::pin(everything_at_once(scene))
    })
    .in_long_runs(),
];

const KILLS: u32 = 100;
const BLOWS: u32 = 15;
/// Longer than a session, which is shortened to 6 s.
const LONGEST_PAUSE_MS: u64 = 9_000;
const GUEST: usize = 2;

async fn kills_in_a_row(scene: &mut Scene) -> anyhow::Result<()> {
    for number in 1..=KILLS {
        scene.pass_between(300, 2_200).await;
        let killed = kill_something(scene).await?;
        scene.log.note(&format!("kill {number} of {KILLS}: {killed}"));
        if number % 20 == 0 {
            scene.say(&format!("{number} of {KILLS} kills"));
        }
    }
    scene.healed();
    calm_down(scene).await
}

/// Processors most of all; one broker at a time, since two of three are a majority.
async fn kill_something(scene: &mut Scene) -> anyhow::Result<String> {
    let engine = match scene.rng.random_range(0..100) {
        0..50 => return kill_a_processor(scene),
        50..65 => Engine::ClickHouse,
        65..80 => Engine::Gateway,
        _ => {
            in_sync(scene).await.context("before the next broker")?;
            Engine::Broker(scene.rng.random_range(0..crate::ports::BROKERS))
        }
    };
    kill_engine(scene, engine)
}

fn kill_engine(scene: &Scene, engine: Engine) -> anyhow::Result<String> {
    let pid = scene.stack.pid(engine)?;
    // it may be on its way up from the kill before
    let answer = if scene.stack.kill(engine).is_ok() { "" } else { ", which was down" };
    Ok(format!("{} ({pid}){answer}", engine.name()))
}

fn kill_a_processor(scene: &mut Scene) -> anyhow::Result<String> {
    let index = scene.rng.random_range(0..RUNNING);
    let Some(pid) = scene.fleet.pid(index) else {
        return Ok(format!("{}, which was down", fleet::name(index)));
    };
    scene.fleet.kill(index)?;
    Ok(format!("{} ({pid})", fleet::name(index)))
}

/// All is up again, and nothing is in the way.
async fn calm_down(scene: &mut Scene) -> anyhow::Result<()> {
    scene.stack.pass();
    scene.fleet.hold(GUEST, Signal::SIGTERM).await?;
    in_sync(scene).await?;
    scene.fleet.wait_all_ready().await
}

/// What may happen in a storm.
#[derive(Debug, Clone, Copy)]
enum Blow {
    KillProcessor,
    TerminateProcessor,
    PauseProcessor,
    GuestComes,
    GuestGoes,
    KillBroker,
    PauseBroker,
    KillClickHouse,
    PauseClickHouse,
    KillGateway,
    ClickHouseSlow,
    ClickHouseHangs,
    ClickHouseRefuses,
    InsertAnswersLost,
    KafkaSlow,
    KafkaCut,
    KafkaHangsForOne,
    CommitAnswersLost,
    AcknowledgementsLost,
    RegistryDown,
    Heal,
}

impl Blow {
    const ALL: [Self; 21] = [
        Self::KillProcessor,
        Self::TerminateProcessor,
        Self::PauseProcessor,
        Self::GuestComes,
        Self::GuestGoes,
        Self::KillBroker,
        Self::PauseBroker,
        Self::KillClickHouse,
        Self::PauseClickHouse,
        Self::KillGateway,
        Self::ClickHouseSlow,
        Self::ClickHouseHangs,
        Self::ClickHouseRefuses,
        Self::InsertAnswersLost,
        Self::KafkaSlow,
        Self::KafkaCut,
        Self::KafkaHangsForOne,
        Self::CommitAnswersLost,
        Self::AcknowledgementsLost,
        Self::RegistryDown,
        Self::Heal,
    ];
}

async fn everything_at_once(scene: &mut Scene) -> anyhow::Result<()> {
    for _ in 0..BLOWS {
        scene.pass_between(200, 4_000).await;
        let blow = Blow::ALL[scene.rng.random_range(0..Blow::ALL.len())];
        scene.log.note(&format!("{blow:?}"));
        strike(scene, blow).await.with_context(|| format!("{blow:?}"))?;
    }
    scene.stack.pass();
    scene.healed();
    calm_down(scene).await
}

async fn strike(scene: &mut Scene, blow: Blow) -> anyhow::Result<()> {
    let index = scene.rng.random_range(0..RUNNING);
    let broker = scene.rng.random_range(0..crate::ports::BROKERS);
    match blow {
        Blow::KillProcessor => drop(kill_a_processor(scene)?),
        Blow::TerminateProcessor => drop(scene.fleet.signal(index, Signal::SIGTERM)),
        Blow::PauseProcessor => pause_processor(scene, index).await,
        Blow::GuestComes => scene.fleet.want(GUEST, Wanted::Running),
        Blow::GuestGoes => drop(scene.fleet.hold(GUEST, Signal::SIGKILL).await?),
        Blow::KillBroker => {
            in_sync(scene).await?;
            drop(kill_engine(scene, Engine::Broker(broker))?);
        }
        Blow::PauseBroker => {
            in_sync(scene).await?;
            pause_engine(scene, Engine::Broker(broker)).await?;
        }
        Blow::KillClickHouse => drop(kill_engine(scene, Engine::ClickHouse)?),
        Blow::PauseClickHouse => pause_engine(scene, Engine::ClickHouse).await?,
        Blow::KillGateway => drop(kill_engine(scene, Engine::Gateway)?),
        Blow::RegistryDown => {
            scene.stack.registry.set(RegistryFault::Status(axum::http::StatusCode::BAD_GATEWAY))
        }
        Blow::Heal => scene.stack.pass(),
        _ => on_the_way(scene, blow, index),
    }
    Ok(())
}

/// What the proxies do.
fn on_the_way(scene: &mut Scene, blow: Blow, index: usize) {
    let late = Duration::from_millis(scene.rng.random_range(20..900));
    let slow = Fault::Delay { request: late / 4, answer: late };
    let loss = if scene.rng.random_bool(0.5) { Loss::Reset } else { Loss::Silence };
    let stack = &scene.stack;
    match blow {
        Blow::ClickHouseSlow => stack.break_clickhouse(&slow),
        Blow::ClickHouseHangs => stack.clickhouse[index].set(Fault::Stall { after_bytes: 3_000 }),
        Blow::ClickHouseRefuses => stack.break_clickhouse(&Fault::Refuse),
        Blow::InsertAnswersLost => {
            let trigger = Trigger::on(b"INSERT").times(5);
            stack.clickhouse.iter().for_each(|proxy| proxy.arm(trigger.clone(), Fault::LoseAnswer(loss)));
        }
        Blow::KafkaSlow => stack.doors.iter().for_each(|door| door.set(&slow)),
        Blow::KafkaCut => stack.doors[index].cut(),
        Blow::KafkaHangsForOne => stack.doors[index].set(&Fault::Stall { after_bytes: 0 }),
        Blow::CommitAnswersLost => {
            stack.doors[index].arm(&Trigger::on(b"\"deadline\":").times(2), &Fault::LoseAnswer(loss))
        }
        Blow::AcknowledgementsLost => {
            let trigger = Trigger::on(schemas::EVENTS_TOPIC.as_bytes()).times(3);
            stack.gateway_door.arm(&trigger, &Fault::LoseAnswer(loss));
        }
        _ => {}
    }
}

async fn pause_processor(scene: &mut Scene, index: usize) {
    let pid = scene.fleet.pid(index);
    let pause = Duration::from_millis(scene.rng.random_range(100..LONGEST_PAUSE_MS));
    // one that is down needs no pause
    if scene.fleet.signal(index, Signal::SIGSTOP).is_ok() {
        scene.pass(pause).await;
        if scene.fleet.pid(index) == pid {
            let _gone_meanwhile = scene.fleet.signal(index, Signal::SIGCONT);
        }
    }
}

async fn pause_engine(scene: &mut Scene, engine: Engine) -> anyhow::Result<()> {
    let pid = scene.stack.pid(engine)?;
    let pause = Duration::from_millis(scene.rng.random_range(100..LONGEST_PAUSE_MS));
    if scene.stack.signal(engine, Signal::SIGSTOP).is_ok() {
        scene.pass(pause).await;
        let _gone_meanwhile = crate::process::signal(pid, Signal::SIGCONT);
    }
    Ok(())
}
