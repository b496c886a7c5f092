//! A copy of a topic, record by record, and its way back: how a person restores a topic from a mirror.

use std::time::Duration;

use anyhow::{Context, ensure};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{BorrowedMessage, Headers, Message, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

const TIMEOUT: Duration = Duration::from_secs(20);
/// More than a scenario ever writes.
const MAX_RECORDS: usize = 2_000_000;

struct Kept {
    partition: i32,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Option<OwnedHeaders>,
}

/// The records of a topic, in the order of each partition.
pub struct Archive {
    topic: String,
    records: Vec<Kept>,
}

impl Archive {
    /// Reads a topic that stands still, from its begin to its end.
    pub async fn take(brokers: &str, topic: &str, watermarks: &[(i64, i64)]) -> anyhow::Result<Self> {
        let (config, name, watermarks) = (client(brokers), topic.to_owned(), watermarks.to_vec());
        let reading = tokio::task::spawn_blocking(move || read(&config, &name, &watermarks));
        Ok(Self { topic: topic.to_owned(), records: reading.await?? })
    }

    pub fn record_count(&self) -> usize {
        self.records.len()
    }

    /// Writes all of them into a topic that is new, so that each has its offset again.
    pub async fn put_back(&self, brokers: &str) -> anyhow::Result<()> {
        let mut config = client(brokers);
        config.set("acks", "all").set("enable.idempotence", "true").set("linger.ms", "20");
        config.set("message.max.bytes", "2000000").set("queue.buffering.max.messages", "2000000");
        let producer: FutureProducer = config.create().context("a producer")?;
        let mut sent = Vec::new();
        for record in &self.records {
            let mut future = FutureRecord::<[u8], [u8]>::to(&self.topic).partition(record.partition);
            future.key = record.key.as_deref();
            future.payload = record.value.as_deref();
            future.headers = record.headers.clone();
            sent.push(producer.send_result(future).map_err(|(error, _)| error).context("queue a record")?);
        }
        for delivery in sent {
            let delivery = tokio::time::timeout(Duration::from_secs(120), delivery).await??;
            delivery.map_err(|(error, _)| error).context("write a record")?;
        }
        Ok(())
    }
}

fn client(brokers: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", brokers)
        .set("group.id", "chaos-archive")
        .set("enable.auto.commit", "false");
    config
}

fn read(config: &ClientConfig, topic: &str, watermarks: &[(i64, i64)]) -> anyhow::Result<Vec<Kept>> {
    let consumer: BaseConsumer = config.create().context("a consumer")?;
    let mut list = TopicPartitionList::new();
    let mut wanted = 0;
    for (partition, (low, high)) in watermarks.iter().enumerate() {
        ensure!(*low == 0, "partition {partition} begins at {low}: its offsets cannot be had again");
        list.add_partition_offset(topic, i32::try_from(partition)?, Offset::Beginning)?;
        wanted += usize::try_from(high - low)?;
    }
    ensure!(wanted <= MAX_RECORDS, "{wanted} records are too many");
    consumer.assign(&list)?;
    let mut records = Vec::with_capacity(wanted);
    while records.len() < wanted {
        let record = consumer.poll(TIMEOUT).context("the topic gives no more records")??;
        records.push(keep(&record));
    }
    Ok(records)
}

fn keep(record: &BorrowedMessage<'_>) -> Kept {
    let headers = record.headers().map(|headers| headers.detach());
    Kept {
        partition: record.partition(),
        key: record.key().map(<[u8]>::to_vec),
        value: record.payload().map(<[u8]>::to_vec),
        headers: headers.filter(|headers| headers.count() > 0),
    }
}
