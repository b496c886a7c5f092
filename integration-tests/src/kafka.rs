//! The direct door: records straight to the topic, and dead letters read back.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, ConfigSource, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{BorrowedMessage, Header, Headers, Message, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord, Producer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use crate::eventually;
use crate::stack::Stack;

const TIMEOUT: Duration = Duration::from_secs(20);

/// Writes one record as any client with the murmur2 partitioner would; answers partition and offset.
pub async fn produce(stack: &Stack, key: Option<&[u8]>, value: Option<&[u8]>) -> (i32, i64) {
    produce_with_headers(stack, key, value, &[]).await
}

/// As [`produce`], with headers.
pub async fn produce_with_headers(
    stack: &Stack,
    key: Option<&[u8]>,
    value: Option<&[u8]>,
    headers: &[(&str, &str)],
) -> (i32, i64) {
    let producer: FutureProducer = ClientConfig::new()
        .set("bootstrap.servers", stack.var("SEALTRAIL_KAFKA"))
        .set("partitioner", "murmur2_random")
        .set("message.max.bytes", "2000000")
        .create()
        .expect("a producer");
    let carried = headers.iter().fold(OwnedHeaders::new(), |headers, &(key, value)| {
        headers.insert(Header { key, value: Some(value) })
    });
    let mut record: FutureRecord<'_, [u8], [u8]> = FutureRecord::to("audit.events.v1").headers(carried);
    record.key = key;
    record.payload = value;
    let delivery = producer.send(record, TIMEOUT).await.expect("the broker takes it");
    (delivery.partition, delivery.offset)
}

/// Writes one record in a transaction, which leaves a marker behind it.
pub async fn produce_in_transaction(stack: &Stack, key: &[u8], value: &[u8]) {
    let producer: FutureProducer = ClientConfig::new()
        .set("bootstrap.servers", stack.var("SEALTRAIL_KAFKA"))
        .set("partitioner", "murmur2_random")
        .set("transactional.id", "integration-tests")
        .create()
        .expect("a producer");
    producer.init_transactions(TIMEOUT).expect("transactions");
    producer.begin_transaction().expect("a transaction");
    let record = FutureRecord::to("audit.events.v1").key(key).payload(value);
    producer.send(record, TIMEOUT).await.expect("the broker takes it");
    producer.commit_transaction(TIMEOUT).expect("committed");
}

/// How many offsets the events topic has given out, all partitions together.
pub fn events_end(stack: &Stack) -> i64 {
    const TOPIC: &str = "audit.events.v1";
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", stack.var("SEALTRAIL_KAFKA"))
        .create()
        .expect("a consumer");
    let metadata = consumer.fetch_metadata(Some(TOPIC), TIMEOUT).expect("metadata");
    let partitions = metadata.topics()[0].partitions().iter().map(|partition| partition.id());
    partitions.map(|id| consumer.fetch_watermarks(TOPIC, id, TIMEOUT).expect("watermarks").1).sum()
}

/// The settings that a topic was given of its own, as changed or not by a person.
pub async fn topic_settings(stack: &Stack, topic: &str) -> BTreeMap<String, String> {
    let asked = admin(stack).describe_configs(&[ResourceSpecifier::Topic(topic)], &AdminOptions::new()).await;
    let resource = asked.expect("an answer").remove(0).expect("the topic is there");
    let own = resource.entries.into_iter().filter(|entry| entry.source == ConfigSource::DynamicTopic);
    own.filter_map(|entry| Some((entry.name, entry.value?))).collect()
}

/// Replaces a topic's own settings.
pub async fn set_topic_settings(stack: &Stack, topic: &str, settings: &BTreeMap<String, String>) {
    let mut change = AlterConfig::new(ResourceSpecifier::Topic(topic));
    for (name, value) in settings {
        change = change.set(name, value);
    }
    let answers = admin(stack).alter_configs([&change], &AdminOptions::new()).await.expect("an answer");
    answers.into_iter().for_each(|answer| drop(answer.expect("the change is made")));
}

fn admin(stack: &Stack) -> AdminClient<DefaultClientContext> {
    let mut client = ClientConfig::new();
    client.set("bootstrap.servers", stack.var("SEALTRAIL_KAFKA")).create().expect("a client")
}

/// A dead letter as it stands in the topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    pub reason: String,
    pub partition: String,
    pub offset: String,
    pub value: Option<Vec<u8>>,
    pub headers: BTreeMap<String, String>,
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
    let text = |value: Option<&[u8]>| String::from_utf8(value.unwrap_or_default().to_vec()).expect("text");
    let headers: BTreeMap<_, _> = record
        .headers()
        .expect("headers")
        .iter()
        .map(|header| (header.key.to_owned(), text(header.value)))
        .collect();
    DeadLetter {
        reason: headers["sealtrail-reason"].clone(),
        partition: headers["sealtrail-partition"].clone(),
        offset: headers["sealtrail-offset"].clone(),
        value: record.payload().map(<[u8]>::to_vec),
        headers,
    }
}

/// Takes a topic away, and waits until it is gone.
pub async fn delete_topic(stack: &Stack, topic: &str) {
    let deleted = admin(stack).delete_topics(&[topic], &AdminOptions::new()).await.expect("an answer");
    deleted.into_iter().for_each(|topic| drop(topic.expect("deleted")));
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", stack.var("SEALTRAIL_KAFKA"))
        .create()
        .expect("a consumer");
    eventually("the topic is gone", || async {
        let metadata = consumer.fetch_metadata(None, TIMEOUT).expect("metadata");
        metadata.topics().iter().all(|known| known.name() != topic).then_some(())
    })
    .await;
}
