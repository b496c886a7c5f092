//! The same event again, and another one under the same id.

use integration_tests::stack::shared;
use integration_tests::tenant::{Tenant, event};
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

fn with_id(mut event: Value, id: Uuid) -> Value {
    event["event_id"] = json!(id);
    event
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_is_a_duplicate_and_another_body_a_dead_letter() {
    let tenant = Tenant::create(shared(), "dedupe", "admin").await;
    let id = Uuid::now_v7();
    let first = with_id(event(1), id);
    let mut from_elsewhere = first.clone();
    from_elsewhere["source"] = json!({"ip": "192.0.2.7"});
    from_elsewhere["trace"] =
        json!({"trace_id": "0af7651916cd43dd8448eb211c80319c", "span_id": "b7ad6b7169203331"});
    let results = tenant.send(&[first.clone(), first.clone(), with_id(event(2), id), from_elsewhere]).await;
    let partitions: Vec<_> = results.iter().map(|result| &result["partition"]).collect();
    assert!(
        partitions.windows(2).all(|pair| pair[0] == pair[1]),
        "copies meet in one partition: {partitions:?}"
    );
    tenant.rows("duplicates", 2).await;
    tenant.rows("dead_letters", 1).await;
    tenant.rows("events", 1).await;
    let row = shared().sql("SELECT attributes['n'] FROM events WHERE tenant_id = 'dedupe'").await;
    assert_eq!(row, "1", "the first wins");
    let first_offset = results[0]["offset"].to_string();
    let of = shared().sql("SELECT DISTINCT first_offset FROM duplicates WHERE tenant_id = 'dedupe'").await;
    assert_eq!(of, first_offset);
    let reason = shared().sql("SELECT reason FROM dead_letters WHERE tenant_id = 'dedupe'").await;
    assert_eq!(reason, "conflicting_duplicate");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_id_of_another_tenant_is_another_event() {
    let id = Uuid::now_v7();
    let one = Tenant::create(shared(), "same-id-one", "admin").await;
    let two = Tenant::create(shared(), "same-id-two", "admin").await;
    one.send(&[with_id(event(1), id)]).await;
    two.send(&[with_id(event(1), id)]).await;
    one.rows("events", 1).await;
    two.rows("events", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idempotency_key_makes_a_retry_safe() {
    let tenant = Tenant::create(shared(), "idempotency", "admin").await;
    let mut ids = Vec::new();
    for _ in 0..2 {
        let request = tenant.gateway(Method::POST, "/v1/events/batch").header("Idempotency-Key", "order-77");
        let (_, batch) = integration_tests::tenant::answer(request.json(&json!([event(1), event(2)]))).await;
        ids.push(
            batch["results"].as_array().unwrap().iter().map(|r| r["event_id"].clone()).collect::<Vec<_>>(),
        );
    }
    assert_eq!(ids[0], ids[1]);
    tenant.rows("duplicates", 2).await;
    tenant.rows("events", 2).await;
}
