use super::*;

fn event(event_type: &str, outcome: Outcome, id: u128) -> AuditEvent {
    let text = serde_json::json!({
        "event_id": uuid::Uuid::from_u128(id), "tenant_id": "demo", "occurred_at": "2026-11-02T10:00:00Z",
        "event_type": event_type, "operation": "read", "outcome": outcome, "severity": "info",
        "actor": {"id": "robot", "type": "service"}, "targets": [{"id": "d", "type": "document"}],
    });
    serde_json::from_value(text).expect("an event")
}

fn policy(text: serde_json::Value) -> Policy {
    serde_json::from_value(text).expect("a policy")
}

#[test]
fn exclusions_count_whatever_the_outcome() {
    let denied = event("document.read", Outcome::Denied, 1);
    for (exclusion, reason) in [
        (serde_json::json!({"level": "off"}), DropReason::Level),
        (serde_json::json!({"level": "all", "excluded_event_types": ["document.*"]}), DropReason::EventType),
        (serde_json::json!({"level": "all", "excluded_actor_ids": ["robot"]}), DropReason::Actor),
        (serde_json::json!({"level": "all", "excluded_target_types": ["document"]}), DropReason::TargetType),
    ] {
        assert_eq!(policy(exclusion).decide(&denied), Decision::Drop(reason));
    }
    let others = serde_json::json!({"level": "all", "excluded_event_types": ["document.rea", "doc.*"],
        "excluded_actor_ids": ["robo"], "excluded_target_types": ["doc"]});
    assert_eq!(policy(others).decide(&denied), Decision::Take);
}

#[test]
fn a_sample_takes_its_share_and_every_failure() {
    let policy = policy(serde_json::json!({"level": "all",
        "samples": [{"event_type": "document.read", "rate": 250_000}, {"event_type": "document.*", "rate": 0}]}));
    // ids that count, as some producers make them
    let takes = |outcome| {
        let takes = |id: &u128| policy.decide(&event("document.read", outcome, *id)) == Decision::Take;
        (0..10_000_u128).filter(takes).count()
    };
    let taken = takes(Outcome::Success);
    assert!((2_300..2_700).contains(&taken), "{taken}");
    assert_eq!(takes(Outcome::Failure), 10_000);
    let listed = event("document.listed", Outcome::Success, 7);
    assert_eq!(policy.decide(&listed), Decision::Drop(DropReason::Sample), "the second sample matches");
}

#[test]
fn what_is_out_of_bounds_is_no_policy() {
    for bad in [
        serde_json::json!({"level": "all", "excluded_event_types": ["*"]}),
        serde_json::json!({"level": "all", "excluded_event_types": ["a b"]}),
        serde_json::json!({"level": "all", "samples": [{"event_type": "a.b", "rate": 1_000_001}]}),
    ] {
        assert!(serde_json::from_value::<Policy>(bad.clone()).is_err(), "{bad}");
    }
    let mut long = Policy::default();
    long.excluded_actor_ids.insert("x".repeat(MAX_ENTRY_BYTES + 1));
    assert!(matches!(long.check(), Err(PolicyError::Entry(_))));
    let mut many = Policy::default();
    many.excluded_actor_ids.extend((0..=MAX_ENTRIES).map(|n| n.to_string()));
    assert!(matches!(many.check(), Err(PolicyError::TooMany { .. })));
}
