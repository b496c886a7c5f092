//! Arrow columns for the four tables: each builder makes exactly one record batch, which is one block of an insert.
//!
//! Low-cardinality columns go out as dictionaries; their index fits the 100,000 rows that a batch holds at most.

mod dead_letters;
mod duplicates;
mod enrichment;
mod event_batches;
mod events;

pub use dead_letters::{DeadLetterRow, DeadLettersColumns};
pub use duplicates::{DuplicateRow, DuplicatesColumns};
pub use enrichment::{GeoColumns, UserAgentColumns};
pub use event_batches::{EventBatchRow, event_batches_block};
pub use events::{EventRow, EventsColumns, representable};

use std::sync::Arc;

use arrow_array::builder::{
    FixedSizeBinaryBuilder, ListBuilder, StringBuilder, StringDictionaryBuilder, TimestampMillisecondBuilder,
};
use arrow_array::types::Int32Type;
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_ipc::writer::StreamWriter;
use arrow_schema::{ArrowError, Field, Schema};
use audit_event::{Offset, PartitionId, RecordTime, TrailId};
use bytes::Bytes;

use crate::table::Table;

/// Where a record was, and when the broker took it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    pub partition: PartitionId,
    pub offset: Offset,
    pub received_at: RecordTime,
}

/// One insert's body: an Arrow stream of one record batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    pub table: Table,
    pub rows: usize,
    /// Cheap to clone: the same bytes may be sent again.
    pub arrow_stream: Bytes,
}

/// Puts the columns, in the table's order, into one block.
fn block(table: Table, columns: Vec<ArrayRef>) -> Result<Block, ArrowError> {
    let fields: Vec<_> = table
        .columns
        .iter()
        .zip(&columns)
        .map(|(column, array)| {
            Field::new(column.name, array.data_type().clone(), column.sql_type.contains("Nullable("))
        })
        .collect();
    let schema = Arc::new(Schema::new(fields));
    let batch = RecordBatch::try_new(schema.clone(), columns)?;
    let mut writer = StreamWriter::try_new(Vec::new(), &schema)?;
    writer.write(&batch)?;
    let arrow_stream = writer.into_inner()?.into();
    Ok(Block { table, rows: batch.num_rows(), arrow_stream })
}

type Dictionary = StringDictionaryBuilder<Int32Type>;
type TextList = ListBuilder<StringBuilder>;

/// Columns that every table of records has.
struct PositionColumns {
    trail_id: TrailId,
    trail: FixedSizeBinaryBuilder,
    partition: arrow_array::builder::Int32Builder,
    offset: arrow_array::builder::Int64Builder,
    received_at: TimestampMillisecondBuilder,
}

impl PositionColumns {
    fn new(trail_id: TrailId) -> Self {
        Self {
            trail_id,
            trail: uuid_column(),
            partition: Default::default(),
            offset: Default::default(),
            received_at: TimestampMillisecondBuilder::new().with_timezone("UTC"),
        }
    }

    fn push(&mut self, position: Position) {
        push_uuid(&mut self.trail, self.trail_id.0);
        self.partition.append_value(position.partition.0);
        self.offset.append_value(position.offset.0);
        self.received_at.append_value(position.received_at.0);
    }

    fn finish(mut self) -> [ArrayRef; 4] {
        [
            Arc::new(self.trail.finish()),
            Arc::new(self.partition.finish()),
            Arc::new(self.offset.finish()),
            Arc::new(self.received_at.finish()),
        ]
    }
}

/// The request that brought a record; empty where nobody said.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RequestColumns<'a> {
    pub traceparent: &'a str,
    pub correlation_id: &'a str,
}

#[derive(Default)]
struct RequestBuilders {
    traceparent: StringBuilder,
    correlation_id: StringBuilder,
}

impl RequestBuilders {
    fn push(&mut self, request: RequestColumns<'_>) {
        self.traceparent.append_value(request.traceparent);
        self.correlation_id.append_value(request.correlation_id);
    }

    fn finish(mut self) -> [ArrayRef; 2] {
        [Arc::new(self.traceparent.finish()), Arc::new(self.correlation_id.finish())]
    }
}

const UUID_BYTES: i32 = 16;

fn uuid_column() -> FixedSizeBinaryBuilder {
    FixedSizeBinaryBuilder::new(UUID_BYTES)
}

fn push_uuid(column: &mut FixedSizeBinaryBuilder, id: uuid::Uuid) {
    column.append_value(id.as_bytes()).expect("a uuid has 16 bytes");
}

fn push_text(column: &mut Dictionary, text: &str) {
    column.append_value(text);
}

fn push_list<'a>(list: &mut TextList, items: impl Iterator<Item = Option<&'a str>>) {
    for item in items {
        list.values().append_option(item);
    }
    list.append(true);
}
