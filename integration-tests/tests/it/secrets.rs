//! Secrets stay secret: each one of the stack is looked for in logs, metrics, and answers after it was used wrongly.

use std::fs;

use integration_tests::stack::shared;
use integration_tests::tenant::{Tenant, answer, event};
use reqwest::Method;
use serde_json::json;

/// Texts that must not be found anywhere: each was sent, or is held by a service.
async fn canaries(tenant: &Tenant<'_>) -> Vec<(&'static str, String)> {
    let stack = tenant.stack;
    let read =
        |name: &str| fs::read_to_string(stack.dir.join("secrets").join(name)).unwrap().trim().to_owned();
    let receipt_key = read("receipt-key");
    vec![
        ("pepper", read("pepper")),
        // `PRIVATE+KEY+name+id+key`: the key itself is base64, which has pluses too.
        ("receipt key", receipt_key.splitn(5, '+').last().unwrap().to_owned()),
        ("api key", tenant.key.rsplit('_').next().unwrap().to_owned()),
        ("wrong api key", "canarycanarycanary1".to_owned()),
        ("token", "eyJhbGciOiJub25lIn0.canarycanarycanary2.x".to_owned()),
        ("basic password", "canarycanarycanary3".to_owned()),
        ("secret in a body", "canarycanarycanary4".to_owned()),
        ("secret in a query", "canarycanarycanary5".to_owned()),
        ("secret in a header", "canarycanarycanary6".to_owned()),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_found_in_logs_metrics_or_errors() {
    let stack = shared();
    let tenant = Tenant::create(stack, "canaries", "admin").await;
    let client = reqwest::Client::new();
    let mut said = Vec::new();
    for base in ["SEALTRAIL_GATEWAY_URL", "SEALTRAIL_QUERY_URL"] {
        let url = |path: &str| format!("{}{path}", stack.var(base));
        for path in ["/v1/events", "/v1/events/batch", "/v1/nothing"] {
            let path = format!("{path}?api_key=canarycanarycanary5");
            let requests = [
                client.post(url(&path)).bearer_auth("stk_x_canarycanarycanary1").json(&event(1)),
                client.post(url(&path)).bearer_auth("eyJhbGciOiJub25lIn0.canarycanarycanary2.x"),
                client.get(url(&path)).basic_auth("admin", Some("canarycanarycanary3")),
                client.get(url(&path)).bearer_auth(&tenant.key).header("x-secret", "canarycanarycanary6"),
                client
                    .post(url(&path))
                    .bearer_auth(&tenant.key)
                    .header("cookie", "s=canarycanarycanary6")
                    .body("{"),
            ];
            for request in requests {
                said.push(answer(request).await.1.to_string());
            }
        }
        said.push(reqwest::get(url("/metrics")).await.unwrap().text().await.unwrap());
    }
    let mut bad = event(1);
    bad["attributes"] = json!({"password": "canarycanarycanary4"});
    bad["occurred_at"] = json!("noon");
    said.push(answer(tenant.post("/v1/events", &bad)).await.1.to_string());
    said.push(
        answer(tenant.gateway(Method::POST, "/v1/events").body("canarycanarycanary4")).await.1.to_string(),
    );
    for log in fs::read_dir(stack.dir.join("log")).unwrap() {
        let path = log.unwrap().path();
        let is_ours =
            ["gateway", "processor", "query-api"].iter().any(|name| path.ends_with(format!("{name}.log")));
        if is_ours {
            said.push(fs::read_to_string(path).unwrap());
        }
    }
    assert!(said.iter().any(|text| text.len() > 1_000), "there are logs");
    for (name, canary) in canaries(&tenant).await {
        assert!(canary.len() > 12, "{name}: too short to be looked for");
        let found = said.iter().find(|text| text.contains(&canary));
        assert!(found.is_none(), "the {name} is shown: {}", found.unwrap());
    }
}
