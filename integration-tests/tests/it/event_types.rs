//! The catalogue over HTTP, and a tenant's own types.

use integration_tests::eventually;
use integration_tests::stack::shared;
use integration_tests::tenant::{Tenant, answer, event};
use reqwest::Method;
use serde_json::{Value, json};

async fn known(tenant: &Tenant<'_>, name: &str) -> Option<Value> {
    let (status, body) = answer(tenant.gateway(Method::GET, "/v1/event-types")).await;
    assert_eq!(status.as_u16(), 200, "{body}");
    body["event_types"].as_array().unwrap().iter().find(|known| known["name"] == name).cloned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_declared_type_is_known_to_its_tenant_and_to_no_other() {
    let stack = shared();
    let tenant = Tenant::create(stack, "types", "admin").await;
    let other = Tenant::create(stack, "types-other", "admin").await;
    assert_eq!(known(&tenant, "user.login").await.unwrap()["origin"], "catalogue");
    let path = "/v1/event-types/payroll.run";
    let declaration =
        json!({"operation": "execute", "severity": "notice", "description": "A payroll run was started."});
    let producer = Tenant::with_key(stack, "types", "producer").await;
    let put = |tenant: &Tenant<'_>| answer(tenant.gateway(Method::PUT, path).json(&declaration));
    assert_eq!(put(&producer).await.0.as_u16(), 403, "a producer does not declare");
    assert_eq!(put(&tenant).await.0.as_u16(), 204);
    eventually("the type is listed", || async { known(&tenant, "payroll.run").await }).await;
    assert_eq!(known(&other, "payroll.run").await, None);
    let mut run = event(1);
    run["event_type"] = json!("payroll.run");
    let flags = async |tenant: &Tenant<'_>| {
        let id = answer(tenant.post("/v1/events", &run)).await.1["event_id"].as_str().unwrap().to_owned();
        let query = format!(
            "SELECT operation, severity, arrayStringConcat(flags, ' ') FROM events WHERE event_id = '{id}' FORMAT TSV"
        );
        eventually("the row", || async { Some(stack.sql(&query).await).filter(|row| !row.is_empty()) }).await
    };
    eventually("the processor knows it too", || async {
        let row = flags(&tenant).await;
        assert!(row.starts_with("execute\tnotice"), "{row}");
        (!row.contains("unknown_event_type")).then_some(())
    })
    .await;
    let row = flags(&other).await;
    assert!(row.starts_with("other\tinfo") && row.contains("unknown_event_type"), "{row}");
    let withdraw = || answer(tenant.gateway(Method::DELETE, path));
    assert_eq!(withdraw().await.0.as_u16(), 204);
    eventually("it is withdrawn", || async { (withdraw().await.0.as_u16() == 404).then_some(()) }).await;
    let mine = answer(tenant.gateway(Method::PUT, "/v1/event-types/user.login").json(&declaration)).await;
    assert_eq!(mine.0.as_u16(), 409, "{}", mine.1);
}
