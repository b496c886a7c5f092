//! kill -9 under load, an outage of the broker, and what is believed afterwards. A smaller form of
//! `sealtrail-load kill`, on a stack of its own.

use std::sync::OnceLock;
use std::time::Duration;

use integration_tests::eventually;
use integration_tests::kafka::{dead_letters, delete_topic, produce};
use integration_tests::stack::{Options, Stack};
use integration_tests::tenant::{Tenant, answer, event};
use nix::sys::signal::Signal;
use reqwest::StatusCode;
use reqwest::header::RETRY_AFTER;
use serde_json::json;
use tokio::sync::{Mutex, MutexGuard};

/// One crash at a time: the stack is shared by the tests of this file, and its processes are not.
pub async fn stack() -> (&'static Stack, MutexGuard<'static, ()>) {
    static STACK: OnceLock<Stack> = OnceLock::new();
    static TURN: Mutex<()> = Mutex::const_new(());
    let turn = TURN.lock().await;
    let start = || {
        Stack::start(&Options {
            name: "crashes",
            port_shift: 19_000,
            settings: vec![
                // outages shortened: what is waited for after a doubt, and how long a delivery may take
                ("SEALTRAIL_PROCESSOR__INSERT__DEADLINE_S", "3".to_owned()),
                ("SEALTRAIL_PROCESSOR__INSERT__MAX_EXECUTION_S", "3".to_owned()),
                ("SEALTRAIL_GATEWAY__PRODUCER__DELIVERY_TIMEOUT_MS", "2000".to_owned()),
            ],
            ..Options::default()
        })
    };
    (STACK.get_or_init(start), turn)
}

fn kill_under_load(stack: &Stack, target: &str) {
    let arguments = ["kill", "--target", target, "--kills", "2", "--events", "120000", "--rate", "12000"];
    let output = stack.run("sealtrail-load", &arguments);
    assert!(
        output.status.success(),
        "{target}: {}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_processor_loses_and_doubles_nothing() {
    let (stack, _turn) = stack().await;
    kill_under_load(stack, "processor");
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_clickhouse_loses_and_doubles_nothing() {
    let (stack, _turn) = stack().await;
    kill_under_load(stack, "clickhouse");
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_gateway_loses_and_doubles_nothing() {
    let (stack, _turn) = stack().await;
    kill_under_load(stack, "gateway");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuilt_window_knows_what_came_before() {
    let (stack, _turn) = stack().await;
    let tenant = Tenant::create(stack, "restart", "admin").await;
    let mut first = event(1);
    first["event_id"] = json!(uuid::Uuid::now_v7());
    tenant.send(&[first.clone()]).await;
    tenant.rows("events", 1).await;
    stack.signal("processor", Signal::SIGKILL);
    let mut other = first.clone();
    other["message"] = json!("another body");
    tenant.send(&[first, other]).await;
    tenant.rows("duplicates", 1).await;
    tenant.rows("dead_letters", 1).await;
    tenant.rows("events", 1).await;
}

/// The rebuilt window asks ClickHouse for what it must know of earlier records: of events whose columns cannot hold
/// them it is in the bytes, of repeats in what they repeat.
#[tokio::test(flavor = "multi_thread")]
async fn a_rebuilt_window_looks_up_bytes_and_what_repeats_repeat() {
    let (stack, _turn) = stack().await;
    let tenant = Tenant::create(stack, "look-up", "admin").await;
    let with_id = |n: usize| {
        let mut event = event(n);
        event["event_id"] = json!(uuid::Uuid::now_v7());
        event
    };
    let (first, mut raw) = (with_id(1), with_id(2));
    raw["occurred_at"] = json!("1066-10-14T09:00:00Z");
    tenant.send(&[first.clone(), raw.clone(), first.clone()]).await;
    tenant.rows("events", 2).await;
    tenant.rows("duplicates", 1).await;
    let kept = "SELECT count() FROM events WHERE tenant_id = 'look-up' AND raw_record != ''";
    assert_eq!(stack.sql(kept).await, "1", "the columns' times begin in 1900");
    let mut duplicates = 1;
    for conflicts in [2, 4] {
        stack.signal("processor", Signal::SIGKILL);
        let [mut other, mut other_raw] = [first.clone(), raw.clone()];
        other["message"] = json!("another body");
        other_raw["message"] = json!("another body");
        tenant.send(&[other, first.clone(), raw.clone(), other_raw]).await;
        duplicates += 2;
        tenant.rows("duplicates", duplicates).await;
        tenant.rows("dead_letters", conflicts).await;
        tenant.rows("events", 2).await;
    }
    let first_offsets = "SELECT uniqExact(first_offset) FROM duplicates WHERE tenant_id = 'look-up'";
    assert_eq!(stack.sql(first_offsets).await, "2");
    let metrics = format!("{}/metrics", stack.var("SEALTRAIL_PROCESSOR_URL"));
    let metrics = reqwest::get(metrics).await.unwrap().text().await.unwrap();
    let count = |name: &str| {
        let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<f64>().ok());
        line.unwrap_or_else(|| panic!("{name} in {metrics}"))
    };
    assert!(count("sealtrail_processor_dedupe_look_ups_total") >= 2.0);
    assert_eq!(count("sealtrail_processor_dedupe_collisions_total"), 0.0, "64 bits do not collide here");
}

/// A producer that sends everything again after a restart: each copy is compared with a body that the rebuilt window
/// has to look up, many thousands in one batch.
#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_repeats_after_a_restart_is_deduplicated() {
    const EVENTS: usize = 80_000;
    let (stack, _turn) = stack().await;
    let tenant = Tenant::create(stack, "repeats", "admin").await;
    let events: Vec<_> = (0..EVENTS)
        .map(|n| {
            let mut event = event(n);
            event["event_id"] = json!(uuid::Uuid::from_u128(n as u128));
            event
        })
        .collect();
    for batch in events.chunks(10_000) {
        tenant.send(batch).await;
    }
    tenant.rows("events", EVENTS as u64).await;
    stack.signal("processor", Signal::SIGSTOP);
    for batch in events.chunks(10_000) {
        tenant.send(batch).await;
    }
    stack.signal("processor", Signal::SIGKILL);
    tenant.rows("duplicates", EVENTS as u64).await;
    tenant.rows("events", EVENTS as u64).await;
    tenant.rows("dead_letters", 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_does_not_answer_is_a_503_and_never_a_silent_drop() {
    let (stack, _turn) = stack().await;
    let tenant = Tenant::create(stack, "outage", "admin").await;
    let mut waiting = event(1);
    waiting["event_id"] = json!(uuid::Uuid::now_v7());
    stack.signal("kafka", Signal::SIGSTOP);
    let refused = tenant.post("/v1/events", &waiting).send().await;
    let (batch_status, batch) = answer(tenant.post("/v1/events/batch", &json!([waiting]))).await;
    stack.signal("kafka", Signal::SIGCONT);
    let refused = refused.unwrap();
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(refused.headers().contains_key(RETRY_AFTER));
    assert_eq!(batch_status, StatusCode::SERVICE_UNAVAILABLE, "{batch}");
    assert_eq!(batch["results"][0]["status"], "unconfirmed", "{batch}");
    // sent again under the same id it is there once, whatever became of the first tries
    eventually("the broker takes it", || async {
        let (status, _) = answer(tenant.post("/v1/events", &waiting)).await;
        (status == StatusCode::ACCEPTED).then_some(())
    })
    .await;
    tenant.rows("events", 1).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    tenant.rows("events", 1).await;
}

/// A range is announced, and the processor dies before its dead letters are in their topic: the next one sends them.
#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_reaches_its_topic_though_the_processor_died_over_it() {
    const TOPIC: &str = "audit.dead-letters.v1";
    let (stack, _turn) = stack().await;
    delete_topic(stack, TOPIC).await;
    let (partition, offset) = produce(stack, Some(b"nobody|x"), Some(b"no frame")).await;
    let log = stack.dir.join("log/processor.log");
    eventually("the letter waits for its topic", || async {
        std::fs::read_to_string(&log).unwrap().contains("dead letter not confirmed").then_some(())
    })
    .await;
    stack.signal("processor", Signal::SIGKILL);
    let made = stack.run("sealtrail", &["init"]);
    assert!(
        String::from_utf8_lossy(&made.stdout).contains(TOPIC),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    let rows = format!(
        "SELECT count() FROM dead_letters WHERE kafka_partition = {partition} AND kafka_offset = {offset}"
    );
    eventually("the row", || async { (stack.sql(&rows).await == "1").then_some(()) }).await;
    let place = (partition.to_string(), offset.to_string());
    let letters = dead_letters(stack);
    let found = letters.iter().filter(|letter| (&letter.partition, &letter.offset) == (&place.0, &place.1));
    assert_eq!(found.count(), 1, "{letters:?}");
}
