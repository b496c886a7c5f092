//! The path of an event through the processor, in one place:
//!
//! ```text
//! record ─ decode ─ route ─ dedupe ─▶ one verdict: events, duplicates or dead_letters
//! ```
//!
//! A verdict reads only the record, the records before it, the rules' version and immutable schemas. A replay of the
//! same range therefore gives the same verdicts, and the read-back can compare them with what is stored.

use std::collections::BTreeSet;
use std::sync::Arc;

use audit_event::{PartitionId, SchemaId, TrailId};
use kafka_io::group::Record;
use pipeline_core::batch::Range;
use pipeline_core::batch_run::{Expected, RecordTable};
use pipeline_core::dedupe::{Candidate, DedupeVerdict, RecordHasher, Window};
use pipeline_core::verdict::{Rejection, Verdict};

use crate::driver::Driver;
use crate::pace::heavy;
use crate::stages::decode::{Decoded, decode};
use crate::stages::dedupe::{DedupeError, EarlierRecords, candidate, verdict};
use crate::stages::route::route;
use crate::stages::schemas::Schemas;

/// The verdicts of one partition, record after record.
pub struct Pipeline {
    pub trail: TrailId,
    pub partition: PartitionId,
    pub schemas: Arc<Schemas>,
    pub hasher: RecordHasher,
    pub window: Window,
}

/// A batch with the verdict on each of its records.
pub struct JudgedBatch {
    pub range: Range,
    pub unknown_schemas: BTreeSet<SchemaId>,
    pub records: Vec<(Record, Verdict<Decoded>)>,
}

impl Pipeline {
    /// Judges a batch. An error holds the partition; it is no verdict.
    pub async fn judge(
        &mut self,
        range: Range,
        records: Vec<Record>,
        unknown_schemas: BTreeSet<SchemaId>,
        driver: &Driver,
    ) -> Result<JudgedBatch, DedupeError> {
        let (decoded, candidates) = heavy(|| self.decode_all(&records, &unknown_schemas));
        let earlier = EarlierRecords {
            trail: self.trail,
            partition: self.partition,
            driver,
            schemas: &self.schemas,
            hasher: self.hasher,
        };
        let tenants: Vec<_> = decoded.iter().flatten().map(|decoded| &decoded.event.tenant_id).collect();
        let verdicts = earlier.judge(&mut self.window, &candidates, &tenants).await?;
        Ok(JudgedBatch { range, unknown_schemas, records: with_verdicts(records, decoded, verdicts) })
    }

    fn decode_all(
        &self,
        records: &[Record],
        unknown: &BTreeSet<SchemaId>,
    ) -> (Vec<Result<Decoded, Rejection>>, Vec<Candidate>) {
        let mut candidates = Vec::with_capacity(records.len());
        let decoded = records
            .iter()
            .map(|record| {
                decode(record, &self.schemas, |id| unknown.contains(&id))
                    .and_then(|decoded| route(record, decoded))
                    .inspect(|decoded| candidates.push(candidate(record, &decoded.event, &self.hasher)))
            })
            .collect();
        (decoded, candidates)
    }
}

/// Dedupe gave a verdict on each decoded record; the others had theirs before.
fn with_verdicts(
    records: Vec<Record>,
    decoded: Vec<Result<Decoded, Rejection>>,
    dedupe: Vec<DedupeVerdict>,
) -> Vec<(Record, Verdict<Decoded>)> {
    let mut dedupe = dedupe.into_iter();
    let verdicts = decoded.into_iter().map(|decoded| match decoded {
        Ok(decoded) => verdict(decoded, dedupe.next().expect("as many as there are candidates")),
        Err(rejection) => Verdict::DeadLetter(rejection),
    });
    records.into_iter().zip(verdicts).collect()
}

impl JudgedBatch {
    /// Which record belongs into which table.
    pub fn expected(&self) -> Expected {
        self.records.iter().map(|(record, verdict)| (record.offset, table_of(verdict))).collect()
    }

    pub fn count(&self, table: RecordTable) -> u64 {
        self.records.iter().filter(|(_, verdict)| table_of(verdict) == table).count() as u64
    }

    /// The dead letters at the end of the batch with nothing good behind them, and whether they are all of it.
    pub fn trailing_dead_letters(&self) -> (u64, bool) {
        let is_dead = |(_, verdict): &&(Record, Verdict<Decoded>)| matches!(verdict, Verdict::DeadLetter(_));
        let trailing = self.records.iter().rev().take_while(is_dead).count();
        (trailing as u64, trailing == self.records.len())
    }
}

fn table_of(verdict: &Verdict<Decoded>) -> RecordTable {
    match verdict {
        Verdict::Event(_) => RecordTable::Events,
        Verdict::Duplicate { .. } => RecordTable::Duplicates,
        Verdict::DeadLetter(_) => RecordTable::DeadLetters,
    }
}
