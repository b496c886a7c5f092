//! rdkafka alone: what the broker and its client can do with ready records, and nothing before them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer, ProducerContext, ThreadedProducer};
use rdkafka::{ClientConfig, ClientContext};
use schemas::EVENTS_TOPIC;

use super::bodies::Ids;
use super::load::Done;
use super::records::{ReadyRecord, headers};

/// Records of one request of the gateway have the same headers.
const RECORDS_A_REQUEST: usize = 100;
const FULL_QUEUE_PAUSE: Duration = Duration::from_micros(200);
/// Above the client's own delivery time.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(15);

#[derive(Default)]
struct Acks {
    good: AtomicU64,
    bad: AtomicU64,
}

struct Counting(Arc<Acks>);

impl ClientContext for Counting {}

impl ProducerContext for Counting {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let counter = if result.is_ok() { &self.0.good } else { &self.0.bad };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// One client for all rounds, as the gateway has one.
pub struct Alone {
    producer: ThreadedProducer<Counting>,
    acks: Arc<Acks>,
    records: Vec<ReadyRecord>,
}

impl Alone {
    /// The settings are the defaults of the gateway's producer.
    pub fn new(brokers: &str, records: Vec<ReadyRecord>) -> Result<Self> {
        let acks = Arc::new(Acks::default());
        let producer = ClientConfig::new()
            .set("bootstrap.servers", brokers)
            .set("acks", "all")
            .set("enable.idempotence", "true")
            .set("partitioner", "murmur2_random")
            .set("compression.type", "lz4")
            .set("linger.ms", "5")
            .set("message.timeout.ms", "10000")
            .set("queue.buffering.max.messages", "200000")
            .set("queue.buffering.max.kbytes", "131072")
            .create_with_context(Counting(Arc::clone(&acks)))
            .context("make a kafka producer")?;
        Ok(Self { producer, acks, records })
    }

    /// As fast as the queue takes them, until the time is over and all are acknowledged.
    pub fn run(&mut self, time: Duration, ids: &Ids) -> Result<Done> {
        let began = Instant::now();
        let (good_before, bad_before) = self.counts();
        let mut sent = 0;
        while began.elapsed() < time {
            sent += self.send_some(ids)?;
        }
        self.producer.flush(FLUSH_TIMEOUT).context("wait for the last acknowledgements")?;
        let wall = began.elapsed();
        let (good, bad) = self.counts();
        ensure!(bad == bad_before, "{} of {sent} records were not delivered", bad - bad_before);
        ensure!(good - good_before == sent, "{} acknowledgements of {sent} records", good - good_before);
        Ok(Done { requests: sent, events: sent, wall })
    }

    /// As many as one request has.
    fn send_some(&mut self, ids: &Ids) -> Result<u64> {
        let headers = headers();
        let count = self.records.len().min(RECORDS_A_REQUEST);
        for record in &mut self.records[..count] {
            record.renew_id(ids);
            let mut outgoing =
                BaseRecord::to(EVENTS_TOPIC).key(&record.key).payload(&record.value).headers(headers.clone());
            while let Err((error, refused)) = self.producer.send(outgoing) {
                if !matches!(error, KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull)) {
                    bail!("rdkafka does not take a record: {error}");
                }
                outgoing = refused;
                std::thread::sleep(FULL_QUEUE_PAUSE);
            }
        }
        // all of them have their turn
        self.records.rotate_left(count);
        Ok(count as u64)
    }

    fn counts(&self) -> (u64, u64) {
        (self.acks.good.load(Ordering::Acquire), self.acks.bad.load(Ordering::Acquire))
    }
}
