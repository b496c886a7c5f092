//! What the processor would make of a record now: its stages decode and route, by the rules of this build and the schemas
//! that the registry has now. The integration tests compare the verdicts with the processor's own.

use ::schemas::{MAX_RECORD_BYTES, wire};
use audit_event::AuditEvent;
use clickhouse_io::dead_letters::Letter;
use pipeline_core::checks;
use pipeline_core::verdict::{DeadLetterReason, Rejection};

use super::schemas::{Known, WriterSchemas};

/// The event in the record, or why there is none. An error is no verdict.
pub async fn judge(
    letter: &Letter,
    schemas: &mut WriterSchemas,
) -> anyhow::Result<Result<AuditEvent, Rejection>> {
    let (schema_id, datum) = match frame(letter.value.as_deref()) {
        Ok(parts) => parts,
        Err(rejection) => return Ok(Err(rejection)),
    };
    let reject = |reason, detail: String| Ok(Err(Rejection::new(reason, detail)));
    match schemas.get(schema_id).await? {
        Known::Unknown => Ok(Err(checks::unknown_schema(schema_id))),
        Known::Unusable(why) => reject(DeadLetterReason::UnusableSchema, why.to_string()),
        Known::Schema(schema) => match schema.decode(datum) {
            Err(error) => reject(DeadLetterReason::Undecodable, error.to_string()),
            Ok(event) => Ok(admit(letter.key.as_deref(), event)),
        },
    }
}

fn frame(value: Option<&[u8]>) -> Result<(audit_event::SchemaId, &[u8]), Rejection> {
    let value = checks::sized(value, MAX_RECORD_BYTES)?;
    wire::split(value).map_err(|error| Rejection::new(DeadLetterReason::BadFrame, error.to_string()))
}

fn admit(key: Option<&[u8]>, event: AuditEvent) -> Result<AuditEvent, Rejection> {
    checks::well_formed(&event)?;
    checks::under_its_tenant(key, &event)?;
    Ok(event)
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// An event that the trail takes.
    pub fn event() -> AuditEvent {
        serde_json::from_value(serde_json::json!({
            "event_id": "0192f0c1-2345-7abc-8def-0123456789ab", "tenant_id": "demo",
            "occurred_at": "2026-11-02T10:00:00Z", "event_type": "user.login", "operation": "access",
            "outcome": "success", "severity": "info", "actor": {"id": "ada", "type": "user"}, "targets": [],
            "source": {}, "changes": [], "attributes": {},
        }))
        .expect("an event")
    }

    #[test]
    fn a_frame_is_judged_before_anybody_is_asked() {
        let reason = |value: Option<&[u8]>| frame(value).expect_err("refused").reason;
        assert_eq!(reason(None), DeadLetterReason::NoValue);
        assert_eq!(reason(Some(&vec![0; MAX_RECORD_BYTES + 1])), DeadLetterReason::TooLarge);
        assert_eq!(reason(Some(b"\x07\0\0\0\x01")), DeadLetterReason::BadFrame);
        assert!(frame(Some(b"\0\0\0\0\x01")).is_ok());
    }

    #[test]
    fn the_key_begins_with_the_events_own_tenant() {
        assert!(admit(Some(b"demo|x"), event()).is_ok());
        for key in [None, Some(&b"demo"[..]), Some(b"demos|x"), Some(b"other|demo|x"), Some(b"")] {
            let refused = admit(key, event()).expect_err("refused");
            assert_eq!(refused.reason, DeadLetterReason::ForeignTenant, "{key:?}");
        }
        let misnamed = AuditEvent { event_type: "No Such Form".into(), ..event() };
        assert_eq!(
            admit(Some(b"demo|x"), misnamed).expect_err("refused").reason,
            DeadLetterReason::InvalidEvent
        );
    }
}
