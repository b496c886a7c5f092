//! Kafka's log of one partition: records with gaps, copies, conflicting copies and bad records.

use audit_event::{EventId, Offset, RecordTime, SchemaId, TenantId};
use uuid::Uuid;

/// A day of the model, in milliseconds of record time: tables are partitioned by it, and a batch may span two.
pub const DAY_MS: i64 = 100;

/// What stands in a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// Decodable, under a schema that the registry always knows.
    Event,
    /// Decodable once the registry knows the schema.
    EventOf(SchemaId),
    /// No event will ever come out of it.
    Garbage,
}

/// A record's value: what a row must carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Value {
    pub content: Content,
    pub tenant: u8,
    pub event: u8,
    /// Differs between conflicting copies.
    pub body: u8,
    /// Differs between copies that are the same to dedupe.
    pub trace: u8,
}

impl Value {
    pub fn tenant_id(&self) -> TenantId {
        ["acme", "globex"][usize::from(self.tenant)].parse().expect("a tenant id")
    }

    pub fn event_id(&self) -> EventId {
        EventId(Uuid::from_u128(self.event.into()))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogRecord {
    pub offset: Offset,
    pub received_at: RecordTime,
    pub value: Value,
}

/// What a record weighs in a batch's bound, in bytes.
pub const RECORD_BYTES: usize = 100;

/// Longer than a short dedupe window; two of them leave a segment of the window behind.
const LARGE_GAP: i64 = 40;

/// How a record comes after the one before it.
#[derive(Debug, Clone, Copy)]
pub struct RecordSpec {
    pub gap: i64,
    pub later_ms: i64,
    pub value: Value,
}

/// Schemas that the registry may know or not: ids 1 to this.
pub const LATE_SCHEMAS: u32 = 2;

impl RecordSpec {
    /// Any number is a record; 0 is the plainest.
    pub fn from_bits(bits: u32) -> Self {
        let field = |from: u32, width: u32| (bits >> from) & ((1 << width) - 1);
        let content = match field(5, 4) {
            14 => Content::EventOf(SchemaId(1 + field(20, 4) % LATE_SCHEMAS)),
            15 => Content::Garbage,
            _ => Content::Event,
        };
        Self {
            gap: [0, 0, 0, 0, 0, 1, 3, LARGE_GAP][field(9, 3) as usize],
            later_ms: i64::from(field(12, 5)) - 6,
            value: Value {
                content,
                tenant: u8::from(field(2, 3) == 7),
                event: field(0, 2) as u8,
                body: u8::from(field(17, 3) >= 5),
                trace: field(24, 1) as u8,
            },
        }
    }
}

/// One partition's log.
#[derive(Debug, Clone)]
pub struct Log {
    pub genesis: Offset,
    pub records: Vec<LogRecord>,
}

impl Log {
    pub fn new(genesis: Offset, specs: &[RecordSpec]) -> Self {
        let mut records = Vec::with_capacity(specs.len());
        let (mut offset, mut now) = (genesis.0, 1_000);
        for spec in specs {
            offset += spec.gap;
            now += spec.later_ms;
            records.push(LogRecord {
                offset: Offset(offset),
                received_at: RecordTime(now),
                value: spec.value,
            });
            offset += 1;
        }
        Self { genesis, records }
    }

    pub fn end(&self) -> Offset {
        self.records.last().map_or(self.genesis, |last| last.offset.next().as_offset())
    }

    /// The first record at or above the offset, by its place.
    pub fn place_of(&self, offset: Offset) -> usize {
        self.records.partition_point(|record| record.offset < offset)
    }
}
