//! The fence: which assignments live, and the commits that run under them. All of it happens on the polling thread.

use std::collections::HashMap;
use std::sync::mpsc::{Receiver, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use audit_event::{AssignmentGeneration, NextOffset, Offset, PartitionId};
use rdkafka::client::ClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, Rebalance};
use rdkafka::error::KafkaError as ClientError;
use rdkafka::statistics::Statistics;
use rdkafka::{Offset as Position, TopicPartitionList};

use super::lane::{Lane, WAITING_CHUNKS};
use super::{
    Assignment, CommitError, CommitRequest, Commits, Committed, GroupConfig, GroupHandler, Incident, Lease,
};
use crate::config::KafkaConfig;

/// How often a drain looks for commits and for released leases.
const DRAIN_TICK: Duration = Duration::from_millis(1);

pub(super) struct Fence {
    topic: String,
    config: GroupConfig,
    handler: Arc<dyn GroupHandler>,
    state: Mutex<State>,
}

pub(super) struct State {
    pub lanes: HashMap<PartitionId, Lane>,
    /// Why this consumer must not be used any more.
    pub broken: Option<String>,
    requests: Receiver<CommitRequest>,
    requests_in: Sender<CommitRequest>,
    last_generation: u64,
}

impl Fence {
    pub fn new(
        topic: &str,
        config: &GroupConfig,
        handler: Arc<dyn GroupHandler>,
        last_generation: u64,
    ) -> Self {
        let (requests_in, requests) = std::sync::mpsc::channel();
        let state = State { lanes: HashMap::new(), broken: None, requests, requests_in, last_generation };
        Self { topic: topic.to_owned(), config: config.clone(), handler, state: Mutex::new(state) }
    }

    /// Only the polling thread takes it, so it never waits.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn tell(&self, incident: Incident) {
        self.handler.incident(incident);
    }

    pub fn last_generation(&self) -> u64 {
        self.state().last_generation
    }

    /// Runs the commits that workers asked for, one after the other, each to its answer.
    pub fn serve_commits(&self, consumer: &BaseConsumer<Self>) {
        loop {
            let request = {
                let state = self.state();
                let Ok(request) = state.requests.try_recv() else { return };
                request
            };
            let result = self.commit(consumer, &request);
            // a worker that was abandoned meanwhile does not wait for the answer
            let _nobody_waits = request.answer.send(result);
        }
    }

    fn commit(&self, consumer: &BaseConsumer<Self>, request: &CommitRequest) -> Result<(), CommitError> {
        let lives = {
            let state = self.state();
            let lane = state.lanes.get(&request.partition);
            state.broken.is_none()
                && lane.is_some_and(|l| l.generation == request.generation && !l.abandon.is_cancelled())
        };
        if !lives {
            return Err(CommitError::Fenced);
        }
        let sent = self.offsets(request).and_then(|offsets| consumer.commit(&offsets, CommitMode::Sync));
        sent.map_err(|error| {
            self.tell(Incident::CommitFailed);
            let reason = format!("commit of partition {}: {error}", request.partition);
            self.state().broken.get_or_insert_with(|| reason.clone());
            CommitError::Unknown(reason)
        })
    }

    fn offsets(&self, request: &CommitRequest) -> Result<TopicPartitionList, ClientError> {
        let mut offsets = TopicPartitionList::with_capacity(1);
        let mut element = offsets.add_partition(&self.topic, request.partition.0);
        element.set_offset(Position::Offset(request.committed.offset.0))?;
        element.set_metadata(&request.committed.metadata);
        Ok(offsets)
    }

    /// Asks workers to finish and serves their commits until they have, within the drain time.
    pub fn drain(&self, consumer: &BaseConsumer<Self>, partitions: &[PartitionId]) {
        let until = Instant::now() + Duration::from_millis(self.config.drain_timeout_ms);
        let releases: Vec<_> = {
            let state = self.state();
            let lanes = partitions.iter().filter_map(|p| state.lanes.get(p));
            lanes.inspect(|lane| lane.drain.cancel()).map(|lane| lane.released.clone()).collect()
        };
        while !releases.iter().all(|r| r.is_cancelled()) && Instant::now() < until {
            self.serve_commits(consumer);
            if self.state().broken.is_some() {
                break;
            }
            std::thread::sleep(DRAIN_TICK);
        }
        self.abandon(partitions);
    }

    /// Ends assignments at once. What their workers still do has no effect.
    pub fn abandon(&self, partitions: &[PartitionId]) {
        let mut state = self.state();
        for partition in partitions {
            if let Some(lane) = state.lanes.remove(partition) {
                lane.abandon.cancel();
            }
        }
        let owned: Vec<_> = state.lanes.keys().copied().collect();
        drop(state);
        self.handler.owned(&owned);
    }

    pub fn partitions(&self) -> Vec<PartitionId> {
        self.state().lanes.keys().copied().collect()
    }

    /// Looks up where each partition stands and starts its worker. Sets the begin of reading in the list itself.
    fn begin(&self, consumer: &BaseConsumer<Self>, assigned: &TopicPartitionList) -> Result<(), ClientError> {
        let timeout = Duration::from_millis(KafkaConfig::REQUEST_TIMEOUT_MS);
        let committed = consumer.committed_offsets(assigned.clone(), timeout)?;
        for mut element in assigned.elements() {
            let partition = PartitionId(element.partition());
            let (low, high) = consumer.fetch_watermarks(&self.topic, partition.0, timeout)?;
            let stands = committed.find_partition(&self.topic, partition.0).and_then(|found| {
                let offset = NextOffset(found.offset().to_raw().filter(|raw| *raw >= 0)?);
                Some(Committed { offset, metadata: found.metadata().to_owned() })
            });
            // where neither a commit nor a genesis says where to begin, the worker refuses the partition; nothing
            // that is read until then is used
            let start = stands.as_ref().map(|c| c.offset.0);
            let start =
                start.or_else(|| self.handler.genesis_of(partition).map(|genesis| genesis.0)).unwrap_or(low);
            element.set_offset(Position::Offset(start))?;
            self.start_worker(partition, stands, Offset(low), NextOffset(high));
        }
        self.handler.owned(&self.partitions());
        Ok(())
    }

    fn start_worker(
        &self,
        partition: PartitionId,
        committed: Option<Committed>,
        log_start: Offset,
        high_watermark: NextOffset,
    ) {
        let mut state = self.state();
        state.last_generation += 1;
        let generation = AssignmentGeneration(state.last_generation);
        let (to_worker, records) = tokio::sync::mpsc::channel(WAITING_CHUNKS);
        let lane = Lane::new(generation, to_worker);
        let assignment = Assignment {
            partition,
            generation,
            committed,
            log_start,
            high_watermark,
            records,
            commits: Commits { partition, generation, requests: state.requests_in.clone() },
            drain: lane.drain.clone(),
            abandon: lane.abandon.clone(),
            lease: Lease { _released_on_drop: lane.released.clone().drop_guard() },
        };
        state.lanes.insert(partition, lane);
        drop(state);
        self.handler.assigned(assignment);
    }
}

impl ClientContext for Fence {
    fn stats(&self, statistics: Statistics) {
        let Some(topic) = statistics.topics.get(&self.topic) else { return };
        for (partition, numbers) in &topic.partitions {
            if *partition >= 0 && numbers.consumer_lag >= 0 {
                self.handler.lag(PartitionId(*partition), numbers.consumer_lag);
            }
        }
    }

    fn error(&self, error: ClientError, reason: &str) {
        tracing::warn!(%error, reason, "kafka client");
    }
}

impl ConsumerContext for Fence {
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        match rebalance {
            // what comes to a consumer that is about to be thrown away is not begun
            Rebalance::Assign(_) if self.state().broken.is_some() => {}
            Rebalance::Assign(assigned) => {
                tracing::info!(partitions = ?numbers(assigned), "partitions assigned");
                if let Err(error) = self.begin(consumer, assigned) {
                    self.state().broken.get_or_insert(format!("asking where to begin: {error}"));
                }
            }
            Rebalance::Revoke(revoked) => {
                let partitions = numbers(revoked);
                tracing::info!(?partitions, lost = consumer.assignment_lost(), "partitions revoked");
                if consumer.assignment_lost() {
                    self.abandon(&partitions);
                    self.state().broken.get_or_insert("the assignment was lost".to_owned());
                } else {
                    self.drain(consumer, &partitions);
                }
            }
            Rebalance::Error(error) => {
                self.state().broken.get_or_insert(format!("rebalance: {error}"));
            }
        }
    }

    /// librdkafka keeps a pause beyond the assignment that it was made under: a partition that was paused when it went
    /// away would come back and never be read.
    fn post_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if let Rebalance::Assign(assigned) = rebalance
            && assigned.count() > 0
            && let Err(error) = consumer.resume(assigned)
        {
            self.state().broken.get_or_insert(format!("resume: {error}"));
        }
    }
}

fn numbers(list: &TopicPartitionList) -> Vec<PartitionId> {
    list.elements().iter().map(|element| PartitionId(element.partition())).collect()
}
