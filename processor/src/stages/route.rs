//! Stage route: does the record stand under its own tenant?

use kafka_io::group::Record;
use pipeline_core::checks;
use pipeline_core::verdict::Rejection;

use super::decode::Decoded;

pub fn route(record: &Record, decoded: Decoded) -> Result<Decoded, Rejection> {
    checks::under_its_tenant(record.key.as_deref(), &decoded.event)?;
    Ok(decoded)
}
