//! Records straight to the topic: good ones become rows that rebuild their bytes, bad ones become dead letters.

use audit_event::{AuditEvent, SchemaId, Timestamp};
use clickhouse_io::event_row::{EventRow, SELECT_COLUMNS};
use clickhouse_io::{ClickHouse, ClickHouseConfig, Sql};
use client_security::Secret;
use integration_tests::kafka::{dead_letters, produce};
use integration_tests::stack::{Stack, shared};
use integration_tests::tenant::{Tenant, answer, event};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use schemas::avro;

async fn schema_id(stack: &Stack) -> SchemaId {
    let url =
        format!("{}/subjects/audit.events.v1-value/versions/latest", stack.var("SEALTRAIL_REGISTRY_URL"));
    let (_, schema) = answer(reqwest::Client::new().get(url)).await;
    SchemaId(u32::try_from(schema["id"].as_u64().expect("registered by the gateway")).unwrap())
}

fn engine(stack: &Stack) -> ClickHouse {
    let url = reqwest::Url::parse(stack.var("SEALTRAIL_CLICKHOUSE_URL")).unwrap();
    let part = |name: &str| url.query_pairs().find(|(key, _)| key == name).unwrap().1.into_owned();
    let config = ClickHouseConfig {
        url: format!("http://{}:{}", url.host_str().unwrap(), url.port().unwrap()),
        database: part("database"),
        user: part("user"),
        password: Some(Secret::new(part("password"))),
        ..ClickHouseConfig::default()
    };
    ClickHouse::new(&config).unwrap()
}

/// An event of the JSON form, with everything that chance puts into it.
fn random_event(rng: &mut StdRng, tenant_id: &str, n: usize) -> AuditEvent {
    let text = |rng: &mut StdRng| -> String {
        let alphabet = ['a', 'Z', '0', ' ', '\'', '"', '\\', '\n', '\t', '\0', 'ä', '語', '🦀'];
        (0..rng.random_range(0..12)).map(|_| alphabet[rng.random_range(0..alphabet.len())]).collect()
    };
    let mut json = event(n);
    json["event_id"] = serde_json::json!(uuid::Builder::from_random_bytes(rng.random()).into_uuid());
    json["tenant_id"] = serde_json::json!(tenant_id);
    for field in ["operation", "severity"] {
        json[field] = serde_json::json!(if field == "operation" { "update" } else { "notice" });
    }
    json["source"] = serde_json::json!({});
    json["targets"] = serde_json::json!([]);
    json["changes"] = serde_json::json!([]);
    for field in ["trace", "duration_ms", "batch_id", "message", "signature"] {
        json[field] = serde_json::Value::Null;
    }
    json["attributes"] = serde_json::json!({});
    json["actor"] = serde_json::json!({"id": text(rng), "type": text(rng), "name": text(rng)});
    let mut event: AuditEvent = serde_json::from_value(json).expect("an event");
    event.occurred_at = match n % 5 {
        // beyond the column's range at both ends
        0 => Timestamp::from_micros(i64::MAX),
        1 => Timestamp::from_micros(i64::MIN),
        _ => Timestamp::from_micros(rng.random_range(0..4_000_000_000_000_000)),
    };
    for _ in 0..rng.random_range(0..4) {
        let name = rng.random_bool(0.5).then(|| text(rng));
        event.targets.push(audit_event::Target { id: text(rng), kind: text(rng), name });
        let before = rng.random_bool(0.5).then(|| text(rng));
        event.changes.push(audit_event::Change { path: text(rng), before, after: None });
        event.attributes.insert(text(rng), text(rng));
    }
    event.message = rng.random_bool(0.7).then(|| text(rng));
    event.source.service = rng.random_bool(0.5).then(|| text(rng));
    event.duration_ms = rng.random_bool(0.5).then(|| rng.random());
    event.trace =
        rng.random_bool(0.3).then(|| audit_event::Trace { trace_id: text(rng), span_id: text(rng) });
    event.signature = rng.random_bool(0.3).then(|| audit_event::Signature {
        key_id: text(rng),
        algorithm: text(rng),
        value: text(rng),
    });
    event
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_rebuilds_the_exact_bytes_of_its_record() {
    const EVENTS: usize = 60;
    let stack = shared();
    let tenant = Tenant::create(stack, "direct", "admin").await;
    let id = schema_id(stack).await;
    let seed: u64 = rand::random();
    let mut rng = StdRng::seed_from_u64(seed);
    let mut sent = std::collections::HashMap::new();
    for n in 0..EVENTS {
        let event = random_event(&mut rng, "direct", n);
        let mut value = avro::encode(&event, id).unwrap();
        if n % 7 == 0 && event.attributes.is_empty() && event.signature.is_none() {
            // an empty block of a map written the long way: a negative count of nothing is still no entry
            value = respell_empty_map(&value);
        }
        let key = format!("direct|{}", event.event_id);
        let position = produce(stack, Some(key.as_bytes()), Some(&value)).await;
        sent.insert(position, value);
    }
    tenant.rows("events", EVENTS as u64).await;
    let sql = Sql::new(format!("SELECT {SELECT_COLUMNS} FROM events WHERE tenant_id = {{tenant:String}}"))
        .param("tenant", "direct");
    let rows: Vec<EventRow> = engine(stack).fetch_all("read the rows", sql).await.unwrap();
    let raw = rows.iter().filter(|row| !row.raw_record.is_empty()).count();
    assert!((EVENTS / 5..EVENTS).contains(&raw), "{raw} rows keep their bytes, the others rebuild them");
    for row in rows {
        let position = (row.kafka_partition, row.kafka_offset);
        assert_eq!(row.door, "direct");
        assert_eq!(row.rebuild_record().unwrap(), sent[&position], "{position:?}, seed {seed}");
    }
}

/// The subject keeps every reader and every writer able to understand each other.
#[tokio::test(flavor = "multi_thread")]
async fn an_incompatible_schema_is_refused_by_the_registry() {
    let stack = shared();
    let url = format!("{}/subjects/audit.events.v1-value/versions", stack.var("SEALTRAIL_REGISTRY_URL"));
    let register = |schema: String| {
        let url = url.clone();
        async move {
            answer(reqwest::Client::new().post(url).json(&serde_json::json!({ "schema": schema }))).await
        }
    };
    let own = schema_id(stack).await;
    let (status, same) = register(avro::SCHEMA_TEXT.to_owned()).await;
    assert_eq!((status.as_u16(), same["id"].as_u64()), (200, Some(u64::from(own.0))), "{same}");
    let retyped = avro::SCHEMA_TEXT.replace(
        r#""name": "message", "type": ["null", "string"]"#,
        r#""name": "message", "type": ["null", "long"]"#,
    );
    let (status, refused) = register(retyped).await;
    assert_eq!((status.as_u16(), refused["error_code"].as_u64()), (409, Some(409)), "{refused}");
    let removed = avro::SCHEMA_TEXT
        .replace(r#"{"name": "tenant_id", "type": "string""#, r#"{"name": "renamed", "type": "string""#);
    assert_eq!(register(removed).await.0.as_u16(), 409, "a field without a default cannot go");
}

/// The last two fields are an empty map (0x00) and no signature (0x00); the map is given one entry in a block with its
/// size in bytes, as some encoders do.
fn respell_empty_map(value: &[u8]) -> Vec<u8> {
    let mut respelled = value[..value.len() - 2].to_vec();
    // count -1, size 4 bytes, "k": "v"; end of map; no signature
    respelled.extend_from_slice(&[0x01, 0x08, 0x02, b'k', 0x02, b'v', 0x00, 0x00]);
    respelled
}

#[tokio::test(flavor = "multi_thread")]
async fn poison_becomes_dead_letters_with_its_bytes() {
    let stack = shared();
    let tenant = Tenant::create(stack, "poison", "admin").await;
    let id = schema_id(stack).await;
    let mut rng = StdRng::seed_from_u64(1);
    let event = random_event(&mut rng, "poison", 3);
    let good = avro::encode(&event, id).unwrap();
    let key = format!("poison|{}", event.event_id);
    let mut unknown = good.clone();
    unknown[1..5].copy_from_slice(&900_000_u32.to_be_bytes());
    let mut magic = good.clone();
    magic[0] = 7;
    let mut trailing = good.clone();
    trailing.push(0);
    let truncated = good[..good.len() - 1].to_vec();
    let misnamed = AuditEvent { event_type: "No Such Form".into(), ..event.clone() };
    let misnamed = avro::encode(&misnamed, id).unwrap();
    let cases: [(&str, Option<&[u8]>, &str); 8] = [
        (&key, None, "no_value"),
        (&key, Some(b"\0\0"), "bad_frame"),
        (&key, Some(&magic), "bad_frame"),
        (&key, Some(&unknown), "unknown_schema"),
        (&key, Some(&truncated), "undecodable"),
        (&key, Some(&trailing), "undecodable"),
        (&key, Some(&misnamed), "invalid_event"),
        ("somebody-else|x", Some(&good), "foreign_tenant"),
    ];
    let mut positions = Vec::new();
    for (key, value, reason) in cases {
        positions.push((produce(stack, Some(key.as_bytes()), value).await, value, reason));
    }
    produce(stack, Some(key.as_bytes()), Some(&good)).await;
    tenant.rows("events", 1).await;
    let letters = dead_letters(stack);
    for ((partition, offset), value, reason) in positions {
        let row = format!(
            "SELECT reason, hex(ifNull(record_value, 'null')) FROM dead_letters WHERE kafka_partition = {partition} AND kafka_offset = {offset}"
        );
        let wanted: String = value.unwrap_or(b"null").iter().map(|byte| format!("{byte:02X}")).collect();
        let stored = integration_tests::eventually("the dead letter is stored", || async {
            Some(stack.sql(&row).await).filter(|row| !row.is_empty())
        })
        .await;
        assert_eq!(stored, format!("{reason}\t{wanted}"));
        let letter = letters.iter().find(|letter| {
            (letter.partition.as_str(), letter.offset.as_str())
                == (&partition.to_string(), &offset.to_string())
        });
        let letter = letter.unwrap_or_else(|| panic!("{reason} is not in the topic"));
        assert_eq!((letter.reason.as_str(), letter.value.as_deref()), (reason, value));
    }
}
