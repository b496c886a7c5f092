//! A tester that we did not write generates requests from the OpenAPI text, good and bad ones, and finds nothing.

use std::process::Command;

use integration_tests::stack::shared;
use integration_tests::tenant::Tenant;
use integration_tests::workspace;

/// In CI, where the same requests come every time; `make api-tester` draws others for ten minutes.
const DEFAULT_SECONDS: &str = "120";
const SEED_OF_CI: &str = "1";

async fn explore(tenant_id: &str, base: &str) {
    let stack = shared();
    let tenant = Tenant::create(stack, tenant_id, "admin").await;
    let asked = std::env::var("SEALTRAIL_API_TESTER_SECONDS").ok();
    let seed = asked.is_none().then_some(["--seed", SEED_OF_CI]);
    let seconds = asked.unwrap_or_else(|| DEFAULT_SECONDS.to_owned());
    let output = Command::new(workspace().join("target/venv/bin/schemathesis"))
        .arg("--config-file")
        .arg(workspace().join("integration-tests/python/schemathesis/schemathesis.toml"))
        .args(["run", &format!("{}/openapi.json", stack.var(base)), "--max-time", &seconds])
        .args(["--header", &format!("Authorization: Bearer {}", tenant.key), "--no-color"])
        .args(seed.iter().flatten())
        // it leaves what it found where it runs
        .current_dir(&stack.dir)
        .output()
        .expect("schemathesis starts; run the tests by `make test`");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("generated"), "nothing was tried: {said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_found_at_the_gateway() {
    explore("tester-gateway", "SEALTRAIL_GATEWAY_URL").await;
}
