//! Asynchronous delivery through outages and crashes, and a queue that is full.

use std::time::{Duration, Instant};

use integration_tests::eventually;
use integration_tests::gateway::Gateway;
use integration_tests::kafka::{set_topic_settings, topic_settings};
use integration_tests::stack::Stack;
use integration_tests::tenant::{Tenant, answer, event};
use nix::sys::signal::Signal;
use reqwest::StatusCode;
use reqwest::header::RETRY_AFTER;
use serde_json::json;

use crate::crashes::stack;

async fn metric(stack: &Stack, name: &str) -> f64 {
    let url = format!("{}/metrics", stack.var("SEALTRAIL_GATEWAY_URL"));
    let text = reqwest::get(url).await.unwrap().text().await.unwrap();
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
    value.unwrap_or_else(|| panic!("{name} in {text}"))
}

/// F06: answered before the broker has it, delivered after an outage that is longer than the delivery time.
#[tokio::test(flavor = "multi_thread")]
async fn buffered_events_outlive_an_outage() {
    let (stack, _turn) = stack().await;
    let tenant = Tenant::create(stack, "buffered", "admin").await;
    stack.signal("kafka", Signal::SIGSTOP);
    let events: Vec<_> = (0..500).map(event).collect();
    let began = Instant::now();
    let (status, batch) = answer(tenant.post("/v1/events/batch?delivery=async", &json!(events))).await;
    let took = began.elapsed();
    // the stack's delivery time is 2 s
    tokio::time::sleep(Duration::from_secs(5)).await;
    let waiting = metric(stack, "sealtrail_gateway_buffered_events").await;
    stack.signal("kafka", Signal::SIGCONT);
    assert_eq!(status, StatusCode::ACCEPTED, "{batch}");
    assert!(
        batch["results"].as_array().unwrap().iter().all(|result| result["status"] == "buffered"),
        "{batch}"
    );
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert_eq!(waiting, 500.0);
    tenant.rows("events", 500).await;
    eventually("nothing is owed", || async {
        (metric(stack, "sealtrail_gateway_buffered_events").await == 0.0).then_some(())
    })
    .await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    tenant.rows("events", 500).await;
}

/// F01: what a crash loses of them is counted on the next start.
#[tokio::test(flavor = "multi_thread")]
async fn buffered_events_that_a_crash_loses_are_counted() {
    let (stack, _turn) = stack().await;
    let tenant = Tenant::create(stack, "buffered-crash", "admin").await;
    let lost_before = metric(stack, "sealtrail_gateway_lost_buffered_events").await;
    stack.signal("kafka", Signal::SIGSTOP);
    let events: Vec<_> = (0..300).map(event).collect();
    let (status, _) = answer(tenant.post("/v1/events/batch?delivery=async", &json!(events))).await;
    stack.signal("gateway", Signal::SIGKILL);
    stack.signal("kafka", Signal::SIGCONT);
    assert_eq!(status, StatusCode::ACCEPTED);
    eventually("the gateway is back", || async {
        let url = format!("{}/readyz", stack.var("SEALTRAIL_GATEWAY_URL"));
        reqwest::get(url).await.ok().filter(|answer| answer.status() == StatusCode::OK).map(drop)
    })
    .await;
    assert_eq!(metric(stack, "sealtrail_gateway_lost_buffered_events").await, lost_before + 300.0);
    assert_eq!(metric(stack, "sealtrail_gateway_buffered_events").await, 0.0);
    let (status, _) = answer(tenant.post("/v1/events", &event(1))).await;
    assert_eq!(status, StatusCode::ACCEPTED);
}

/// F35: what the queue cannot hold is refused at once, and what it holds is bounded.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_buffer_is_a_503_in_milliseconds() {
    let (stack, _turn) = stack().await;
    let tenant = Tenant::create(stack, "full", "admin").await;
    let mut large = event(1);
    large["message"] = json!("x".repeat(900 * 1024));
    let batch = json!(vec![large; 8]);
    stack.signal("kafka", Signal::SIGSTOP);
    let mut refused = None;
    // 64 MiB are taken
    for _ in 0..20 {
        let began = Instant::now();
        let sent = tenant.post("/v1/events/batch?delivery=async", &batch).send().await.unwrap();
        if sent.status() == StatusCode::SERVICE_UNAVAILABLE {
            let one = Instant::now();
            let next = tenant.post("/v1/events?delivery=async", &batch[0]).send().await.unwrap();
            refused = Some((sent, began.elapsed(), next.status(), one.elapsed()));
            break;
        }
    }
    let resident_mib = metric(stack, "process_resident_memory_bytes").await / 1024.0 / 1024.0;
    stack.signal("kafka", Signal::SIGCONT);
    let (sent, batch_took, next, next_took) = refused.expect("the buffer has an end");
    assert!(sent.headers().contains_key(RETRY_AFTER));
    assert_eq!(next, StatusCode::SERVICE_UNAVAILABLE);
    // parsing 7 MiB of JSON is in the first, 900 KiB in the second
    assert!(
        batch_took < Duration::from_secs(1) && next_took < Duration::from_millis(300),
        "{batch_took:?} {next_took:?}"
    );
    assert!(resident_mib < 512.0, "{resident_mib} MiB");
    eventually("it is empty again", || async {
        (metric(stack, "sealtrail_gateway_buffered_events").await == 0.0).then_some(())
    })
    .await;
}

/// F09: what the broker refuses for its size is for the caller to mend.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_broker_finds_too_large_is_a_413() {
    const TOPIC: &str = "audit.events.v1";
    let (stack, _turn) = stack().await;
    let tenant = Tenant::create(stack, "refused", "admin").await;
    let settings = topic_settings(stack, TOPIC).await;
    let mut narrow = settings.clone();
    narrow.insert("max.message.bytes".to_owned(), "10000".to_owned());
    // nothing that a packer makes small
    let text: String = (0..1_000).map(|_| uuid::Uuid::now_v7().to_string()).collect();
    let mut large = event(1);
    large["message"] = json!(text);
    set_topic_settings(stack, TOPIC, &narrow).await;
    let too_large = answer(tenant.post("/v1/events", &large)).await;
    let small = answer(tenant.post("/v1/events", &event(2))).await;
    set_topic_settings(stack, TOPIC, &settings).await;
    assert_eq!(
        (too_large.0.as_u16(), &too_large.1["type"]),
        (413, &json!("urn:sealtrail:problem:too-large"))
    );
    assert_eq!(small.0.as_u16(), 202, "{}", small.1);
    tenant.rows("events", 1).await;
}

/// F28: two gateways take the same event at once.
#[tokio::test(flavor = "multi_thread")]
async fn one_event_through_two_gateways_is_one_row() {
    let (stack, _turn) = stack().await;
    let tenant = Tenant::create(stack, "two-gateways", "admin").await;
    let second = Gateway::start(stack, 19_980).await;
    let client = reqwest::Client::new();
    let through = |port: u16, key: &str, event: &serde_json::Value| {
        let url = format!("http://127.0.0.1:{port}/v1/events");
        answer(client.post(url).bearer_auth(&tenant.key).header("Idempotency-Key", key).json(event))
    };
    let first_port: u16 = stack.var("SEALTRAIL_GATEWAY_URL").rsplit(':').next().unwrap().parse().unwrap();
    for n in 0..20 {
        let key = format!("order-{n}");
        let (one, two) =
            tokio::join!(through(first_port, &key, &event(n)), through(second.port, &key, &event(n)));
        assert_eq!((one.0.as_u16(), two.0.as_u16()), (202, 202), "{} {}", one.1, two.1);
        assert_eq!(one.1["event_id"], two.1["event_id"]);
        assert_eq!(one.1["partition"], two.1["partition"]);
    }
    tenant.rows("events", 20).await;
    tenant.rows("duplicates", 20).await;
    tenant.rows("dead_letters", 0).await;
    let conflict = through(second.port, "order-0", &event(99)).await;
    assert_eq!(conflict.0.as_u16(), 202, "the gateway looks nothing up");
    tenant.rows("dead_letters", 1).await;
}

/// F03: work in flight is finished, readiness falls first, and the exit status is 0.
#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_gateway_finishes_what_it_began() {
    let (stack, _turn) = stack().await;
    let tenant = Tenant::create(stack, "stopped", "admin").await;
    let mut gateway = Gateway::start(stack, 19_990).await;
    let url = |path: &str| format!("http://127.0.0.1:{}{path}", gateway.port);
    let client = reqwest::Client::new();
    let sending: Vec<_> = (0..8)
        .map(|_| {
            let (client, url, key) = (client.clone(), url("/v1/events/batch"), tenant.key.clone());
            tokio::spawn(async move {
                let (mut accepted, batch) = (0_u64, json!((0..50).map(event).collect::<Vec<_>>()));
                while let Ok(sent) = client.post(&url).bearer_auth(&key).json(&batch).send().await {
                    assert_eq!(sent.status().as_u16(), 202, "what was begun is finished");
                    let batch: serde_json::Value = sent.json().await.expect("a whole answer");
                    accepted += batch["results"].as_array().map_or(0, Vec::len) as u64;
                }
                accepted
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_secs(2)).await;
    gateway.signal(Signal::SIGTERM);
    let flipped = eventually("readiness falls while it serves", || async {
        let ready = client.get(url("/readyz")).send().await.ok()?.status();
        (ready == StatusCode::SERVICE_UNAVAILABLE).then_some(())
    });
    flipped.await;
    let status = gateway.wait().await;
    assert_eq!(status.code(), Some(0));
    let mut accepted = 0;
    for sent in sending {
        accepted += sent.await.unwrap();
    }
    assert!(accepted > 100, "{accepted}");
    eventually("each acknowledged event is a row", || async {
        let rows = stack.sql("SELECT count() FROM events WHERE tenant_id = 'stopped'").await;
        (rows.parse::<u64>().unwrap() >= accepted).then_some(())
    })
    .await;
}

/// F34: a place that cannot be written is found at the start, and nothing is promised on it.
#[tokio::test(flavor = "multi_thread")]
async fn a_book_that_cannot_be_written_stops_the_start() {
    let (stack, _turn) = stack().await;
    let output = Gateway::command(stack, 19_985)
        .env("SEALTRAIL_GATEWAY__DELIVERY__BOOK_FILE", "/proc/gateway-buffered")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(said.contains("delivery.book_file must be a file that the gateway may write"), "{said}");
}
