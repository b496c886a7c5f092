//! ClickHouse's tables: rows, and the tokens that each table remembers. A block lands whole in each table partition or
//! not at all, and the token is written before the rows, as the real one does it.

use std::collections::BTreeMap;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type, TimestampMillisecondType, UInt64Type};
use arrow_array::{Array, RecordBatch};
use arrow_ipc::reader::StreamReader;
use schemas::columns::Block;

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// A row of one of the three tables of records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordRow {
    pub partition: i32,
    pub offset: i64,
    pub received_ms: i64,
    /// Absent in a dead letter.
    pub event_id: Option<u128>,
    /// In a duplicate only: what it repeats.
    pub first: Option<i64>,
    /// In a dead letter the record's value, in an event its message.
    pub content: Vec<u8>,
}

/// A row of `event_batches`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountRow {
    pub partition: i32,
    pub from: i64,
    pub to: i64,
    pub least_ms: i64,
    /// Rows, duplicates, dead letters and gaps.
    pub counts: [u64; 4],
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Row {
    Record(RecordRow),
    Account(AccountRow),
}

impl Row {
    fn day(&self) -> i64 {
        let ms = match self {
            Self::Record(row) => row.received_ms,
            Self::Account(row) => row.least_ms,
        };
        ms.div_euclid(DAY_MS)
    }
}

/// What one block writes into one table partition.
pub struct Part {
    pub token: String,
    pub rows: Vec<Row>,
}

#[derive(Default)]
pub struct Table {
    rows: Vec<Row>,
    /// The block number under which each token was written.
    tokens: BTreeMap<String, u64>,
    pub newest_block: u64,
}

impl Table {
    /// Whether the token is still remembered: the window counts every block, whoever wrote it.
    pub fn remembers(&self, token: &str, window: u64) -> bool {
        self.tokens.get(token).is_some_and(|block| self.newest_block - block < window)
    }

    pub fn remember(&mut self, token: &str) {
        self.newest_block += 1;
        self.tokens.insert(token.to_owned(), self.newest_block);
    }

    pub fn write(&mut self, rows: Vec<Row>) {
        self.rows.extend(rows);
    }

    pub fn records(&self) -> impl Iterator<Item = &RecordRow> {
        self.rows.iter().filter_map(|row| match row {
            Row::Record(row) => Some(row),
            Row::Account(_) => None,
        })
    }

    pub fn accounts(&self) -> impl Iterator<Item = &AccountRow> {
        self.rows.iter().filter_map(|row| match row {
            Row::Account(row) => Some(row),
            Row::Record(_) => None,
        })
    }
}

/// The rows of a block, one list for each record batch in its stream.
pub fn read(block: &Block) -> Vec<Vec<Row>> {
    let reader = StreamReader::try_new(block.arrow_stream.as_ref(), None).expect("an arrow stream");
    let is_account = block.table.name == "event_batches";
    let rows = |batch: RecordBatch| {
        let row = |at| if is_account { account(&batch, at) } else { record(&batch, at) };
        (0..batch.num_rows()).map(row).collect()
    };
    reader.map(|batch| rows(batch.expect("a record batch"))).collect()
}

/// The parts that a block becomes: one for each day.
pub fn parts(token: &str, block: usize, rows: Vec<Row>) -> Vec<Part> {
    let mut days: BTreeMap<i64, Vec<Row>> = BTreeMap::new();
    for row in rows {
        days.entry(row.day()).or_default().push(row);
    }
    // the first block's token stands alone; those of further blocks count on
    let part = |(day, rows)| Part { token: format!("{day}_{token}_{block}"), rows };
    days.into_iter().map(part).collect()
}

fn record(batch: &RecordBatch, at: usize) -> Row {
    let bytes = |name: &str| batch.column_by_name(name).map(|column| text_at(column.as_ref(), at));
    let event_id = batch.column_by_name("event_id").map(|column| {
        let bytes = column.as_fixed_size_binary().value(at);
        u128::from_be_bytes(bytes.try_into().expect("a uuid has 16 bytes"))
    });
    Row::Record(RecordRow {
        partition: batch["kafka_partition"].as_primitive::<Int32Type>().value(at),
        offset: int(batch, "kafka_offset", at),
        received_ms: batch["received_at"].as_primitive::<TimestampMillisecondType>().value(at),
        event_id,
        first: batch.column_by_name("first_offset").map(|c| c.as_primitive::<Int64Type>().value(at)),
        content: bytes("record_value").or_else(|| bytes("message")).unwrap_or_default(),
    })
}

fn account(batch: &RecordBatch, at: usize) -> Row {
    let count = |name: &str| batch[name].as_primitive::<UInt64Type>().value(at);
    Row::Account(AccountRow {
        partition: batch["kafka_partition"].as_primitive::<Int32Type>().value(at),
        from: int(batch, "from_offset", at),
        to: int(batch, "to_offset", at),
        least_ms: batch["least_received_at"].as_primitive::<TimestampMillisecondType>().value(at),
        counts: ["rows", "duplicates", "dead_letters", "gaps"].map(count),
    })
}

fn int(batch: &RecordBatch, name: &str, at: usize) -> i64 {
    batch[name].as_primitive::<Int64Type>().value(at)
}

fn text_at(column: &dyn Array, at: usize) -> Vec<u8> {
    if column.is_null(at) {
        return Vec::new();
    }
    match column.as_binary_opt::<i32>() {
        Some(bytes) => bytes.value(at).to_vec(),
        None => column.as_string::<i32>().value(at).as_bytes().to_vec(),
    }
}
