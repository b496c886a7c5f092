//! What librdkafka calls back: partitions come and go. All of it runs on the polling thread, where commits run too.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use audit_event::{NextOffset, Offset, PartitionId};
use rdkafka::client::ClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, Rebalance};
use rdkafka::error::{KafkaError as ClientError, RDKafkaErrorCode};
use rdkafka::statistics::Statistics;
use rdkafka::{Offset as Position, TopicPartitionList};

use super::fence::{Fence, Standing};
use super::log_ends::LogEnds;
use super::watchdog::Watchdog;
use super::{ClientStatus, Committed, GroupConfig, GroupError, Incident};
use crate::config::KafkaConfig;
use crate::errors::{Meaning, Operation};

/// How often a drain looks for commits and for released leases.
const DRAIN_TICK: Duration = Duration::from_millis(1);

/// The fence with what it needs to know of its consumer.
pub(super) struct Rebalances {
    pub fence: Fence,
    topic: String,
    drain_timeout: Duration,
    watchdog: Mutex<Watchdog>,
    log_ends: Mutex<LogEnds>,
    trouble: Mutex<Trouble>,
}

#[derive(Default)]
struct Trouble {
    /// Why no consumer can go on.
    stop: Option<GroupError>,
    /// The client's last words.
    last: String,
}

impl Rebalances {
    pub fn new(kafka: &KafkaConfig, topic: &str, config: &GroupConfig, fence: Fence) -> Self {
        let stall_timeout = Duration::from_millis(config.stall_timeout_ms);
        let worker_patience = stall_timeout + fence.handler().longest_call();
        Self {
            fence,
            topic: topic.to_owned(),
            drain_timeout: Duration::from_millis(config.drain_timeout_ms),
            watchdog: Mutex::new(Watchdog::new(stall_timeout, worker_patience)),
            log_ends: Mutex::new(LogEnds::start(kafka, topic)),
            trouble: Mutex::default(),
        }
    }

    /// Only the polling thread takes these, so it never waits.
    pub fn watchdog(&self) -> MutexGuard<'_, Watchdog> {
        self.watchdog.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn trouble(&self) -> MutexGuard<'_, Trouble> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why no consumer can go on, if none can.
    pub fn take_stop(&self) -> Option<GroupError> {
        self.trouble().stop.take()
    }

    /// Decides what becomes of an error, as `errors.rs` says.
    pub fn take_error(
        &self,
        consumer: &BaseConsumer<Self>,
        operation: Operation,
        action: &str,
        error: &ClientError,
    ) {
        // a fatal error only names itself; the client knows what it was
        let fatal = consumer.client().fatal_error().map(|(code, _)| Meaning::of(operation, code));
        let meaning = fatal.unwrap_or_else(|| Meaning::of_error(operation, error));
        let (cause, action) = (error.to_string(), action.to_owned());
        let stop = match meaning {
            Meaning::Mend(mend) => GroupError::Refused { action, cause, mend },
            Meaning::RecordsGone => GroupError::OffsetOutOfRange { topic: self.topic.clone(), cause },
            Meaning::Retry if fatal.is_none() => return tracing::warn!(cause, action, "kafka consumer"),
            _ => return self.fence.break_off(format!("{action}: {cause}")),
        };
        // nothing is begun and nothing committed any more
        self.fence.break_off(stop.to_string());
        self.trouble().stop.get_or_insert(stop);
    }

    /// Looks whether a partition stands still; if one does, this consumer is done for.
    pub fn watch(&self) {
        let now = tokio::time::Instant::now();
        if !self.watchdog().is_due(now) {
            return;
        }
        let log_ends = self.log_ends.lock().unwrap_or_else(PoisonError::into_inner);
        log_ends.answers().for_each(|(partition, end)| self.watchdog().log_ends(partition, end));
        let verdict = self.watchdog().look(now, &self.fence.seen());
        if !verdict.ask.is_empty() {
            log_ends.ask(verdict.ask);
        }
        if let Some(stall) = verdict.stall {
            self.fence.handler().incident(Incident::Stalled(stall.partition()));
            self.fence.break_off(stall.to_string());
        }
    }

    pub fn serve_commits(&self, consumer: &BaseConsumer<Self>) {
        self.fence.serve_commits(&mut |partition, committed| {
            let sent = self
                .offsets(partition, committed)
                .and_then(|offsets| consumer.commit(&offsets, CommitMode::Sync));
            sent.map_err(|error| {
                let action = format!("commit of partition {partition} of {}", self.topic);
                self.take_error(consumer, Operation::Commit, &action, &error);
                error.to_string()
            })
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

    /// A begin is not tried again: a new consumer asks anew.
    fn begin_failed(&self, consumer: &BaseConsumer<Self>, action: &str, error: &ClientError) {
        self.take_error(consumer, Operation::Fetch, action, error);
        self.fence.break_off(format!("{action}: {error}"));
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
        let is_up = |broker: &rdkafka::statistics::Broker| ["UP", "UPDATE"].contains(&broker.state.as_str());
        let reached = statistics.brokers.values().any(is_up);
        let last = self.trouble().last.clone();
        let reached = match (reached, last.is_empty()) {
            (true, _) => Ok(()),
            (false, true) => Err("no broker is connected".to_owned()),
            (false, false) => Err(last),
        };
        let topic = statistics.topics.get(&self.topic);
        // all partitions flow through one queue, and each shows its size
        let prefetched = topic.and_then(|topic| topic.partitions.values().map(|of| of.fetchq_size).max());
        let prefetched_bytes = prefetched.unwrap_or(0);
        self.fence.handler().client(ClientStatus { reached, prefetched_bytes });
        let Some(topic) = topic else { return };
        for (partition, numbers) in &topic.partitions {
            if *partition < 0 {
                continue;
            }
            if numbers.consumer_lag >= 0 {
                self.fence.handler().lag(PartitionId(*partition), numbers.consumer_lag);
            }
            if numbers.next_offset >= 0 {
                self.watchdog().fetched(PartitionId(*partition), NextOffset(numbers.next_offset));
            }
        }
    }

    fn error(&self, error: ClientError, reason: &str) {
        tracing::warn!(%error, reason, "kafka client");
        // that all brokers are down says that something went wrong, not what
        let mut trouble = self.trouble();
        if error.rdkafka_error_code() != Some(RDKafkaErrorCode::AllBrokersDown) || trouble.last.is_empty() {
            trouble.last = reason.to_owned();
        }
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
                    let action = format!("asking where to begin in {}", self.topic);
                    self.begin_failed(consumer, &action, &error);
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
