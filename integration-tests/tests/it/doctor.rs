//! `sealtrail doctor` on real engines: a sound stack is all ok, and each thing that is broken is named.

use std::collections::BTreeMap;
use std::process::Command;

use integration_tests::kafka::{set_topic_settings, topic_settings};
use integration_tests::program;
use integration_tests::stack::{Stack, shared};
use integration_tests::tenant::{Tenant, event};
use serde_json::Value;

struct Said {
    code: i32,
    report: Value,
}

impl Said {
    /// Names and states of what is not ok.
    fn findings(&self) -> Vec<(String, String)> {
        let checks = self.report["checks"].as_array().expect("checks");
        let text = |check: &Value, field: &str| check[field].as_str().expect("text").to_owned();
        let pairs = checks.iter().map(|check| (text(check, "name"), text(check, "state")));
        pairs.filter(|(_, state)| state != "ok").collect()
    }

    fn check(&self, name: &str) -> &Value {
        let checks = self.report["checks"].as_array().expect("checks");
        checks.iter().find(|check| check["name"] == name).unwrap_or_else(|| panic!("{name}: {checks:#?}"))
    }
}

fn doctor(stack: &Stack, variables: &[(&str, &str)]) -> Said {
    let mut command = Command::new(program("sealtrail"));
    command.args(["doctor", "--output", "json"]);
    command.envs(stack.vars()).envs(variables.iter().copied());
    let output = command.output().expect("the command runs");
    let report = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    Said { code: output.status.code().unwrap_or(-1), report }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sound_stack_is_all_ok() {
    let tenant = Tenant::create(shared(), "doctor", "admin").await;
    tenant.send(&[event(1)]).await;
    tenant.rows("events", 1).await;
    let said = doctor(shared(), &[]);
    assert_eq!(said.findings(), [], "{:#}", said.report);
    assert_eq!((said.code, &said.report["state"]), (0, &Value::from("ok")));
    assert_eq!(said.report["checks"].as_array().expect("checks").len(), 20, "{:#}", said.report);
}

#[test]
fn one_replica_is_broken_where_more_are_promised() {
    let said = doctor(shared(), &[("SEALTRAIL_SINGLE_BROKER", "false")]);
    assert_eq!(said.code, 1);
    assert_eq!(said.check("topic.events")["state"], "broken", "{:#}", said.report);
    assert!(
        said.check("topic.events")["do"].as_str().expect("advice").contains("reassign"),
        "{:#}",
        said.report
    );
}

#[test]
fn a_dead_port_is_one_fault_and_what_hangs_on_it_unknown() {
    // nothing listens on the port of discard
    let clickhouse =
        [("SEALTRAIL_CLICKHOUSE_URL", "http://127.0.0.1:9/?database=sealtrail&user=x&password=y")];
    let said = doctor(shared(), &clickhouse);
    let broken: Vec<_> = said.findings().into_iter().filter(|(_, state)| state == "broken").collect();
    assert_eq!(broken, [("clickhouse".to_owned(), "broken".to_owned())], "{:#}", said.report);
    assert_eq!((said.code, said.check("processing.positions")["state"].as_str()), (1, Some("unknown")));

    let others = [
        ("SEALTRAIL_REGISTRY_URL", "http://127.0.0.1:9"),
        ("SEALTRAIL_GATEWAY_URL", "http://127.0.0.1:9"),
        ("SEALTRAIL_KAFKA", "127.0.0.1:9"),
    ];
    let said = doctor(shared(), &others);
    for name in ["registry", "gateway", "kafka"] {
        assert_eq!(said.check(name)["state"], "broken", "{:#}", said.report);
    }
    assert_eq!(said.check("trail")["state"], "unknown");
    assert_eq!(said.check("query-api")["state"], "ok");
}

#[test]
fn wrong_usage_is_2() {
    let output = Command::new(program("sealtrail")).arg("doctor").env_clear().output().expect("it runs");
    assert_eq!(output.status.code(), Some(2), "SEALTRAIL_CLICKHOUSE_URL is missing");
    let unreadable = [("SEALTRAIL_CLICKHOUSE_URL", "not a url")];
    let output = Command::new(program("sealtrail")).arg("doctor").envs(unreadable).output().expect("it runs");
    assert_eq!(output.status.code(), Some(2));
}

/// Real breakages, on a stack that no other test uses; called by the test that starts it.
pub async fn names_what_was_broken(stack: &Stack) {
    const EVENTS: &str = "audit.events.v1";
    const DEAD_LETTERS: &str = "audit.dead-letters.v1";
    let (events, dead_letters) =
        (topic_settings(stack, EVENTS).await, topic_settings(stack, DEAD_LETTERS).await);
    change(stack, EVENTS, &events, &[("retention.ms", "3600000"), ("message.timestamp.type", "CreateTime")])
        .await;
    change(stack, DEAD_LETTERS, &dead_letters, &[("cleanup.policy", "compact")]).await;
    stack.sql("ALTER TABLE events MODIFY SETTING fsync_after_insert = 0").await;
    let said = doctor(stack, &[]);
    let findings = said.findings();
    let broken = findings.iter().filter(|(_, state)| state == "broken").map(|(name, _)| name.as_str());
    assert_eq!(
        broken.collect::<Vec<_>>(),
        ["topic.events", "topic.events", "topic.dead_letters", "clickhouse.tables"],
        "{:#}",
        said.report
    );
    change(stack, EVENTS, &events, &[]).await;
    change(stack, DEAD_LETTERS, &dead_letters, &[]).await;
    stack.sql("ALTER TABLE events MODIFY SETTING fsync_after_insert = 1").await;
    let said = doctor(stack, &[]);
    assert_eq!(said.code, 0, "{:#}", said.report);
}

async fn change(stack: &Stack, topic: &str, own: &BTreeMap<String, String>, changes: &[(&str, &str)]) {
    let mut settings = own.clone();
    settings.extend(changes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    set_topic_settings(stack, topic, &settings).await;
}
