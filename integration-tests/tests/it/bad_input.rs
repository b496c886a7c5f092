//! Each kind of bad input, through the real HTTP port: a clear problem, and nothing of it in the trail.

use integration_tests::stack::shared;
use integration_tests::tenant::{Tenant, answer, event};
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

fn assert_problem(status: StatusCode, problem: &Value, wanted: StatusCode, kind: &str) {
    assert_eq!(status, wanted, "{problem}");
    assert_eq!(problem["type"], format!("urn:sealtrail:problem:{kind}"), "{problem}");
    assert_eq!(problem["status"], wanted.as_u16());
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_of_an_event_are_pointed_at() {
    let tenant = Tenant::create(shared(), "bad-event", "admin").await;
    let mut cases = vec![(json!([]), ""), (json!({}), "/event_type")];
    for (field, value, pointer) in [
        ("occurred_at", json!("noon"), "/occurred_at"),
        ("actor", json!({}), "/actor/id"),
        ("operation", json!("fly"), "/operation"),
        ("severity", json!(3), "/severity"),
        ("targets", json!([{"id": "x"}]), "/targets/0/type"),
        ("colour", json!("red"), "/colour"),
    ] {
        let mut bad = event(1);
        bad[field] = value;
        cases.push((bad, pointer));
    }
    for (bad, pointer) in cases {
        let (status, problem) = answer(tenant.post("/v1/events", &bad)).await;
        assert_problem(status, &problem, StatusCode::BAD_REQUEST, "invalid-event");
        assert_eq!(problem["pointer"], pointer, "{problem}");
    }
    let broken =
        tenant.gateway(Method::POST, "/v1/events").header(CONTENT_TYPE, "application/json").body("{\"a\":");
    let (status, problem) = answer(broken).await;
    assert_problem(status, &problem, StatusCode::BAD_REQUEST, "not-json");
    assert_eq!(shared().sql("SELECT count() FROM events WHERE tenant_id = 'bad-event'").await, "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_and_readers_do_not_write() {
    let tenant = Tenant::create(shared(), "strangers", "admin").await;
    let client = reqwest::Client::new();
    let url = format!("{}/v1/events", shared().var("SEALTRAIL_GATEWAY_URL"));
    for key in ["", "stk_x_y", "stk_demo_0000000000", &format!("{}x", tenant.key)] {
        let (status, problem) = answer(client.post(&url).bearer_auth(key).json(&event(1))).await;
        assert_problem(status, &problem, StatusCode::UNAUTHORIZED, "unauthorized");
    }
    let (status, problem) = answer(client.post(&url).json(&event(1))).await;
    assert_problem(status, &problem, StatusCode::UNAUTHORIZED, "unauthorized");
    let reader = Tenant::with_key(shared(), "strangers", "reader").await;
    let (status, problem) = answer(reader.post("/v1/events", &event(1))).await;
    assert_problem(status, &problem, StatusCode::FORBIDDEN, "forbidden");
    let mut foreign = event(1);
    foreign["tenant_id"] = json!("demo");
    let (status, problem) = answer(tenant.post("/v1/events", &foreign)).await;
    assert_problem(status, &problem, StatusCode::FORBIDDEN, "foreign-tenant");
    let producer = Tenant::with_key(shared(), "strangers", "producer").await;
    let (status, problem) = answer(producer.query("/v1/events")).await;
    assert_problem(status, &problem, StatusCode::FORBIDDEN, "forbidden");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_is_refused() {
    let tenant = Tenant::create(shared(), "too-large", "admin").await;
    let mut large = event(1);
    large["message"] = json!("x".repeat(1024 * 1024));
    let (status, problem) = answer(tenant.post("/v1/events", &large)).await;
    assert_problem(status, &problem, StatusCode::PAYLOAD_TOO_LARGE, "too-large");

    let body = vec![b' '; 10 * 1024 * 1024 + 1];
    let announced = tenant
        .gateway(Method::POST, "/v1/events")
        .header(CONTENT_TYPE, "application/json")
        .body(body.clone());
    let (status, problem) = answer(announced).await;
    assert_problem(status, &problem, StatusCode::PAYLOAD_TOO_LARGE, "too-large");

    // without a Content-Length the limit is found while reading
    let (status, problem) = answer(chunked(&tenant, "/v1/events/batch", body)).await;
    assert_problem(status, &problem, StatusCode::PAYLOAD_TOO_LARGE, "too-large");

    let many = Value::Array(vec![json!(1); 10_001]);
    let (status, problem) = answer(tenant.post("/v1/events/batch", &many)).await;
    assert_problem(status, &problem, StatusCode::PAYLOAD_TOO_LARGE, "too-large");
}

fn chunked(tenant: &Tenant<'_>, path: &str, body: Vec<u8>) -> reqwest::RequestBuilder {
    let (mut to, from) = tokio::io::duplex(64 * 1024);
    tokio::spawn(async move {
        // the server may hang up once it has read enough
        let _hung_up = tokio::io::AsyncWriteExt::write_all(&mut to, &body).await;
    });
    let chunks = futures_of(from);
    tenant.gateway(Method::POST, path).header(CONTENT_TYPE, "application/json").body(chunks)
}

fn futures_of(from: tokio::io::DuplexStream) -> reqwest::Body {
    reqwest::Body::wrap_stream(tokio_util::io::ReaderStream::new(from))
}

#[tokio::test(flavor = "multi_thread")]
async fn other_media_are_refused() {
    let tenant = Tenant::create(shared(), "media", "admin").await;
    for (path, content_type) in [
        ("/v1/events", "text/plain"),
        ("/v1/events", "application/x-ndjson"),
        ("/v1/events/batch", "application/xml"),
    ] {
        let request = tenant.gateway(Method::POST, path).header(CONTENT_TYPE, content_type).body("{}");
        let (status, problem) = answer(request).await;
        assert_problem(status, &problem, StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type");
    }
    let packed = tenant.post("/v1/events", &event(1)).header(CONTENT_ENCODING, "br");
    let (status, problem) = answer(packed).await;
    assert_problem(status, &problem, StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_item_does_not_sink_its_neighbours() {
    let tenant = Tenant::create(shared(), "neighbours", "admin").await;
    let lines = format!("{}\n{{\n{}\n[]\n", event(1), event(2));
    let request = tenant
        .gateway(Method::POST, "/v1/events/batch")
        .header(CONTENT_TYPE, "application/x-ndjson")
        .body(lines);
    let (status, batch) = answer(request).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{batch}");
    let statuses: Vec<_> =
        batch["results"].as_array().unwrap().iter().map(|r| r["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["accepted", "rejected", "accepted", "rejected"]);
    tenant.rows("events", 2).await;

    let (status, batch) = answer(tenant.post("/v1/events/batch", &json!([1, {}]))).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{batch}");
    assert_eq!(batch["results"][1]["problem"]["pointer"], "/event_type");
    let (status, problem) = answer(tenant.post("/v1/events/batch", &json!({}))).await;
    assert_problem(status, &problem, StatusCode::BAD_REQUEST, "not-json");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_is_told_to_wait() {
    let tenant = Tenant::create(shared(), "flood", "admin").await;
    // every item counts, good or bad; bad ones cost the broker nothing
    let many = Value::Array(vec![json!(1); 10_000]);
    let mut refused = None;
    for _ in 0..6 {
        let answer = tenant.post("/v1/events/batch", &many).send().await.unwrap();
        if answer.status() == StatusCode::TOO_MANY_REQUESTS {
            refused = Some(answer);
            break;
        }
        assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
    }
    let refused = refused.expect("60,000 items in a row are over 20,000 a second");
    let wait: u32 = refused.headers()[RETRY_AFTER].to_str().unwrap().parse().unwrap();
    assert!((1..=10).contains(&wait), "{wait}");
    // others are not touched
    Tenant::create(shared(), "flood-neighbour", "admin").await.send(&[event(1)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_paths_and_methods_are_problems_too() {
    let tenant = Tenant::create(shared(), "paths", "admin").await;
    let (status, problem) = answer(tenant.gateway(Method::GET, "/v1/nothing")).await;
    assert_problem(status, &problem, StatusCode::NOT_FOUND, "not-found");
    let (status, problem) = answer(tenant.gateway(Method::DELETE, "/v1/events")).await;
    assert_problem(status, &problem, StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed");
}
