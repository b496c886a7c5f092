//! Clients that we did not write, unmodified: the programs of docs/direct-door.md publish by the direct door.

use std::collections::{BTreeMap, BTreeSet};

use integration_tests::page::{Page, lacks};
use integration_tests::stack::{Stack, shared};
use integration_tests::tenant::{Tenant, answer, event};
use serde_json::{Value, json};
use uuid::Uuid;

/// What each program publishes: small events, and a full one.
const SMALL_EVENTS: usize = 7;

/// What a line that a program prints says.
#[derive(Debug)]
struct Published {
    event_id: Uuid,
    partition: i64,
    offset: i64,
}

impl Published {
    fn read(line: &str) -> Self {
        let line: Value = serde_json::from_str(line).unwrap();
        let number = |name: &str| line[name].as_i64().unwrap_or_else(|| panic!("{name} in {line}"));
        let event_id = line["event_id"].as_str().and_then(|text| text.parse().ok());
        Self { event_id: event_id.unwrap(), partition: number("partition"), offset: number("offset") }
    }
}

/// Whether the encoder writes a map in the order that it is given, so that the row alone rebuilds the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum MapOrder {
    Given,
    Random,
}

#[tokio::test(flavor = "multi_thread")]
async fn python_publishes_where_the_gateway_would() {
    publishes_where_the_gateway_would("direct_door.py", "python", &["python3"], MapOrder::Given).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn java_publishes_where_the_gateway_would() {
    publishes_where_the_gateway_would("DirectDoor.java", "java", &["java", "mvn"], MapOrder::Given).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn go_publishes_where_the_gateway_would() {
    publishes_where_the_gateway_would("direct_door.go", "go", &["go"], MapOrder::Random).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn javascript_publishes_where_the_gateway_would() {
    let needed = ["node", "npm"];
    publishes_where_the_gateway_would("direct_door.mjs", "javascript", &needed, MapOrder::Given).await;
}

async fn publishes_where_the_gateway_would(program: &str, name: &str, needed: &[&str], maps: MapOrder) {
    if lacks(needed) {
        return;
    }
    let stack = shared();
    let tenant = Tenant::create(stack, &format!("page-{name}"), "admin").await;
    let page = Page::unpack(name);
    let commands = page.block("sh", program);
    let for_tenant = commands.replace(" demo\n", &format!(" {}\n", tenant.id));
    assert_ne!(for_tenant, commands, "the last word is the tenant");
    let printed = page.run(stack, &for_tenant).await;
    // Maven leaves an escape sequence before the first line
    let lines = printed.lines().filter_map(|line| Some(&line[line.find('{')?..]));
    let published: Vec<_> = lines.map(Published::read).collect();
    assert_eq!(published.len(), SMALL_EVENTS + 1, "{printed}");
    tenant.rows("events", published.len() as u64).await;
    for record in &published {
        assert_row(stack, &tenant, record).await;
        assert_gateway_agrees(&tenant, record.event_id, record.partition).await;
    }
    assert_full_event(stack, &tenant, name).await;
    let kept = format!("SELECT countIf(raw_record != '') FROM events WHERE tenant_id = '{}'", tenant.id);
    let kept: usize = stack.sql(&kept).await.parse().unwrap();
    assert!(kept <= usize::from(maps == MapOrder::Random), "{kept} rows keep their bytes");
    // the gateway's copies have other bodies: the first stays, and the others are seen
    tenant.rows("dead_letters", published.len() as u64).await;
    tenant.rows("events", published.len() as u64).await;
    tenant.rows("duplicates", 0).await;
}

/// The event is there once, at the place that the program printed.
async fn assert_row(stack: &Stack, tenant: &Tenant<'_>, record: &Published) {
    let row = format!(
        "SELECT kafka_partition, kafka_offset, door, correlation_id, traceparent FROM events \
         WHERE tenant_id = '{}' AND event_id = '{}'",
        tenant.id, record.event_id
    );
    let wanted = format!(
        "{}\t{}\tdirect\trequest-4711\t00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        record.partition, record.offset
    );
    assert_eq!(stack.sql(&row).await, wanted);
}

/// The gateway puts an event of this id into the same partition.
async fn assert_gateway_agrees(tenant: &Tenant<'_>, event_id: Uuid, partition: i64) {
    let mut again = event(1);
    again["event_id"] = json!(event_id);
    let (_, item) = answer(tenant.post("/v1/events", &again)).await;
    assert_eq!(item["partition"], partition, "{}|{event_id}: {item}", tenant.id);
}

/// Every field of the full event comes out as every program put it in.
async fn assert_full_event(stack: &Stack, tenant: &Tenant<'_>, name: &str) {
    let (_, found) = answer(tenant.query("/v1/events?event_type=data.updated")).await;
    let [found] = found["events"].as_array().unwrap().as_slice() else { panic!("{name}: {found}") };
    let wanted = json!({
        "tenant_id": tenant.id, "occurred_at": "2026-11-03T14:02:11.482913Z", "event_type": "data.updated",
        "operation": "update", "outcome": "denied", "severity": "warning",
        "actor": {"id": "user-2077", "type": "user", "name": "Amira Haddad", "session_id": null,
            "on_behalf_of": "team-billing"},
        "targets": [
            {"id": "invoice-88123", "type": "invoice", "name": "Rechnung für Zoë"},
            {"id": "customer-501", "type": "customer", "name": null},
        ],
        "source": {"ip": "203.0.113.24", "user_agent": null, "service": "billing-api", "host": null,
            "request_id": null},
        "trace": {"trace_id": "4bf92f3577b34da6a3ce929d0e0e4736", "span_id": "00f067aa0ba902b7"},
        "duration_ms": 184, "batch_id": null, "message": null, "signature": null,
        "changes": [
            {"path": "/due_date", "before": "\"2026-11-15\"", "after": "\"2026-11-30\""},
            {"path": "/note", "before": null, "after": "\"später\""},
        ],
        "attributes": {"ort": "Zürich", "ticket": "BILL-4411", "挨拶": "こんにちは 🙂"},
    });
    for (field, value) in wanted.as_object().unwrap() {
        assert_eq!(&found[field], value, "{name}: {field}");
    }
    let small = format!(
        "SELECT DISTINCT operation, outcome, severity, actor_type, actor_id FROM events \
         WHERE tenant_id = '{}' AND event_type = 'user.login'",
        tenant.id
    );
    assert_eq!(stack.sql(&small).await, "other\tunknown\tinfo\tuser\tada", "the schema's defaults");
}

/// The page's list for other clients says what the gateway does.
#[tokio::test(flavor = "multi_thread")]
async fn the_listed_partitions_are_the_gateways() {
    let tenant = Tenant::create(shared(), "acme", "admin").await;
    let page = Page::unpack("partitions");
    let listed: BTreeMap<String, i64> = serde_json::from_str(&page.block("json", "acme|")).unwrap();
    assert_eq!(listed.values().collect::<BTreeSet<_>>().len(), 4, "every partition is in the list");
    for (key, partition) in listed {
        let event_id = key.strip_prefix("acme|").unwrap().parse().unwrap();
        assert_gateway_agrees(&tenant, event_id, partition).await;
    }
}

/// The smallest event of the page has all that a producer must say.
#[test]
fn the_smallest_event_is_what_has_no_default() {
    let page = Page::unpack("smallest");
    let shown: Value = serde_json::from_str(&page.block("json", "\"occurred_at\"")).unwrap();
    let schema: Value = serde_json::from_str(schemas::avro::SCHEMA_TEXT).unwrap();
    let required = schema["fields"].as_array().unwrap().iter().filter(|field| field.get("default").is_none());
    let required: BTreeSet<_> = required.map(|field| field["name"].as_str().unwrap()).collect();
    assert_eq!(shown.as_object().unwrap().keys().map(String::as_str).collect::<BTreeSet<_>>(), required);
}
