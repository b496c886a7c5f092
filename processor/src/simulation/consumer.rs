//! A simulated processor: the real handler, workers and fence, with the polling thread's part played on simulated time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use audit_event::{AssignmentGeneration, Offset, PartitionId};
use kafka_io::group::{CommitAnswer, Committed, Fence, Standing};
use rand::Rng;
use service_kit::Readiness;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::broker::Broker;
use super::group::{Callback, MemberId, SESSION};
use super::process::Process;
use super::world::{Safeguard, World};
use crate::handler::Handler;
use crate::worker::Shared;

const POLL: Duration = Duration::from_millis(20);
const IDLE_POLL: Duration = Duration::from_millis(60);
const DRAIN_TICK: Duration = Duration::from_millis(25);
const RESTART_WAIT: Duration = Duration::from_millis(500);
const PAUSE_AFTER_MS: u64 = 200;
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

/// One incarnation of a processor.
pub struct Consumer {
    pub world: Arc<World>,
    pub broker: Arc<Broker>,
    pub process: Arc<Process>,
    pub stop: CancellationToken,
    positions: BTreeMap<PartitionId, Offset>,
}

/// Why an incarnation ended.
#[derive(Debug)]
pub enum Ended {
    Stopped,
    /// What it told the one who looks after it.
    Fatal(String),
}

enum Session {
    Broken,
    Ended(Ended),
}

impl Consumer {
    pub fn new(
        world: Arc<World>,
        broker: Arc<Broker>,
        process: Arc<Process>,
        stop: CancellationToken,
    ) -> Self {
        Self { world, broker, process, stop, positions: BTreeMap::new() }
    }

    pub async fn run(mut self, shared: Arc<Shared>, readiness: Readiness) -> Ended {
        let (fatal_in, mut fatal) = mpsc::channel(1);
        let handler = Arc::new(Handler::new(shared, readiness, fatal_in));
        let mut last_generation = AssignmentGeneration(0);
        loop {
            let fence = Fence::new(handler.clone(), last_generation, 2 * SESSION);
            self.positions.clear();
            self.process.pass().await;
            let member = self.broker.group.join(self.process.clone());
            let session = self.session(&fence, member, &mut fatal).await;
            last_generation = fence.last_generation();
            // a static member, or one whose word is lost, is waited for until its session ends
            if self.world.chance(700) {
                self.broker.group.leave(member);
            } else {
                self.broker.group.fall_silent(member);
            }
            match session {
                Session::Ended(ended) => return ended,
                Session::Broken => tokio::time::sleep(RESTART_WAIT).await,
            }
        }
    }

    async fn session(
        &mut self,
        fence: &Fence,
        mut member: MemberId,
        fatal: &mut mpsc::Receiver<anyhow::Error>,
    ) -> Session {
        loop {
            self.process.pass().await;
            if fence.broken().is_some() {
                fence.abandon(&fence.partitions());
                return Session::Broken;
            }
            if let Ok(fault) = fatal.try_recv() {
                self.drain(fence, member, &fence.partitions()).await;
                return Session::Ended(Ended::Fatal(format!("{fault:#}")));
            }
            if self.stop.is_cancelled() {
                self.drain(fence, member, &fence.partitions()).await;
                return Session::Ended(Ended::Stopped);
            }
            self.serve_commits(fence, member);
            if let Some(callback) = self.broker.group.callback(member) {
                member = self.call_back(fence, member, callback).await;
                continue;
            }
            let held_up = fence.is_held_up(PAUSE_AFTER_MS, &mut |_| true);
            let polled = !held_up && self.poll(fence);
            if !polled {
                fence.hand_over();
            }
            tokio::time::sleep(if polled { POLL } else { IDLE_POLL }).await;
        }
    }

    fn poll(&mut self, fence: &Fence) -> bool {
        let mut polled = false;
        for (&partition, position) in &mut self.positions {
            let most = self.world.draw(|rng| rng.random_range(1..=8));
            let (records, next) = self.broker.fetch(partition, *position, most);
            polled |= next != *position;
            *position = next;
            records.into_iter().for_each(|record| fence.push(partition, record));
        }
        polled
    }

    async fn call_back(&mut self, fence: &Fence, member: MemberId, callback: Callback) -> MemberId {
        match callback {
            Callback::Assign(partitions) => {
                tokio::time::sleep(self.world.between_ms(0, 30)).await;
                let standings: Vec<_> = partitions.iter().map(|p| self.standing(*p)).collect();
                for standing in &standings {
                    self.positions.insert(standing.partition, fence.first_offset(standing));
                }
                fence.begin(standings);
                member
            }
            Callback::Revoke(partitions) => {
                if !self.world.lacks(Safeguard::PartitionFence) {
                    self.drain(fence, member, &partitions).await;
                }
                self.positions.retain(|partition, _| !partitions.contains(partition));
                self.process.pass().await;
                self.broker.group.revoked(member, &partitions);
                member
            }
            Callback::Lost if self.world.lacks(Safeguard::PartitionFence) => {
                self.positions.clear();
                self.broker.group.join(self.process.clone())
            }
            Callback::Lost => {
                // the client hears of it late; until then its workers go on
                tokio::time::sleep(self.world.between_ms(0, 400)).await;
                fence.abandon(&fence.partitions());
                fence.break_off("the assignment was lost");
                member
            }
        }
    }

    fn standing(&self, partition: PartitionId) -> Standing {
        Standing {
            partition,
            committed: self.broker.group.committed(partition),
            log_start: Offset(0),
            high_watermark: self.broker.high_watermark(partition),
        }
    }

    async fn drain(&self, fence: &Fence, member: MemberId, partitions: &[PartitionId]) {
        let draining = fence.begin_drain(partitions);
        let until = tokio::time::Instant::now() + DRAIN_TIMEOUT;
        while !draining.is_done() && tokio::time::Instant::now() < until && fence.broken().is_none() {
            self.process.pass().await;
            self.serve_commits(fence, member);
            tokio::time::sleep(DRAIN_TICK).await;
        }
        fence.abandon(partitions);
    }

    fn serve_commits(&self, fence: &Fence, member: MemberId) {
        fence.serve_commits(&mut |partition, committed| self.commit(member, partition, committed.clone()));
    }

    /// An answer may be lost, and the commit arrive later, stamped as it was sent. Without the fence it may also be
    /// deferred, and stamped only then.
    fn commit(&self, member: MemberId, partition: PartitionId, mut committed: Committed) -> CommitAnswer {
        if self.world.lacks(Safeguard::Announcement) {
            committed.metadata.clear();
        }
        let stamp = self.broker.group.stamp(member);
        if !self.world.is_in_turmoil() || !self.world.chance(self.world.plan.commit_faults) {
            return self.broker.group.commit(stamp, partition, committed);
        }
        let (broker, late) = (self.broker.clone(), self.world.between_ms(1, 6_000));
        let is_deferred = self.world.lacks(Safeguard::PartitionFence);
        if self.world.chance(700) {
            tokio::spawn(async move {
                tokio::time::sleep(late).await;
                let stamp = if is_deferred { broker.group.stamp(member) } else { stamp };
                broker.group.commit(stamp, partition, committed)
            });
        }
        if is_deferred { CommitAnswer::Done } else { CommitAnswer::Unknown("no answer in time".to_owned()) }
    }
}
