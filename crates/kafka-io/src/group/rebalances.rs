//! What librdkafka calls back: partitions come and go. All of it runs on the polling thread, where commits run too.

use std::time::{Duration, Instant};

use audit_event::{NextOffset, Offset, PartitionId};
use rdkafka::client::ClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, Rebalance};
use rdkafka::error::KafkaError as ClientError;
use rdkafka::statistics::Statistics;
use rdkafka::{Offset as Position, TopicPartitionList};

use super::fence::{Fence, Standing};
use super::{Committed, GroupConfig};
use crate::config::KafkaConfig;

/// How often a drain looks for commits and for released leases.
const DRAIN_TICK: Duration = Duration::from_millis(1);

/// The fence with what it needs to know of its consumer.
pub(super) struct Rebalances {
    pub fence: Fence,
    topic: String,
    drain_timeout: Duration,
}

impl Rebalances {
    pub fn new(topic: &str, config: &GroupConfig, fence: Fence) -> Self {
        let drain_timeout = Duration::from_millis(config.drain_timeout_ms);
        Self { fence, topic: topic.to_owned(), drain_timeout }
    }

    pub fn serve_commits(&self, consumer: &BaseConsumer<Self>) {
        self.fence.serve_commits(&mut |partition, committed| {
            let sent = self
                .offsets(partition, committed)
                .and_then(|offsets| consumer.commit(&offsets, CommitMode::Sync));
            sent.map_err(|error| error.to_string())
        });
    }

    fn offsets(
        &self,
        partition: PartitionId,
        committed: &Committed,
    ) -> Result<TopicPartitionList, ClientError> {
        let mut offsets = TopicPartitionList::with_capacity(1);
        let mut element = offsets.add_partition(&self.topic, partition.0);
        element.set_offset(Position::Offset(committed.offset.0))?;
        element.set_metadata(&committed.metadata);
        Ok(offsets)
    }

    /// Asks workers to finish and serves their commits until they have, within the drain time.
    pub fn drain(&self, consumer: &BaseConsumer<Self>, partitions: &[PartitionId]) {
        let until = Instant::now() + self.drain_timeout;
        let draining = self.fence.begin_drain(partitions);
        while !draining.is_done() && Instant::now() < until && self.fence.broken().is_none() {
            self.serve_commits(consumer);
            std::thread::sleep(DRAIN_TICK);
        }
        self.fence.abandon(partitions);
    }

    /// Looks up where each partition stands and starts its worker. Sets the begin of reading in the list itself.
    fn begin(&self, consumer: &BaseConsumer<Self>, assigned: &TopicPartitionList) -> Result<(), ClientError> {
        let timeout = Duration::from_millis(KafkaConfig::REQUEST_TIMEOUT_MS);
        let committed = consumer.committed_offsets(assigned.clone(), timeout)?;
        let mut standings = Vec::with_capacity(assigned.count());
        for mut element in assigned.elements() {
            let partition = PartitionId(element.partition());
            let (low, high) = consumer.fetch_watermarks(&self.topic, partition.0, timeout)?;
            let committed = committed.find_partition(&self.topic, partition.0).and_then(|found| {
                let offset = NextOffset(found.offset().to_raw().filter(|raw| *raw >= 0)?);
                Some(Committed { offset, metadata: found.metadata().to_owned() })
            });
            let (log_start, high_watermark) = (Offset(low), NextOffset(high));
            let standing = Standing { partition, committed, log_start, high_watermark };
            element.set_offset(Position::Offset(self.fence.first_offset(&standing).0))?;
            standings.push(standing);
        }
        self.fence.begin(standings);
        Ok(())
    }
}

impl ClientContext for Rebalances {
    fn stats(&self, statistics: Statistics) {
        let Some(topic) = statistics.topics.get(&self.topic) else { return };
        for (partition, numbers) in &topic.partitions {
            if *partition >= 0 && numbers.consumer_lag >= 0 {
                self.fence.handler().lag(PartitionId(*partition), numbers.consumer_lag);
            }
        }
    }

    fn error(&self, error: ClientError, reason: &str) {
        tracing::warn!(%error, reason, "kafka client");
    }
}

impl ConsumerContext for Rebalances {
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        match rebalance {
            // what comes to a consumer that is about to be thrown away is not begun
            Rebalance::Assign(_) if self.fence.broken().is_some() => {}
            Rebalance::Assign(assigned) => {
                tracing::info!(partitions = ?numbers(assigned), "partitions assigned");
                if let Err(error) = self.begin(consumer, assigned) {
                    self.fence.break_off(format!("asking where to begin: {error}"));
                }
            }
            Rebalance::Revoke(revoked) => {
                let partitions = numbers(revoked);
                tracing::info!(?partitions, lost = consumer.assignment_lost(), "partitions revoked");
                if consumer.assignment_lost() {
                    self.fence.abandon(&partitions);
                    self.fence.break_off("the assignment was lost");
                } else {
                    self.drain(consumer, &partitions);
                }
            }
            Rebalance::Error(error) => self.fence.break_off(format!("rebalance: {error}")),
        }
    }

    /// librdkafka keeps a pause beyond the assignment that it was made under: a partition that was paused when it went
    /// away would come back and never be read.
    fn post_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if let Rebalance::Assign(assigned) = rebalance
            && assigned.count() > 0
            && let Err(error) = consumer.resume(assigned)
        {
            self.fence.break_off(format!("resume: {error}"));
        }
    }
}

fn numbers(list: &TopicPartitionList) -> Vec<PartitionId> {
    list.elements().iter().map(|element| PartitionId(element.partition())).collect()
}
