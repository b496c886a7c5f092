//! What all workers of a schedule share: the logs, Kafka's coordinator, ClickHouse, the registry, the time.

use std::collections::BTreeSet;

use audit_event::control::{DedupeRules, TrailRecord};
use audit_event::{PartitionId, SchemaId, TrailId};
use pipeline_core::batch::{BatchLimits, MonotonicMs};

use super::coordinator::Coordinator;
use super::engine::Engine;
use super::log::{Log, RECORD_BYTES};
use super::ops::Shape;
use super::rules::Rules;
use super::seen::Seen;

/// After this time a batch is due, whatever it holds.
pub const FLUSH_INTERVAL_MS: u64 = 300;

pub struct Shared {
    pub rules: Rules,
    pub trail: TrailRecord,
    pub logs: Vec<Log>,
    pub limits: BatchLimits,
    pub now: MonotonicMs,
    pub engine: Engine,
    pub coordinator: Coordinator,
    pub seen: Seen,
    unknown_schemas: BTreeSet<SchemaId>,
    /// What happened, where somebody wants to read it.
    history: Option<Vec<String>>,
}

impl Shared {
    pub fn new(shape: &Shape, logs: Vec<Log>, rules: Rules, keep_history: bool) -> Self {
        let trail = TrailRecord {
            v: audit_event::control::VALUE_VERSION,
            trail_id: TrailId(uuid::Uuid::from_u128(1)),
            topic: "audit.events.v1".to_owned(),
            genesis: logs.iter().map(|log| log.genesis).collect(),
            begun_at: String::new(),
            dedupe: DedupeRules { window_offsets: shape.window_offsets, window_ms: shape.window_ms },
        };
        let limits = BatchLimits {
            max_batch_rows: shape.max_batch_rows,
            max_batch_bytes: shape.max_batch_records_by_bytes * RECORD_BYTES,
            flush_interval_ms: FLUSH_INTERVAL_MS,
        };
        Self {
            rules,
            limits,
            now: MonotonicMs(0),
            engine: Engine::new(shape.token_window, rules),
            coordinator: Coordinator::new(logs.len(), rules),
            seen: Seen::default(),
            unknown_schemas: BTreeSet::new(),
            history: keep_history.then(Vec::new),
            trail,
            logs,
        }
    }

    pub fn log(&self, partition: PartitionId) -> &Log {
        &self.logs[partition.0 as usize]
    }

    pub fn partitions(&self) -> impl Iterator<Item = PartitionId> + use<> {
        (0..self.logs.len() as i32).map(PartitionId)
    }

    pub fn registry_knows(&self, schema: SchemaId) -> bool {
        !self.unknown_schemas.contains(&schema)
    }

    /// The registry forgets a schema, or learns it again.
    pub fn toggle_schema(&mut self, schema: SchemaId) {
        if !self.unknown_schemas.remove(&schema) {
            self.unknown_schemas.insert(schema);
        }
    }

    pub fn learn_all_schemas(&mut self) {
        self.unknown_schemas.clear();
    }

    /// Time passes, for ClickHouse and for the batches.
    pub fn pass(&mut self, seconds: i64) {
        self.engine.pass(seconds);
        self.now = MonotonicMs(self.now.0 + seconds.unsigned_abs() * 1_000);
    }

    pub fn note(&mut self, line: impl FnOnce() -> String) {
        if let Some(history) = &mut self.history {
            history.push(line());
        }
    }

    pub fn history(&self) -> &[String] {
        self.history.as_deref().unwrap_or_default()
    }
}
