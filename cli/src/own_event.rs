//! Events that this command itself leaves in the trail: what it did, and who ran it.

use audit_event::{
    Actor as EventActor, AuditEvent, EventId, Operation, Outcome, Severity, Source, TenantId, Timestamp,
};
use chrono::Utc;
use schemas::catalogue;
use uuid::Uuid;

use crate::actor::Actor;

/// An event of a catalogue type, of now, with nothing of its own in it yet.
pub fn own_event(event_type: &str, tenant_id: &TenantId, actor: &Actor) -> AuditEvent {
    let defaults = catalogue::defaults_of(event_type);
    let by = EventActor {
        id: actor.id.clone(),
        kind: "user".to_owned(),
        name: None,
        session_id: None,
        on_behalf_of: None,
    };
    let source =
        Source { service: Some("sealtrail".to_owned()), host: actor.host.clone(), ..Source::default() };
    AuditEvent {
        event_id: EventId(Uuid::now_v7()),
        tenant_id: tenant_id.clone(),
        occurred_at: Timestamp::from_micros(Utc::now().timestamp_micros()),
        event_type: event_type.to_owned(),
        operation: defaults.map_or(Operation::DEFAULT, |defaults| defaults.operation),
        outcome: Outcome::Success,
        severity: defaults.map_or(Severity::DEFAULT, |defaults| defaults.severity),
        actor: by,
        targets: Vec::new(),
        source,
        trace: None,
        duration_ms: None,
        batch_id: None,
        message: None,
        changes: Vec::new(),
        attributes: [("os_user".to_owned(), actor.os_user.clone())].into(),
        signature: None,
    }
}
