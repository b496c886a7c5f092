use serde_json::json;

use super::*;

fn parse(value: Value) -> Result<AuditEvent, Problem> {
    let tenant_id: TenantId = "demo".parse().expect("a tenant");
    parse_event(
        &value,
        &Surroundings {
            tenant_id: &tenant_id,
            assigned_id: "0192f0c1-2345-7abc-8def-0123456789ab".parse().expect("an id"),
            defaults_of: &|name| {
                (name == "user.deleted")
                    .then_some(TypeDefaults { operation: Operation::Delete, severity: Severity::Warning })
            },
        },
    )
}

fn minimal() -> Value {
    json!({"event_type": "user.deleted", "occurred_at": "2026-11-02T10:00:00Z", "actor": {"id": "ada"}})
}

fn with(field: &str, value: Value) -> Value {
    let mut event = minimal();
    event[field] = value;
    event
}

#[test]
fn defaults_come_from_catalogue_credential_and_design() {
    let event = parse(minimal()).expect("an event");
    assert_eq!(event.operation, Operation::Delete);
    assert_eq!(event.severity, Severity::Warning);
    assert_eq!(event.outcome, Outcome::Unknown);
    assert_eq!(event.actor.kind, "user");
    assert_eq!(event.tenant_id.as_str(), "demo");
    assert!(event.targets.is_empty() && event.attributes.is_empty() && event.trace.is_none());
    let other = parse(with("event_type", json!("own.Thing"))).expect("an event");
    assert_eq!((other.operation, other.severity), (Operation::Other, Severity::Info));
}

#[test]
fn every_fault_is_pointed_at() {
    for (event, pointer) in [
        (json!([]), ""),
        (json!({"occurred_at": "2026-11-02T10:00:00Z", "actor": {"id": "ada"}}), "/event_type"),
        (with("event_type", json!("Login")), "/event_type"),
        (with("occurred_at", json!("yesterday")), "/occurred_at"),
        (with("occurred_at", json!(5)), "/occurred_at"),
        (with("actor", json!("ada")), "/actor"),
        (with("actor", json!({"id": ""})), "/actor/id"),
        (with("operation", json!("teleport")), "/operation"),
        (with("event_id", json!("7")), "/event_id"),
        (with("targets", json!([{"id": "a", "type": "b"}, {"id": "a"}])), "/targets/1/type"),
        (with("duration_ms", json!(1.5)), "/duration_ms"),
        (with("attributes", json!([])), "/attributes"),
        (with("a/b~c", json!(1)), "/a~1b~0c"),
        (with("trace", json!({"trace_id": "1"})), "/trace/span_id"),
        (with("tenant_id", json!("other")), "/tenant_id"),
    ] {
        let problem = parse(event.clone()).expect_err(&event.to_string());
        assert_eq!(problem.pointer, pointer, "{event}");
    }
}

#[test]
fn a_foreign_tenant_is_its_own_kind_of_problem() {
    let problem = parse(with("tenant_id", json!("other"))).expect_err("refused");
    assert_eq!(problem.kind, ProblemKind::ForeignTenant);
    assert!(parse(with("tenant_id", json!("demo"))).is_ok());
}

#[test]
fn attributes_keep_what_is_not_text_as_json() {
    let event = parse(with("attributes", json!({"n": 1, "o": {"b": [true, null]}, "s": "x", "z": null})))
        .expect("an event");
    let pairs: Vec<_> = event.attributes.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    assert_eq!(pairs, [("n", "1"), ("o", r#"{"b":[true,null]}"#), ("s", "x"), ("z", "null")]);
}
