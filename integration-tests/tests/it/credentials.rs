//! Keys that end, and policies that change, while the services run.

use std::time::{Duration, Instant};

use integration_tests::eventually;
use integration_tests::stack::{Stack, shared};
use integration_tests::tenant::{Tenant, answer, event};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

/// What a command prints as JSON.
fn sealtrail(stack: &Stack, arguments: &[&str]) -> Value {
    let arguments: Vec<_> = arguments.iter().copied().chain(["--output", "json"]).collect();
    let output = stack.run("sealtrail", &arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

async fn status_of(tenant: &Tenant<'_>) -> StatusCode {
    answer(tenant.post("/v1/events", &event(1))).await.0
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotated_key_goes_on_for_the_overlap_and_a_revoked_one_ends() {
    let stack = shared();
    let old = Tenant::create(stack, "rotation", "admin").await;
    let key_id = old.key.split('_').nth(1).unwrap().to_owned();
    let rotated = sealtrail(stack, &["keys", "rotate", &key_id, "--overlap", "3s"]);
    let new = old.by_key(rotated["api_key"].as_str().unwrap());
    eventually("the new key opens", || async {
        (status_of(&new).await == StatusCode::ACCEPTED).then_some(())
    })
    .await;
    eventually("the old key has ended", || async {
        let (status, problem) = answer(old.post("/v1/events", &event(1))).await;
        let is_told = problem["detail"].as_str().is_some_and(|detail| detail.contains("expired"));
        (status == StatusCode::UNAUTHORIZED && is_told).then_some(())
    })
    .await;
    let new_id = new.key.split('_').nth(1).unwrap();
    sealtrail(stack, &["keys", "revoke", new_id]);
    eventually("the new key is revoked", || async {
        let (status, problem) = answer(new.post("/v1/events", &event(1))).await;
        let is_told = problem["detail"].as_str().is_some_and(|detail| detail.contains("revoked"));
        (status == StatusCode::UNAUTHORIZED && is_told).then_some(())
    })
    .await;
    let output = stack.run("sealtrail", &["keys", "rotate", new_id]);
    assert!(!output.status.success(), "a revoked key has no successor");
}

#[tokio::test(flavor = "multi_thread")]
async fn scopes_narrow_what_a_key_may_do() {
    let stack = shared();
    let tenant = Tenant::create(stack, "scopes", "admin").await;
    let made =
        sealtrail(stack, &["keys", "create", "--tenant", "scopes", "--role", "admin", "--scopes", "read"]);
    let narrow = tenant.by_key(made["api_key"].as_str().unwrap());
    eventually("it reads", || async {
        (narrow.query("/v1/events").send().await.ok()?.status() == StatusCode::OK).then_some(())
    })
    .await;
    assert_eq!(status_of(&narrow).await, StatusCode::FORBIDDEN);
    let declaration = json!({"description": "A payroll run was started."});
    let declare = narrow.gateway(Method::PUT, "/v1/event-types/payroll.run").json(&declaration);
    assert_eq!(answer(declare).await.0, StatusCode::FORBIDDEN, "an admin's role does not widen a scope");
    let nothing = stack.run(
        "sealtrail",
        &["keys", "create", "--tenant", "scopes", "--role", "producer", "--scopes", "read"],
    );
    assert!(!nothing.status.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_holds_within_a_second_and_its_change_is_an_event() {
    let stack = shared();
    let tenant = Tenant::create(stack, "policies", "admin").await;
    let of_type = |event_type: &str| {
        let mut of_type = event(1);
        of_type["event_type"] = json!(event_type);
        of_type
    };
    let status = async |event: Value| {
        answer(tenant.post("/v1/events", &event)).await.1["status"].as_str().unwrap_or_default().to_owned()
    };
    assert_eq!(status(of_type("metrics.cpu")).await, "accepted");
    let set = sealtrail(
        stack,
        &["policies", "set", "policies", "--exclude-types", "metrics.*", "--sample", "page.*=0%"],
    );
    let began = Instant::now();
    eventually("the policy holds", || async {
        (status(of_type("metrics.cpu")).await == "dropped_by_policy").then_some(())
    })
    .await;
    // well under a second on an idle machine
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert_eq!(status(of_type("page.viewed")).await, "dropped_by_policy");
    assert_eq!(status(of_type("user.login")).await, "accepted");
    let mut failed = of_type("page.viewed");
    failed["outcome"] = json!("failure");
    assert_eq!(status(failed).await, "accepted", "a sample takes every failure");
    sealtrail(stack, &["policies", "set", "policies", "--level", "off"]);
    eventually("nothing is taken", || async {
        (status(of_type("user.login")).await == "dropped_by_policy").then_some(())
    })
    .await;
    let id = set["event_id"].as_str().unwrap();
    let changes = format!(
        "SELECT arrayStringConcat(changes.path, ' ') FROM events WHERE event_type = 'trail.policy_changed' AND event_id = '{id}'"
    );
    eventually("the change is in the trail", || async {
        (stack.sql(&changes).await == "/excluded_event_types /samples").then_some(())
    })
    .await;
}
