//! Stage dedupe: the window of one partition, and what it must be told before it can judge.

use std::collections::BTreeMap;

use ::schemas::wire;
use audit_event::{EventId, Offset, PartitionId, TenantId, TrailId};
use clickhouse_io::EngineError;
use clickhouse_io::restore::StoredBody;
use kafka_io::group::Record;
use pipeline_core::dedupe::{BodyHasher, Candidate, DedupeVerdict, Window};
use pipeline_core::verdict::{DeadLetterReason, Rejection, Verdict};
use thiserror::Error;

use super::decode::Decoded;
use super::schemas::{Known, Schemas};
use crate::driver::Driver;

#[derive(Debug, Error)]
pub enum BodyError {
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error(
        "the event at offset {0}, which later records repeat, cannot be read from the table events; restore it"
    )]
    Gone(Offset),
}

pub fn candidate<'a>(record: &Record, decoded: &'a Decoded) -> Candidate<'a> {
    Candidate {
        offset: record.offset,
        received_at: record.received_at,
        tenant_id: &decoded.event.tenant_id,
        event_id: decoded.event.event_id,
    }
}

/// Judges a decoded record against the ones before it.
pub fn dedupe(
    record: &Record,
    decoded: Decoded,
    window: &mut Window,
    hasher: &BodyHasher,
) -> Verdict<Decoded> {
    let hash = hasher.hash(&decoded.event);
    match window.judge(candidate(record, &decoded), hash) {
        DedupeVerdict::First => Verdict::Event(decoded),
        DedupeVerdict::Duplicate { first } => Verdict::Duplicate { event: decoded, first },
        DedupeVerdict::Conflict { with } => Verdict::DeadLetter(Rejection::new(
            DeadLetterReason::ConflictingDuplicate,
            format!("event {} stands at offset {with} with another body", decoded.event.event_id),
        )),
    }
}

/// Bodies that a rebuilt window has to learn: where they are, and for which id.
pub type WantedBodies = BTreeMap<Offset, (TenantId, EventId)>;

/// What the window doesn't know and a decoded record needs.
pub fn wanted_bodies(window: &Window, record: &Record, decoded: &Decoded, wanted: &mut WantedBodies) {
    for first in window.unknown_bodies(candidate(record, decoded)) {
        wanted.insert(first, (decoded.event.tenant_id.clone(), decoded.event.event_id));
    }
}

/// Offsets asked for in one query. They travel as one parameter, and ClickHouse takes 128 KiB of it.
const BODIES_AT_ONCE: usize = 5_000;

/// Reads the wanted bodies from ClickHouse and teaches them to the window. Waits for a ClickHouse that is away.
pub async fn learn(
    wanted: WantedBodies,
    window: &mut Window,
    hasher: &BodyHasher,
    driver: &Driver,
    schemas: &Schemas,
    (trail, partition): (TrailId, PartitionId),
) -> Result<(), BodyError> {
    let offsets: Vec<_> = wanted.keys().copied().collect();
    let mut bodies = BTreeMap::new();
    for chunk in offsets.chunks(BODIES_AT_ONCE) {
        let read = || driver.engine.stored_bodies(trail, partition, chunk.to_vec());
        bodies.extend(driver.retrying(read).await?);
    }
    for (first, (tenant_id, event_id)) in wanted {
        let body = bodies.remove(&first).ok_or(BodyError::Gone(first))?;
        let event = match body {
            StoredBody::Event(event) => *event,
            StoredBody::Raw { record, .. } => {
                decode_raw(&record, schemas).await.ok_or(BodyError::Gone(first))?
            }
        };
        let any_place = Candidate {
            offset: first,
            received_at: audit_event::RecordTime(0),
            tenant_id: &tenant_id,
            event_id,
        };
        window.learn(any_place, first, hasher.hash(&event));
    }
    Ok(())
}

async fn decode_raw(record: &[u8], schemas: &Schemas) -> Option<audit_event::AuditEvent> {
    let (id, datum) = wire::split(record).ok()?;
    if !schemas.fetch(id).await {
        return None;
    }
    match schemas.get(id)? {
        Known::Schema(schema) => schema.decode(datum).ok(),
        Known::Unusable(_) => None,
    }
}
