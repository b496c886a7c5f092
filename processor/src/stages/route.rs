//! Stage route: does the record stand under its own tenant?

use kafka_io::group::Record;
use pipeline_core::verdict::{DeadLetterReason, Rejection};

use super::decode::Decoded;

/// What the key of a record says before its `|`: whose it claims to be.
pub fn claimed_tenant(record: &Record) -> &str {
    let key = record.key.as_deref().unwrap_or_default();
    let head = key.split(|b| *b == b'|').next().unwrap_or_default();
    if head.len() == key.len() { "" } else { std::str::from_utf8(head).unwrap_or_default() }
}

/// The key begins with the event's tenant and `|`: that is what brings every copy of an event into one partition.
pub fn route(record: &Record, decoded: Decoded) -> Result<Decoded, Rejection> {
    let tenant_id = decoded.event.tenant_id.as_str();
    if claimed_tenant(record) == tenant_id {
        Ok(decoded)
    } else {
        let detail = format!("the record key does not begin with {tenant_id}|");
        Err(Rejection::new(DeadLetterReason::ForeignTenant, detail))
    }
}

#[cfg(test)]
mod tests {
    use audit_event::{Offset, RecordTime};

    use super::*;

    fn keyed(key: Option<&[u8]>) -> Record {
        Record {
            offset: Offset(0),
            received_at: RecordTime(0),
            key: key.map(<[u8]>::to_vec),
            value: None,
            headers: vec![],
        }
    }

    #[test]
    fn the_claim_is_what_stands_before_the_bar() {
        assert_eq!(claimed_tenant(&keyed(Some(b"demo|x|y"))), "demo");
        for none in [None, Some(&b"demo"[..]), Some(b""), Some(b"|x"), Some(b"\xff|x")] {
            assert_eq!(claimed_tenant(&keyed(none)), "", "{none:?}");
        }
    }
}
