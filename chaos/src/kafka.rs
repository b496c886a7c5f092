//! What a scenario asks the brokers and does to them, past every proxy.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, anyhow};
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use schemas::EVENTS_TOPIC;

/// The processors' consumer group, as the settings have it by default.
pub const GROUP: &str = "sealtrail-processor";
const OFFSETS_TOPIC: &str = "__consumer_offsets";
const TIMEOUT: Duration = Duration::from_secs(10);
/// Above a session, which is shortened to 6 s, and a rebalance that waits for a member for group.max_poll_interval_ms.
const FORGOTTEN_LIMIT: Duration = Duration::from_secs(90);

#[derive(Debug, Clone)]
pub struct Kafka {
    brokers: String,
}

/// A partition's committed offset, with what was announced with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    pub offset: i64,
    pub metadata: String,
}

/// By partition; those without a commit are left out.
pub type Commits = BTreeMap<i32, Committed>;

/// A record to write past the gateway.
#[derive(Debug, Clone, Default)]
pub struct RawRecord {
    pub partition: Option<i32>,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
}

impl Kafka {
    pub fn new(brokers: &str) -> Self {
        Self { brokers: brokers.to_owned() }
    }

    fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.brokers)
            .set("log_level", "2")
            .set("enable.auto.commit", "false");
        config
    }

    fn consumer(&self, group: &str) -> anyhow::Result<BaseConsumer> {
        self.client().set("group.id", group).create().context("a consumer")
    }

    fn admin(&self) -> anyhow::Result<AdminClient<DefaultClientContext>> {
        self.client().create().context("an admin client")
    }

    /// Runs what blocks beside the runtime.
    async fn blocking<T: Send + 'static>(
        &self,
        group: &str,
        ask: impl FnOnce(&BaseConsumer) -> anyhow::Result<T> + Send + 'static,
    ) -> anyhow::Result<T> {
        let consumer = self.consumer(group)?;
        tokio::task::spawn_blocking(move || ask(&consumer)).await?
    }

    /// The first and the next offset of each partition of the events topic.
    pub async fn watermarks(&self) -> anyhow::Result<Vec<(i64, i64)>> {
        let partitions = self.partitions(EVENTS_TOPIC).await?;
        let asked = self.blocking("chaos-look", move |consumer| {
            let of = |partition| Ok(consumer.fetch_watermarks(EVENTS_TOPIC, partition, TIMEOUT)?);
            (0..partitions).map(of).collect()
        });
        asked.await
    }

    pub async fn partitions(&self, topic: &str) -> anyhow::Result<i32> {
        Ok(i32::try_from(self.leaders(topic).await?.len())?)
    }

    /// The broker (from 0) that leads each partition; -2 where none does.
    pub async fn leaders(&self, topic: &str) -> anyhow::Result<Vec<i32>> {
        let name = topic.to_owned();
        let asked = self.blocking("chaos-look", move |consumer| {
            let metadata = consumer.fetch_metadata(Some(&name), TIMEOUT)?;
            let found = metadata.topics().iter().find(|found| found.name() == name);
            let found = found.ok_or_else(|| anyhow!("no topic {name}"))?;
            let mut leaders: Vec<_> = found.partitions().iter().map(|p| (p.id(), p.leader() - 1)).collect();
            leaders.sort_unstable();
            Ok(leaders.into_iter().map(|(_, leader)| leader).collect())
        });
        asked.await
    }

    /// Whether every partition of every topic has all its replicas in sync.
    pub async fn is_in_sync(&self) -> anyhow::Result<bool> {
        let asked = self.blocking("chaos-look", move |consumer| {
            let metadata = consumer.fetch_metadata(None, TIMEOUT)?;
            let mut partitions = metadata.topics().iter().flat_map(|topic| topic.partitions());
            let all = partitions.all(|p| p.leader() >= 0 && p.isr().len() == p.replicas().len());
            Ok(all && metadata.brokers().len() == usize::from(crate::ports::BROKERS))
        });
        asked.await
    }

    /// The broker (from 0) that coordinates a group: it leads the partition that the group's name falls into.
    pub async fn coordinator(&self, group: &str) -> anyhow::Result<u16> {
        let leaders = self.leaders(OFFSETS_TOPIC).await?;
        let partition = java_hash(group).unsigned_abs() as usize % leaders.len().max(1);
        let leader = *leaders.get(partition).context("no topic of offsets yet")?;
        u16::try_from(leader).context("the group's partition has no leader")
    }

    pub async fn commits(&self, group: &str) -> anyhow::Result<Commits> {
        let partitions = self.partitions(EVENTS_TOPIC).await?;
        let asked = self.blocking(group, move |consumer| {
            let mut list = TopicPartitionList::new();
            list.add_partition_range(EVENTS_TOPIC, 0, partitions - 1);
            let committed = consumer.committed_offsets(list, TIMEOUT)?;
            let commit = |element: &rdkafka::topic_partition_list::TopicPartitionListElem<'_>| {
                let Offset::Offset(offset) = element.offset() else { return None };
                Some((element.partition(), Committed { offset, metadata: element.metadata().to_owned() }))
            };
            Ok(committed.elements().iter().filter_map(commit).collect())
        });
        asked.await
    }

    /// Overwrites commits. Kafka takes that once the group has no member: a static one is forgotten with its session.
    pub async fn commit(&self, group: &str, commits: Commits) -> anyhow::Result<()> {
        crate::wait::until("the group has no member, and takes commits", FORGOTTEN_LIMIT, || async {
            let commits = commits.clone();
            let asked = self.blocking(group, move |consumer| {
                let mut list = TopicPartitionList::new();
                for (partition, committed) in commits {
                    let mut element = list.add_partition(EVENTS_TOPIC, partition);
                    element.set_offset(Offset::Offset(committed.offset))?;
                    element.set_metadata(committed.metadata);
                }
                Ok(consumer.commit(&list, CommitMode::Sync)?)
            });
            asked.await.is_ok()
        })
        .await
    }

    /// Erases a group with all its commits, once it has no member.
    pub async fn delete_group(&self, group: &str) -> anyhow::Result<()> {
        crate::wait::until("the group has no member, and is deleted", FORGOTTEN_LIMIT, || async {
            let Ok(admin) = self.admin() else { return false };
            let deleted = admin.delete_groups(&[group], &options()).await;
            deleted.is_ok_and(|groups| groups.iter().all(Result::is_ok))
        })
        .await
    }

    /// Removes all records below these offsets.
    pub async fn delete_records(&self, before: &[(i32, i64)]) -> anyhow::Result<()> {
        let mut list = TopicPartitionList::new();
        for (partition, offset) in before {
            list.add_partition_offset(EVENTS_TOPIC, *partition, Offset::Offset(*offset))?;
        }
        self.admin()?.delete_records(&list, &options()).await?;
        Ok(())
    }

    pub async fn raise_partitions(&self, topic: &str, partitions: usize) -> anyhow::Result<()> {
        for raised in
            self.admin()?.create_partitions(&[NewPartitions::new(topic, partitions)], &options()).await?
        {
            raised.map_err(|(topic, code)| anyhow!("topic {topic} is not changed: {code}"))?;
        }
        Ok(())
    }

    /// Takes a topic away, and waits until no broker shows it.
    pub async fn delete_topic(&self, topic: &str) -> anyhow::Result<()> {
        for deleted in self.admin()?.delete_topics(&[topic], &options()).await? {
            deleted.map_err(|(topic, code)| anyhow!("topic {topic} is not deleted: {code}"))?;
        }
        crate::wait::until("the topic is gone", Duration::from_secs(30), || async {
            let name = topic.to_owned();
            let asked = self.blocking("chaos-look", move |consumer| {
                let metadata = consumer.fetch_metadata(None, TIMEOUT)?;
                Ok(metadata.topics().iter().all(|found| found.name() != name))
            });
            asked.await.unwrap_or(false)
        })
        .await
    }

    /// Makes a topic with three replicas and these settings.
    pub async fn create_topic(
        &self,
        name: &str,
        partitions: i32,
        settings: &[(&str, &str)],
    ) -> anyhow::Result<()> {
        let topic = NewTopic::new(name, partitions, TopicReplication::Fixed(3));
        let topic = settings.iter().fold(topic, |topic, (key, value)| topic.set(key, value));
        for made in self.admin()?.create_topics([&topic], &options()).await? {
            made.map_err(|(topic, code)| anyhow!("topic {topic} is not made: {code}"))?;
        }
        Ok(())
    }

    /// Writes records to the events topic as a producer of the direct door would; answers their places.
    pub async fn produce(&self, records: &[RawRecord]) -> anyhow::Result<Vec<(i32, i64)>> {
        let mut config = self.client();
        config.set("partitioner", "murmur2_random").set("acks", "all").set("enable.idempotence", "true");
        config.set("message.max.bytes", "2000000").set("linger.ms", "5");
        let producer: FutureProducer = config.create().context("a producer")?;
        let mut sent = Vec::new();
        for record in records {
            let headers = OwnedHeaders::new().insert(Header { key: "chaos", value: Some("raw") });
            let mut future = FutureRecord::<[u8], [u8]>::to(EVENTS_TOPIC).headers(headers);
            future.partition = record.partition;
            future.key = record.key.as_deref();
            future.payload = record.value.as_deref();
            // the queue is far larger than what a scenario writes
            sent.push(producer.send_result(future).map_err(|(error, _)| error).context("queue a record")?);
        }
        let mut places = Vec::new();
        for delivery in sent {
            let delivery = tokio::time::timeout(Duration::from_secs(60), delivery).await??;
            let delivery = delivery.map_err(|(error, _)| error).context("write a record")?;
            places.push((delivery.partition, delivery.offset));
        }
        Ok(places)
    }
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(TIMEOUT)).operation_timeout(Some(TIMEOUT))
}

/// `String.hashCode` of Java, by which Kafka finds a group's coordinator.
fn java_hash(text: &str) -> i32 {
    text.encode_utf16().fold(0_i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_java_s() {
        // as jshell prints "hello world".hashCode() and the others
        assert_eq!(java_hash(""), 0);
        assert_eq!(java_hash("a"), 97);
        assert_eq!(java_hash("hello world"), 1_794_106_052);
    }
}
