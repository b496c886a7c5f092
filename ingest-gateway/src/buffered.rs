//! Asynchronous delivery: events that were answered `buffered` before the broker had them. Each keeps its record until the
//! broker has confirmed it, and is sent again for as long as the gateway runs; what a crash costs is counted on the next
//! start.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use kafka_io::producer::{NewRecord, Pending, ProduceError, RecordProducer};
use schemars::JsonSchema;
use schemas::EVENTS_TOPIC;
use serde::{Deserialize, Serialize};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::book::{Book, BookError};

/// Asynchronous delivery.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DeliveryConfig {
    /// The file in which the gateway counts events that it answered `buffered` and that Kafka does not have yet. Without it
    /// there is no asynchronous delivery.
    pub book_file: Option<PathBuf>,
    /// Room for records that wait under asynchronous delivery; an event for which there is none is answered 503.
    #[schemars(range(min = 1, max = 4_194_304))]
    pub max_buffered_kib: usize,
}

impl Default for DeliveryConfig {
    fn default() -> Self {
        Self { book_file: None, max_buffered_kib: 64 * 1024 }
    }
}

/// The wait before a record that was not confirmed is sent again.
const RETRY: Duration = Duration::from_millis(500);

pub struct Buffer {
    producer: Arc<RecordProducer>,
    book: Arc<Book>,
    room: Arc<Semaphore>,
    room_kib: u32,
}

/// A record that can be sent again.
pub struct OwnedRecord {
    pub key: String,
    pub value: Vec<u8>,
    pub headers: Vec<(&'static str, Vec<u8>)>,
}

impl OwnedRecord {
    fn enqueue(&self, producer: &RecordProducer) -> Result<Pending, ProduceError> {
        let headers: Vec<_> = self.headers.iter().map(|(name, value)| (*name, value.as_slice())).collect();
        producer.enqueue(&NewRecord {
            topic: EVENTS_TOPIC,
            key: Some(self.key.as_bytes()),
            value: Some(&self.value),
            headers: &headers,
        })
    }
}

/// A record on its way, and its place.
pub struct Held {
    record: OwnedRecord,
    /// `None` where the client had no room for it, this time.
    pending: Option<Pending>,
    _room: OwnedSemaphorePermit,
}

impl Buffer {
    /// `None` without a file to count in.
    pub fn open(
        config: &DeliveryConfig,
        producer: Arc<RecordProducer>,
    ) -> Result<Option<Arc<Self>>, BookError> {
        let Some(file) = &config.book_file else { return Ok(None) };
        let book = Arc::new(Book::open(file)?);
        let room = Arc::new(Semaphore::new(config.max_buffered_kib));
        let room_kib = u32::try_from(config.max_buffered_kib).unwrap_or(u32::MAX);
        Ok(Some(Arc::new(Self { producer, book, room, room_kib })))
    }

    pub fn book(&self) -> Arc<Book> {
        self.book.clone()
    }

    /// Hands a record over; it is not promised before [`Self::promise`].
    pub fn enqueue(&self, record: OwnedRecord) -> Result<Held, ProduceError> {
        let kib = u32::try_from(record.value.len() / 1024 + 1).unwrap_or(u32::MAX);
        let room = self.room.clone().try_acquire_many_owned(kib).map_err(|_| ProduceError::QueueFull)?;
        let pending = record.enqueue(&self.producer)?;
        Ok(Held { record, pending: Some(pending), _room: room })
    }

    /// From now on these are delivered, or counted as lost. On an error nothing was promised.
    pub fn promise(self: &Arc<Self>, all: Vec<Held>) -> Result<(), BookError> {
        if all.is_empty() {
            return Ok(());
        }
        self.book.take(all.len() as u64)?;
        let buffer = self.clone();
        tokio::spawn(async move {
            let mut open = buffer.settle(all).await;
            while !open.is_empty() {
                tokio::time::sleep(RETRY).await;
                for held in &mut open {
                    held.pending = held.record.enqueue(&buffer.producer).ok();
                }
                open = buffer.settle(open).await;
            }
        });
        Ok(())
    }

    /// Waits for the broker's answers; those that are still not there come back.
    async fn settle(&self, all: Vec<Held>) -> Vec<Held> {
        let (mut confirmed, mut open) = (0, Vec::new());
        for mut held in all {
            let answer = match held.pending.take() {
                Some(pending) => self.producer.confirm(pending).await,
                None => Err(ProduceError::QueueFull),
            };
            match answer {
                Ok(_) => confirmed += 1,
                Err(ProduceError::TooLarge) => {
                    tracing::error!("a buffered event is lost: it is larger than the broker takes");
                    self.book.lose(1);
                }
                Err(ProduceError::QueueFull | ProduceError::Unconfirmed(_)) => open.push(held),
            }
        }
        if confirmed > 0 {
            self.book.confirm(confirmed);
        }
        open
    }

    /// Waits until nothing is in flight. What still is when `within` ends counts as lost at the next start.
    pub async fn drain(&self, within: Duration) {
        if tokio::time::timeout(within, self.room.acquire_many(self.room_kib)).await.is_err() {
            tracing::error!(events = self.book.in_flight(), "buffered events are not in kafka at the stop");
        }
    }
}

#[cfg(test)]
mod tests {
    use kafka_io::KafkaConfig;
    use kafka_io::producer::ProducerConfig;

    use super::*;

    fn record() -> OwnedRecord {
        OwnedRecord { key: "demo|1".to_owned(), value: vec![0; 1500], headers: vec![("a", b"b".to_vec())] }
    }

    /// Nobody listens at its broker's address.
    fn buffer(directory: &tempfile::TempDir, max_buffered_kib: usize) -> Arc<Buffer> {
        let kafka = KafkaConfig { brokers: "127.0.0.1:1".to_owned(), ..KafkaConfig::default() };
        let settings = ProducerConfig { delivery_timeout_ms: 50, ..ProducerConfig::default() };
        let producer = Arc::new(RecordProducer::new(&kafka, &settings).expect("a producer"));
        let config = DeliveryConfig { book_file: Some(directory.path().join("book")), max_buffered_kib };
        Buffer::open(&config, producer).expect("opens").expect("with a file there is a buffer")
    }

    /// F06: without a broker the promise is kept up, bounded, and what the stop leaves behind is counted.
    #[tokio::test]
    async fn an_outage_longer_than_the_delivery_time_loses_nothing_while_the_gateway_runs() {
        let directory = tempfile::tempdir().expect("a directory");
        let buffer = buffer(&directory, 5);
        let held: Vec<_> = (0..2).map(|_| buffer.enqueue(record()).expect("room for 4 of 5 KiB")).collect();
        assert!(matches!(buffer.enqueue(record()), Err(ProduceError::QueueFull)));
        buffer.promise(held).expect("the book is written");
        buffer.drain(Duration::from_millis(400)).await;
        assert_eq!(
            (buffer.book.in_flight(), buffer.book.lost()),
            (2, 0),
            "still tried after its delivery time"
        );
        let left = std::fs::read_to_string(directory.path().join("book")).expect("the book");
        assert!(left.starts_with("00000000000000000002\n"), "{left}");
    }
}
