//! Whether a stretch of a partition holds any record: a transaction leaves offsets without one, its markers and what it
//! took back.

use std::time::{Duration, Instant};

use audit_event::{NextOffset, PartitionId};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError as ClientError;
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};

use crate::KafkaError;
use crate::config::KafkaConfig;

/// The longest wait for one fetch.
const POLL: Duration = Duration::from_millis(200);

/// Looks at `[from, to)` as the processors read it, committed records only. A transaction that is still open counts as
/// records: nobody knows yet.
pub async fn has_records(
    config: &KafkaConfig,
    topic: &str,
    partition: PartitionId,
    from: NextOffset,
    to: NextOffset,
) -> Result<bool, KafkaError> {
    let (config, topic) = (config.clone(), topic.to_owned());
    let looked = tokio::task::spawn_blocking(move || {
        let consumer: BaseConsumer = config
            .client("sealtrail-unread")?
            // librdkafka wants a group for assign(); nothing is ever committed under it
            .set("group.id", "sealtrail-unread")
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", "error")
            .set("isolation.level", "read_committed")
            .set("enable.partition.eof", "true")
            .create()
            .map_err(|e| KafkaError::of_client("create a kafka client", &e))?;
        look(&consumer, &topic, partition, from, to)
            .map_err(|e| KafkaError::new(format!("look at {topic}/{partition} from {from} on"), e))
    });
    looked.await.map_err(|e| KafkaError::new("look for unread records", e))?
}

fn look(
    consumer: &BaseConsumer,
    topic: &str,
    partition: PartitionId,
    from: NextOffset,
    to: NextOffset,
) -> Result<bool, ClientError> {
    let mut assignment = TopicPartitionList::new();
    assignment.add_partition_offset(topic, partition.0, Offset::Offset(from.0))?;
    consumer.assign(&assignment)?;
    let began = Instant::now();
    while began.elapsed() < Duration::from_millis(KafkaConfig::REQUEST_TIMEOUT_MS) {
        match consumer.poll(POLL) {
            Some(Ok(record)) => return Ok(record.offset() < to.0),
            // the end of what is committed, which may lie before `to`
            Some(Err(ClientError::PartitionEOF(_))) => {
                let position = consumer.position()?;
                let position = position.find_partition(topic, partition.0).and_then(|p| p.offset().to_raw());
                return Ok(position.is_none_or(|position| position < to.0));
            }
            Some(Err(error)) => return Err(error),
            None => {}
        }
    }
    // no answer is no proof
    Ok(true)
}
