//! The codec between `AuditEvent` and Avro bytes: serde straight to and from the datum, never through `Value`.

use std::sync::LazyLock;

use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::writer::datum::GenericDatumWriter;
use audit_event::{AuditEvent, SchemaId};
use thiserror::Error;

use crate::skipping::Around;
use crate::{schema_bounds, wire};

/// The Avro schema of version 1, as it is registered.
pub const SCHEMA_TEXT: &str = include_str!("../avro/audit_event.v1.avsc");

/// The codec's version, kept in each row: which code rebuilds the bytes.
pub const CODEC_VERSION: u8 = 1;

/// The most memory that one length in a datum may ask for, in bytes. A record is at most 1 MiB, so more is a lie.
pub const MAX_AVRO_ALLOCATION_BYTES: usize = 8 * 1024 * 1024;

#[derive(Debug, Error)]
pub enum CodecError {
    #[error("the schema cannot be used: {0}")]
    Schema(String),
    #[error("the event cannot be encoded: {0}")]
    Encode(String),
    #[error("the datum cannot be decoded: {0}")]
    Decode(String),
    #[error("{bytes} bytes are left over behind the datum")]
    TrailingBytes { bytes: usize },
}

static OWN_SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    apache_avro::util::max_allocation_bytes(MAX_AVRO_ALLOCATION_BYTES);
    Schema::parse_str(SCHEMA_TEXT).expect("the built-in schema parses")
});

static OWN_WRITER: LazyLock<GenericDatumWriter<'static>> = LazyLock::new(|| {
    GenericDatumWriter::builder(&OWN_SCHEMA)
        .human_readable(false)
        .build()
        .expect("the built-in schema resolves")
});

/// The schema that this build writes.
pub fn own_schema() -> &'static Schema {
    &OWN_SCHEMA
}

/// A schema that some producer wrote with, ready to decode.
pub struct WriterSchema {
    reader: GenericDatumReader<'static>,
    origin: Origin,
}

/// Whose schema it is.
#[derive(Clone, Copy)]
enum Origin {
    ThisBuild,
    /// It may have fields that this build does not know.
    Foreign,
}

impl std::fmt::Debug for WriterSchema {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WriterSchema").finish_non_exhaustive()
    }
}

impl WriterSchema {
    /// Parses a schema from the registry. It stays in memory for the life of the process (schemas are immutable, and
    /// a caller caches them by id), which is why callers bound how many they take.
    pub fn parse(text: &str) -> Result<Self, CodecError> {
        if text == SCHEMA_TEXT {
            return Ok(Self::own());
        }
        LazyLock::force(&OWN_SCHEMA);
        let schema = Schema::parse_str(text).map_err(|e| CodecError::Schema(e.to_string()))?;
        schema_bounds::check(&schema).map_err(|e| CodecError::Schema(e.to_string()))?;
        Self::of(Box::leak(Box::new(schema)), Origin::Foreign)
    }

    fn of(schema: &'static Schema, origin: Origin) -> Result<Self, CodecError> {
        let reader = GenericDatumReader::builder(schema)
            .human_readable(false)
            .build()
            .map_err(|e| CodecError::Schema(e.to_string()))?;
        Ok(Self { reader, origin })
    }

    /// The schema of this build.
    pub fn own() -> Self {
        Self::of(&OWN_SCHEMA, Origin::ThisBuild).expect("the built-in schema resolves")
    }

    /// Decodes a datum. All of its bytes must belong to it.
    pub fn decode(&self, datum: &[u8]) -> Result<AuditEvent, CodecError> {
        let mut rest = datum;
        let decoded = match self.origin {
            Origin::ThisBuild => self.reader.read_deser(&mut rest),
            Origin::Foreign => self.reader.read_deser(&mut rest).map(|Around(event)| event),
        };
        let event = decoded.map_err(|e| CodecError::Decode(e.to_string()))?;
        if rest.is_empty() { Ok(event) } else { Err(CodecError::TrailingBytes { bytes: rest.len() }) }
    }
}

/// Encodes a record value: the frame and the datum.
pub fn encode(event: &AuditEvent, schema_id: SchemaId) -> Result<Vec<u8>, CodecError> {
    let mut value = Vec::with_capacity(512);
    encode_into(event, schema_id, &mut value)?;
    Ok(value)
}

/// What a producer signs: the datum without its `signature`, and without the frame before it.
pub fn unsigned_datum(event: &AuditEvent) -> Vec<u8> {
    let unsigned = AuditEvent { signature: None, ..event.clone() };
    // an event that cannot be encoded is refused where it is produced
    encode(&unsigned, SchemaId(0)).map(|mut value| value.split_off(wire::HEADER_BYTES)).unwrap_or_default()
}

/// As `encode`, into a buffer that can be used again.
pub fn encode_into(event: &AuditEvent, schema_id: SchemaId, value: &mut Vec<u8>) -> Result<(), CodecError> {
    wire::write_header(schema_id, value);
    OWN_WRITER.write_ser(value, event).map(|_| ()).map_err(|e| CodecError::Encode(e.to_string()))
}

#[cfg(test)]
#[path = "avro_tests.rs"]
mod tests;
