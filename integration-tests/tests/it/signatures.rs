//! Producers' signatures: asked for by the policy, checked at the door, and kept in the trail.

use std::fs;

use integration_tests::eventually;
use integration_tests::stack::{Stack, shared};
use integration_tests::tenant::{Tenant, answer, event};
use serde_json::{Value, json};

fn sealtrail(stack: &Stack, arguments: &[&str]) -> String {
    let output = stack.run("sealtrail", arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Makes a key; answers its id and the file of its secret.
fn make_key(stack: &Stack, tenant: &str, algorithm: &str) -> (String, String) {
    let file = stack.dir.join(format!("{tenant}-{algorithm}")).display().to_string();
    let arguments = ["signing-keys", "create", "--tenant", tenant, "--algorithm", algorithm, "--file", &file];
    let said = sealtrail(stack, &[&arguments[..], &["--output", "json"]].concat());
    let made: Value = serde_json::from_str(&said).unwrap();
    (made["key_id"].as_str().unwrap().to_owned(), file)
}

fn sign(
    stack: &Stack,
    tenant: &str,
    algorithm: &str,
    (key_id, file): &(String, String),
    event: &Value,
) -> Value {
    let path = stack.dir.join(format!("{tenant}-event.json"));
    fs::write(&path, event.to_string()).unwrap();
    let path = path.display().to_string();
    let key = ["--key-id", key_id, "--algorithm", algorithm, "--key-file", file];
    serde_json::from_str(&sealtrail(stack, &[&["sign", "--tenant", tenant][..], &key, &[&path]].concat()))
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_that_asks_for_signatures_gets_signed_events_only() {
    let stack = shared();
    let tenant = Tenant::create(stack, "signed", "admin").await;
    let hmac = make_key(stack, "signed", "hmac-sha256");
    let ed25519 = make_key(stack, "signed", "ed25519");
    sealtrail(stack, &["policies", "set", "signed", "--signatures", "required"]);
    let unsigned = eventually("unsigned events are refused", || async {
        let (status, problem) = answer(tenant.post("/v1/events", &event(1))).await;
        (status.as_u16() == 403).then_some(problem)
    })
    .await;
    assert_eq!(unsigned["type"], "urn:sealtrail:problem:bad-signature");
    assert_eq!(unsigned["pointer"], "/signature");
    for (algorithm, key) in [("hmac-sha256", &hmac), ("ed25519", &ed25519)] {
        let mut signed = sign(stack, "signed", algorithm, key, &event(2));
        let (status, result) = answer(tenant.post("/v1/events", &signed)).await;
        assert_eq!(status.as_u16(), 202, "{algorithm}: {result}");
        let kept = format!(
            "SELECT signature_key_id FROM events WHERE event_id = '{}'",
            result["event_id"].as_str().unwrap()
        );
        eventually("the signature is in the trail", || async {
            (stack.sql(&kept).await == key.0).then_some(())
        })
        .await;
        signed["actor"]["id"] = json!("mallory");
        let (status, problem) = answer(tenant.post("/v1/events", &signed)).await;
        assert_eq!(status.as_u16(), 403, "{algorithm}: {problem}");
    }
    sealtrail(stack, &["signing-keys", "end", &hmac.0, "--tenant", "signed"]);
    let signed = sign(stack, "signed", "hmac-sha256", &hmac, &event(3));
    eventually("the ended key is refused", || async {
        let (status, problem) = answer(tenant.post("/v1/events", &signed)).await;
        let is_told = problem["detail"].as_str().is_some_and(|detail| detail.contains("ended"));
        (status.as_u16() == 403 && is_told).then_some(())
    })
    .await;
    let still = sign(stack, "signed", "ed25519", &ed25519, &event(4));
    assert_eq!(answer(tenant.post("/v1/events", &still)).await.0.as_u16(), 202);
}
