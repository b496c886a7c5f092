//! F17: batches across midnight have parts in two table partitions, and something breaks between them.

use std::time::Duration;

use anyhow::Context;
use chrono::{DateTime, Days, Utc};

use super::{arm, body_of_insert_into, clickhouse_answers, struck};
use crate::scenario::{Expected, Scenario};
use crate::scene::Scene;
use crate::stack::Engine;
use crate::tools::clock::Shift;
use crate::tools::proxy::Fault;
use crate::tools::shim::{Part, PartFault};
use crate::wait;

pub const SCENARIOS: &[Scenario] = &[
    Scenario::new(
        "F17",
        "batches across midnight, cut in the middle of their bodies",
        Expected::Recovers,
        |scene| Box::pin(cut_at_midnight(scene)),
    )
    .with_a_clock(),
    Scenario::new("F17", "batches across midnight, one of two parts lost", Expected::Recovers, |scene| {
        Box::pin(half_lost_at_midnight(scene))
    })
    .with_a_clock(),
];

/// Time for batches of the old day.
const BEFORE_MIDNIGHT: Duration = Duration::from_secs(8);
/// From the cut's begin to midnight, and from midnight to its end.
const MARGIN: Duration = Duration::from_millis(1_500);
const LIMIT: Duration = Duration::from_secs(60);
/// Below the patience for an answer, which is 5 s.
const LATE_ANSWERS: Duration = Duration::from_secs(3);

/// A batch of which a part is of either day.
const ACROSS: &str =
    "SELECT count() FROM event_batches WHERE toDate(least_received_at) != toDate(greatest_received_at)";

/// Sets the brokers' clocks; answers when, by ours, their midnight is, and the day that begins there.
fn midnight_ahead(scene: &Scene) -> anyhow::Result<(DateTime<Utc>, String)> {
    let clock = scene.stack.clock.as_ref().context("the stack has no clock that can be set")?;
    let now = Utc::now();
    let shift = Shift::to_midnight(now, BEFORE_MIDNIGHT);
    clock.set(shift)?;
    let shifted = shift.apply(now);
    let next = (shifted.date_naive() + Days::new(1)).and_time(chrono::NaiveTime::MIN).and_utc();
    scene.say(&format!("the brokers' clocks say {shifted}"));
    Ok((now + (next - shifted), next.format("%Y%m%d").to_string()))
}

async fn until(moment: DateTime<Utc>) {
    tokio::time::sleep((moment - Utc::now()).to_std().unwrap_or_default()).await;
}

async fn cut_at_midnight(scene: &mut Scene) -> anyhow::Result<()> {
    let (midnight, _) = midnight_ahead(scene)?;
    until(midnight - MARGIN).await;
    arm(scene, &body_of_insert_into("events"), &Fault::Cut { after_bytes: 500 });
    until(midnight + MARGIN).await;
    scene.expect("inserts around midnight were cut", struck(scene) > 0)?;
    scene.stack.break_clickhouse(&Fault::Pass);
    scene.healed();
    across(scene).await
}

/// The engine dies at the rename of the new day's first part: the old day's part of the same insert may be there.
async fn half_lost_at_midnight(scene: &mut Scene) -> anyhow::Result<()> {
    let (midnight, day) = midnight_ahead(scene)?;
    let before = scene.stack.pid(Engine::ClickHouse)?;
    // answers come so late that what is gathered meanwhile is of both days
    until(midnight - LATE_ANSWERS / 2).await;
    scene.shim.arm(PartFault::Kill, Part::of_day(&day))?;
    scene.stack.break_clickhouse(&Fault::Delay { request: Duration::ZERO, answer: LATE_ANSWERS });
    until(midnight + LATE_ANSWERS / 2).await;
    scene.stack.break_clickhouse(&Fault::Pass);
    scene.stack.wait_other(Engine::ClickHouse, Some(before)).await?;
    clickhouse_answers(scene).await?;
    scene.healed();
    scene.log.note(&scene.shim.met()?.join("; "));
    scene.expect("a part of the new day was lost", scene.shim.met()?.len() == 1)?;
    across(scene).await?;
    // it is closed after its time to land and a read-back, so later than those that began behind it
    let again = format!("{ACROSS} AND attempt > 0");
    let closed = || async { scene.number(&again).await.is_ok_and(|found| found > 0) };
    wait::until("a batch across midnight takes another attempt", LIMIT, closed).await
}

/// Waits until batches of both days are stored.
async fn across(scene: &Scene) -> anyhow::Result<()> {
    let what = "a batch across midnight is stored";
    wait::until(what, LIMIT, || async { scene.number(ACROSS).await.is_ok_and(|found| found > 0) }).await?;
    let text = scene
        .stack
        .execute(&ACROSS.replace("count()", "groupArray((kafka_partition, from_offset, to_offset, attempt))"))
        .await?;
    scene.say(&format!("batches across midnight: {text}"));
    scene.stored(500).await
}
