//! From verdicts to blocks: what a batch, or what is missing of it, looks like as inserts.

use audit_event::{CorrelationId, PartitionId, TraceParent, TrailId};
use clickhouse_io::read_back::Account;
use kafka_io::group::Record;
use pipeline_core::RULES;
use pipeline_core::announcement::Attempt;
use pipeline_core::batch_run::{Missing, RecordTable};
use pipeline_core::checks;
use pipeline_core::verdict::{Rejection, Verdict};
use schemas::avro;
use schemas::columns::{
    Block, DeadLetterRow, DeadLettersColumns, DuplicateRow, DuplicatesColumns, EventBatchRow, EventRow,
    EventsColumns, Position, RequestColumns, event_batches_block, representable,
};
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::pipeline::JudgedBatch;
use crate::stages::decode::{Decoded, schema_id};
use crate::stages::enrich::{BatchEnricher, Enricher};

#[derive(Debug, Error)]
#[error("a block cannot be built: {0}")]
pub struct BlockError(String);

impl BlockError {
    pub fn new(cause: String) -> Self {
        Self(cause)
    }
}

/// What is inserted for a batch: the tables of records first, their account last.
pub struct Blocks {
    pub records: Vec<Block>,
    pub account: Option<Block>,
}

/// The account that the batch's row of `event_batches` shows.
pub fn account(batch: &JudgedBatch) -> Account {
    Account {
        rows: batch.count(RecordTable::Events),
        duplicates: batch.count(RecordTable::Duplicates),
        dead_letters: batch.count(RecordTable::DeadLetters),
    }
}

/// Builds one block for each table that has rows.
pub fn blocks(
    batch: &JudgedBatch,
    missing: &Missing,
    attempt: Attempt,
    place: &Place<'_>,
    enricher: &Enricher,
) -> Result<Blocks, BlockError> {
    let mut columns = Columns::new(place, enricher);
    for (record, verdict) in &batch.records {
        if missing.contains(record.offset) {
            columns.push(record, verdict)?;
        }
    }
    let account = missing.account().then(|| account_block(batch, attempt, place)).transpose()?;
    Ok(Blocks { records: columns.finish()?, account })
}

/// Where the batch belongs.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    pub trail: TrailId,
    pub topic: &'a str,
    pub partition: PartitionId,
}

struct Columns<'b> {
    partition: PartitionId,
    enricher: BatchEnricher<'b>,
    duplicates: DuplicatesColumns,
    dead_letters: DeadLettersColumns,
    events: EventsColumns,
    rebuilt: Vec<u8>,
}

impl<'b> Columns<'b> {
    fn new(place: &Place<'_>, enricher: &'b Enricher) -> Self {
        Self {
            partition: place.partition,
            enricher: enricher.batch(),
            duplicates: DuplicatesColumns::new(place.trail),
            dead_letters: DeadLettersColumns::new(place.trail),
            events: EventsColumns::new(place.trail),
            rebuilt: Vec::new(),
        }
    }

    fn push(&mut self, record: &'b Record, verdict: &'b Verdict<Decoded>) -> Result<(), BlockError> {
        let position =
            Position { partition: self.partition, offset: record.offset, received_at: record.received_at };
        match verdict {
            Verdict::Event(decoded) => self.push_event(record, decoded, position)?,
            Verdict::Duplicate { event, first } => self.duplicates.push(&DuplicateRow {
                position,
                tenant_id: &event.event.tenant_id,
                event_id: event.event.event_id,
                record_sha256: Sha256::digest(record.value.as_deref().unwrap_or_default()).into(),
                first_offset: *first,
            }),
            Verdict::DeadLetter(rejection) => self.push_dead_letter(record, rejection, position),
        }
        Ok(())
    }

    /// The row is the record: it is rebuilt and compared, and where it differs the bytes themselves are kept.
    fn push_event(
        &mut self,
        record: &Record,
        decoded: &'b Decoded,
        position: Position,
    ) -> Result<(), BlockError> {
        let value = record.value.as_deref().unwrap_or_default();
        self.rebuilt.clear();
        avro::encode_into(&decoded.event, decoded.schema_id, &mut self.rebuilt)
            .map_err(|e| BlockError(e.to_string()))?;
        let is_rebuilt = self.rebuilt == value && representable(&decoded.event);
        let enrichment = self.enricher.enrich(&decoded.event, record.received_at);
        self.events.push(&EventRow {
            event: &decoded.event,
            position,
            door: header(record, kafka_io::headers::DOOR).unwrap_or("direct"),
            peer_address: header(record, kafka_io::headers::PEER).unwrap_or_default(),
            schema_id: decoded.schema_id,
            raw_record: if is_rebuilt { &[] } else { value },
            flags: &enrichment.flags,
            request: request_of(record),
            geo: enrichment.geo(),
            user_agent: enrichment.user_agent(),
        });
        Ok(())
    }

    fn push_dead_letter(&mut self, record: &Record, rejection: &Rejection, position: Position) {
        self.dead_letters.push(&DeadLetterRow {
            position,
            reason: rejection.reason.as_str(),
            stage: rejection.reason.stage().as_str(),
            detail: &rejection.detail,
            tenant_id: checks::claimed_tenant(record.key.as_deref()),
            schema_id: schema_id(record),
            key: record.key.as_deref(),
            value: record.value.as_deref(),
            headers: &record.headers,
            request: request_of(record),
        });
    }

    fn finish(self) -> Result<Vec<Block>, BlockError> {
        self.enricher.finish();
        let mut blocks = Vec::with_capacity(3);
        if self.duplicates.rows() > 0 {
            blocks.push(self.duplicates.finish());
        }
        if self.dead_letters.rows() > 0 {
            blocks.push(self.dead_letters.finish());
        }
        if self.events.rows() > 0 {
            blocks.push(self.events.finish());
        }
        blocks.into_iter().collect::<Result<_, _>>().map_err(|e| BlockError(e.to_string()))
    }
}

fn account_block(batch: &JudgedBatch, attempt: Attempt, place: &Place<'_>) -> Result<Block, BlockError> {
    let Account { rows, duplicates, dead_letters } = account(batch);
    let row = EventBatchRow {
        trail_id: place.trail,
        topic: place.topic,
        partition: place.partition,
        from: batch.range.from,
        to: batch.range.to,
        rows,
        duplicates,
        dead_letters,
        gaps: batch.range.gaps(),
        least_received_at: batch.range.least_received_at,
        greatest_received_at: batch.range.greatest_received_at,
        rules: RULES,
        attempt: attempt.0,
    };
    event_batches_block(&row).map_err(|e| BlockError(e.to_string()))
}

/// The request that brought the record. Anybody may write these headers, so what is not of their form counts as absent.
pub fn request_of(record: &Record) -> RequestColumns<'_> {
    let traceparent = header(record, kafka_io::headers::TRACEPARENT);
    let correlation_id = header(record, kafka_io::headers::CORRELATION_ID);
    RequestColumns {
        traceparent: traceparent.and_then(|text| TraceParent::known_part(text).ok()).unwrap_or_default(),
        correlation_id: correlation_id.filter(|id| id.parse::<CorrelationId>().is_ok()).unwrap_or_default(),
    }
}

/// A header's text; what a foreign producer wrote there in another encoding counts as absent.
fn header<'a>(record: &'a Record, name: &str) -> Option<&'a str> {
    let (_, value) = record.headers.iter().find(|(key, _)| key == name)?;
    std::str::from_utf8(value).ok()
}

#[cfg(test)]
#[path = "sink_tests.rs"]
mod tests;
