//! One partition, read from an offset on, without a group: committed records only, in their order, none left out.

use std::time::Duration;

use audit_event::{NextOffset, Offset, PartitionId, RecordTime};
use rdkafka::TopicPartitionList;
use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaError as ClientError;
use rdkafka::message::Message;

use crate::KafkaError;
use crate::config::KafkaConfig;
use crate::errors::{Meaning, Operation};
use crate::reach::{Asker, Doorman};

/// Records that wait in the client, in KiB.
const WAITING_KIB: &str = "16384";

/// A record where it stands.
#[derive(Debug, Clone, Copy)]
pub struct TailRecord<'a> {
    pub offset: Offset,
    pub timestamp: RecordTime,
    /// A record without a value has none of its bytes.
    pub value: &'a [u8],
}

/// What a wait brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tailed {
    /// A record was given.
    Record,
    /// Nothing came.
    Nothing,
}

pub struct Tail {
    consumer: Asker,
    what: String,
}

impl Tail {
    /// Reads from `from` on. An offset that the partition does not hold any more is an error of the first reading.
    pub fn open(
        config: &KafkaConfig,
        topic: &str,
        partition: PartitionId,
        from: NextOffset,
    ) -> Result<Self, KafkaError> {
        let what = format!("read {topic}/{partition}");
        let consumer: Asker = config
            .client("sealtrail-tail")?
            // librdkafka wants a group for assign(); nothing is ever committed under it
            .set("group.id", "sealtrail-tail")
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", "error")
            .set("isolation.level", "read_committed")
            .set("queued.max.messages.kbytes", WAITING_KIB)
            .set("fetch.wait.max.ms", "100")
            .create_with_context(Doorman::default())
            .map_err(|e| KafkaError::of_client("create a kafka client", &e))?;
        let mut assignment = TopicPartitionList::new();
        assignment
            .add_partition_offset(topic, partition.0, rdkafka::Offset::Offset(from.0))
            .and_then(|()| consumer.assign(&assignment))
            .map_err(|e| KafkaError::new(what.as_str(), e))?;
        Ok(Self { consumer, what })
    }

    /// Waits for the next record and gives it to `take`. What passes by itself is waited out; an error is one that a
    /// person must mend, or records that are gone.
    pub fn next(&self, wait: Duration, take: impl FnOnce(TailRecord<'_>)) -> Result<Tailed, KafkaError> {
        let Some(polled) = self.consumer.poll(wait) else { return Ok(Tailed::Nothing) };
        match polled {
            Ok(record) => {
                let timestamp = record.timestamp().to_millis().ok_or_else(|| {
                    KafkaError::new(self.what.as_str(), format!("record {} has no time", record.offset()))
                })?;
                take(TailRecord {
                    offset: Offset(record.offset()),
                    timestamp: RecordTime(timestamp),
                    value: record.payload().unwrap_or_default(),
                });
                Ok(Tailed::Record)
            }
            Err(error) => self.waited_out(&error),
        }
    }

    fn waited_out(&self, error: &ClientError) -> Result<Tailed, KafkaError> {
        match Meaning::of_error(Operation::Fetch, error) {
            Meaning::Retry => {
                tracing::warn!(what = self.what, %error, "waiting");
                Ok(Tailed::Nothing)
            }
            Meaning::RecordsGone => Err(KafkaError::new(
                self.what.as_str(),
                format!("{error}; records are gone before they were read, or the topic was made anew"),
            )),
            Meaning::Mend(mend) => Err(KafkaError::new(self.what.as_str(), format!("{error}; {mend}"))),
            _ => Err(KafkaError::new(self.what.as_str(), error)),
        }
    }
}
