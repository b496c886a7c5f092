//! A group's committed offsets, read and set from outside of the group: for `sealtrail doctor`, `backup` and `restore`.
//! The processor itself commits through its assignments only.

use std::time::Duration;

use audit_event::{NextOffset, PartitionId};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::KafkaError as ClientError;
use rdkafka::{Offset as Position, TopicPartitionList};

use crate::KafkaError;
use crate::config::KafkaConfig;
use crate::errors::is_missing_group;
pub use crate::group::Committed;

/// Who is in the group now, as client id and host. A static member counts until its session ends, also when its
/// process is gone.
pub async fn members(config: &KafkaConfig, group: &str) -> Result<Vec<String>, KafkaError> {
    let action = format!("ask for the members of group {group}");
    on_client(config, group, action, |consumer, group| {
        let groups = match consumer.fetch_group_list(Some(group), timeout()) {
            Ok(groups) => groups,
            Err(error) if is_missing_group(&error) => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let members = groups.groups().iter().filter(|found| found.name() == group).flat_map(|found| {
            let show = |member: &rdkafka::groups::GroupMemberInfo| {
                format!("{} at {}", member.client_id(), member.client_host().trim_start_matches('/'))
            };
            found.members().iter().map(show).collect::<Vec<_>>()
        });
        Ok(members.collect())
    })
    .await
}

/// What an answer about commits says of a partition. One that says neither an offset nor that there is none is an error, and
/// not "none".
pub(crate) fn committed_in(
    answer: &TopicPartitionList,
    topic: &str,
    partition: PartitionId,
) -> Result<Option<Committed>, ClientError> {
    let Some(element) = answer.find_partition(topic, partition.0) else { return Ok(None) };
    element.error()?;
    let offset = element.offset().to_raw().filter(|raw| *raw >= 0).map(NextOffset);
    Ok(offset.map(|offset| Committed { offset, metadata: element.metadata().to_owned() }))
}

/// What the group has committed, by partition number; `None` where it has not.
pub async fn committed(
    config: &KafkaConfig,
    group: &str,
    topic: &str,
    partitions: usize,
) -> Result<Vec<Option<Committed>>, KafkaError> {
    let topic = topic.to_owned();
    let action = format!("ask for the commits of group {group}");
    on_client(config, group, action, move |consumer, _| {
        let found = consumer.committed_offsets(list_of(&topic, partitions), timeout())?;
        (0..partitions).map(|partition| committed_in(&found, &topic, PartitionId(partition as i32))).collect()
    })
    .await
}

/// Commits plainly, as a closed batch with nothing in flight leaves it: an offset with empty metadata. Kafka refuses
/// while the group has members.
pub async fn commit_plainly(
    config: &KafkaConfig,
    group: &str,
    topic: &str,
    offsets: &[(PartitionId, NextOffset)],
) -> Result<(), KafkaError> {
    let action = format!("commit for group {group}, which must have no members");
    let (topic, offsets) = (topic.to_owned(), offsets.to_vec());
    on_client(config, group, action, move |consumer, _| {
        let mut list = TopicPartitionList::with_capacity(offsets.len());
        for (partition, offset) in &offsets {
            list.add_partition_offset(&topic, partition.0, Position::Offset(offset.0))?;
        }
        consumer.commit(&list, CommitMode::Sync)
    })
    .await
}

fn list_of(topic: &str, partitions: usize) -> TopicPartitionList {
    let mut list = TopicPartitionList::with_capacity(partitions);
    for partition in 0..partitions {
        list.add_partition(topic, partition as i32);
    }
    list
}

/// Runs a call that blocks on a client that never joins the group.
async fn on_client<T: Send + 'static>(
    config: &KafkaConfig,
    group: &str,
    action: String,
    call: impl FnOnce(&BaseConsumer, &str) -> Result<T, rdkafka::error::KafkaError> + Send + 'static,
) -> Result<T, KafkaError> {
    let (mut client, group, failed) = (config.client("sealtrail-commits")?, group.to_owned(), action.clone());
    let asked = tokio::task::spawn_blocking(move || {
        client.set("group.id", &group).set("enable.auto.commit", "false");
        let consumer: BaseConsumer = client.create()?;
        call(&consumer, &group)
    });
    let answered = asked.await.map_err(|e| KafkaError::new(failed, e))?;
    answered.map_err(|e: rdkafka::error::KafkaError| KafkaError::new(action, e))
}

fn timeout() -> Duration {
    Duration::from_millis(KafkaConfig::REQUEST_TIMEOUT_MS)
}
