//! The fence: which assignments live, and which commits may run under them. It speaks to no broker itself: the polling
//! thread (`session.rs`) does, and the processor's simulation plays that thread's part with this same fence.

use std::collections::{BTreeMap, VecDeque};
use std::sync::mpsc::{Receiver, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use audit_event::{AssignmentGeneration, NextOffset, Offset, PartitionId};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::lane::{Flow, Lane, WAITING_CHUNKS};
use super::watchdog::Seen;
use super::{
    Assignment, CommitError, CommitRequest, Commits, Committed, GroupHandler, Incident, Lease, Record,
};

/// Where a partition stands when it comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    pub partition: PartitionId,
    pub committed: Option<Committed>,
    pub log_start: Offset,
    pub high_watermark: NextOffset,
}

/// What the fence asks of the consumer, so that one partition's worker does not hold up the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlowChange {
    Pause(PartitionId),
    Resume(PartitionId),
}

/// What came of a commit that was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommitAnswer {
    Done,
    /// Refused and not written: the group is being shared out. It may be sent again as long as its assignment lives.
    NotNow(String),
    /// Whether it was written is not known, or no commit of this consumer will be.
    Unknown(String),
}

/// The pause before a commit that was put off is sent again.
const PUT_OFF_FOR: Duration = Duration::from_millis(25);

/// One consumer's assignments, from its first to its last.
pub struct Fence {
    handler: Arc<dyn GroupHandler>,
    /// How long a commit is put off at most.
    commit_patience: Duration,
    state: Mutex<State>,
}

/// A commit that waits until the group is shared out.
struct PutOff {
    request: CommitRequest,
    since: Instant,
    again_at: Instant,
}

struct State {
    lanes: BTreeMap<PartitionId, Lane>,
    /// Why this consumer must not be used any more.
    broken: Option<String>,
    requests: Receiver<CommitRequest>,
    requests_in: Sender<CommitRequest>,
    /// At most one of each worker, which waits for its answer.
    put_off: VecDeque<PutOff>,
    last_generation: AssignmentGeneration,
}

/// Partitions whose workers were asked to finish.
pub struct Draining {
    released: Vec<CancellationToken>,
}

impl Draining {
    pub fn is_done(&self) -> bool {
        self.released.iter().all(CancellationToken::is_cancelled)
    }
}

impl Fence {
    /// `last_generation` is that of the consumer before: generations never repeat in a process. A commit that the group
    /// refuses because it is being shared out is sent again for `commit_patience`.
    pub fn new(
        handler: Arc<dyn GroupHandler>,
        last_generation: AssignmentGeneration,
        commit_patience: Duration,
    ) -> Self {
        let (requests_in, requests) = std::sync::mpsc::channel();
        let (lanes, put_off) = (BTreeMap::new(), VecDeque::new());
        let state = State { lanes, broken: None, requests, requests_in, put_off, last_generation };
        Self { handler, commit_patience, state: Mutex::new(state) }
    }

    /// Only the polling thread takes it, so it never waits.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn handler(&self) -> &dyn GroupHandler {
        &*self.handler
    }

    pub fn last_generation(&self) -> AssignmentGeneration {
        self.state().last_generation
    }

    /// Why the consumer must be thrown away, if it must.
    pub fn broken(&self) -> Option<String> {
        self.state().broken.clone()
    }

    /// From now on nothing is begun and nothing committed; the first reason stays.
    pub fn break_off(&self, reason: impl Into<String>) {
        self.state().broken.get_or_insert_with(|| reason.into());
    }

    pub fn partitions(&self) -> Vec<PartitionId> {
        self.state().lanes.keys().copied().collect()
    }

    /// Where reading begins: at the commit, else at the genesis. Where neither says, the worker refuses the partition,
    /// and nothing that is read until then is used.
    pub fn first_offset(&self, standing: &Standing) -> Offset {
        let committed = standing.committed.as_ref().map(|committed| committed.offset.as_offset());
        committed.or_else(|| self.handler.genesis_of(standing.partition)).unwrap_or(standing.log_start)
    }

    /// Starts a worker for each partition that came.
    pub fn begin(&self, standings: Vec<Standing>) {
        for standing in standings {
            let first = self.first_offset(&standing);
            let assignment = self.state().assign(standing, first);
            self.handler.assigned(assignment);
        }
        self.handler.owned(&self.partitions());
    }

    /// Takes a record on its way to its worker.
    pub fn push(&self, partition: PartitionId, record: Record) {
        if let Some(lane) = self.state().lanes.get_mut(&partition) {
            lane.push(record);
        }
    }

    /// Gives every worker what was gathered for it.
    pub fn hand_over(&self) {
        self.state().lanes.values_mut().for_each(Lane::hand_over);
    }

    /// Runs the commits that workers asked for, one after the other, each to its answer. `send` answers when the broker
    /// has answered.
    pub fn serve_commits(&self, send: &mut dyn FnMut(PartitionId, &Committed) -> CommitAnswer) {
        // what is put off in this pass is not for this pass
        let now = Instant::now();
        loop {
            let Some((request, since)) = self.state().next_commit(now) else { return };
            let result = match self.commit(&request, send) {
                Ok(CommitAnswer::Done) => Ok(()),
                Ok(CommitAnswer::NotNow(_)) if since.elapsed() < self.commit_patience => {
                    self.put_off(request, since);
                    continue;
                }
                Ok(CommitAnswer::NotNow(reason) | CommitAnswer::Unknown(reason)) => {
                    self.handler.incident(Incident::CommitFailed);
                    let reason = format!("commit of partition {}: {reason}", request.partition);
                    self.break_off(reason.clone());
                    Err(CommitError::Unknown(reason))
                }
                Err(error) => Err(error),
            };
            // a worker that was abandoned meanwhile does not wait for the answer
            let _nobody_waits = request.answer.send(result);
        }
    }

    fn commit(
        &self,
        request: &CommitRequest,
        send: &mut dyn FnMut(PartitionId, &Committed) -> CommitAnswer,
    ) -> Result<CommitAnswer, CommitError> {
        if !self.state().lives(request.partition, request.generation) {
            return Err(CommitError::Fenced);
        }
        let answer = send(request.partition, &request.committed);
        if let Some(lane) = self.state().lanes.get(&request.partition) {
            // it waited for the answer, however long that took
            lane.vitals.sign();
        }
        Ok(answer)
    }

    fn put_off(&self, request: CommitRequest, since: Instant) {
        self.handler.incident(Incident::CommitPutOff);
        let again_at = Instant::now() + PUT_OFF_FOR;
        self.state().put_off.push_back(PutOff { request, since, again_at });
    }

    /// Asks workers to finish. Their commits must be served until they have, within the drain time; then
    /// [`Self::abandon`] ends them.
    pub fn begin_drain(&self, partitions: &[PartitionId]) -> Draining {
        let state = self.state();
        let lanes = partitions.iter().filter_map(|p| state.lanes.get(p));
        let released = lanes.inspect(|lane| lane.drain.cancel()).map(|lane| lane.released.clone()).collect();
        Draining { released }
    }

    /// Ends assignments at once. What their workers still do has no effect.
    pub fn abandon(&self, partitions: &[PartitionId]) {
        let mut state = self.state();
        for partition in partitions {
            if let Some(lane) = state.lanes.remove(partition) {
                lane.abandon.cancel();
            }
        }
        drop(state);
        self.handler.owned(&self.partitions());
    }

    /// Whether a worker's full queue holds the poll. One that is full for longer than `pause_after_ms` is paused by
    /// `change`, which answers whether it was done, so that the others go on.
    pub fn is_held_up(&self, pause_after_ms: u64, change: &mut dyn FnMut(FlowChange) -> bool) -> bool {
        let mut held_up = false;
        for (&partition, lane) in &mut self.state().lanes {
            match lane.flow() {
                Flow::Stuck { for_ms } if !lane.paused && for_ms < pause_after_ms => held_up = true,
                Flow::Stuck { .. } if !lane.paused => {
                    lane.paused = change(FlowChange::Pause(partition));
                    held_up |= !lane.paused;
                    if lane.paused {
                        self.handler.incident(Incident::Paused(partition));
                    }
                }
                Flow::Free if lane.may_resume() => {
                    lane.paused = !change(FlowChange::Resume(partition));
                    if !lane.paused {
                        self.handler.incident(Incident::Resumed(partition));
                    }
                }
                _ => {}
            }
        }
        held_up
    }
}

impl Fence {
    /// How each partition stands, for the watchdog.
    pub(super) fn seen(&self) -> Vec<Seen> {
        let seen = |(&partition, lane): (&PartitionId, &Lane)| Seen {
            partition,
            generation: lane.generation,
            position: lane.position,
            flow: lane.flow_seen(),
            worker: lane.worker_seen(),
        };
        self.state().lanes.iter().map(seen).collect()
    }
}

impl State {
    fn lives(&self, partition: PartitionId, generation: AssignmentGeneration) -> bool {
        let lane = self.lanes.get(&partition);
        self.broken.is_none() && lane.is_some_and(|l| l.generation == generation && !l.abandon.is_cancelled())
    }

    /// The next commit to be sent, and since when it waits.
    fn next_commit(&mut self, now: Instant) -> Option<(CommitRequest, Instant)> {
        match self.put_off.pop_front_if(|waiting| waiting.again_at <= now) {
            Some(PutOff { request, since, .. }) => Some((request, since)),
            None => Some((self.requests.try_recv().ok()?, now)),
        }
    }

    fn assign(&mut self, standing: Standing, first: Offset) -> Assignment {
        let Standing { partition, committed, log_start, high_watermark } = standing;
        self.last_generation = AssignmentGeneration(self.last_generation.0 + 1);
        let generation = self.last_generation;
        let (to_worker, records) = tokio::sync::mpsc::channel(WAITING_CHUNKS);
        let lane = Lane::new(generation, NextOffset(first.0), to_worker);
        let assignment = Assignment {
            partition,
            generation,
            committed,
            log_start,
            high_watermark,
            records,
            commits: Commits { partition, generation, requests: self.requests_in.clone() },
            drain: lane.drain.clone(),
            abandon: lane.abandon.clone(),
            vitals: lane.vitals.clone(),
            lease: Lease { _released_on_drop: lane.released.clone().drop_guard() },
        };
        self.lanes.insert(partition, lane);
        assignment
    }
}

#[cfg(test)]
#[path = "fence_tests.rs"]
mod tests;
