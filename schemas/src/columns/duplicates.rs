//! The table `duplicates`.

use std::sync::Arc;

use arrow_array::builder::{FixedSizeBinaryBuilder, Int64Builder};
use arrow_schema::ArrowError;
use audit_event::{EventId, Offset, TenantId, TrailId};

use super::{Block, Dictionary, Position, PositionColumns, block, push_text, push_uuid, uuid_column};
use crate::table::DUPLICATES;

const SHA256_BYTES: i32 = 32;

/// One record that repeats an earlier one.
#[derive(Debug)]
pub struct DuplicateRow<'a> {
    pub position: Position,
    pub tenant_id: &'a TenantId,
    pub event_id: EventId,
    pub record_sha256: [u8; 32],
    pub first_offset: Offset,
}

/// Builds one block of `duplicates`.
pub struct DuplicatesColumns {
    position: PositionColumns,
    tenant_id: Dictionary,
    event_id: FixedSizeBinaryBuilder,
    record_sha256: FixedSizeBinaryBuilder,
    first_offset: Int64Builder,
    rows: usize,
}

impl DuplicatesColumns {
    pub fn new(trail_id: TrailId) -> Self {
        Self {
            position: PositionColumns::new(trail_id),
            tenant_id: Dictionary::new(),
            event_id: uuid_column(),
            record_sha256: FixedSizeBinaryBuilder::new(SHA256_BYTES),
            first_offset: Int64Builder::new(),
            rows: 0,
        }
    }

    pub fn rows(&self) -> usize {
        self.rows
    }

    pub fn push(&mut self, row: &DuplicateRow<'_>) {
        self.position.push(row.position);
        push_text(&mut self.tenant_id, row.tenant_id.as_str());
        push_uuid(&mut self.event_id, row.event_id.0);
        self.record_sha256.append_value(row.record_sha256).expect("a SHA-256 has 32 bytes");
        self.first_offset.append_value(row.first_offset.0);
        self.rows += 1;
    }

    pub fn finish(mut self) -> Result<Block, ArrowError> {
        let [trail, partition, offset, received_at] = self.position.finish();
        block(
            DUPLICATES,
            vec![
                trail,
                partition,
                offset,
                received_at,
                Arc::new(self.tenant_id.finish()),
                Arc::new(self.event_id.finish()),
                Arc::new(self.record_sha256.finish()),
                Arc::new(self.first_offset.finish()),
            ],
        )
    }
}
