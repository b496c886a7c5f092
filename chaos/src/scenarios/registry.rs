//! F26 and F45: a registry that is down, slow, locked, or says something else than before.

use std::time::Duration;

use audit_event::SchemaId;
use axum::http::StatusCode;
use nix::sys::signal::Signal;
use uuid::Uuid;

use super::hold_inserts;
use crate::fleet::Wanted;
use crate::raw;
use crate::run::RUNNING;
use crate::scenario::{Expected, Scenario};
use crate::scene::Scene;
use crate::stack::Engine;
use crate::tools::proxy::Fault;
use crate::tools::registry::RegistryFault;
use crate::wait;

pub const SCENARIOS: &[Scenario] = &[
    Scenario::new("F26", "the registry answers 500 at start", Expected::Recovers, |scene| {
        Box::pin(cold(scene, RegistryFault::Status(StatusCode::INTERNAL_SERVER_ERROR)))
    }),
    Scenario::new("F26", "the registry answers 401 at start", Expected::Recovers, |scene| {
        Box::pin(cold(scene, RegistryFault::Status(StatusCode::UNAUTHORIZED)))
    }),
    Scenario::new("F26", "the registry is too slow at start", Expected::Recovers, |scene| {
        Box::pin(cold(scene, RegistryFault::Slow(Duration::from_secs(8))))
    }),
    Scenario::new(
        "F26",
        "the registry is down, slow, locked while all is warm",
        Expected::Recovers,
        |scene| Box::pin(warm(scene)),
    ),
    Scenario::new("F26", "the registry answers 500 when the gateway starts", Expected::Recovers, |scene| {
        Box::pin(cold_gateway(scene))
    }),
    Scenario::new("F45", "a schema unknown at the try is known at its replay", Expected::Recovers, |scene| {
        Box::pin(known_at_the_replay(scene))
    }),
    Scenario::new("F45", "a schema known at the try is unknown at its replay", Expected::Recovers, |scene| {
        Box::pin(unknown_at_the_replay(scene))
    }),
];

const OUTAGE: Duration = Duration::from_secs(8);
const STORED_LIMIT: Duration = Duration::from_secs(60);
const RECORDS: usize = 20;
/// One partition, so that one batch holds them.
const PARTITION: i32 = 2;

/// Both processors start and know no schema; they wait and say why, and make no dead letters.
async fn cold(scene: &mut Scene, fault: RegistryFault) -> anyhow::Result<()> {
    let before = scene.number("SELECT count() FROM dead_letters").await?;
    for index in 0..RUNNING {
        scene.fleet.hold(index, Signal::SIGTERM).await?;
    }
    scene.stack.registry.set(fault);
    let marks = scene.mark();
    for index in 0..RUNNING {
        scene.fleet.want(index, Wanted::Running);
    }
    scene.wait_logged(&marks, "registry", STORED_LIMIT).await?;
    let stored = "SELECT sum(rows) FROM event_batches";
    let begin = scene.number(stored).await?;
    scene.pass(OUTAGE).await;
    scene.expect("nothing is stored without the schema", scene.number(stored).await? == begin)?;
    let ready = [scene.fleet.readyz(0).await?, scene.fleet.readyz(1).await?].join(" ");
    let is_ready = scene.fleet.is_ready(0).await && scene.fleet.is_ready(1).await;
    scene.log.note(&format!("/readyz: {ready}"));
    let says = !is_ready && ready.to_lowercase().contains("registry");
    scene.stack.registry.set(RegistryFault::Pass);
    scene.healed();
    scene.fleet.wait_all_ready().await?;
    scene.stored(500).await?;
    let letters = scene.number("SELECT count() FROM dead_letters").await? - before;
    scene.expect("an outage of the registry makes no dead letters", letters == 0)?;
    scene.expect(&format!("a cold processor is not ready and names the registry (it said: {ready})"), says)
}

/// A gateway that knows no schema is not ready and says why; its callers are told to come again.
async fn cold_gateway(scene: &mut Scene) -> anyhow::Result<()> {
    scene.stack.registry.set(RegistryFault::Status(StatusCode::INTERNAL_SERVER_ERROR));
    let pid = scene.stack.pid(Engine::Gateway)?;
    scene.stack.kill(Engine::Gateway)?;
    scene.stack.wait_other(Engine::Gateway, Some(pid)).await?;
    scene.pass(OUTAGE).await;
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(3)).build()?;
    let answer = client.get(format!("http://{}/readyz", scene.stack.ports.gateway_admin())).send().await;
    let ready = match answer {
        Ok(answer) => (answer.status().is_success(), answer.text().await?),
        // it ends and is started again while it knows no schema
        Err(error) => (false, format!("no answer: {}", error.without_url())),
    };
    scene.stack.registry.set(RegistryFault::Pass);
    scene.healed();
    scene.flow(500).await?;
    scene.expect(&format!("a cold gateway is not ready ({})", ready.1.trim()), !ready.0)
}

async fn warm(scene: &mut Scene) -> anyhow::Result<()> {
    let faults = [
        RegistryFault::Status(StatusCode::SERVICE_UNAVAILABLE),
        RegistryFault::Slow(Duration::from_secs(8)),
        RegistryFault::Status(StatusCode::UNAUTHORIZED),
    ];
    for fault in faults {
        scene.stack.registry.set(fault);
        scene.flow(1_000).await?;
        scene.stored(1_000).await?;
        for index in 0..RUNNING {
            let is_ready = scene.fleet.is_ready(index).await;
            scene.expect("a warm processor stays ready", is_ready)?;
        }
    }
    scene.stack.registry.set(RegistryFault::Pass);
    scene.healed();
    Ok(())
}

/// Announced as unknown, so a replay takes it as unknown, whatever the registry has learnt meanwhile.
async fn known_at_the_replay(scene: &mut Scene) -> anyhow::Result<()> {
    let schema = raw::another_schema(&scene.stack, "chaos-f45-known-value").await?;
    scene.stack.registry.set(RegistryFault::Forget { schema_ids: vec![schema.0], first: u64::MAX });
    let places = try_and_die(scene, schema).await?;
    scene.stack.registry.set(RegistryFault::Pass);
    scene.healed();
    revive(scene).await?;
    expect_in(scene, &places, "dead_letters").await
}

/// Announced as known, so a replay waits for the schema, and makes no dead letter of what had another verdict.
async fn unknown_at_the_replay(scene: &mut Scene) -> anyhow::Result<()> {
    let schema = raw::another_schema(&scene.stack, "chaos-f45-unknown-value").await?;
    let places = try_and_die(scene, schema).await?;
    scene.stack.registry.set(RegistryFault::Forget { schema_ids: vec![schema.0], first: u64::MAX });
    for index in 0..RUNNING {
        scene.fleet.want(index, Wanted::Running);
    }
    scene.pass(OUTAGE).await;
    scene.stack.registry.set(RegistryFault::Pass);
    scene.healed();
    revive(scene).await?;
    expect_in(scene, &places, "events").await
}

/// Records with this schema are judged and announced, no insert of them arrives, and all processors are killed.
async fn try_and_die(scene: &mut Scene, schema: SchemaId) -> anyhow::Result<Vec<(i32, i64)>> {
    // nothing else is in the topic, so that the next batch is theirs
    scene.rest().await?;
    scene.lag_zero().await?;
    let mut records = Vec::new();
    for _ in 0..RECORDS {
        let mut record = raw::record(&raw::event(Uuid::new_v4(), 1_767_225_600_000_000)?, schema)?;
        record.partition = Some(PARTITION);
        records.push(record);
    }
    hold_inserts(scene);
    let places = scene.stack.kafka.produce(&records).await?;
    let first = places.iter().map(|place| place.1).min().unwrap_or(0);
    let last = places.iter().map(|place| place.1).max().unwrap_or(0);
    wait::until("the range of the records is announced", STORED_LIMIT, || async {
        announces(scene, first).await.unwrap_or(false) && announces(scene, last).await.unwrap_or(false)
    })
    .await?;
    for index in 0..RUNNING {
        scene.fleet.hold(index, Signal::SIGKILL).await?;
    }
    scene.stack.break_clickhouse(&Fault::Pass);
    scene.say(&format!(
        "offsets {first} to {last} of partition {PARTITION} are announced, and all processors are dead"
    ));
    Ok(places)
}

/// Whether the pending range of the partition holds this offset.
async fn announces(scene: &Scene, offset: i64) -> anyhow::Result<bool> {
    let commits = scene.commits().await?;
    let Some(commit) = commits.get(&PARTITION) else { return Ok(false) };
    let announced: serde_json::Value = serde_json::from_str(&commit.metadata).unwrap_or_default();
    Ok(commit.offset <= offset && announced["to"].as_i64().is_some_and(|to| to > offset))
}

async fn revive(scene: &mut Scene) -> anyhow::Result<()> {
    for index in 0..RUNNING {
        scene.fleet.start(index).await?;
    }
    scene.go_on()
}

async fn expect_in(scene: &Scene, places: &[(i32, i64)], table: &str) -> anyhow::Result<()> {
    let offsets: Vec<_> = places.iter().map(|place| place.1.to_string()).collect();
    let sql = format!(
        "SELECT count() FROM {table} WHERE kafka_partition = {PARTITION} AND kafka_offset IN ({})",
        offsets.join(",")
    );
    let all = || async { scene.number(&sql).await.is_ok_and(|count| count == places.len() as i64) };
    wait::until(&format!("all of them are in {table}"), STORED_LIMIT, all).await
}
