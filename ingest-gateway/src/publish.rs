//! Events to records to results: encoded, produced, and answered once the broker has.

use std::net::SocketAddr;
use std::sync::Arc;

use audit_event::{CorrelationId, EventId, TraceContext};
use kafka_io::headers;
use kafka_io::producer::{Delivered, NewRecord, Pending, ProduceError, RecordProducer};
use prometheus::HistogramTimer;
use schemas::{EVENTS_TOPIC, MAX_RECORD_BYTES, avro};
use serde::Deserialize;
use service_kit::Problem;
use sha2::{Digest, Sha256};
use transparency_log::{ReceiptRecord, hex_of};
use utoipa::ToSchema;

use crate::answer::{ItemResult, Status, no_async_delivery, too_large};
use crate::buffered::{Buffer, Held, OwnedRecord};
use crate::intake::{Item, Taken};
use crate::metrics::GatewayMetrics;
use crate::prepare::{Prepared, Target};
use crate::receipts::Receipts;

pub struct Publisher {
    pub producer: Arc<RecordProducer>,
    /// Absent where the gateway delivers durably only.
    pub buffer: Option<Arc<Buffer>>,
    pub receipts: Arc<Receipts>,
    pub prepared: Prepared,
    pub metrics: GatewayMetrics,
}

/// What an answer means.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Delivery {
    /// Answered once Kafka has the events on all replicas in sync, with a receipt.
    #[default]
    Durable,
    /// Answered at once as `buffered`. A crash of the gateway loses what it has not delivered yet, and counts it.
    Async,
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
    Buffered { index: usize, event_id: EventId, held: Box<Held> },
}

impl Publisher {
    /// Where records go, once that is known.
    pub fn target(&self) -> Result<Target, Problem> {
        self.prepared
            .get()
            .copied()
            .ok_or_else(|| Problem::unavailable("the gateway is starting; see /readyz"))
    }

    /// A batch whose items are produced as they come.
    pub fn begin<'a>(
        &'a self,
        target: Target,
        origin: &'a Origin,
        delivery: Delivery,
    ) -> Result<Batch<'a>, Problem> {
        let buffer = match (delivery, &self.buffer) {
            (Delivery::Durable, _) => None,
            (Delivery::Async, Some(buffer)) => Some(buffer),
            (Delivery::Async, None) => return Err(no_async_delivery()),
        };
        let timer = self.metrics.publish_seconds.start_timer();
        Ok(Batch {
            publisher: self,
            target,
            origin,
            buffer,
            outcomes: Vec::new(),
            _observed_when_dropped: timer,
        })
    }
}

/// Items of one request on their way to the broker.
pub struct Batch<'a> {
    publisher: &'a Publisher,
    target: Target,
    origin: &'a Origin,
    /// Of asynchronous delivery.
    buffer: Option<&'a Arc<Buffer>>,
    outcomes: Vec<Outcome>,
    _observed_when_dropped: HistogramTimer,
}

/// How a batch ended.
pub struct Finished {
    /// In the items' order.
    pub results: Vec<ItemResult>,
    pub receipts: Vec<String>,
}

impl Batch<'_> {
    /// So many items were taken up.
    pub fn len(&self) -> usize {
        self.outcomes.len()
    }

    pub fn push(&mut self, item: Item) {
        let index = self.outcomes.len();
        let outcome = match item {
            Item::Event(taken) => self.produce(index, &taken),
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

    fn produce(&self, index: usize, taken: &Taken) -> Outcome {
        let event_id = taken.event.event_id;
        let value = match self.encode(taken) {
            Ok(value) => value,
            Err(problem) => return Outcome::Settled(ItemResult::rejected(index, Some(event_id), problem)),
        };
        let key = format!("{}|{event_id}", taken.event.tenant_id);
        let headers = self.origin.headers(taken.trace.as_ref());
        let enqueued = match self.buffer {
            None => {
                let (key, value) = (Some(key.as_bytes()), Some(value.as_slice()));
                let record = NewRecord { topic: EVENTS_TOPIC, key, value, headers: &headers };
                self.publisher.producer.enqueue(&record).map(|pending| {
                    let sha256 = Sha256::digest(value.unwrap_or_default()).into();
                    Outcome::Waiting { index, event_id, sha256, pending }
                })
            }
            Some(buffer) => {
                let headers = headers.into_iter().map(|(name, value)| (name, value.to_vec())).collect();
                let held = buffer.enqueue(OwnedRecord { key, value, headers });
                held.map(|held| Outcome::Buffered { index, event_id, held: Box::new(held) })
            }
        };
        enqueued.unwrap_or_else(|error| Outcome::Settled(refused(index, event_id, &error)))
    }

    fn encode(&self, taken: &Taken) -> Result<Vec<u8>, Problem> {
        let value = avro::encode(&taken.event, self.target.schema_id).map_err(|error| {
            tracing::error!(%error, event_id = %taken.event.event_id, "event not encoded");
            Problem::bad_request("the event cannot be encoded")
        })?;
        if value.len() > MAX_RECORD_BYTES {
            return Err(too_large(format!(
                "the event has {} bytes as a record, at most {MAX_RECORD_BYTES} are taken",
                value.len()
            )));
        }
        Ok(value)
    }

    /// Waits for the broker's answers, and signs for what it has taken.
    pub async fn finish(self) -> Finished {
        let Publisher { producer, receipts, metrics, .. } = self.publisher;
        let (mut results, mut records, mut held) =
            (Vec::with_capacity(self.outcomes.len()), Vec::new(), Vec::new());
        for outcome in self.outcomes {
            results.push(match outcome {
                Outcome::Settled(result) => result,
                Outcome::Buffered { index, event_id, held: one } => {
                    held.push(*one);
                    ItemResult::of(index, Some(event_id), Status::Buffered)
                }
                Outcome::Waiting { index, event_id, sha256, pending } => {
                    match producer.confirm(pending).await {
                        Ok(delivered) => {
                            records.push(receipt_record(sha256, delivered));
                            accepted(index, event_id, sha256, delivered)
                        }
                        Err(error) => refused(index, event_id, &error),
                    }
                }
            });
        }
        if let Some(buffer) = self.buffer {
            promise(buffer, held, &mut results);
        }
        results.iter().for_each(|result| metrics.count(result));
        Finished { results, receipts: receipts.sign(self.target.trail_id, &records) }
    }
}

/// What cannot be written down is not promised.
fn promise(buffer: &Arc<Buffer>, held: Vec<Held>, results: &mut [ItemResult]) {
    if let Err(error) = buffer.promise(held) {
        tracing::error!(%error, "no asynchronous delivery");
        for result in results.iter_mut().filter(|result| result.status == Status::Buffered) {
            if let Some(event_id) = result.event_id {
                *result =
                    ItemResult::unconfirmed(result.index, event_id, "the gateway cannot count the event");
            }
        }
    }
}

fn receipt_record(sha256: [u8; 32], delivered: Delivered) -> ReceiptRecord {
    let Delivered { partition, offset, received_at } = delivered;
    ReceiptRecord { partition, offset, timestamp: received_at, sha256 }
}

fn accepted(index: usize, event_id: EventId, sha256: [u8; 32], delivered: Delivered) -> ItemResult {
    ItemResult {
        partition: Some(delivered.partition.0),
        offset: Some(delivered.offset.0),
        received_at: delivered.received_at.to_rfc3339(),
        record_sha256: Some(hex_of(&sha256)),
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
