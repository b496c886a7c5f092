//! The real CloudTrail events: the same numbers by three ways out, and an import that can be repeated.

use std::process::Command;

use integration_tests::stack::{Stack, shared};
use integration_tests::tenant::{Tenant, answer, event};
use integration_tests::{cloudtrail_files, eventually, workspace};
use serde_json::{Value, json};

const EVENTS: u64 = 2_002;
const GROUPS: [&str; 3] = ["event_type", "outcome", "actor_id"];

fn import(stack: &Stack, tenant: &Tenant<'_>) -> String {
    let files = cloudtrail_files().expect("looked at before");
    let mut command = Command::new(integration_tests::program("sealtrail"));
    command
        .args(["import", "cloudtrail"])
        .args(files)
        .envs(stack.vars())
        .env("SEALTRAIL_API_KEY", &tenant.key);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A record that is no event is named with its file and place, the exit status says so, and the rest is in the trail.
#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_cannot_be_mapped_is_named() {
    let stack = shared();
    let tenant = Tenant::create(stack, "unmappable", "admin").await;
    let good = json!({
        "eventID": uuid::Uuid::now_v7(), "eventTime": "2026-11-02T10:00:00Z", "eventName": "GetObject",
        "eventSource": "s3.amazonaws.com", "userIdentity": {"type": "IAMUser", "arn": "arn:aws:iam::1:user/ada"},
    });
    let mut bad = good.clone();
    bad["eventID"] = json!("seven");
    let file = stack.dir.join("unmappable.json");
    std::fs::write(&file, json!({"Records": [good, bad]}).to_string()).unwrap();
    let mut command = Command::new(integration_tests::program("sealtrail"));
    command
        .args(["import", "cloudtrail"])
        .arg(&file)
        .envs(stack.vars())
        .env("SEALTRAIL_API_KEY", &tenant.key);
    let output = command.output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("unmappable.json: record 2: /eventID is not a uuid"), "{said}");
    tenant.rows("events", 1).await;
}

/// Counts by group as `{"a": 1, …}`, out of SQL over HTTP.
async fn by_sql(stack: &Stack, group: &str) -> Value {
    let query =
        format!("SELECT {group}, count() FROM events WHERE tenant_id = 'cloudtrail' GROUP BY 1 FORMAT TSV");
    let text = stack.sql(&query).await;
    text.lines()
        .map(|line| line.split_once('\t').unwrap())
        .map(|(k, n)| (k.to_owned(), json!(n.parse::<u64>().unwrap())))
        .collect()
}

async fn by_query_api(tenant: &Tenant<'_>, group: &str) -> Value {
    let (_, stats) = answer(tenant.query(&format!("/v1/stats?group_by={group}"))).await;
    let groups = stats["groups"].as_array().unwrap();
    groups.iter().map(|g| (g["key"][group].as_str().unwrap().to_owned(), g["count"].clone())).collect()
}

/// Python's clickhouse-connect, which is not ours.
fn by_python(stack: &Stack) -> Value {
    let python = workspace().join("target/venv/bin/python");
    assert!(python.is_file(), "{} is not there; run the tests by `make test`", python.display());
    let mut command = Command::new(python);
    command.arg(workspace().join("integration-tests/python/counts.py")).args(["cloudtrail"]).args(GROUPS);
    let output = command.envs(stack.vars()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn real_events_give_the_same_numbers_by_every_way_out() {
    if cloudtrail_files().is_none() {
        return;
    }
    let stack = shared();
    let tenant = Tenant::create(stack, "cloudtrail", "admin").await;
    for _ in 0..2 {
        let said = import(stack, &tenant);
        assert!(said.starts_with("2002 records in 41 files: 2002 accepted"), "{said}");
    }
    tenant.rows("duplicates", EVENTS).await;
    tenant.rows("events", EVENTS).await;
    tenant.rows("dead_letters", 0).await;
    let python = by_python(stack);
    assert_eq!(python["total"], EVENTS);
    for group in GROUPS {
        let sql = by_sql(stack, group).await;
        let total: u64 = sql.as_object().unwrap().values().map(|n| n.as_u64().unwrap()).sum();
        assert_eq!(total, EVENTS, "{group}");
        assert_eq!(by_query_api(&tenant, group).await, sql, "{group}");
        assert_eq!(python[group], sql, "{group}");
    }
    writes_only_leaves_the_reads_out(stack).await;
}

/// Of real events: the level drops the reads that went well, and nothing else.
async fn writes_only_leaves_the_reads_out(stack: &Stack) {
    let tenant = Tenant::create(stack, "cloudtrail-writes", "admin").await;
    let output = stack.run("sealtrail", &["policies", "set", "cloudtrail-writes", "--level", "writes-only"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut read = event(1);
    read["operation"] = json!("read");
    eventually("the level holds", || async {
        (answer(tenant.post("/v1/events", &read)).await.1["status"] == "dropped_by_policy").then_some(())
    })
    .await;
    let said = import(stack, &tenant);
    let reads = "SELECT countIf(operation = 'read' AND outcome NOT IN ('failure', 'denied')) FROM events WHERE tenant_id = 'cloudtrail'";
    let reads: u64 = stack.sql(reads).await.parse().unwrap();
    // most of what real systems do is to look
    assert!(reads > EVENTS / 3, "{reads} of {EVENTS} are reads");
    let kept = EVENTS - reads;
    assert!(
        said.contains(&format!("{kept} accepted")) && said.contains(&format!("{reads} dropped")),
        "{said}"
    );
    let rows = "SELECT count() FROM events WHERE tenant_id = 'cloudtrail-writes' AND event_type != 'trail.policy_changed'";
    eventually("the rest is there", || async { (stack.sql(rows).await == kept.to_string()).then_some(()) })
        .await;
}
