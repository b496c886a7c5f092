//! The query API over real rows: filters, pages, and walls between tenants.

use integration_tests::stack::shared;
use integration_tests::tenant::{Tenant, answer, event};
use reqwest::StatusCode;
use serde_json::{Value, json};

async fn filled() -> Tenant<'static> {
    let tenant = Tenant::create(shared(), "query", "admin").await;
    let present = shared().sql("SELECT count() FROM events WHERE tenant_id = 'query'").await;
    if present == "0" {
        let events: Vec<_> = (0..25)
            .map(|n| {
                let mut event = event(n);
                event["event_id"] = json!(uuid::Uuid::from_u128(1_000 + n as u128));
                event["occurred_at"] = json!(format!("2026-11-02T10:00:{:02}Z", n / 2));
                event["event_type"] = json!(if n % 5 == 0 { "user.deleted" } else { "user.login" });
                event["outcome"] = json!(if n % 2 == 0 { "success" } else { "denied" });
                event["targets"] =
                    json!([{"id": format!("doc-{n}"), "type": "document"}, {"id": "vault", "type": "room"}]);
                event["message"] = json!(format!("number {n} passed the gate"));
                event
            })
            .collect();
        tenant.send(&events).await;
    }
    tenant.rows("events", 25).await;
    tenant
}

fn numbers(page: &Value) -> Vec<u64> {
    let events = page["events"].as_array().unwrap();
    events.iter().map(|event| event["attributes"]["n"].as_str().unwrap().parse().unwrap()).collect()
}

async fn page(tenant: &Tenant<'_>, query: &str) -> Value {
    let (status, page) = answer(tenant.query(&format!("/v1/events?{query}"))).await;
    assert_eq!(status, StatusCode::OK, "{query}: {page}");
    page
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_pages_stats_and_walls() {
    let tenant = filled().await;
    for (query, wanted) in [
        ("event_type=user.deleted", vec![20, 15, 10, 5, 0]),
        ("actor_id=actor-7", vec![7]),
        ("target_type=document&target_id=doc-3", vec![3]),
        ("target_type=room&target_id=doc-3", vec![]),
        ("operation=delete&outcome=denied", vec![15, 5]),
        ("from=2026-11-02T10:00:11Z&to=2026-11-02T10:00:12Z", vec![23, 22]),
        ("q=number%2012", vec![12]),
        ("q=nowhere", vec![]),
        ("severity=critical", vec![]),
    ] {
        assert_eq!(numbers(&page(&tenant, query).await), wanted, "{query}");
    }
    let mut all = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = page(&tenant, &format!("limit=7{cursor}")).await;
        all.extend(numbers(&page));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(all, (0..25).rev().collect::<Vec<_>>(), "every event once, the newest first");

    let (_, stats) = answer(tenant.query("/v1/stats?group_by=outcome")).await;
    let mut groups: Vec<_> = stats["groups"]
        .as_array()
        .unwrap()
        .iter()
        .map(|g| (g["key"]["outcome"].as_str().unwrap(), g["count"].as_u64().unwrap()))
        .collect();
    groups.sort();
    assert_eq!(groups, [("denied", 12), ("success", 13)]);

    let other = Tenant::create(shared(), "query-other", "admin").await;
    assert_eq!(numbers(&page(&other, "").await), Vec::<u64>::new());
    let id = uuid::Uuid::from_u128(1_007);
    assert_eq!(answer(tenant.query(&format!("/v1/events/{id}"))).await.0, StatusCode::OK);
    assert_eq!(answer(other.query(&format!("/v1/events/{id}"))).await.0, StatusCode::NOT_FOUND);
    let (_, stats) = answer(other.query("/v1/stats?group_by=outcome")).await;
    assert_eq!(stats["groups"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_queries_are_named() {
    let tenant = Tenant::create(shared(), "bad-query", "admin").await;
    for query in [
        "limit=0",
        "limit=1001",
        "limit=x",
        "from=yesterday",
        "colour=red",
        "cursor=!!",
        "operation=fly",
        "outcome=%27%20OR%201=1",
    ] {
        let (status, problem) = answer(tenant.query(&format!("/v1/events?{query}"))).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{query}: {problem}");
        let name = query.split('=').next().unwrap();
        assert!(problem["detail"].as_str().unwrap().contains(name), "{query}: {problem}");
    }
    let (status, _) = answer(tenant.query("/v1/events/not-a-uuid")).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let quoted = page(&tenant, "actor_id=%27%20OR%201%3D1%20--%20&q=%27%29%20OR%201%3D1").await;
    assert_eq!(numbers(&quoted), Vec::<u64>::new());
}
