//! A request can be found again: its correlation id and its trace, from the caller to the answer, the record, the row,
//! the log and the query API.

use integration_tests::eventually;
use integration_tests::kafka::{dead_letters, produce_with_headers};
use integration_tests::stack::shared;
use integration_tests::tenant::{Tenant, event};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const TRACE_ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_has_a_correlation_id() {
    let stack = shared();
    let client = reqwest::Client::new();
    for base in ["SEALTRAIL_GATEWAY_URL", "SEALTRAIL_QUERY_URL"] {
        for path in ["/v1/events", "/nowhere", "/healthz", "/openapi.json"] {
            let url = format!("{}{path}", stack.var(base));
            let answer = client.get(&url).header("X-Correlation-Id", "mine-1").send().await.unwrap();
            assert_eq!(answer.headers()["x-correlation-id"], "mine-1", "{url}");
            let answer = client.get(&url).header("X-Request-Id", "theirs-1").send().await.unwrap();
            assert_eq!(answer.headers()["x-correlation-id"], "theirs-1", "{url}");
            let answer = client.get(&url).header("X-Correlation-Id", "a b; c").send().await.unwrap();
            let made = answer.headers()["x-correlation-id"].to_str().unwrap().to_owned();
            assert!(made.parse::<uuid::Uuid>().is_ok(), "{url}: {made}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_found_by_its_correlation_id_and_by_its_trace() {
    let stack = shared();
    let tenant = Tenant::create(stack, "correlated", "admin").await;
    let sent = tenant
        .post("/v1/events/batch", &json!([event(1), event(2)]))
        .header("traceparent", TRACE)
        .header("tracestate", "vendor=x")
        .header("X-Correlation-Id", "ticket-4711")
        .send()
        .await
        .unwrap();
    assert_eq!(sent.status(), StatusCode::ACCEPTED);
    tenant.send(&[event(3)]).await;
    tenant.rows("events", 3).await;
    for query in ["correlation_id=ticket-4711".to_owned(), format!("trace_id={TRACE_ID}")] {
        let page: Value =
            tenant.query(&format!("/v1/events?{query}")).send().await.unwrap().json().await.unwrap();
        let events = page["events"].as_array().unwrap();
        assert_eq!(events.len(), 2, "{query}: {page}");
        assert!(events.iter().all(|event| event["traceparent"] == TRACE), "{page}");
        assert!(events.iter().all(|event| event["correlation_id"] == "ticket-4711"), "{page}");
        assert!(
            events.iter().all(|event| event["trace"].is_null()),
            "the datum holds only what the producer says"
        );
    }
    // a log line of the request carries both
    let refused = tenant.gateway(Method::POST, "/v1/events").header("Content-Type", "application/json");
    let refused = refused.header("X-Correlation-Id", "ticket-4712").header("traceparent", TRACE).body("{");
    assert_eq!(refused.send().await.unwrap().status(), StatusCode::BAD_REQUEST);
    let log = stack.dir.join("log/gateway.log");
    eventually("the line is in the log", || async {
        let text = std::fs::read_to_string(&log).unwrap();
        let line = text.lines().find(|line| line.contains("ticket-4712"))?;
        let line: Value = serde_json::from_str(line).expect("a log line is json");
        assert_eq!(line["span"]["trace_id"], TRACE_ID, "{line}");
        Some(())
    })
    .await;
}

/// What a direct producer says of its request is kept where it has the form, also with a dead letter.
#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_keeps_the_trace_of_its_producer() {
    let stack = shared();
    let headers = [("traceparent", TRACE), ("sealtrail-correlation-id", "direct-1")];
    let (partition, offset) =
        produce_with_headers(stack, Some(b"correlated|x"), Some(b"no frame"), &headers).await;
    let bad = [("traceparent", "not one"), ("sealtrail-correlation-id", "a b")];
    let (bad_partition, bad_offset) =
        produce_with_headers(stack, Some(b"correlated|x"), Some(b"no frame"), &bad).await;
    for (partition, offset, wanted) in
        [(partition, offset, format!("{TRACE}\tdirect-1")), (bad_partition, bad_offset, "\t".to_owned())]
    {
        let query = format!(
            "SELECT concat(traceparent, '\t', correlation_id) FROM dead_letters WHERE kafka_partition = {partition} AND kafka_offset = {offset} FORMAT TSVRaw"
        );
        let query = query.as_str();
        let count = format!(
            "SELECT count() FROM dead_letters WHERE kafka_partition = {partition} AND kafka_offset = {offset}"
        );
        eventually("the dead letter", || async { (stack.sql(&count).await == "1").then_some(()) }).await;
        assert_eq!(stack.sql(query).await, wanted.trim_end(), "{partition}/{offset}");
    }
    let place = (partition.to_string(), offset.to_string());
    let letters = dead_letters(stack);
    let letter = letters.iter().find(|letter| (&letter.partition, &letter.offset) == (&place.0, &place.1));
    assert_eq!(letter.expect("in the topic too").headers["traceparent"], TRACE);
}
