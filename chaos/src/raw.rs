//! Records of the direct door, good and bad.

use anyhow::{Context, ensure};
use audit_event::{AuditEvent, SchemaId};
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use crate::kafka::RawRecord;
use crate::stack::Stack;

const TENANT: &str = "demo";

/// An event as a producer of the direct door would write it.
pub fn event(event_id: Uuid, occurred_at_us: i64) -> anyhow::Result<AuditEvent> {
    let event = json!({
        "event_id": event_id, "tenant_id": TENANT, "occurred_at": "2026-01-01T00:00:00Z",
        "event_type": "user.login", "operation": "access", "outcome": "success", "severity": "info",
        "actor": {"id": "chaos", "type": "user"}, "targets": [], "source": {}, "trace": null, "duration_ms": null,
        "batch_id": null, "message": "straight to the topic", "changes": [], "attributes": {"door": "chaos"},
        "signature": null
    });
    let mut event: AuditEvent = serde_json::from_value(event).context("the event")?;
    event.occurred_at = audit_event::Timestamp::from_micros(occurred_at_us);
    Ok(event)
}

/// Key and value of an event under this schema.
pub fn record(event: &AuditEvent, schema: SchemaId) -> anyhow::Result<RawRecord> {
    let value = schemas::avro::encode(event, schema)?;
    Ok(RawRecord { partition: None, key: Some(key(event.event_id.to_string().as_str())), value: Some(value) })
}

pub fn key(event_id: &str) -> Vec<u8> {
    format!("{TENANT}|{event_id}").into_bytes()
}

/// The id of the schema that the gateway registered.
pub async fn schema_id(stack: &Stack) -> anyhow::Result<SchemaId> {
    #[derive(Deserialize)]
    struct Version {
        id: u32,
    }
    let url =
        format!("http://{}/subjects/{}/versions/latest", stack.ports.registry(), schemas::EVENTS_SUBJECT);
    let version: Version = http()?.get(url).send().await?.json().await.context("the registry's answer")?;
    Ok(SchemaId(version.id))
}

/// Registers a reader-compatible variant of the schema under a subject of its own; answers its id.
pub async fn another_schema(stack: &Stack, subject: &str) -> anyhow::Result<SchemaId> {
    #[derive(Deserialize)]
    struct Registered {
        id: u32,
    }
    let mut schema: serde_json::Value = serde_json::from_str(schemas::avro::SCHEMA_TEXT)?;
    schema["doc"] = json!(format!("registered for {subject}"));
    let url = format!("http://{}/subjects/{subject}/versions", stack.ports.registry());
    let answer = http()?.post(url).json(&json!({"schema": schema.to_string()})).send().await?;
    let is_ok = answer.status().is_success();
    let text = answer.text().await?;
    ensure!(is_ok, "the registry does not take the schema: {text}");
    let Registered { id } = serde_json::from_str(&text).context("the registry's answer")?;
    Ok(SchemaId(id))
}

fn http() -> anyhow::Result<reqwest::Client> {
    Ok(reqwest::Client::builder().no_proxy().timeout(std::time::Duration::from_secs(10)).build()?)
}

/// A record that no build can read, and why.
#[derive(Debug, Clone)]
pub struct Poison {
    pub what: String,
    pub record: RawRecord,
    /// The reason in `dead_letters`.
    pub reason: &'static str,
}

/// Every kind of poison: no frame, wrong magic, unknown schema, cut at every byte, trailing bytes, foreign tenant, bad
/// UTF-8, huge lengths.
pub fn all_poison(schema: SchemaId) -> anyhow::Result<Vec<Poison>> {
    let good = record(&event(Uuid::new_v4(), 1_767_225_600_000_000)?, schema)?;
    let value = good.value.clone().context("a value")?;
    let mut all = Vec::new();
    let mut add = |what: &str, reason, key: Option<Vec<u8>>, value: Option<Vec<u8>>| {
        let record = RawRecord { partition: None, key, value };
        all.push(Poison { what: what.to_owned(), record, reason });
    };
    let good_key = || good.key.clone();
    add("no value", "no_value", good_key(), None);
    add("an empty value", "bad_frame", good_key(), Some(Vec::new()));
    add("text", "bad_frame", good_key(), Some(b"{\"event_type\": \"user.login\"}".to_vec()));
    add("another magic byte", "bad_frame", good_key(), Some(changed(&value, 0, 1)));
    add(
        "an unknown schema id",
        "unknown_schema",
        good_key(),
        Some(with_schema(&value, SchemaId(2_000_000_001))),
    );
    for length in 0..value.len() {
        let reason = if length < schemas::wire::HEADER_BYTES { "bad_frame" } else { "undecodable" };
        let cut = value[..length].to_vec();
        add(&format!("cut after {length} bytes"), reason, good_key(), Some(cut));
    }
    add("a trailing byte", "undecodable", good_key(), Some([value.as_slice(), &[0]].concat()));
    add("the key of another tenant", "foreign_tenant", Some(b"other|x".to_vec()), Some(value.clone()));
    add("no key", "foreign_tenant", None, Some(value.clone()));
    let text_at = find(&value, b"straight to the topic").context("the message")?;
    add("bad UTF-8", "undecodable", good_key(), Some(changed(&value, text_at, 0xff)));
    add("a huge length", "undecodable", good_key(), Some(with_long_length(&value, text_at)));
    Ok(all)
}

pub fn with_schema(value: &[u8], schema: SchemaId) -> Vec<u8> {
    let mut framed = Vec::new();
    schemas::wire::write_header(schema, &mut framed);
    framed.extend_from_slice(&value[schemas::wire::HEADER_BYTES..]);
    framed
}

fn changed(value: &[u8], at: usize, byte: u8) -> Vec<u8> {
    let mut value = value.to_vec();
    value[at] = byte;
    value
}

/// The length before a text says four thousand million bytes.
fn with_long_length(value: &[u8], text_at: usize) -> Vec<u8> {
    [&value[..text_at - 1], &[0xff, 0xff, 0xff, 0xff, 0x1f], &value[text_at..]].concat()
}

fn find(value: &[u8], text: &[u8]) -> Option<usize> {
    value.windows(text.len()).position(|window| window == text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use schemas::avro::WriterSchema;

    #[test]
    fn good_is_good_and_poison_is_poison() {
        let schema = SchemaId(7);
        let good = record(&event(Uuid::new_v4(), 5).expect("an event"), schema).expect("a record");
        let (id, datum) = schemas::wire::split(good.value.as_deref().expect("a value")).expect("a frame");
        assert_eq!(id, schema);
        assert!(WriterSchema::own().decode(datum).is_ok());
        let all = all_poison(schema).expect("poison");
        assert!(all.len() > 100, "{}", all.len());
        for poison in all.iter().filter(|poison| poison.reason == "undecodable") {
            let value = poison.record.value.as_deref().expect("a value");
            let (_, datum) = schemas::wire::split(value).expect("a frame");
            assert!(WriterSchema::own().decode(datum).is_err(), "{}", poison.what);
        }
    }
}
