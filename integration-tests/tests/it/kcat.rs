//! kcat, unmodified, as a producer of bad records and as a reader of dead letters, by the commands of
//! docs/direct-door.md.

use std::fs;

use audit_event::{AuditEvent, EventId, SchemaId};
use integration_tests::eventually;
use integration_tests::page::Page;
use integration_tests::stack::{Stack, shared};
use integration_tests::tenant::answer;
use schemas::avro;
use serde_json::{Value, json};

const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// A record of the trail that is no event.
struct Bad {
    reason: &'static str,
    stage: &'static str,
    key: String,
    value: Vec<u8>,
}

/// A good record's bytes.
async fn good_value(stack: &Stack, tenant_id: &str, event_id: EventId) -> Vec<u8> {
    let url =
        format!("{}/subjects/audit.events.v1-value/versions/latest", stack.var("SEALTRAIL_REGISTRY_URL"));
    let (_, schema) = answer(reqwest::Client::new().get(url)).await;
    let id = SchemaId(u32::try_from(schema["id"].as_u64().expect("registered by the gateway")).unwrap());
    let mut event: Value = serde_json::from_str(include_str!("../../../schemas/examples/full.json")).unwrap();
    event["tenant_id"] = json!(tenant_id);
    event["event_id"] = json!(event_id.to_string());
    let event: AuditEvent = serde_json::from_value(event).unwrap();
    avro::encode(&event, id).unwrap()
}

async fn bad_records(stack: &Stack) -> [Bad; 3] {
    let id = || EventId(uuid::Uuid::new_v4());
    let [foreign, cut, magic] = [id(), id(), id()];
    let foreign_value = good_value(stack, "kcat", foreign).await;
    let mut cut_value = good_value(stack, "kcat", cut).await;
    cut_value.truncate(cut_value.len() - 1);
    let mut magic_value = good_value(stack, "kcat", magic).await;
    magic_value[0] = 7;
    let bad = |reason, stage, key, value| Bad { reason, stage, key, value };
    [
        bad("foreign_tenant", "route", format!("kcat-neighbour|{foreign}"), foreign_value),
        bad("undecodable", "decode", format!("kcat|{cut}"), cut_value),
        bad("bad_frame", "decode", format!("kcat|{magic}"), magic_value),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_are_read_as_they_were_with_their_headers() {
    let stack = shared();
    let page = Page::unpack("kcat");
    let records = bad_records(stack).await;
    for record in &records {
        fs::write(page.dir.join("record.bin"), &record.value).unwrap();
        let produce = format!(
            "kcat -P -b \"$SEALTRAIL_KAFKA\" -t audit.events.v1 -X partitioner=murmur2_random \
             -k '{}' -H traceparent={TRACEPARENT} record.bin",
            record.key
        );
        page.run(stack, &produce).await;
    }
    for record in &records {
        let row = format!("SELECT count() FROM dead_letters WHERE record_key = '{}'", record.key);
        eventually("the dead letter is stored", || async { (stack.sql(&row).await == "1").then_some(()) })
            .await;
    }
    // its topic is written before its table
    let listed = page.run(stack, &page.block("sh", "letter %o")).await;
    for record in &records {
        let letter = assert_headers(stack, &page, record, &listed).await;
        let fetch = page.block("sh", "letter.bin");
        let fetch_this = fetch.replace("letter=0\n", &format!("letter={letter}\n"));
        page.run(stack, &fetch_this).await;
        assert_eq!(fs::read(page.dir.join("letter.bin")).unwrap(), record.value, "{}", record.reason);
    }
    let foreign = page.run(stack, &page.block("sh", "grep")).await;
    assert!(foreign.lines().any(|line| line.contains(&records[0].key)), "{foreign}");
    assert!(!foreign.lines().any(|line| line.contains(&records[1].key)), "{foreign}");
}

/// The listed headers are the record's own and its provenance; answers the letter's number.
async fn assert_headers(stack: &Stack, page: &Page, record: &Bad, listed: &str) -> String {
    let mut lines = listed.lines().skip_while(|line| !line.contains(&format!("key {},", record.key)));
    let first = lines.next().unwrap_or_else(|| panic!("{} is not listed", record.reason));
    assert!(first.ends_with(&format!(", {} bytes", record.value.len())), "{first}");
    let headers = lines.next().unwrap();
    let row = format!(
        "SELECT trail_id, kafka_partition, kafka_offset, toUnixTimestamp64Milli(received_at), \
         ifNull(toString(schema_id), ''), detail FROM dead_letters WHERE record_key = '{}'",
        record.key
    );
    let row = stack.sql(&format!("{row} FORMAT TSVRaw")).await;
    let [trail, partition, offset, millis, schema_id, detail] =
        row.splitn(6, '\t').collect::<Vec<_>>().try_into().unwrap();
    let wanted = [
        ("sealtrail-reason", record.reason),
        ("sealtrail-stage", record.stage),
        ("sealtrail-detail", detail),
        ("sealtrail-trail", trail),
        ("sealtrail-topic", "audit.events.v1"),
        ("sealtrail-partition", partition),
        ("sealtrail-offset", offset),
        ("sealtrail-timestamp-ms", millis),
        ("sealtrail-schema-id", schema_id),
    ];
    for (name, _) in wanted {
        assert!(page.text.contains(&format!("`{name}`")), "the page does not tell of {name}");
    }
    let wanted: Vec<_> = wanted.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(headers.trim(), format!("traceparent={TRACEPARENT},{}", wanted.join(",")));
    first.trim_start_matches("letter ").split(',').next().unwrap().to_owned()
}
