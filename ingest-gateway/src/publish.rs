//! Events to records to results: encoded, produced, and answered once the broker has.

use std::net::SocketAddr;
use std::sync::Arc;

use audit_event::{CorrelationId, EventId, SchemaId, TraceContext};
use kafka_io::headers;
use kafka_io::producer::{Delivered, NewRecord, Pending, ProduceError, RecordProducer};
use prometheus::HistogramTimer;
use schemas::{EVENTS_TOPIC, MAX_RECORD_BYTES, avro};
use service_kit::Problem;
use sha2::{Digest, Sha256};

use crate::answer::{ItemResult, Status, too_large};
use crate::intake::{Item, Taken};
use crate::metrics::GatewayMetrics;
use crate::prepare::Prepared;

pub struct Publisher {
    producer: Arc<RecordProducer>,
    prepared: Prepared,
    metrics: GatewayMetrics,
}

/// Where a request came from: what its records carry beside the datum.
pub struct Origin {
    peer: String,
    correlation_id: CorrelationId,
}

impl Origin {
    pub fn new(peer: SocketAddr, correlation_id: CorrelationId) -> Self {
        Self { peer: peer.ip().to_string(), correlation_id }
    }

    fn headers<'a>(&'a self, trace: Option<&'a TraceContext>) -> Vec<(&'static str, &'a [u8])> {
        let mut all = vec![
            (headers::DOOR, headers::DOOR_HTTP.as_bytes()),
            (headers::PEER, self.peer.as_bytes()),
            (headers::CORRELATION_ID, self.correlation_id.as_str().as_bytes()),
        ];
        if let Some(trace) = trace {
            all.push((headers::TRACEPARENT, trace.parent.as_str().as_bytes()));
            all.extend(trace.state.as_ref().map(|state| (headers::TRACESTATE, state.as_bytes())));
        }
        all
    }
}

/// A result that is there, or one that waits for the broker.
enum Outcome {
    Settled(ItemResult),
    Waiting { index: usize, event_id: EventId, sha256: [u8; 32], pending: Pending },
}

impl Publisher {
    pub fn new(producer: Arc<RecordProducer>, prepared: Prepared, metrics: GatewayMetrics) -> Self {
        Self { producer, prepared, metrics }
    }

    pub fn schema_id(&self) -> Result<SchemaId, Problem> {
        self.prepared
            .get()
            .copied()
            .ok_or_else(|| Problem::unavailable("the gateway is starting; see /readyz"))
    }

    /// A batch whose items are produced as they come.
    pub fn begin<'a>(&'a self, schema_id: SchemaId, origin: &'a Origin) -> Batch<'a> {
        let timer = self.metrics.publish_seconds.start_timer();
        Batch { publisher: self, schema_id, origin, outcomes: Vec::new(), _observed_when_dropped: timer }
    }

    fn produce(&self, index: usize, taken: &Taken, schema_id: SchemaId, origin: &Origin) -> Outcome {
        let event = &taken.event;
        let event_id = event.event_id;
        let value = match avro::encode(event, schema_id) {
            Ok(value) if value.len() <= MAX_RECORD_BYTES => value,
            Ok(value) => {
                let detail = format!(
                    "the event has {} bytes as a record, at most {MAX_RECORD_BYTES} are taken",
                    value.len()
                );
                return Outcome::Settled(ItemResult::rejected(index, Some(event_id), too_large(detail)));
            }
            Err(error) => {
                tracing::error!(%error, %event_id, "event not encoded");
                let problem = Problem::bad_request("the event cannot be encoded");
                return Outcome::Settled(ItemResult::rejected(index, Some(event_id), problem));
            }
        };
        let key = format!("{}|{event_id}", event.tenant_id);
        let record = NewRecord {
            topic: EVENTS_TOPIC,
            key: Some(key.as_bytes()),
            value: Some(&value),
            headers: &origin.headers(taken.trace.as_ref()),
        };
        match self.producer.enqueue(&record) {
            Ok(pending) => {
                Outcome::Waiting { index, event_id, sha256: Sha256::digest(&value).into(), pending }
            }
            Err(error) => Outcome::Settled(refused(index, event_id, &error)),
        }
    }

    async fn settle(&self, outcome: Outcome) -> ItemResult {
        match outcome {
            Outcome::Settled(result) => result,
            Outcome::Waiting { index, event_id, sha256, pending } => {
                match self.producer.confirm(pending).await {
                    Ok(delivered) => accepted(index, event_id, sha256, delivered),
                    Err(error) => refused(index, event_id, &error),
                }
            }
        }
    }
}

/// Items of one request on their way to the broker.
pub struct Batch<'a> {
    publisher: &'a Publisher,
    schema_id: SchemaId,
    origin: &'a Origin,
    outcomes: Vec<Outcome>,
    _observed_when_dropped: HistogramTimer,
}

impl Batch<'_> {
    /// So many items were taken up.
    pub fn len(&self) -> usize {
        self.outcomes.len()
    }

    pub fn push(&mut self, item: Item) {
        let index = self.outcomes.len();
        let outcome = match item {
            Item::Event(taken) => self.publisher.produce(index, &taken, self.schema_id, self.origin),
            Item::Dropped(event_id, reason) => {
                self.publisher.metrics.dropped(reason);
                Outcome::Settled(ItemResult::of(index, Some(event_id), Status::DroppedByPolicy))
            }
            Item::Rejected(event_id, problem) => {
                Outcome::Settled(ItemResult::rejected(index, event_id, problem))
            }
        };
        self.outcomes.push(outcome);
    }

    /// Waits for the broker's answers, in the items' order.
    pub async fn finish(self) -> Vec<ItemResult> {
        let mut results = Vec::with_capacity(self.outcomes.len());
        for outcome in self.outcomes {
            let result = self.publisher.settle(outcome).await;
            self.publisher.metrics.count(&result);
            results.push(result);
        }
        results
    }
}

fn accepted(index: usize, event_id: EventId, sha256: [u8; 32], delivered: Delivered) -> ItemResult {
    ItemResult {
        partition: Some(delivered.partition.0),
        offset: Some(delivered.offset.0),
        received_at: delivered.received_at.to_rfc3339(),
        record_sha256: Some(sha256.iter().map(|byte| format!("{byte:02x}")).collect()),
        ..ItemResult::of(index, Some(event_id), Status::Accepted)
    }
}

fn refused(index: usize, event_id: EventId, error: &ProduceError) -> ItemResult {
    match error {
        ProduceError::TooLarge => ItemResult::rejected(index, Some(event_id), too_large(error.to_string())),
        ProduceError::QueueFull => {
            ItemResult::unconfirmed(index, event_id, "the queue to the broker is full")
        }
        ProduceError::Unconfirmed(cause) => {
            tracing::warn!(cause, %event_id, "event not confirmed");
            ItemResult::unconfirmed(index, event_id, "the broker did not confirm the event in time")
        }
    }
}
