//! Checks of a record by itself, with the words of their refusals: the processor's stages and the dry run of a replay must
//! say the same.

use audit_event::{AuditEvent, SchemaId, event_type};

use crate::verdict::{DeadLetterReason, Rejection};

/// The record's value, of at most `max_bytes`.
pub fn sized(value: Option<&[u8]>, max_bytes: usize) -> Result<&[u8], Rejection> {
    match value {
        None => Err(Rejection::new(DeadLetterReason::NoValue, "a record of the trail has a value")),
        Some(value) if value.len() > max_bytes => {
            let detail = format!("{} bytes, at most {max_bytes} are taken", value.len());
            Err(Rejection::new(DeadLetterReason::TooLarge, detail))
        }
        Some(value) => Ok(value),
    }
}

pub fn unknown_schema(schema_id: SchemaId) -> Rejection {
    Rejection::new(DeadLetterReason::UnknownSchema, format!("the registry knows no schema {schema_id}"))
}

/// What decodes is an event that the trail takes.
pub fn well_formed(event: &AuditEvent) -> Result<(), Rejection> {
    if event_type::is_well_formed(&event.event_type) {
        return Ok(());
    }
    let detail = format!("event_type {:?} is not well formed", event.event_type);
    Err(Rejection::new(DeadLetterReason::InvalidEvent, detail))
}

/// What the key of a record says before its `|`: whose it claims to be.
pub fn claimed_tenant(key: Option<&[u8]>) -> &str {
    let key = key.unwrap_or_default();
    let head = key.split(|byte| *byte == b'|').next().unwrap_or_default();
    if head.len() == key.len() { "" } else { std::str::from_utf8(head).unwrap_or_default() }
}

/// The key begins with the event's tenant and `|`: that is what brings every copy of an event into one partition.
pub fn under_its_tenant(key: Option<&[u8]>, event: &AuditEvent) -> Result<(), Rejection> {
    let tenant_id = event.tenant_id.as_str();
    if claimed_tenant(key) == tenant_id {
        return Ok(());
    }
    let detail = format!("the record key does not begin with {tenant_id}|");
    Err(Rejection::new(DeadLetterReason::ForeignTenant, detail))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_claim_is_what_stands_before_the_bar() {
        assert_eq!(claimed_tenant(Some(b"demo|x|y")), "demo");
        for none in [None, Some(&b"demo"[..]), Some(b""), Some(b"|x"), Some(b"\xff|x")] {
            assert_eq!(claimed_tenant(none), "", "{none:?}");
        }
    }

    #[test]
    fn a_value_is_there_and_no_larger_than_it_may_be() {
        assert_eq!(sized(Some(b"1234"), 4), Ok(&b"1234"[..]));
        let refused = [(Some(&b"12345"[..]), DeadLetterReason::TooLarge), (None, DeadLetterReason::NoValue)];
        for (value, reason) in refused {
            assert_eq!(sized(value, 4).expect_err("refused").reason, reason);
        }
    }
}
