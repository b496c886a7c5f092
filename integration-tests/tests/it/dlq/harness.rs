//! What the tests of `sealtrail dlq` share: a stack whose registry gives out ids that a test can foretell, letters that
//! become events once their schema is registered, and calls of the command.

use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;

use audit_event::json::{Surroundings, parse_event};
use audit_event::{AuditEvent, EventId, SchemaId};
use integration_tests::kafka::produce;
use integration_tests::stack::{Options, Stack};
use integration_tests::tenant::{Tenant, answer, event};
use integration_tests::{eventually, program};
use schemas::avro;
use serde_json::{Value, json};
use tokio::sync::{Mutex, MutexGuard};
use uuid::Uuid;

pub const SUBJECT: &str = "audit.events.v1-value";
pub const REPLAYED: &str = "trail.dead_letters_replayed";

/// One test at a time: each foretells the next schema id.
pub async fn stack() -> (&'static Stack, MutexGuard<'static, ()>) {
    static STACK: OnceLock<Stack> = OnceLock::new();
    static TURN: Mutex<()> = Mutex::const_new(());
    let turn = TURN.lock().await;
    let start = || {
        Stack::start(&Options {
            name: "dlq",
            port_shift: 5_000,
            settings: vec![("SEALTRAIL_PROCESSOR__DEAD_LETTERS__UNKNOWN_SCHEMA_WAIT_MS", "0".to_owned())],
            ..Options::default()
        })
    };
    (STACK.get_or_init(start), turn)
}

pub async fn register(stack: &Stack, subject: &str, schema: &Value) -> SchemaId {
    let url = format!("{}/subjects/{subject}/versions", stack.var("SEALTRAIL_REGISTRY_URL"));
    let body = json!({ "schema": schema.to_string() });
    let (status, said) = answer(reqwest::Client::new().post(url).json(&body)).await;
    assert!(status.is_success(), "{said}");
    SchemaId(u32::try_from(said["id"].as_u64().unwrap()).unwrap())
}

pub async fn own_schema_id(stack: &Stack) -> SchemaId {
    register(stack, SUBJECT, &serde_json::from_str(avro::SCHEMA_TEXT).unwrap()).await
}

/// The id that the registry gives to the next schema that it does not know.
pub async fn next_schema_id(stack: &Stack) -> SchemaId {
    let name = format!("p{}", Uuid::new_v4().simple());
    let probe = json!({"type": "record", "name": name, "fields": []});
    SchemaId(register(stack, &format!("{name}-value"), &probe).await.0 + 1)
}

/// Registers a newer schema of the event: it has one field more, which may be absent.
pub async fn register_newer(stack: &Stack, field: &str, wanted: SchemaId) {
    let mut schema: Value = serde_json::from_str(avro::SCHEMA_TEXT).unwrap();
    let field = json!({"name": field, "type": ["null", "string"], "default": null});
    schema["fields"].as_array_mut().unwrap().push(field);
    assert_eq!(register(stack, SUBJECT, &schema).await, wanted, "the id was foretold");
}

pub fn event_of(tenant: &Tenant<'_>, n: usize) -> AuditEvent {
    let tenant_id = tenant.id.parse().unwrap();
    let surroundings =
        Surroundings { tenant_id: &tenant_id, assigned_id: EventId(Uuid::now_v7()), defaults_of: &|_| None };
    parse_event(&event(n), &surroundings).unwrap()
}

/// A record of the newer schema, with its key.
pub fn newer_record(event: &AuditEvent, id: SchemaId) -> (String, Vec<u8>) {
    let mut value = avro::encode(event, id).unwrap();
    // the additional field, absent
    value.push(0);
    (format!("{}|{}", event.tenant_id, event.event_id), value)
}

/// Letters that become events once `register_newer` was called; answers the events.
pub async fn future_letters(tenant: &Tenant<'_>, id: SchemaId, count: usize) -> Vec<AuditEvent> {
    let events: Vec<_> = (0..count).map(|n| event_of(tenant, n)).collect();
    for event in &events {
        let (key, value) = newer_record(event, id);
        produce(tenant.stack, Some(key.as_bytes()), Some(&value)).await;
    }
    tenant.rows("dead_letters", count as u64).await;
    events
}

pub fn dlq(stack: &Stack, arguments: &[&str]) -> Output {
    let arguments: Vec<_> = ["dlq"].iter().chain(arguments).copied().collect();
    stack.run("sealtrail", &arguments)
}

pub fn json_of(output: &Output) -> Value {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}\n{}", String::from_utf8_lossy(&output.stdout));
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}"))
}

pub fn replay(tenant: &Tenant<'_>, further: &[&str]) -> Value {
    let common = ["replay", "--tenant", &tenant.id, "--output", "json"];
    let arguments: Vec<_> = common.iter().chain(further).copied().collect();
    json_of(&dlq(tenant.stack, &arguments))
}

pub fn spawn_replay(tenant: &Tenant<'_>, letters_per_s: &str) -> Child {
    Command::new(program("sealtrail"))
        .args(["dlq", "replay", "--tenant", &tenant.id, "--execute", "--rate", letters_per_s])
        .envs(tenant.stack.vars())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Rows of the tenant's own events, and how many different ones.
pub async fn own_events(tenant: &Tenant<'_>) -> (u64, u64) {
    let query = format!(
        "SELECT count(), uniqExact(event_id) FROM events WHERE tenant_id = '{}' AND event_type != '{REPLAYED}'",
        tenant.id
    );
    let answer = tenant.stack.sql(&query).await;
    let (rows, events) = answer.split_once('\t').unwrap();
    (rows.parse().unwrap(), events.parse().unwrap())
}

pub async fn wait_for_events(tenant: &Tenant<'_>, wanted: u64) {
    eventually("the replayed events", || async {
        let (rows, events) = own_events(tenant).await;
        assert_eq!(rows, events, "an event has two rows");
        (rows == wanted).then_some(())
    })
    .await;
}

pub async fn recorded(tenant: &Tenant<'_>) -> u64 {
    let query =
        format!("SELECT count() FROM events WHERE tenant_id = '{}' AND event_type = '{REPLAYED}'", tenant.id);
    tenant.stack.sql(&query).await.parse().unwrap()
}
