//! Stage dedupe: the verdicts of a partition's window, and the rows that it must be told of before it can judge.

use std::collections::BTreeSet;

use ::schemas::wire;
use audit_event::{AuditEvent, Offset, PartitionId, SchemaId, TenantId, TrailId};
use clickhouse_io::EngineError;
use clickhouse_io::earlier::{StoredBody, StoredEvent};
use kafka_io::group::Record;
use pipeline_core::dedupe::{
    Candidate, DedupeVerdict, Gone, Judging, RecordHasher, Told, ToldEvent, ToldRepeat, Wanted, Window,
};
use pipeline_core::verdict::{DeadLetterReason, Rejection, Verdict};
use thiserror::Error;

use super::decode::Decoded;
use super::schemas::{Known, Schemas};
use crate::driver::Driver;
use crate::pace::heavy;

#[derive(Debug, Error)]
pub enum DedupeError {
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error(transparent)]
    Gone(#[from] Gone),
    #[error(
        "the event at offset {offset}, which a later record may repeat, is kept as bytes that cannot be read: {cause}"
    )]
    Unreadable { offset: Offset, cause: String },
}

/// A decodable record as the window sees it.
pub fn candidate(record: &Record, event: &AuditEvent, hasher: &RecordHasher) -> Candidate {
    Candidate {
        offset: record.offset,
        received_at: record.received_at,
        key: hasher.key(event.tenant_id.as_str(), event.event_id),
        body: hasher.body(event),
    }
}

/// Where a partition's earlier records can be looked up.
pub struct EarlierRecords<'a> {
    pub trail: TrailId,
    pub partition: PartitionId,
    pub driver: &'a Driver,
    pub schemas: &'a Schemas,
    pub hasher: RecordHasher,
}

impl EarlierRecords<'_> {
    /// Judges the decodable records of a batch, looking up what the window does not know. `tenants` are those of the
    /// candidates. Waits for a ClickHouse that is away.
    pub async fn judge(
        &self,
        window: &mut Window,
        candidates: &[Candidate],
        tenants: &[&TenantId],
    ) -> Result<Vec<DedupeVerdict>, DedupeError> {
        let metrics = &self.driver.metrics;
        let collisions = window.collisions();
        let mut judging = Judging::begin(window, candidates);
        while let Some(wanted) = heavy(|| judging.wants().cloned()) {
            metrics.dedupe_look_ups.inc_by(wanted.len() as u64);
            judging.tell(self.look_up(wanted, tenants).await?)?;
        }
        let verdicts = judging.into_verdicts();
        metrics.dedupe_collisions.inc_by(window.collisions() - collisions);
        Ok(verdicts)
    }

    async fn look_up(&self, wanted: Wanted, tenants: &[&TenantId]) -> Result<Told, DedupeError> {
        let mut tenants = few_tenants(&wanted, tenants);
        let Wanted { events, repeats } = wanted;
        let mut events: BTreeSet<_> = events.into_keys().collect();
        let mut told = Told::default();
        while !events.is_empty() {
            let read = || self.read_events(&events, tenants.as_deref());
            let found = self.driver.retrying(read).await?;
            for event in &found.told {
                events.remove(&event.offset);
            }
            told.events.extend(found.told);
            match found.unread.first() {
                // it may be another tenant's, under a fingerprint that collides
                None if tenants.take().is_some() => {}
                // what is not there is missed by whoever asked
                None => break,
                Some((offset, Unread::Undecodable(cause))) => {
                    return Err(DedupeError::Unreadable { offset: *offset, cause: cause.clone() });
                }
                Some((offset, Unread::Schema(id))) if !self.schemas.fetch(*id, &self.driver.vitals).await => {
                    let cause = format!("the registry does not know schema {id}");
                    return Err(DedupeError::Unreadable { offset: *offset, cause });
                }
                // known by now, read them again
                Some((_, Unread::Schema(_))) => {}
            }
        }
        if !repeats.is_empty() {
            let read = || self.driver.engine.earlier_repeats(self.trail, self.partition, &repeats);
            let times = self.driver.retrying(read).await?;
            told.repeats =
                times.into_iter().map(|(offset, received_at)| ToldRepeat { offset, received_at }).collect();
        }
        Ok(told)
    }

    async fn read_events(
        &self,
        wanted: &BTreeSet<Offset>,
        tenants: Option<&[TenantId]>,
    ) -> Result<FoundEvents, EngineError> {
        let mut found = FoundEvents::default();
        let mut take = |row: StoredEvent| {
            self.driver.vitals.sign();
            match self.told(&row) {
                Ok(event) => found.told.push(event),
                Err(unread) => found.unread.push((row.offset, unread)),
            }
        };
        self.driver.engine.earlier_events(self.trail, self.partition, wanted, tenants, &mut take).await?;
        Ok(found)
    }

    fn told(&self, row: &StoredEvent) -> Result<ToldEvent, Unread> {
        let decoded;
        let event = match &row.body {
            StoredBody::Event(event) => event,
            StoredBody::Raw(record) => {
                decoded = self.decode(record)?;
                &decoded
            }
        };
        Ok(ToldEvent {
            offset: row.offset,
            received_at: row.received_at,
            key: self.hasher.key(event.tenant_id.as_str(), event.event_id),
            body: self.hasher.body(event),
        })
    }

    fn decode(&self, record: &[u8]) -> Result<AuditEvent, Unread> {
        let undecodable = |cause: String| Unread::Undecodable(cause);
        let (id, datum) = wire::split(record).map_err(|error| undecodable(error.to_string()))?;
        match self.schemas.get(id) {
            None => Err(Unread::Schema(id)),
            Some(Known::Schema(schema)) => schema.decode(datum).map_err(|e| undecodable(e.to_string())),
            Some(Known::Unusable(cause)) => Err(undecodable(cause.to_string())),
        }
    }
}

/// So many tenants are named in a look-up; beyond, all of the window's rows are read for it.
const MAX_NAMED_TENANTS: usize = 100;

/// The tenants whose records ask, if they are few.
fn few_tenants(wanted: &Wanted, tenants: &[&TenantId]) -> Option<Vec<TenantId>> {
    let mut few = BTreeSet::new();
    for asked_by in wanted.events.values() {
        few.insert(*tenants.get(asked_by.0)?);
        if few.len() > MAX_NAMED_TENANTS {
            return None;
        }
    }
    Some(few.into_iter().cloned().collect())
}

/// What became of the rows that were read.
#[derive(Default)]
struct FoundEvents {
    told: Vec<ToldEvent>,
    unread: Vec<(Offset, Unread)>,
}

enum Unread {
    /// The schema must be fetched first; the record is not kept meanwhile.
    Schema(SchemaId),
    Undecodable(String),
}

/// The verdict on a decodable record.
pub fn verdict(decoded: Decoded, dedupe: DedupeVerdict) -> Verdict<Decoded> {
    match dedupe {
        DedupeVerdict::First => Verdict::Event(decoded),
        DedupeVerdict::Duplicate { first } => Verdict::Duplicate { event: decoded, first },
        DedupeVerdict::Conflict { with } => Verdict::DeadLetter(Rejection::new(
            DeadLetterReason::ConflictingDuplicate,
            format!("event {} stands at offset {with} with another body", decoded.event.event_id),
        )),
    }
}

#[cfg(test)]
#[path = "dedupe_speed.rs"]
mod speed;
