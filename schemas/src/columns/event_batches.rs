//! The table `event_batches`: one row a batch, hence a block of one row.

use std::sync::Arc;

use arrow_array::builder::{FixedSizeBinaryBuilder, StringDictionaryBuilder};
use arrow_array::types::Int32Type;
use arrow_array::{ArrayRef, Int32Array, Int64Array, TimestampMillisecondArray, UInt32Array, UInt64Array};
use arrow_schema::ArrowError;
use audit_event::{NextOffset, Offset, PartitionId, RecordTime, TrailId};

use super::{Block, block, push_uuid, uuid_column};
use crate::table::EVENT_BATCHES;

/// The account of one closed batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventBatchRow<'a> {
    pub trail_id: TrailId,
    pub topic: &'a str,
    pub partition: PartitionId,
    pub from: Offset,
    pub to: NextOffset,
    pub rows: u64,
    pub duplicates: u64,
    pub dead_letters: u64,
    pub gaps: u64,
    pub least_received_at: RecordTime,
    pub greatest_received_at: RecordTime,
    pub rules: u32,
    pub attempt: u32,
}

pub fn event_batches_block(row: &EventBatchRow<'_>) -> Result<Block, ArrowError> {
    let mut trail: FixedSizeBinaryBuilder = uuid_column();
    push_uuid(&mut trail, row.trail_id.0);
    let mut topic = StringDictionaryBuilder::<Int32Type>::new();
    topic.append_value(row.topic);
    let count = |n: u64| -> ArrayRef { Arc::new(UInt64Array::from(vec![n])) };
    let time = |at: RecordTime| -> ArrayRef {
        Arc::new(TimestampMillisecondArray::from(vec![at.0]).with_timezone("UTC"))
    };
    block(
        EVENT_BATCHES,
        vec![
            Arc::new(trail.finish()),
            Arc::new(topic.finish()),
            Arc::new(Int32Array::from(vec![row.partition.0])),
            Arc::new(Int64Array::from(vec![row.from.0])),
            Arc::new(Int64Array::from(vec![row.to.0])),
            count(row.rows),
            count(row.duplicates),
            count(row.dead_letters),
            count(row.gaps),
            time(row.least_received_at),
            time(row.greatest_received_at),
            Arc::new(UInt32Array::from(vec![row.rules])),
            Arc::new(UInt32Array::from(vec![row.attempt])),
        ],
    )
}
