//! Clients that we did not write, unmodified.

use std::process::Command;

use integration_tests::stack::shared;
use integration_tests::tenant::{Tenant, answer, event};
use integration_tests::workspace;
use serde_json::{Value, json};

/// Python's confluent-kafka registers the schema, publishes by the direct door, and meets the gateway's choice of
/// partition for every id.
#[tokio::test(flavor = "multi_thread")]
async fn confluent_kafka_publishes_where_the_gateway_would() {
    let stack = shared();
    let tenant = Tenant::create(stack, "confluent", "admin").await;
    let python = workspace().join("target/venv/bin/python");
    assert!(python.is_file(), "{} is not there; run the tests by `make test`", python.display());
    let mut command = Command::new(python);
    command.arg(workspace().join("integration-tests/python/direct_door.py")).arg(&tenant.id);
    let output = command.envs(stack.vars()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let partitions: Value = serde_json::from_slice(&output.stdout).unwrap();
    let partitions = partitions.as_object().unwrap();
    assert_eq!(partitions.len(), 20);
    tenant.rows("events", 20).await;
    for (event_id, partition) in partitions {
        let row = format!("SELECT kafka_partition, door, severity FROM events WHERE event_id = '{event_id}'");
        assert_eq!(stack.sql(&row).await, format!("{partition}\tdirect\tinfo"));
        let mut again = event(1);
        again["event_id"] = json!(event_id);
        let (_, item) = answer(tenant.post("/v1/events", &again)).await;
        assert_eq!(&item["partition"], partition, "{event_id}");
    }
    // the copies have other bodies: the first wins, and the others are seen
    tenant.rows("dead_letters", 20).await;
    tenant.rows("events", 20).await;
}
