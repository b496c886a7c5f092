//! `sealtrail dlq`: dead letters seen, and replayed: dry, twice, by two at once, killed in the middle, after a fix.

mod harness;
mod refusals;

use integration_tests::eventually;
use integration_tests::kafka::events_end;
use integration_tests::tenant::Tenant;
use serde_json::json;

use harness::{
    REPLAYED, dlq, future_letters, json_of, newer_record, next_schema_id, own_events, recorded,
    register_newer, replay, spawn_replay, stack, wait_for_events,
};

#[tokio::test(flavor = "multi_thread")]
async fn letters_become_events_once_their_schema_is_known() {
    let (stack, _turn) = stack().await;
    let tenant = Tenant::create(stack, "dlq-fixed", "admin").await;
    let id = next_schema_id(stack).await;
    let events = future_letters(&tenant, id, 3).await;
    let hopeless = replay(&tenant, &[]);
    assert_eq!(
        (&hopeless["to_replay"], &hopeless["groups"][0]["becomes"]),
        (&json!(0), &json!("dead_letter"))
    );
    register_newer(stack, "office_1", id).await;

    let end = events_end(stack);
    let dry = replay(&tenant, &[]);
    assert_eq!(
        (&dry["executed"], &dry["to_replay"], &dry["replayed"]),
        (&json!(false), &json!(3), &json!(0))
    );
    assert_eq!(dry["groups"][0]["becomes"], "event");
    let command = format!("sealtrail dlq replay --tenant {} --limit 10000 --execute", tenant.id);
    assert_eq!(dry["command"], command);
    assert_eq!(events_end(stack), end, "a dry run writes nothing");

    let done = replay(&tenant, &["--execute", "--actor", "ada"]);
    assert_eq!((&done["replayed"], &done["recorded"].as_array().unwrap().len()), (&json!(3), &1), "{done}");
    wait_for_events(&tenant, 3).await;
    for event in &events {
        let (_, value) = newer_record(event, id);
        let wanted: String = value.iter().map(|byte| format!("{byte:02X}")).collect();
        let query = format!("SELECT hex(raw_record) FROM events WHERE event_id = '{}'", event.event_id);
        assert_eq!(stack.sql(&query).await, wanted, "the record's own bytes");
    }
    let about = format!(
        "SELECT actor_id, outcome, operation, attributes['letters'], attributes['reasons'], attributes['filter'], \
             correlation_id = batch_id, notEmpty(attributes['positions']), notEmpty(attributes['os_user']) \
         FROM events WHERE tenant_id = '{}' AND event_type = '{REPLAYED}'",
        tenant.id
    );
    let wanted = format!("ada\tunknown\texecute\t3\tunknown_schema=3\t--tenant {}\t1\t1\t1", tenant.id);
    assert_eq!(stack.sql(&about).await, wanted);

    let end = events_end(stack);
    let again = replay(&tenant, &["--execute"]);
    assert_eq!((&again["to_replay"], &again["recorded"]), (&json!(0), &json!([])), "{again}");
    assert_eq!(again["groups"][0]["becomes"], "stored");
    let forced = replay(&tenant, &["--execute", "--force"]);
    assert_eq!(forced["to_replay"], 0, "not even by force: {forced}");
    assert_eq!(events_end(stack), end, "nothing is written a second time");
    let listed = json_of(&dlq(stack, &["list", "--tenant", &tenant.id, "--output", "json"]));
    let states: Vec<_> = listed["letters"].as_array().unwrap().iter().map(|l| &l["state"]).collect();
    assert_eq!(states, ["resolved"; 3]);
    let open = dlq(stack, &["list", "--tenant", &tenant.id, "--state", "open", "--output", "json"]);
    assert_eq!(json_of(&open)["letters"], json!([]));
    let summary = json_of(&dlq(stack, &["list", "--summary", "--tenant", &tenant.id, "--output", "json"]));
    assert_eq!((&summary["letters"], &summary["groups"][0]["resolved"]), (&json!(3), &json!(3)), "{summary}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_replay_is_recorded_and_goes_on_where_it_was() {
    const LETTERS: u64 = 60;
    let (stack, _turn) = stack().await;
    let tenant = Tenant::create(stack, "dlq-killed", "admin").await;
    let id = next_schema_id(stack).await;
    future_letters(&tenant, id, LETTERS as usize).await;
    register_newer(stack, "office_2", id).await;
    let mut child = spawn_replay(&tenant, "20");
    eventually("some are written", || async { (own_events(&tenant).await.0 >= 5).then_some(()) }).await;
    child.kill().unwrap();
    child.wait().unwrap();
    let written = own_events(&tenant).await.0;
    assert!(written < LETTERS, "it was killed in the middle");
    assert_eq!(recorded(&tenant).await, 1, "the record goes ahead of the letters");
    let rest = replay(&tenant, &["--execute"]);
    let left = rest["to_replay"].as_u64().unwrap();
    assert!(left > 0 && left <= LETTERS - written, "{rest}");
    wait_for_events(&tenant, LETTERS).await;
    eventually("the second record", || async { (recorded(&tenant).await == 2).then_some(()) }).await;
    assert_eq!(replay(&tenant, &["--execute"])["to_replay"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_replays_at_once_store_each_event_once() {
    const LETTERS: u64 = 40;
    let (stack, _turn) = stack().await;
    let tenant = Tenant::create(stack, "dlq-two", "admin").await;
    let id = next_schema_id(stack).await;
    future_letters(&tenant, id, LETTERS as usize).await;
    register_newer(stack, "office_3", id).await;
    let both = [spawn_replay(&tenant, "20"), spawn_replay(&tenant, "20")];
    for mut child in both {
        assert!(child.wait().unwrap().success());
    }
    wait_for_events(&tenant, LETTERS).await;
    let query = format!("SELECT count() FROM duplicates WHERE tenant_id = '{}'", tenant.id);
    let repeats: u64 = stack.sql(&query).await.parse().unwrap();
    assert!(repeats > 0, "the two met, or this shows nothing");
    tenant.rows("dead_letters", LETTERS).await;
}
