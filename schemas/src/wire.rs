//! The Confluent wire format: magic byte 0, the schema id as four bytes big-endian, then the Avro datum.
//!
//! Source: Confluent Schema Registry, "Formats, Serializers, and Deserializers", section Wire format.

use audit_event::SchemaId;
use thiserror::Error;

const MAGIC: u8 = 0;
/// Bytes before the datum.
pub const HEADER_BYTES: usize = 5;

#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FrameError {
    #[error("the record value is {found} bytes long, a frame has at least {HEADER_BYTES}")]
    TooShort { found: usize },
    #[error("the record value starts with byte {found:#04x}, a frame starts with 0x00")]
    WrongMagic { found: u8 },
}

/// Splits a record value into its schema id and its datum.
pub fn split(value: &[u8]) -> Result<(SchemaId, &[u8]), FrameError> {
    let Some((header, datum)) = value.split_first_chunk::<HEADER_BYTES>() else {
        return Err(FrameError::TooShort { found: value.len() });
    };
    let [magic, id @ ..] = *header;
    if magic != MAGIC {
        return Err(FrameError::WrongMagic { found: magic });
    }
    Ok((SchemaId(u32::from_be_bytes(id)), datum))
}

/// Starts a record value.
pub fn write_header(schema_id: SchemaId, out: &mut Vec<u8>) {
    out.push(MAGIC);
    out.extend_from_slice(&schema_id.0.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames() {
        let mut value = Vec::new();
        write_header(SchemaId(258), &mut value);
        value.push(7);
        assert_eq!(value, [0, 0, 0, 1, 2, 7]);
        assert_eq!(split(&value), Ok((SchemaId(258), &[7_u8][..])));
        assert_eq!(split(&value[..4]), Err(FrameError::TooShort { found: 4 }));
        value[0] = 1;
        assert_eq!(split(&value), Err(FrameError::WrongMagic { found: 1 }));
    }
}
