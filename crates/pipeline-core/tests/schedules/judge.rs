//! The verdicts of one partition's worker. All that the harness knows of the dedupe window's interface is here.

use std::collections::BTreeSet;

use audit_event::control::DedupeRules;
use audit_event::{
    Actor, AuditEvent, Offset, Operation, Outcome, PartitionId, SchemaId, Severity, Source, Timestamp, Trace,
};
use pipeline_core::batch_run::RecordTable;
use pipeline_core::dedupe::{
    Candidate, DedupeVerdict, Gone, Judging, RecordHasher, RecordKey, Restoring, Told, ToldEvent, ToldRepeat,
    Wanted, Window,
};

use super::engine::Engine;
use super::log::{Content, LogRecord, Value};
use super::rows::RecordRow;
use super::rules::Rule;
use super::worker::WorkerId;

/// A schedule has more ids than most of these can tell apart. Workers take them in turn.
const FINGERPRINT_BITS: [u32; 3] = [64, 2, 1];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    pub table: RecordTable,
    /// The record's own offset, or that of the event it repeats.
    pub first: Offset,
}

pub struct Judge {
    partition: PartitionId,
    window: Window,
    hasher: RecordHasher,
}

impl Judge {
    /// Rebuilds the window from the rows below `before`, as on assignment.
    pub fn restored(
        worker: WorkerId,
        partition: PartitionId,
        before: Offset,
        rules: DedupeRules,
        engine: &Engine,
    ) -> Self {
        // a process draws its key at random; fingerprints so short collide, which must not show
        let bits = FINGERPRINT_BITS[worker.0 as usize % FINGERPRINT_BITS.len()];
        let hasher = RecordHasher::new((worker.0.into(), 7)).with_fingerprint_bits(bits);
        let mut restoring = Restoring::begin(rules, before).expect("a short window");
        if engine.rules.holds(Rule::WindowRestored) {
            for (_, row) in engine.rows_of(partition).filter(|(table, _)| *table < 2) {
                let RecordRow { record, first, .. } = row;
                restoring.take(record.offset, record.received_at, key(&hasher, &record.value), *first);
            }
        }
        Self { partition, window: restoring.finish(), hasher }
    }

    /// Judges a batch, as the processor's pipeline does: looks up what the window asks for.
    pub fn judge(
        &mut self,
        records: &[LogRecord],
        unknown: &BTreeSet<SchemaId>,
        engine: &Engine,
    ) -> Result<Vec<Verdict>, Gone> {
        let decodable = records.iter().filter(|record| is_decodable(record, unknown));
        let candidates: Vec<_> = decodable.map(|record| candidate(&self.hasher, record)).collect();
        let mut judging = Judging::begin(&mut self.window, &candidates);
        while let Some(wanted) = judging.wants() {
            let told = look_up(wanted, &self.hasher, self.partition, engine);
            judging.tell(told)?;
        }
        let mut judged = judging.into_verdicts().into_iter();
        Ok(records
            .iter()
            .map(|record| match is_decodable(record, unknown).then(|| judged.next()).flatten() {
                Some(DedupeVerdict::First) => Verdict { table: RecordTable::Events, first: record.offset },
                Some(DedupeVerdict::Duplicate { first }) => Verdict { table: RecordTable::Duplicates, first },
                Some(DedupeVerdict::Conflict { .. }) | None => {
                    Verdict { table: RecordTable::DeadLetters, first: record.offset }
                }
            })
            .collect())
    }
}

/// The rows that the window asks for, as far as they are there.
fn look_up(wanted: &Wanted, hasher: &RecordHasher, partition: PartitionId, engine: &Engine) -> Told {
    let mut told = Told::default();
    for row in wanted.events.keys().filter_map(|offset| engine.event_at(partition, *offset)) {
        let LogRecord { offset, received_at, value } = row.record;
        let body = if engine.rules.holds(Rule::BodiesLookedUp) { value.body } else { u8::MAX };
        let event = event(&Value { body, ..value });
        let told_event =
            ToldEvent { offset, received_at, key: key(hasher, &value), body: hasher.body(&event) };
        told.events.push(told_event);
    }
    for (table, row) in engine.rows_of(partition) {
        let LogRecord { offset, received_at, .. } = row.record;
        if table == 1 && wanted.repeats.contains(&offset) {
            told.repeats.push(ToldRepeat { offset, received_at });
        }
    }
    told
}

fn is_decodable(record: &LogRecord, unknown: &BTreeSet<SchemaId>) -> bool {
    match record.value.content {
        Content::Event => true,
        Content::EventOf(schema) => !unknown.contains(&schema),
        Content::Garbage => false,
    }
}

fn key(hasher: &RecordHasher, value: &Value) -> RecordKey {
    hasher.key(value.tenant_id().as_str(), value.event_id())
}

fn candidate(hasher: &RecordHasher, record: &LogRecord) -> Candidate {
    Candidate {
        offset: record.offset,
        received_at: record.received_at,
        key: key(hasher, &record.value),
        body: hasher.body(&event(&record.value)),
    }
}

fn event(value: &Value) -> AuditEvent {
    AuditEvent {
        event_id: value.event_id(),
        tenant_id: value.tenant_id(),
        occurred_at: Timestamp::from_micros(0),
        event_type: "user.login".to_owned(),
        operation: Operation::Other,
        outcome: Outcome::Unknown,
        severity: Severity::Info,
        actor: Actor {
            id: format!("actor of body {}", value.body),
            kind: "user".to_owned(),
            name: None,
            session_id: None,
            on_behalf_of: None,
        },
        targets: Vec::new(),
        source: Source::default(),
        trace: Some(Trace { trace_id: value.trace.to_string(), span_id: String::new() }),
        duration_ms: None,
        batch_id: None,
        message: None,
        changes: Vec::new(),
        attributes: Default::default(),
        signature: None,
    }
}
