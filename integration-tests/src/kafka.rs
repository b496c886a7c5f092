//! The direct door: records straight to the topic, and dead letters read back.

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use crate::stack::Stack;

const TIMEOUT: Duration = Duration::from_secs(20);

/// Writes one record as any client with the murmur2 partitioner would; answers partition and offset.
pub async fn produce(stack: &Stack, key: Option<&[u8]>, value: Option<&[u8]>) -> (i32, i64) {
    let producer: FutureProducer = ClientConfig::new()
        .set("bootstrap.servers", stack.var("SEALTRAIL_KAFKA"))
        .set("partitioner", "murmur2_random")
        .set("message.max.bytes", "2000000")
        .create()
        .expect("a producer");
    let mut record: FutureRecord<'_, [u8], [u8]> = FutureRecord::to("audit.events.v1");
    record.key = key;
    record.payload = value;
    let delivery = producer.send(record, TIMEOUT).await.expect("the broker takes it");
    (delivery.partition, delivery.offset)
}

/// A dead letter as it stands in the topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    pub reason: String,
    pub partition: String,
    pub offset: String,
    pub value: Option<Vec<u8>>,
}

/// All dead letters up to now.
pub fn dead_letters(stack: &Stack) -> Vec<DeadLetter> {
    const TOPIC: &str = "audit.dead-letters.v1";
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", stack.var("SEALTRAIL_KAFKA"))
        .set("group.id", "integration-tests")
        .set("enable.auto.commit", "false")
        .create()
        .expect("a consumer");
    let (_, end) = consumer.fetch_watermarks(TOPIC, 0, TIMEOUT).expect("watermarks");
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(TOPIC, 0, Offset::Beginning).expect("a partition");
    consumer.assign(&list).expect("assigned");
    let mut letters = Vec::new();
    while i64::try_from(letters.len()).expect("few") < end {
        let record = consumer.poll(TIMEOUT).expect("a record in time").expect("a record");
        letters.push(to_letter(&record));
    }
    letters
}

fn to_letter(record: &BorrowedMessage<'_>) -> DeadLetter {
    let header = |name: &str| {
        let headers = record.headers().expect("headers");
        let found = headers.iter().find(|header| header.key == name);
        String::from_utf8(found.and_then(|h| h.value).unwrap_or_default().to_vec()).expect("text")
    };
    DeadLetter {
        reason: header("sealtrail-reason"),
        partition: header("sealtrail-partition"),
        offset: header("sealtrail-offset"),
        value: record.payload().map(<[u8]>::to_vec),
    }
}
