//! The records that the gateway would make of the events, made beforehand: same key, same bytes, same headers.

use anyhow::{Context, Result, ensure};
use audit_event::json::{Surroundings, parse_event};
use audit_event::{EventId, SchemaId, TenantId};
use rdkafka::message::{Header, OwnedHeaders};
use schemas::{avro, catalogue};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::bodies::{ID_BYTES, Ids, find};
use crate::event::Event;

/// As the gateway names and fills them.
const DOOR: &str = "sealtrail-door";
const PEER: &str = "sealtrail-peer";
const CORRELATION_ID: &str = "sealtrail-correlation-id";

/// A record in which only the event id changes.
pub struct ReadyRecord {
    pub key: Vec<u8>,
    pub value: Vec<u8>,
    id_in_key: usize,
    id_in_value: usize,
}

impl ReadyRecord {
    pub fn of(event: &Event, tenant_id: &TenantId, schema_id: SchemaId) -> Result<Self> {
        let surroundings = Surroundings {
            tenant_id,
            assigned_id: EventId(Uuid::nil()),
            defaults_of: &catalogue::defaults_of,
        };
        let parsed =
            parse_event(&serde_json::to_value(event)?, &surroundings).context("a generated event")?;
        let value = avro::encode(&parsed, schema_id).context("encode a generated event")?;
        let id = event.event_id.to_string();
        let id_in_value = find(&value, id.as_bytes())?;
        let id_in_key = tenant_id.as_str().len() + 1;
        Ok(Self { key: format!("{tenant_id}|{id}").into_bytes(), value, id_in_key, id_in_value })
    }

    /// Lower-case hex, as the gateway's answer has it.
    pub fn sha256(&self) -> String {
        Sha256::digest(&self.value).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    pub fn renew_id(&mut self, ids: &Ids) {
        ids.write(&mut self.key[self.id_in_key..self.id_in_key + ID_BYTES]);
        let id = &self.key[self.id_in_key..self.id_in_key + ID_BYTES];
        self.value[self.id_in_value..self.id_in_value + ID_BYTES].copy_from_slice(id);
    }
}

/// The headers of all records of one request.
pub fn headers() -> OwnedHeaders {
    let correlation_id = Uuid::now_v7().to_string();
    let header = |key, value| Header { key, value: Some(value) };
    OwnedHeaders::new_with_capacity(3)
        .insert(header(DOOR, "http"))
        .insert(header(PEER, "127.0.0.1"))
        .insert(header(CORRELATION_ID, correlation_id.as_str()))
}

/// Holds the gateway's answer to the same events against the records: the comparison is of like with like.
pub fn check_same(records: &[ReadyRecord], answer: &serde_json::Value) -> Result<()> {
    let results = answer["results"].as_array().context("the gateway answered without results")?;
    ensure!(results.len() == records.len(), "{} results for {} events", results.len(), records.len());
    for (record, result) in records.iter().zip(results) {
        let answered = result["record_sha256"].as_str();
        let answered = answered.with_context(|| format!("an event was not kept: {result}"))?;
        ensure!(
            answered == record.sha256(),
            "the gateway makes another record of the same event than this command; rebuild both"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::event::Run;

    #[test]
    fn a_renewed_record_is_the_same_event_under_another_id() {
        let run = Run::new(5, DateTime::UNIX_EPOCH);
        let tenant = "bench".parse().expect("a tenant");
        let mut record = ReadyRecord::of(&run.event(1), &tenant, SchemaId(7)).expect("a record");
        let length = record.value.len();
        record.renew_id(&Ids::after(run.clone(), 1));
        let decoded = avro::WriterSchema::own().decode(&record.value[5..]).expect("decodes");
        assert_eq!(decoded.event_id.0, run.event_id(2));
        assert_eq!(record.key, format!("bench|{}", run.event_id(2)).into_bytes());
        assert_eq!(record.value.len(), length);
    }
}
