//! F29: events whose own time is far off, and processors whose clock is.

use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::json;
use uuid::Uuid;

use crate::scenario::{Expected, Scenario};
use crate::scene::Scene;
use crate::{raw, wait};

pub const SCENARIOS: &[Scenario] =
    &[Scenario::new("F29", "events of 1970, 9999, and a day off", Expected::Recovers, |scene| {
        Box::pin(far_off(scene))
    })];

const STORED_LIMIT: Duration = Duration::from_secs(60);
const DAY_US: i64 = 86_400_000_000;
const COPIES: usize = 50;

async fn far_off(scene: &mut Scene) -> anyhow::Result<()> {
    let now = chrono::Utc::now();
    let through_gateway = ["1970-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z"].map(str::to_owned);
    let a_day = chrono::Duration::days(1);
    let by_a_day = [(now - a_day).to_rfc3339(), (now + a_day).to_rfc3339()];
    let mut ids = Vec::new();
    for occurred_at in through_gateway.into_iter().chain(by_a_day) {
        ids.extend(send(scene, &occurred_at).await?);
    }
    ids.extend(produce_extremes(scene, now.timestamp_micros()).await?);
    // a restart on the way: what is replayed is as far off as before
    scene.fleet.kill(0)?;
    scene.healed();
    let list: Vec<_> = ids.iter().map(|id| format!("'{id}'")).collect();
    let list = list.join(",");
    let stored = format!("SELECT count() FROM events WHERE event_id IN ({list})");
    let all = || async { scene.number(&stored).await.is_ok_and(|count| count == ids.len() as i64) };
    wait::until("all of them are kept", STORED_LIMIT, all).await?;
    let flagged = format!("SELECT count() FROM events WHERE event_id IN ({list}) AND notEmpty(flags)");
    let flagged = scene.number(&flagged).await?;
    scene.expect(
        &format!("all of them are flagged ({flagged} of {})", ids.len()),
        flagged == ids.len() as i64,
    )?;
    let day = format!("SELECT uniqExact(toDate(received_at)) FROM events WHERE event_id IN ({list})");
    scene.expect("they lie in the day they were received", scene.number(&day).await? <= 2)?;
    scene.fleet.wait_all_ready().await
}

async fn send(scene: &Scene, occurred_at: &str) -> anyhow::Result<Vec<Uuid>> {
    let ids: Vec<_> = (0..COPIES).map(|_| Uuid::new_v4()).collect();
    let event = |id| {
        json!({"event_id": id, "event_type": "user.login", "occurred_at": occurred_at, "actor": {"id": "chaos"},
               "outcome": "success"})
    };
    let events: Vec<_> = ids.iter().map(event).collect();
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(20)).build()?;
    let url = format!("{}/v1/events/batch", scene.stack.var("SEALTRAIL_GATEWAY_URL"));
    let answer =
        client.post(url).bearer_auth(scene.stack.var("SEALTRAIL_API_KEY")).json(&events).send().await?;
    let status = answer.status();
    ensure!(status.is_success(), "the gateway answers {status} to {occurred_at}: {}", answer.text().await?);
    Ok(ids)
}

/// The ends of what a timestamp can hold, and times of before and after all.
async fn produce_extremes(scene: &Scene, now_us: i64) -> anyhow::Result<Vec<Uuid>> {
    let schema = raw::schema_id(&scene.stack).await?;
    let times = [0, i64::MIN, i64::MAX, -1, now_us - DAY_US, now_us + DAY_US, 253_402_300_799_999_999];
    let (mut ids, mut records) = (Vec::new(), Vec::new());
    for time in times {
        let id = Uuid::new_v4();
        records.push(raw::record(&raw::event(id, time)?, schema)?);
        ids.push(id);
    }
    scene.stack.kafka.produce(&records).await.context("the extremes")?;
    Ok(ids)
}
