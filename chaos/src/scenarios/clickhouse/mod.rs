//! What goes wrong on the side of ClickHouse: on the way to it, in its answers, in its tables, and in its process.

mod answers;
mod away;
mod crashes;
mod credentials;
mod midnight;
mod refusals;
mod tables;
mod window;

use std::time::Duration;

use crate::fleet::Fleet;
use crate::ports::PROCESSORS;
use crate::scenario::Scenario;
use crate::scene::{Marks, Scene};
use crate::stack::Engine;
use crate::tools::proxy::{Fault, Proxy, Trigger};
use crate::wait;

pub const SCENARIOS: [&[Scenario]; 8] = [
    away::SCENARIOS,
    answers::SCENARIOS,
    midnight::SCENARIOS,
    refusals::SCENARIOS,
    credentials::SCENARIOS,
    tables::SCENARIOS,
    crashes::SCENARIOS,
    window::SCENARIOS,
];

/// From a start of ClickHouse to its first answer, on a busy machine.
const ANSWER_LIMIT: Duration = Duration::from_secs(60);
/// Until what is armed meets a request, while events flow.
const STRIKE_LIMIT: Duration = Duration::from_secs(30);
/// Until every processor has met a fault that stops it: partitions that one gives up come to the next.
const ALL_STOPPED_LIMIT: Duration = Duration::from_secs(90);
/// What was on its way when the fault began has come to its end.
const SETTLED_AFTER: Duration = Duration::from_secs(1);

/// Strikes where the head of an insert into this table goes by; bytes count from there.
fn insert_into(table: &str) -> Trigger {
    Trigger::on(format!("INSERT+INTO+%60{table}%60").as_bytes())
}

/// The same, and bytes count from the begin of the body.
fn body_of_insert_into(table: &str) -> Trigger {
    insert_into(table).then(b"\r\n\r\n")
}

/// Each processor's way to ClickHouse.
fn arm(scene: &Scene, trigger: &Trigger, fault: &Fault) {
    scene.stack.clickhouse.iter().for_each(|proxy| proxy.arm(trigger.clone(), fault.clone()));
}

fn struck(scene: &Scene) -> u64 {
    scene.stack.clickhouse.iter().map(Proxy::struck).sum()
}

async fn wait_struck(scene: &Scene, times: u64) -> anyhow::Result<()> {
    let what = format!("the fault meets {times} requests");
    wait::until(&what, STRIKE_LIMIT, || async { struck(scene) >= times }).await?;
    scene.log.note(&format!("the fault met {} requests", struck(scene)));
    Ok(())
}

/// Waits until ClickHouse answers its owner.
async fn clickhouse_answers(scene: &Scene) -> anyhow::Result<()> {
    wait::until("clickhouse answers", ANSWER_LIMIT, || async {
        scene.stack.execute("SELECT 1").await.is_ok()
    })
    .await
}

/// Lets ClickHouse start anew, as after a change of its files.
async fn restart_clickhouse(scene: &Scene) -> anyhow::Result<()> {
    let before = scene.stack.pid(Engine::ClickHouse)?;
    scene.stack.kill(Engine::ClickHouse)?;
    scene.stack.wait_other(Engine::ClickHouse, Some(before)).await?;
    clickhouse_answers(scene).await
}

/// What an outage of ClickHouse must leave as it is.
struct Calm {
    dead_letters: i64,
    ends: Vec<usize>,
    consumers_replaced: f64,
}

impl Calm {
    async fn take(scene: &Scene) -> anyhow::Result<Self> {
        Ok(Self {
            dead_letters: scene.number("SELECT count() FROM dead_letters").await?,
            ends: ends(&scene.fleet),
            consumers_replaced: consumers_replaced(scene).await,
        })
    }

    /// An outage makes no dead letters, ends no processor, and costs none its membership.
    async fn expect_kept(&self, scene: &Scene) -> anyhow::Result<()> {
        let dead_letters = scene.number("SELECT count() FROM dead_letters").await?;
        scene.expect("no dead letter was made", dead_letters == self.dead_letters)?;
        scene.expect("no processor ended", ends(&scene.fleet) == self.ends)?;
        let replaced = consumers_replaced(scene).await;
        scene.expect("no consumer missed its polls", replaced <= self.consumers_replaced)
    }
}

fn ends(fleet: &Fleet) -> Vec<usize> {
    (0..PROCESSORS).map(|index| fleet.ends(index).len()).collect()
}

async fn consumers_replaced(scene: &Scene) -> f64 {
    metric(scene, "sealtrail_processor_consumer_restarts_total").await
}

/// Summed over all processors that run.
async fn metric(scene: &Scene, name: &str) -> f64 {
    let mut sum = 0.0;
    for index in scene.running() {
        sum += scene.fleet.metric(index, name).await.unwrap_or_default();
    }
    sum
}

/// Records of closed batches.
async fn rows_stored(scene: &Scene) -> anyhow::Result<i64> {
    scene.number("SELECT sum(rows + duplicates + dead_letters) FROM event_batches").await
}

/// While nothing gets through to ClickHouse: the gateway takes events, and none of them is stored.
async fn sit_out(scene: &Scene, outage: Duration) -> anyhow::Result<()> {
    scene.pass(SETTLED_AFTER).await;
    let before = rows_stored(scene).await?;
    scene.flow(1_000).await?;
    scene.pass(outage).await;
    let after = rows_stored(scene).await?;
    scene.expect("nothing is stored while clickhouse cannot be reached", before == after)
}

/// Waits until a processor stopped with one of these reasons and all others ended too; the commits stay.
async fn all_stopped(scene: &Scene, marks: &Marks, reasons: &[&str]) -> anyhow::Result<()> {
    let what = format!("all processors stop, one with \"{}\"", reasons.join("\" or \""));
    let is_so =
        || async { scene.running().is_empty() && reasons.iter().any(|reason| scene.logged(marks, reason)) };
    if let Err(error) = wait::until(&what, ALL_STOPPED_LIMIT, is_so).await {
        let words: Vec<_> = ["ERROR", "WARN"].iter().filter_map(|level| scene.line(marks, level)).collect();
        anyhow::bail!("{error}; {} run; logged: {}", scene.running().len(), words.join("; "));
    }
    for reason in reasons {
        if let Some(line) = scene.line(marks, reason) {
            scene.say(&format!("stopped: {}", line.trim()));
        }
    }
    scene.expect_commits_kept().await
}
