//! Where `sealtrail dlq replay` must not write, and what nobody may put on a terminal.

use audit_event::AuditEvent;
use integration_tests::eventually;
use integration_tests::kafka::{events_end, produce, produce_in_transaction, produce_with_headers};
use integration_tests::tenant::{Tenant, event};
use nix::sys::signal::Signal;
use schemas::avro;
use serde_json::json;

use super::harness::{
    dlq, event_of, future_letters, json_of, newer_record, next_schema_id, own_schema_id, register,
    register_newer, replay, stack, wait_for_events,
};

/// What this command foretells is what the processor said; and nothing of it is written.
#[tokio::test(flavor = "multi_thread")]
async fn hopeless_letters_are_judged_as_the_processor_does_and_left_alone() {
    let (stack, _turn) = stack().await;
    let tenant = Tenant::create(stack, "dlq-hopeless", "admin").await;
    let id = own_schema_id(stack).await;
    let first = event_of(&tenant, 1);
    let key = format!("{}|{}", tenant.id, first.event_id);
    let good = avro::encode(&first, id).unwrap();
    produce(stack, Some(key.as_bytes()), Some(&good)).await;
    let conflict = AuditEvent { message: Some("another body".into()), ..first.clone() };
    let conflict = avro::encode(&conflict, id).unwrap();
    let conflict = produce(stack, Some(key.as_bytes()), Some(&conflict)).await;

    let other = event_of(&tenant, 2);
    let other_key = format!("{}|{}", tenant.id, other.event_id);
    let whole = avro::encode(&other, id).unwrap();
    let mut unknown = whole.clone();
    unknown[1..5].copy_from_slice(&900_000_u32.to_be_bytes());
    let truncated = whole[..whole.len() - 1].to_vec();
    let misnamed = AuditEvent { event_type: "No Such Form".into(), ..other.clone() };
    let misnamed = avro::encode(&misnamed, id).unwrap();
    let foreign_event = AuditEvent { tenant_id: "demo".parse().unwrap(), ..other.clone() };
    let foreign = avro::encode(&foreign_event, id).unwrap();
    let unusable = {
        let probe = json!({"type": "record", "name": "NoEvent", "fields": [{"name": "x", "type": "long"}]});
        let id = register(stack, "no-event-value", &probe).await;
        let mut value = whole.clone();
        value[1..5].copy_from_slice(&id.0.to_be_bytes());
        value
    };
    let large = vec![0; schemas::MAX_RECORD_BYTES + 1];
    let cases: [Option<&[u8]>; 8] = [
        None,
        Some(b"\x07bad"),
        Some(&unknown),
        Some(&truncated),
        Some(&misnamed),
        Some(&foreign),
        Some(&unusable),
        Some(&large),
    ];
    for value in cases {
        produce(stack, Some(other_key.as_bytes()), value).await;
    }
    tenant.rows("dead_letters", cases.len() as u64 + 1).await;

    let end = events_end(stack);
    let report = replay(&tenant, &["--execute"]);
    assert_eq!((&report["letters"], &report["replayed"]), (&json!(9), &json!(0)), "{report}");
    assert_eq!(events_end(stack), end);
    for group in report["groups"].as_array().unwrap() {
        let (reason, detail) = (group["reason"].as_str().unwrap(), group["detail"].as_str().unwrap());
        if reason == "conflicting_duplicate" {
            assert_eq!(group["becomes"], "conflict");
            continue;
        }
        assert_eq!(group["becomes"], "dead_letter", "{group}");
        assert!(detail.starts_with(&format!("would be a dead letter again: {reason}: ")), "{group}");
    }
    let position = format!("{}:{}", conflict.0, conflict.1);
    let shown = json_of(&dlq(stack, &["show", &position, "--output", "json"]));
    let stored = format!(
        "SELECT concat(kafka_partition::String, ':', kafka_offset::String) FROM events WHERE event_id = '{}'",
        first.event_id
    );
    assert_eq!(shown["now"]["other"], stack.sql(&stored).await, "{shown}");
    assert_eq!(shown["event"]["message"], "another body");

    // by force: what another build might read, and never the conflict, the empty and the foreign one
    let forced = replay(&tenant, &["--execute", "--force"]);
    let reasons: Vec<_> =
        forced["groups"].as_array().unwrap().iter().filter(|g| g["replay"] == true).collect();
    let reasons: Vec<_> = reasons.iter().map(|group| group["reason"].as_str().unwrap()).collect();
    assert!(
        !reasons.is_empty()
            && ["conflicting_duplicate", "no_value", "foreign_tenant"].iter().all(|r| !reasons.contains(r)),
        "{reasons:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_that_died_again_is_not_repeated_by_itself_and_its_copies_are_not_replayed() {
    let (stack, _turn) = stack().await;
    let tenant = Tenant::create(stack, "dlq-again", "admin").await;
    let id = next_schema_id(stack).await;
    let event = event_of(&tenant, 1);
    let (key, value) = newer_record(&event, id);
    let (partition, offset) = produce(stack, Some(key.as_bytes()), Some(&value)).await;
    let trail = stack.sql("SELECT trail_id FROM trails ORDER BY begun_at DESC LIMIT 1").await;
    let of = format!("{trail}:{partition}:{offset}");
    // as a replay writes it, before the cause was mended
    let headers = [("sealtrail-replay-of", of.as_str())];
    let copy = produce_with_headers(stack, Some(key.as_bytes()), Some(&value), &headers).await;
    // another record that says the same of itself, and lies
    let liar = event_of(&tenant, 2);
    let (liar_key, liar_value) = newer_record(&liar, id);
    produce_with_headers(stack, Some(liar_key.as_bytes()), Some(&liar_value), &headers).await;
    tenant.rows("dead_letters", 3).await;
    register_newer(stack, "office_4", id).await;

    let dry = replay(&tenant, &[]);
    let mut becomes: Vec<_> =
        dry["groups"].as_array().unwrap().iter().map(|g| g["becomes"].as_str().unwrap()).collect();
    becomes.sort_unstable();
    assert_eq!(becomes, ["copy", "died_before", "event"], "{dry}");
    let listed =
        json_of(&dlq(stack, &["list", "--tenant", &tenant.id, "--state", "copy", "--output", "json"]));
    assert_eq!(listed["letters"][0]["position"], format!("{}:{}", copy.0, copy.1), "{listed}");
    assert_eq!(listed["letters"][0]["replay_of"], of);
    replay(&tenant, &["--execute"]);
    wait_for_events(&tenant, 1).await;
    let forced = replay(&tenant, &["--execute", "--force"]);
    assert_eq!(forced["replayed"], 1, "{forced}");
    wait_for_events(&tenant, 2).await;
    assert_eq!(replay(&tenant, &["--execute", "--force"])["to_replay"], 0);
}

/// What lies unread in the topic may be an earlier replay of the same letters.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_written_while_the_processor_is_behind() {
    let (stack, _turn) = stack().await;
    let tenant = Tenant::create(stack, "dlq-behind", "admin").await;
    let id = next_schema_id(stack).await;
    future_letters(&tenant, id, 1).await;
    register_newer(stack, "office_5", id).await;
    stack.signal("processor", Signal::SIGSTOP);
    tenant.send(&[event(7)]).await;
    let end = events_end(stack);
    let refused = dlq(stack, &["replay", "--tenant", &tenant.id, "--execute", "--wait-s", "1"]);
    let after = events_end(stack);
    stack.signal("processor", Signal::SIGCONT);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(2), "{said}");
    assert!(said.contains("is stored up to") && said.contains("nothing is written"), "{said}");
    assert_eq!(after, end);
    tenant.rows("events", 1).await;
    replay(&tenant, &["--execute"]);
    wait_for_events(&tenant, 2).await;
}

/// The marker is never stored, so the tables end before the topic does until the next record comes.
#[tokio::test(flavor = "multi_thread")]
async fn a_transactions_marker_at_the_end_does_not_hold_a_replay_up() {
    let (stack, _turn) = stack().await;
    let tenant = Tenant::create(stack, "dlq-marker", "admin").await;
    let id = next_schema_id(stack).await;
    future_letters(&tenant, id, 1).await;
    register_newer(stack, "office_6", id).await;
    let committed = event_of(&tenant, 2);
    let value = avro::encode(&committed, own_schema_id(stack).await).unwrap();
    let key = format!("{}|{}", tenant.id, committed.event_id);
    produce_in_transaction(stack, key.as_bytes(), &value).await;
    tenant.rows("events", 1).await;
    let done = replay(&tenant, &["--execute", "--wait-s", "20"]);
    assert_eq!(done["replayed"], 1, "{done}");
    wait_for_events(&tenant, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_is_shown_without_its_control_characters() {
    let (stack, _turn) = stack().await;
    let headers = [("a\u{1b}[2J", "b\u{9b}31m\r\n"), ("sealtrail-correlation-id", "ticket-1")];
    let (partition, offset) =
        produce_with_headers(stack, Some(b"dlq-shown|\x1b]0;mine\x07"), Some(b"\x1b[31mred\xff"), &headers)
            .await;
    let position = format!("{partition}:{offset}");
    let query = format!(
        "SELECT count() FROM dead_letters WHERE kafka_partition = {partition} AND kafka_offset = {offset}"
    );
    eventually("the letter", || async { (stack.sql(&query).await == "1").then_some(()) }).await;
    for arguments in [
        &["show", &position][..],
        &["show", &position, "--output", "json"],
        &["list", "--tenant", "dlq-shown"],
        &["list", "--tenant", "dlq-shown", "--output", "json"],
        &["replay", "--tenant", "dlq-shown"],
    ] {
        let output = dlq(stack, arguments);
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{arguments:?}: {text:?}");
        assert!(text.contains("bad_frame"), "{arguments:?}: {text}");
    }
    let shown = json_of(&dlq(stack, &["show", &position, "--output", "json"]));
    assert_eq!(shown["value_hex"], "1b5b33316d726564ff");
    assert_eq!(
        (&shown["correlation_id"], &shown["now"]["becomes"]),
        (&json!("ticket-1"), &json!("dead_letter"))
    );
    let missing = dlq(stack, &["show", "0:999999"]);
    assert_eq!(missing.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&missing.stderr).contains("there is no dead letter at 0:999999"));
}
