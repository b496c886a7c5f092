//! CloudEvents, from an SDK that we did not write.

use integration_tests::stack::shared;
use integration_tests::tenant::{Tenant, answer};
use integration_tests::workspace;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

#[tokio::test(flavor = "multi_thread")]
async fn the_python_sdk_sends_structured_binary_and_batched_events() {
    let stack = shared();
    let tenant = Tenant::create(stack, "cloudevents", "admin").await;
    let output = std::process::Command::new(workspace().join("target/venv/bin/python"))
        .arg(workspace().join("integration-tests/python/cloudevents_sender.py"))
        .arg(&tenant.key)
        .envs(stack.vars())
        .output()
        .expect("python runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let answers: Value = serde_json::from_slice(&output.stdout).expect("json");
    for single in ["structured", "binary", "again"] {
        assert_eq!(answers[single]["status"], "accepted", "{answers}");
        assert_eq!(answers[single]["correlation_id"], "shop-run-7", "{answers}");
    }
    assert_eq!(answers["again"]["event_id"], answers["binary"]["event_id"], "source and id name the event");
    tenant.rows("events", 4).await;
    tenant.rows("duplicates", 1).await;
    let rows = stack
        .sql(
            "SELECT DISTINCT event_type, toString(occurred_at), actor_id, source_service, `targets.type`[1], \
             `targets.id`[1] = concat('order ', substring(attributes['ce_id'], 7), ' für Ada'), \
             attributes['ce_partitionkey'], traceparent, request_trace_id, correlation_id, raw_record = '' \
             FROM events WHERE tenant_id = 'cloudevents'",
        )
        .await;
    let wanted = [
        "order.placed",
        "2026-11-02 10:00:00.000000",
        "ada",
        "/shop/€",
        "subject",
        "1",
        "k1",
        TRACE,
        &TRACE[3..35],
        "shop-run-7",
        "1",
    ];
    assert_eq!(rows, wanted.join("\t"), "four events, one look");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_faulty_cloudevent_is_refused_where_the_fault_stands() {
    let tenant = Tenant::create(shared(), "cloudevents-bad", "producer").await;
    let structured = |body: Value| {
        tenant
            .gateway(Method::POST, "/v1/events")
            .header("Content-Type", "application/cloudevents+json; charset=utf-8")
            .body(body.to_string())
    };
    let base = json!({
        "specversion": "1.0", "id": "1", "source": "/s", "type": "user.login", "time": "2026-11-02T10:00:00Z",
        "data": {"actor": {"id": "ada"}},
    });
    for (field, value, pointer) in [
        ("specversion", json!("2.0"), "/specversion"),
        ("type", json!("Not A Type"), "/type"),
        ("time", json!("noon"), "/time"),
        ("data", json!({"actor": {}}), "/data/actor/id"),
        ("data", json!([1]), "/data"),
    ] {
        let mut event = base.clone();
        event[field] = value;
        let (status, problem) = answer(structured(event)).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{field}: {problem}");
        assert_eq!(problem["pointer"], pointer, "{field}: {problem}");
    }
    let (status, problem) = answer(structured(json!([base]))).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{problem}");
    let at_the_wrong_door = tenant
        .gateway(Method::POST, "/v1/events/batch")
        .header("Content-Type", "application/cloudevents+json")
        .body(base.to_string());
    let (status, problem) = answer(at_the_wrong_door).await;
    assert_eq!(status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{problem}");
}
