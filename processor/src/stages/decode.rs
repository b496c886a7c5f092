//! Stage decode: from the record's bytes to the event in them.

use ::schemas::{MAX_RECORD_BYTES, wire};
use audit_event::{AuditEvent, SchemaId, event_type};
use kafka_io::group::Record;
use pipeline_core::verdict::{DeadLetterReason, Rejection};

use super::schemas::{Known, Schemas};

/// An event with the id of the schema that it was written with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded {
    pub event: AuditEvent,
    pub schema_id: SchemaId,
}

/// The schema id in a record, if it has the form of one.
pub fn schema_id(record: &Record) -> Option<SchemaId> {
    wire::split(record.value.as_deref()?).ok().map(|(id, _)| id)
}

/// The schemas of all ids must have been fetched before; an id that is not there is one that the registry doesn't know.
pub fn decode(
    record: &Record,
    schemas: &Schemas,
    is_unknown: impl Fn(SchemaId) -> bool,
) -> Result<Decoded, Rejection> {
    let value = record
        .value
        .as_deref()
        .ok_or_else(|| Rejection::new(DeadLetterReason::NoValue, "a record of the trail has a value"))?;
    if value.len() > MAX_RECORD_BYTES {
        let detail = format!("{} bytes, at most {MAX_RECORD_BYTES} are taken", value.len());
        return Err(Rejection::new(DeadLetterReason::TooLarge, detail));
    }
    let (schema_id, datum) =
        wire::split(value).map_err(|e| Rejection::new(DeadLetterReason::BadFrame, e.to_string()))?;
    let known = schemas.get(schema_id).filter(|_| !is_unknown(schema_id));
    let schema = match known {
        Some(Known::Schema(schema)) => schema,
        Some(Known::Unusable(why)) => {
            return Err(Rejection::new(DeadLetterReason::UnusableSchema, &*why));
        }
        None => {
            let detail = format!("the registry knows no schema {schema_id}");
            return Err(Rejection::new(DeadLetterReason::UnknownSchema, detail));
        }
    };
    let event =
        schema.decode(datum).map_err(|e| Rejection::new(DeadLetterReason::Undecodable, e.to_string()))?;
    if !event_type::is_well_formed(&event.event_type) {
        let detail = format!("event_type {:?} is not well formed", event.event_type);
        return Err(Rejection::new(DeadLetterReason::InvalidEvent, detail));
    }
    Ok(Decoded { event, schema_id })
}
