//! Asynchronous delivery through outages and crashes, and a queue that is full.

use std::time::{Duration, Instant};

use integration_tests::eventually;
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
