//! The table `dead_letters`.

use std::sync::Arc;

use arrow_array::builder::{BinaryBuilder, ListBuilder, StringBuilder, UInt32Builder};
use arrow_schema::ArrowError;
use audit_event::{SchemaId, TrailId};

use super::{
    Block, Dictionary, Position, PositionColumns, RequestBuilders, RequestColumns, TextList, block,
    push_list, push_text,
};
use crate::table::DEAD_LETTERS;

/// One record that is no event, as it was.
#[derive(Debug)]
pub struct DeadLetterRow<'a> {
    pub position: Position,
    pub reason: &'static str,
    pub stage: &'static str,
    pub detail: &'a str,
    pub tenant_id: &'a str,
    pub schema_id: Option<SchemaId>,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    pub headers: &'a [(String, Vec<u8>)],
    pub request: RequestColumns<'a>,
}

/// Builds one block of `dead_letters`.
pub struct DeadLettersColumns {
    position: PositionColumns,
    reason: Dictionary,
    stage: Dictionary,
    detail: StringBuilder,
    tenant_id: Dictionary,
    schema_id: UInt32Builder,
    key: BinaryBuilder,
    value: BinaryBuilder,
    header_names: TextList,
    header_values: ListBuilder<BinaryBuilder>,
    request: RequestBuilders,
    rows: usize,
}

impl DeadLettersColumns {
    pub fn new(trail_id: TrailId) -> Self {
        Self {
            position: PositionColumns::new(trail_id),
            reason: Dictionary::new(),
            stage: Dictionary::new(),
            detail: StringBuilder::new(),
            tenant_id: Dictionary::new(),
            schema_id: UInt32Builder::new(),
            key: BinaryBuilder::new(),
            value: BinaryBuilder::new(),
            header_names: TextList::default(),
            header_values: ListBuilder::default(),
            request: RequestBuilders::default(),
            rows: 0,
        }
    }

    pub fn rows(&self) -> usize {
        self.rows
    }

    pub fn push(&mut self, row: &DeadLetterRow<'_>) {
        self.position.push(row.position);
        push_text(&mut self.reason, row.reason);
        push_text(&mut self.stage, row.stage);
        self.detail.append_value(row.detail);
        push_text(&mut self.tenant_id, row.tenant_id);
        self.schema_id.append_option(row.schema_id.map(|id| id.0));
        self.key.append_option(row.key);
        self.value.append_option(row.value);
        push_list(&mut self.header_names, row.headers.iter().map(|(name, _)| Some(name.as_str())));
        for (_, value) in row.headers {
            self.header_values.values().append_value(value);
        }
        self.header_values.append(true);
        self.request.push(row.request);
        self.rows += 1;
    }

    pub fn finish(mut self) -> Result<Block, ArrowError> {
        let [trail, partition, offset, received_at] = self.position.finish();
        let [traceparent, correlation_id] = self.request.finish();
        block(
            DEAD_LETTERS,
            vec![
                trail,
                partition,
                offset,
                received_at,
                Arc::new(self.reason.finish()),
                Arc::new(self.stage.finish()),
                Arc::new(self.detail.finish()),
                Arc::new(self.tenant_id.finish()),
                Arc::new(self.schema_id.finish()),
                Arc::new(self.key.finish()),
                Arc::new(self.value.finish()),
                Arc::new(self.header_names.finish()),
                Arc::new(self.header_values.finish()),
                traceparent,
                correlation_id,
            ],
        )
    }
}
