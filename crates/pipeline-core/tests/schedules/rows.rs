//! What stands in the model's four tables.

use audit_event::{NextOffset, Offset, PartitionId, RecordTime};
use pipeline_core::announcement::Attempt;
use pipeline_core::batch_run::RecordTable;

use super::log::{DAY_MS, LogRecord};

/// A row of `events`, `duplicates` or `dead_letters`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordRow {
    pub partition: PartitionId,
    pub record: LogRecord,
    /// The record's own offset, or that of the event it repeats.
    pub first: Offset,
}

/// A row of `event_batches`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccountRow {
    pub partition: PartitionId,
    pub from: Offset,
    pub to: NextOffset,
    pub rows: u64,
    pub duplicates: u64,
    pub dead_letters: u64,
    pub gaps: u64,
    pub least_received_at: RecordTime,
    pub greatest_received_at: RecordTime,
}

/// What one insert brings.
#[derive(Debug, Clone)]
pub enum Block {
    Records(RecordTable, Vec<RecordRow>),
    Account(AccountRow),
}

/// A table partition: a token counts in each of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Day(pub i64);

/// A table, by its place in the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TablePlace(pub usize);

/// Tables of the model.
pub const TABLES: usize = 4;

pub const RECORD_TABLES: [RecordTable; 3] =
    [RecordTable::Events, RecordTable::Duplicates, RecordTable::DeadLetters];

pub fn place_of(table: RecordTable) -> usize {
    match table {
        RecordTable::Events => 0,
        RecordTable::Duplicates => 1,
        RecordTable::DeadLetters => 2,
    }
}

impl Block {
    pub fn table(&self) -> TablePlace {
        match self {
            Self::Records(table, _) => TablePlace(place_of(*table)),
            Self::Account(_) => TablePlace(TABLES - 1),
        }
    }

    /// The parts that ClickHouse makes of the block, one for each table partition.
    pub fn parts(self) -> Vec<(Day, Self)> {
        match self {
            Self::Account(row) => vec![(day_of(row.least_received_at), Self::Account(row))],
            Self::Records(table, rows) => {
                let mut parts: Vec<(Day, Vec<RecordRow>)> = Vec::new();
                for row in rows {
                    let day = day_of(row.record.received_at);
                    match parts.iter_mut().find(|(known, _)| *known == day) {
                        Some((_, part)) => part.push(row),
                        None => parts.push((day, vec![row])),
                    }
                }
                parts.into_iter().map(|(day, rows)| (day, Self::Records(table, rows))).collect()
            }
        }
    }
}

fn day_of(time: RecordTime) -> Day {
    Day(time.0.div_euclid(DAY_MS))
}

/// The deduplication token of one attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token {
    pub partition: PartitionId,
    pub from: Offset,
    pub to: NextOffset,
    pub attempt: Attempt,
}
