//! Kafka's log: what producers wrote, and what an independent reader of the design says must become of it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use audit_event::control::DedupeRules;
use audit_event::{
    Actor, AuditEvent, EventId, NextOffset, Offset, Operation, Outcome, PartitionId, RecordTime, SchemaId,
    Severity, Source, TenantId, Timestamp,
};
use kafka_io::group::Record;
use pipeline_core::assignment::{LastBatch, StoredEnd};
use pipeline_core::batch::Range;
use pipeline_core::batch_run::{Found, RecordTable};
use rand::Rng;
use schemas::avro;

use super::group::Group;
use super::world::World;

/// The window is small, so that runs of some seconds leave it.
pub const DEDUPE: DedupeRules = DedupeRules { window_offsets: 25, window_ms: 12_000 };
/// The schema that the registry knows.
pub const SCHEMA: SchemaId = SchemaId(1);
/// A schema that the registry learns of in the middle of the run.
pub const LATE_SCHEMA: SchemaId = SchemaId(9);
const MIDNIGHT_MS: i64 = 20_834 * 24 * 60 * 60 * 1000;

/// What the producer meant.
#[derive(Debug, Clone)]
pub struct Written {
    pub record: Record,
    /// `None` where nobody can decode it.
    pub event: Option<AuditEvent>,
    pub schema: SchemaId,
}

pub struct Broker {
    pub world: Arc<World>,
    pub group: Group,
    logs: Mutex<Vec<Vec<Option<Written>>>>,
}

impl Broker {
    pub fn new(world: Arc<World>) -> Self {
        let partitions = world.plan.partitions;
        let logs = Mutex::new((0..partitions).map(|_| Vec::new()).collect());
        Self { group: Group::new(world.clone(), partitions), world, logs }
    }

    fn logs(&self) -> MutexGuard<'_, Vec<Vec<Option<Written>>>> {
        self.logs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn partitions(&self) -> impl Iterator<Item = PartitionId> + use<> {
        (0..self.world.plan.partitions).map(PartitionId)
    }

    pub fn high_watermark(&self, partition: PartitionId) -> NextOffset {
        NextOffset(self.logs()[partition.0 as usize].len() as i64)
    }

    /// At most `most` records from an offset on, and where to read on.
    pub fn fetch(&self, partition: PartitionId, from: Offset, most: usize) -> (Vec<Record>, Offset) {
        let logs = self.logs();
        let log = &logs[partition.0 as usize];
        let end = (from.0 as usize + most).min(log.len());
        let found = log.get(from.0 as usize..end).unwrap_or_default();
        (found.iter().flatten().map(|written| written.record.clone()).collect(), Offset(end as i64))
    }

    /// The event in a record, if there is one.
    pub fn event_at(&self, partition: PartitionId, offset: Offset) -> Option<AuditEvent> {
        let logs = self.logs();
        logs[partition.0 as usize].get(offset.0 as usize)?.as_ref()?.event.clone()
    }

    pub fn written(&self, partition: PartitionId) -> Vec<Option<Written>> {
        self.logs()[partition.0 as usize].clone()
    }

    /// A producer writes: mostly something new, now and then a repeat, a conflict, rubbish, or a transaction's marker.
    pub fn produce(&self) {
        let partition = self.world.draw(|rng| rng.random_range(0..self.world.plan.partitions));
        let elapsed_ms = i64::try_from(self.world.elapsed().as_millis()).unwrap_or(i64::MAX);
        let back_ms = if self.world.chance(30) { 1_500 } else { 0 };
        let received_ms = MIDNIGHT_MS - self.world.plan.before_midnight_ms + elapsed_ms - back_ms;
        let mut logs = self.logs();
        let log = &mut logs[partition as usize];
        if self.world.chance(40) {
            log.push(None);
            return;
        }
        let offset = Offset(log.len() as i64);
        let schema = if self.world.chance(20) { LATE_SCHEMA } else { SCHEMA };
        let event = self.event(partition, offset, log);
        let value = match &event {
            Some(event) => avro::encode(event, schema).expect("an event of ours"),
            None => vec![7; 5],
        };
        let key = event.as_ref().map(|event| format!("sim|{}", event.event_id).into_bytes());
        let record = Record {
            offset,
            received_at: RecordTime(received_ms),
            key,
            value: Some(value),
            headers: Vec::new(),
        };
        log.push(Some(Written { record, event, schema }));
    }

    fn event(&self, partition: i32, offset: Offset, log: &[Option<Written>]) -> Option<AuditEvent> {
        let earlier: Vec<_> = log.iter().flatten().filter_map(|written| written.event.as_ref()).collect();
        match self.world.draw(|rng| rng.random_range(0..100)) {
            0..=7 => None,
            kind @ 8..=34 if !earlier.is_empty() => {
                let mut event = earlier[self.world.draw(|rng| rng.random_range(0..earlier.len()))].clone();
                if kind <= 14 {
                    event.message = Some(format!("another body at {partition}/{offset}"));
                }
                // does not count as the producer's body
                event.source.request_id = Some(format!("retry-{offset}"));
                Some(event)
            }
            _ => Some(new_event(partition, offset)),
        }
    }

    /// What must become of each record: the predicate of the design, read plainly. Where the registry's answer decides,
    /// `stored` says what it was.
    pub fn verdicts(
        &self,
        partition: PartitionId,
        stored: impl Fn(Offset) -> Option<RecordTable>,
    ) -> BTreeMap<Offset, RecordTable> {
        let written = self.written(partition);
        let mut decodable: Vec<&Written> = Vec::new();
        let mut verdicts = BTreeMap::new();
        for record in written.iter().flatten() {
            let at = record.record.offset;
            let is_unknown = record.schema == LATE_SCHEMA && stored(at) == Some(RecordTable::DeadLetters);
            let verdict = match &record.event {
                Some(event) if !is_unknown => judge(record, event, &decodable),
                _ => RecordTable::DeadLetters,
            };
            if verdict != RecordTable::DeadLetters {
                decodable.push(record);
            }
            verdicts.insert(at, verdict);
        }
        verdicts
    }

    /// The lie of a run without read-back: everything is believed to be there.
    pub fn as_if_all_were_there(&self, partition: PartitionId, range: &Range) -> Found {
        let verdicts = self.verdicts(partition, |_| None);
        let of_range = verdicts.range(range.from..Offset(range.to.0));
        Found {
            records: of_range.map(|(offset, table)| (*table, *offset)).collect(),
            accounts: 1,
            foreign_accounts: 0,
        }
    }

    /// The lie of a run without the check against `event_batches`: it says what the commit says.
    pub fn stored_end_as_committed(&self, partition: PartitionId) -> StoredEnd {
        let commit = self.group.committed(partition);
        let last_batch = commit.map(|commit| LastBatch { from: Offset(0), to: commit.offset });
        StoredEnd { last_batch, highest_row: None }
    }
}

fn judge(record: &Written, event: &AuditEvent, decodable: &[&Written]) -> RecordTable {
    let in_window = |earlier: &&&Written| {
        let same_id = earlier.event.as_ref().is_some_and(|e| e.event_id == event.event_id);
        let offsets = record.record.offset.0 - earlier.record.offset.0;
        let ms = record.record.received_at.0.abs_diff(earlier.record.received_at.0);
        same_id && offsets <= DEDUPE.window_offsets && ms <= DEDUPE.window_ms.unsigned_abs()
    };
    let body = |event: &AuditEvent| AuditEvent { source: Source::default(), trace: None, ..event.clone() };
    let same_ids: Vec<_> = decodable.iter().filter(in_window).collect();
    if same_ids.is_empty() {
        RecordTable::Events
    } else if same_ids.iter().any(|earlier| earlier.event.as_ref().map(body) == Some(body(event))) {
        RecordTable::Duplicates
    } else {
        RecordTable::DeadLetters
    }
}

fn new_event(partition: i32, offset: Offset) -> AuditEvent {
    let id = (u128::from(partition.unsigned_abs()) << 64) | u128::from(offset.0.unsigned_abs());
    AuditEvent {
        event_id: EventId(uuid::Uuid::from_u128(id)),
        tenant_id: "sim".parse::<TenantId>().expect("a tenant"),
        occurred_at: Timestamp::from_micros(1_800_000_000_000_000),
        event_type: "user.login".to_owned(),
        operation: Operation::Access,
        outcome: Outcome::Success,
        severity: Severity::Info,
        actor: Actor {
            id: "ada".to_owned(),
            kind: "user".to_owned(),
            name: None,
            session_id: None,
            on_behalf_of: None,
        },
        targets: Vec::new(),
        source: Source::default(),
        trace: None,
        duration_ms: None,
        batch_id: None,
        message: Some(format!("record {partition}/{offset}")),
        changes: Vec::new(),
        attributes: BTreeMap::new(),
        signature: None,
    }
}
