//! The idempotent producer: records of the trail, and dead letters. Every answer is a broker's answer.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use audit_event::{Offset, PartitionId, RecordTime};
use rdkafka::error::KafkaError as ClientError;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{DeliveryFuture, FutureProducer, FutureRecord, Producer as _};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::KafkaError;
use crate::config::KafkaConfig;
use crate::errors::{Meaning, Operation};

/// The bounds of a producer.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ProducerConfig {
    /// Records that wait for a broker's answer; one more is refused at once.
    #[schemars(range(min = 1, max = 10_000_000), extend("unit" = "records"))]
    pub max_queued_records: u32,
    /// The same in bytes.
    #[schemars(range(min = 1, max = 2_097_151))]
    pub max_queued_kib: u32,
    /// How long a record may wait for its acknowledgement. Keep it below the HTTP time limit.
    #[schemars(range(min = 1, max = 600_000))]
    pub delivery_timeout_ms: u32,
    /// How long records wait for company.
    #[schemars(range(min = 0, max = 10_000))]
    pub linger_ms: u32,
    /// How record batches are compressed.
    pub compression: Compression,
}

impl Default for ProducerConfig {
    fn default() -> Self {
        Self {
            max_queued_records: 200_000,
            max_queued_kib: 128 * 1024,
            delivery_timeout_ms: 10_000,
            // what Kafka's own clients wait since 4.0 (KIP-1030)
            linger_ms: 5,
            compression: Compression::Lz4,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    None,
    Gzip,
    Lz4,
    Snappy,
    Zstd,
}

impl Compression {
    /// As librdkafka names it.
    fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Lz4 => "lz4",
            Self::Snappy => "snappy",
            Self::Zstd => "zstd",
        }
    }
}

/// A record to be written.
#[derive(Debug)]
pub struct NewRecord<'a> {
    pub topic: &'a str,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    pub headers: &'a [(&'a str, &'a [u8])],
}

/// Where the broker put it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivered {
    pub partition: PartitionId,
    pub offset: Offset,
    pub received_at: RecordTime,
}

#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ProduceError {
    #[error("the queue to the broker is full; send again later")]
    QueueFull,
    #[error("the record is larger than the broker takes")]
    TooLarge,
    /// It may be there or not; sending the same event id again is safe.
    #[error("the broker did not confirm the record: {0}")]
    Unconfirmed(String),
}

/// A producer that survives fatal errors of its client by making a new one.
pub struct RecordProducer {
    config: KafkaConfig,
    settings: ProducerConfig,
    client: ArcSwap<FutureProducer>,
    /// Held while a client is replaced: each failed record asks for it, and one new client is enough.
    replacing: Mutex<()>,
}

/// A record on its way.
pub struct Pending {
    delivery: DeliveryFuture,
}

impl RecordProducer {
    pub fn new(config: &KafkaConfig, settings: &ProducerConfig) -> Result<Self, KafkaError> {
        let client = make_client(config, settings)?;
        Ok(Self {
            config: config.clone(),
            settings: settings.clone(),
            client: ArcSwap::from_pointee(client),
            replacing: Mutex::new(()),
        })
    }

    /// Hands a record to the client's queue; never waits.
    pub fn enqueue(&self, record: &NewRecord<'_>) -> Result<Pending, ProduceError> {
        let mut headers = OwnedHeaders::new_with_capacity(record.headers.len());
        for &(key, value) in record.headers {
            headers = headers.insert(Header { key, value: Some(value) });
        }
        let mut outgoing: FutureRecord<'_, [u8], [u8]> = FutureRecord::to(record.topic).headers(headers);
        outgoing.key = record.key;
        outgoing.payload = record.value;
        match self.client.load().send_result(outgoing) {
            Ok(delivery) => Ok(Pending { delivery }),
            Err((error, _)) => Err(self.classify(&error)),
        }
    }

    /// Waits for the broker's answer.
    pub async fn confirm(&self, pending: Pending) -> Result<Delivered, ProduceError> {
        let delivery = match pending.delivery.await {
            Ok(Ok(delivery)) => delivery,
            Ok(Err((error, _))) => return Err(self.classify(&error)),
            Err(_) => return Err(ProduceError::Unconfirmed("the client was closed".to_owned())),
        };
        match delivery.timestamp.to_millis() {
            Some(millis) if delivery.offset >= 0 => Ok(Delivered {
                partition: PartitionId(delivery.partition),
                offset: Offset(delivery.offset),
                received_at: RecordTime(millis),
            }),
            _ => Err(ProduceError::Unconfirmed("the broker named no offset or time".to_owned())),
        }
    }

    /// Records that wait for the broker's answer.
    pub fn queued_records(&self) -> u32 {
        u32::try_from(self.client.load().in_flight_count()).unwrap_or(0)
    }

    /// Waits until the queue is empty, at most as long as a delivery may take.
    pub async fn drain(self: Arc<Self>) {
        let wait = Duration::from_millis(u64::from(self.settings.delivery_timeout_ms));
        let flushed = tokio::task::spawn_blocking(move || self.client.load().flush(wait)).await;
        if !matches!(flushed, Ok(Ok(()))) {
            tracing::warn!("records were still unconfirmed when the drain time ended");
        }
    }

    fn classify(&self, error: &ClientError) -> ProduceError {
        if self.client.load().client().fatal_error().is_some() {
            self.replace_client();
        }
        match Meaning::of_error(Operation::Produce, error) {
            Meaning::Full => ProduceError::QueueFull,
            Meaning::TooLarge => ProduceError::TooLarge,
            Meaning::Mend(mend) => ProduceError::Unconfirmed(format!("{error}; {mend}")),
            Meaning::Retry | Meaning::NewClient | Meaning::RecordsGone | Meaning::Never => {
                ProduceError::Unconfirmed(error.to_string())
            }
        }
    }

    /// An idempotent client with a fatal error never works again; a new one does. Records that the old one still holds
    /// are answered as unconfirmed.
    fn replace_client(&self) {
        let _one_at_a_time = self.replacing.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((code, reason)) = self.client.load().client().fatal_error() else {
            // somebody else has replaced it
            return;
        };
        match make_client(&self.config, &self.settings) {
            Ok(client) => {
                tracing::error!(%code, reason, "the kafka producer had a fatal error and was replaced");
                self.client.store(Arc::new(client));
            }
            Err(error) => {
                tracing::error!(%error, %code, reason, "the kafka producer had a fatal error and cannot be replaced")
            }
        }
    }
}

fn make_client(config: &KafkaConfig, settings: &ProducerConfig) -> Result<FutureProducer, KafkaError> {
    config
        .client("sealtrail-producer")?
        .set("acks", "all")
        .set("enable.idempotence", "true")
        // Java's partitioner, so that every client in every language puts a key into the same partition
        .set("partitioner", "murmur2_random")
        .set("compression.type", settings.compression.name())
        .set("linger.ms", settings.linger_ms.to_string())
        .set("message.timeout.ms", settings.delivery_timeout_ms.to_string())
        .set("message.max.bytes", (2 * crate::topics::MAX_MESSAGE_BYTES).to_string())
        .set("queue.buffering.max.messages", settings.max_queued_records.to_string())
        .set("queue.buffering.max.kbytes", settings.max_queued_kib.to_string())
        .create()
        .map_err(|e| KafkaError::of_client("create a kafka producer", &e))
}

#[cfg(test)]
mod tests {
    use rdkafka::bindings::rd_kafka_test_fatal_error;
    use rdkafka::mocking::MockCluster;
    use rdkafka::types::RDKafkaRespErr;

    use super::*;

    const RECORD: NewRecord<'_> = NewRecord { topic: "t", key: Some(b"k"), value: Some(b"v"), headers: &[] };

    #[allow(unsafe_code, reason = "librdkafka has no safe way to a fatal error")]
    fn break_client(producer: &RecordProducer) {
        let client = producer.client.load();
        let fenced = RDKafkaRespErr::RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH;
        // SAFETY: the client lives as long as the guard, and the text is a C string that is copied
        unsafe { rd_kafka_test_fatal_error(client.client().native_ptr(), fenced, c"a test".as_ptr()) };
    }

    /// F08.
    #[tokio::test]
    async fn a_fatal_error_costs_one_new_client_and_no_more_than_what_was_in_flight() {
        let cluster = MockCluster::new(1).expect("a mock cluster");
        cluster.create_topic("t", 1, 1).expect("a topic");
        let kafka = KafkaConfig { brokers: cluster.bootstrap_servers(), ..KafkaConfig::default() };
        let producer = RecordProducer::new(&kafka, &ProducerConfig::default()).expect("a producer");
        let sent = |producer: &RecordProducer| producer.enqueue(&RECORD);
        let pending = sent(&producer).expect("a place in the queue");
        producer.confirm(pending).await.expect("the broker's answer");
        break_client(&producer);
        let broken = producer.client.load_full();
        let refused = sent(&producer).err();
        assert!(matches!(refused, Some(ProduceError::Unconfirmed(_))), "{refused:?}");
        let replaced = producer.client.load_full();
        assert!(!Arc::ptr_eq(&broken, &replaced), "the client with the fatal error is still in use");
        producer.replace_client();
        assert!(Arc::ptr_eq(&replaced, &producer.client.load_full()), "a good client was thrown away");
        let pending = sent(&producer).expect("a place in the new client's queue");
        producer.confirm(pending).await.expect("the broker's answer to the new client");
    }
}
