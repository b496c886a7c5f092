//! What librdkafka calls back: partitions come and go. All of it runs on the polling thread, where commits run too.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use audit_event::{NextOffset, Offset, PartitionId};
use rdkafka::client::ClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, Rebalance};
use rdkafka::error::{KafkaError as ClientError, RDKafkaErrorCode};
use rdkafka::statistics::Statistics;
use rdkafka::{Offset as Position, TopicPartitionList};

use super::fence::{CommitAnswer, Fence, Standing};
use super::inquiry::{Answer, Inquiry};
use super::session::LONGEST_SINGLE_SEND;
use super::watchdog::{Patience, Watchdog};
use super::{ClientStatus, Committed, GroupConfig, GroupError, Incident};
use crate::commits::committed_in;
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
    inquiry: Mutex<Inquiry>,
    trouble: Mutex<Trouble>,
}

#[derive(Default)]
struct Trouble {
    /// Kafka has thrown the member out.
    is_lost: bool,
    /// Why no consumer can go on.
    stop: Option<GroupError>,
    /// The client's last words.
    last: String,
}

impl Rebalances {
    pub fn new(kafka: &KafkaConfig, topic: &str, config: &GroupConfig, fence: Fence) -> Self {
        let fetch = Duration::from_millis(config.stall_timeout_ms);
        let drain_timeout = Duration::from_millis(config.drain_timeout_ms);
        let (worker, owner) = (fetch + fence.handler().longest_call(), fetch + drain_timeout);
        Self {
            fence,
            topic: topic.to_owned(),
            drain_timeout,
            watchdog: Mutex::new(Watchdog::new(Patience { fetch, worker, owner })),
            inquiry: Mutex::new(Inquiry::start(kafka, &config.group_id, topic)),
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

    /// Whether Kafka has thrown this member out.
    pub fn was_lost(&self) -> bool {
        self.trouble().is_lost
    }

    /// What an error means, as `errors.rs` says.
    fn meaning_of(consumer: &BaseConsumer<Self>, operation: Operation, error: &ClientError) -> Meaning {
        // a fatal error only names itself; the client knows what it was
        match consumer.client().fatal_error().map(|(code, _)| Meaning::of(operation, code)) {
            // no client with a fatal error goes on
            Some(Meaning::Retry) => Meaning::NewClient,
            fatal => fatal.unwrap_or_else(|| Meaning::of_error(operation, error)),
        }
    }

    /// Decides what becomes of an error.
    pub fn take_error(
        &self,
        consumer: &BaseConsumer<Self>,
        operation: Operation,
        action: &str,
        error: &ClientError,
    ) -> Meaning {
        let meaning = Self::meaning_of(consumer, operation, error);
        let (cause, action) = (error.to_string(), action.to_owned());
        let stop = match meaning {
            Meaning::Mend(mend) => GroupError::Refused { action, cause, mend },
            Meaning::RecordsGone => GroupError::OffsetOutOfRange { topic: self.topic.clone(), cause },
            Meaning::Retry => {
                tracing::warn!(cause, action, "kafka consumer");
                return meaning;
            }
            _ => {
                self.fence.break_off(format!("{action}: {cause}"));
                return meaning;
            }
        };
        // nothing is begun and nothing committed any more
        self.fence.break_off(stop.to_string());
        self.trouble().stop.get_or_insert(stop);
        meaning
    }

    /// Looks whether a partition stands still; if one does, this consumer is done for.
    pub fn watch(&self) {
        let now = tokio::time::Instant::now();
        if !self.watchdog().is_due(now) {
            return;
        }
        let inquiry = self.inquiry.lock().unwrap_or_else(PoisonError::into_inner);
        for answer in inquiry.answers() {
            match answer {
                Answer::LogEnd(partition, end) => self.watchdog().log_ends(partition, end),
                Answer::Unowned(partitions) => self.watchdog().unowned(&partitions),
            }
        }
        let verdict = self.watchdog().look(now, &self.fence.seen());
        verdict.ask.into_iter().for_each(|question| inquiry.ask(question));
        if let Some(stall) = verdict.stall {
            self.fence.handler().incident(Incident::Stalled(stall.partition()));
            self.fence.break_off(stall.to_string());
        }
    }

    pub fn serve_commits(&self, consumer: &BaseConsumer<Self>) {
        self.fence.serve_commits(&mut |partition, committed| {
            let began = Instant::now();
            let sent = self
                .offsets(partition, committed)
                .and_then(|offsets| consumer.commit(&offsets, CommitMode::Sync));
            let took = began.elapsed();
            if took > LONGEST_SINGLE_SEND {
                // an earlier copy without an answer may be on its way still, and would set back what is committed later
                let took_ms = took.as_millis();
                return CommitAnswer::Unknown(format!(
                    "{sent:?} after {took_ms} ms, and it may have been sent twice"
                ));
            }
            let Err(error) = sent else { return CommitAnswer::Done };
            let action = format!("commit of partition {partition} of {}", self.topic);
            match self.take_error(consumer, Operation::Commit, &action, &error) {
                Meaning::Retry => CommitAnswer::NotNow(error.to_string()),
                _ => CommitAnswer::Unknown(error.to_string()),
            }
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
            let committed = committed_in(&committed, &self.topic, partition)?;
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
                    self.trouble().is_lost = true;
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
