//! From an HTTP call to a row, to SQL, to the query API.

use integration_tests::eventually;
use integration_tests::stack::shared;
use integration_tests::tenant::{Tenant, answer, event};
use reqwest::StatusCode;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_answered_stored_and_found() {
    let tenant = Tenant::create(shared(), "path", "admin").await;
    let mut sent = event(1);
    sent["targets"] = json!([{"id": "doc-7", "type": "document"}]);
    sent["message"] = json!("ada opened the vault");
    let (status, item) = answer(tenant.post("/v1/events", &sent)).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{item}");
    assert_eq!((item["index"].as_u64(), item["status"].as_str()), (Some(0), Some("accepted")));
    let id = item["event_id"].as_str().unwrap().to_owned();
    let found = eventually("the event is found", || async {
        let (status, found) = answer(tenant.query(&format!("/v1/events/{id}"))).await;
        (status == StatusCode::OK).then_some(found)
    })
    .await;
    assert_eq!(found["kafka_partition"], item["partition"]);
    assert_eq!(found["kafka_offset"], item["offset"]);
    assert_eq!(found["received_at"], item["received_at"]);
    assert_eq!(found["tenant_id"], "path");
    assert_eq!(found["message"], sent["message"]);
    assert_eq!(found["targets"][0]["id"], "doc-7");
    assert_eq!(found["attributes"], json!({"n": "1"}));
    let row = format!("SELECT event_type, door, raw_record = '' FROM events WHERE event_id = '{id}'");
    assert_eq!(shared().sql(&row).await, "user.login\thttp\t1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_drops_before_anything_is_produced() {
    let tenant = Tenant::create(shared(), "policy", "admin").await;
    let output = shared().run("sealtrail", &["tenants", "create", "policy", "--level", "writes-only"]);
    assert!(output.status.success());
    let mut read = event(1);
    read["operation"] = json!("read");
    let dropped = eventually("the policy is known", || async {
        let (status, item) = answer(tenant.post("/v1/events", &read)).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{item}");
        (item["status"] == "dropped_by_policy").then_some(item)
    })
    .await;
    assert!(dropped.get("partition").is_none(), "{dropped}");
    read["outcome"] = json!("denied");
    let (_, item) = answer(tenant.post("/v1/events", &read)).await;
    assert_eq!(item["status"], "accepted", "a denied read passes: {item}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_service_tells_how_it_is() {
    let stack = shared();
    let client = reqwest::Client::new();
    for admin in [9101 + 21_000, 9102 + 21_000, 9103 + 21_000] {
        for (path, wanted) in [("healthz", "ok"), ("readyz", "parts"), ("metrics", "sealtrail_")] {
            let answer = client.get(format!("http://127.0.0.1:{admin}/{path}")).send().await.unwrap();
            assert_eq!(answer.status(), StatusCode::OK, "{admin}/{path}");
            assert!(answer.text().await.unwrap().contains(wanted), "{admin}/{path}");
        }
    }
    for (service, path) in
        [("SEALTRAIL_GATEWAY_URL", "/v1/events/batch"), ("SEALTRAIL_QUERY_URL", "/v1/stats")]
    {
        let (status, openapi) = answer(client.get(format!("{}/openapi.json", stack.var(service)))).await;
        assert_eq!(status, StatusCode::OK);
        assert!(openapi["openapi"].as_str().unwrap().starts_with("3.1"), "{}", openapi["openapi"]);
        assert!(openapi["paths"].get(path).is_some(), "{path}");
    }
}
