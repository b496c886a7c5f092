//! Stage decode: from the record's bytes to the event in them.

use ::schemas::{MAX_RECORD_BYTES, wire};
use audit_event::{AuditEvent, SchemaId};
use kafka_io::group::Record;
use pipeline_core::checks;
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
    let value = checks::sized(record.value.as_deref(), MAX_RECORD_BYTES)?;
    let (schema_id, datum) =
        wire::split(value).map_err(|e| Rejection::new(DeadLetterReason::BadFrame, e.to_string()))?;
    let known = schemas.get(schema_id).filter(|_| !is_unknown(schema_id));
    let schema = match known {
        Some(Known::Schema(schema)) => schema,
        Some(Known::Unusable(why)) => {
            return Err(Rejection::new(DeadLetterReason::UnusableSchema, &*why));
        }
        None => return Err(checks::unknown_schema(schema_id)),
    };
    let event =
        schema.decode(datum).map_err(|e| Rejection::new(DeadLetterReason::Undecodable, e.to_string()))?;
    checks::well_formed(&event)?;
    Ok(Decoded { event, schema_id })
}
