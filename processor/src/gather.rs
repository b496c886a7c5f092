//! Gathering records into a batch.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use audit_event::SchemaId;
use kafka_io::group::{Record, Vitals};
use pipeline_core::announcement::MAX_UNKNOWN_SCHEMAS;
use pipeline_core::batch::{BatchLimits, MonotonicMs, OpenBatch, OutOfOrder, Range};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::stages::decode::schema_id;
use crate::stages::schemas::Schemas;

/// The wait before a schema that the registry forgot is asked for again.
const FORGOTTEN_RETRY: Duration = Duration::from_millis(500);

/// The records of one partition on their way into batches.
pub struct Gatherer {
    records: mpsc::Receiver<Vec<Record>>,
    waiting: VecDeque<Record>,
    vitals: Vitals,
    begun: Instant,
}

/// A range with its records.
pub struct Gathered {
    pub range: Range,
    pub records: Vec<Record>,
    pub unknown_schemas: BTreeSet<SchemaId>,
}

pub enum Next {
    Batch(Gathered),
    /// Nothing came for the idle time.
    Idle,
    /// The partition goes away; an unfinished batch is forgotten, nobody has announced it.
    Ended,
}

impl Gatherer {
    pub fn new(records: mpsc::Receiver<Vec<Record>>, vitals: Vitals) -> Self {
        Self { records, waiting: VecDeque::new(), vitals, begun: Instant::now() }
    }

    fn now(&self) -> MonotonicMs {
        MonotonicMs(u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    /// Fills the batch until it is due. `idle` is how long an empty one waits before it says so.
    pub async fn fill(
        &mut self,
        mut batch: OpenBatch,
        limits: &BatchLimits,
        schemas: &Schemas,
        replayed_unknown: Option<&BTreeSet<SchemaId>>,
        idle: Option<Duration>,
        ended: &CancellationToken,
    ) -> Result<Next, OutOfOrder> {
        let mut records = Vec::new();
        let mut unknown = replayed_unknown.cloned().unwrap_or_default();
        loop {
            while let Some(record) = self.waiting.front() {
                if !batch.takes(record.offset) || batch.is_due(limits, self.now()) {
                    return Ok(gathered(&batch, records, unknown));
                }
                // what a replay was told to be unknown stays so, whatever the registry says by now
                let id = schema_id(record).filter(|id| !unknown.contains(id));
                if let Some(id) = id {
                    let is_known = tokio::select! {
                        biased;
                        is_known = schemas.fetch(id, &self.vitals) => is_known,
                        () = ended.cancelled() => return Ok(Next::Ended),
                    };
                    if !is_known && replayed_unknown.is_some() {
                        // it was known when the range was judged: a registry that forgot it must not change a verdict
                        tracing::error!(schema_id = %id, "the registry forgot a schema; the partition waits for it");
                        self.vitals.sign();
                        tokio::select! {
                            biased;
                            () = ended.cancelled() => return Ok(Next::Ended),
                            () = tokio::time::sleep(FORGOTTEN_RETRY) => continue,
                        }
                    }
                    if !is_known && unknown.len() == MAX_UNKNOWN_SCHEMAS {
                        return Ok(gathered(&batch, records, unknown));
                    }
                    if !is_known {
                        unknown.insert(id);
                    }
                }
                let Some(record) = self.waiting.pop_front() else { break };
                batch.push(record.offset, record.weight(), record.received_at, self.now())?;
                records.push(record);
            }
            if batch.is_due(limits, self.now()) {
                return Ok(gathered(&batch, records, unknown));
            }
            let patience = batch
                .due_in_ms(limits, self.now())
                .map(Duration::from_millis)
                .or(idle.filter(|_| batch.is_empty()));
            self.vitals.rest();
            tokio::select! {
                biased;
                chunk = self.records.recv() => match chunk {
                    Some(chunk) => {
                        self.vitals.sign();
                        self.waiting.extend(chunk);
                    }
                    None => return Ok(Next::Ended),
                },
                () = ended.cancelled() => return Ok(Next::Ended),
                () = sleep_or_never(patience) => {
                    if batch.is_empty() {
                        return Ok(Next::Idle);
                    }
                }
            }
        }
    }
}

fn gathered(batch: &OpenBatch, records: Vec<Record>, unknown_schemas: BTreeSet<SchemaId>) -> Next {
    Next::Batch(Gathered { range: batch.range(), records, unknown_schemas })
}

async fn sleep_or_never(duration: Option<Duration>) {
    match duration {
        Some(duration) => tokio::time::sleep(duration).await,
        None => std::future::pending().await,
    }
}
