//! Kafka's group coordinator: it checks a commit's member and generation, and not who owns the partition.

use audit_event::PartitionId;
use pipeline_core::announcement::Announcement;
use pipeline_core::assignment::Commit;

use super::rules::{Rule, Rules};
use super::worker::WorkerId;

/// A consumer in the group. A consumer made anew is another member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemberId(pub u32);

/// Counts the group's rebalances.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Generation(pub u32);

/// What a consumer believes of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Membership {
    pub member: MemberId,
    pub generation: Generation,
}

/// A commit on its way.
#[derive(Debug, Clone)]
pub struct CommitRequest {
    pub owner: WorkerId,
    pub partition: PartitionId,
    pub stamp: Membership,
    pub commit: Commit,
    /// The consumer has given up waiting for the answer.
    pub is_late: bool,
}

/// Why a commit was not acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommitFailure {
    Refused,
    NoAnswer,
}

pub struct Coordinator {
    rules: Rules,
    generation: Generation,
    members: Vec<MemberId>,
    last_member: MemberId,
    commits: Vec<Option<Commit>>,
    /// What each partition's commit was before somebody damaged it.
    damaged: Vec<Option<Option<Commit>>>,
    /// The first announcement of each range, by partition: it binds the verdicts of its replays.
    pub first_announcements: Vec<Vec<(Commit, Announcement)>>,
    pub in_flight: Vec<CommitRequest>,
    pub answers: Vec<(WorkerId, Result<(), CommitFailure>)>,
}

impl Coordinator {
    pub fn new(partitions: usize, rules: Rules) -> Self {
        Self {
            rules,
            generation: Generation(0),
            members: Vec::new(),
            last_member: MemberId(0),
            commits: vec![None; partitions],
            damaged: vec![None; partitions],
            first_announcements: vec![Vec::new(); partitions],
            in_flight: Vec::new(),
            answers: Vec::new(),
        }
    }

    pub fn new_member(&mut self) -> MemberId {
        self.last_member = MemberId(self.last_member.0 + 1);
        self.last_member
    }

    pub fn rebalance(&mut self, members: Vec<MemberId>) -> Generation {
        self.generation = Generation(self.generation.0 + 1);
        self.members = members;
        self.generation
    }

    pub fn is_current(&self, stamp: Membership) -> bool {
        stamp.generation == self.generation && self.members.contains(&stamp.member)
    }

    pub fn committed(&self, partition: PartitionId) -> Option<&Commit> {
        self.commits[partition.0 as usize].as_ref()
    }

    pub fn send(&mut self, request: CommitRequest) {
        self.in_flight.push(request);
    }

    pub fn waiting(&self, worker: WorkerId) -> Option<usize> {
        self.in_flight.iter().position(|request| request.owner == worker && !request.is_late)
    }

    /// The commit arrives and its answer too.
    pub fn answer(&mut self, at: usize) {
        let request = self.in_flight.remove(at);
        let accepted = self.apply(&request);
        self.tell(&request, accepted);
    }

    /// The commit arrives, its answer does not.
    pub fn lose_answer(&mut self, at: usize) {
        let request = self.in_flight.remove(at);
        // the coordinator's verdict is lost with the answer
        let _accepted_or_not = self.apply(&request);
        self.tell(&request, Err(CommitFailure::NoAnswer));
    }

    pub fn lose(&mut self, at: usize) {
        let request = self.in_flight.remove(at);
        self.tell(&request, Err(CommitFailure::NoAnswer));
    }

    /// The consumer gives up waiting; the commit is still on its way.
    pub fn delay(&mut self, at: usize) {
        let request = self.in_flight[at].clone();
        self.tell(&request, Err(CommitFailure::NoAnswer));
        self.in_flight[at].is_late = true;
    }

    /// The process is gone; what it sent is still on its way.
    pub fn delay_all_of(&mut self, worker: WorkerId) {
        self.in_flight.iter_mut().filter(|r| r.owner == worker).for_each(|r| r.is_late = true);
    }

    fn tell(&mut self, request: &CommitRequest, answer: Result<(), CommitFailure>) {
        if !request.is_late {
            self.answers.push((request.owner, answer));
        }
    }

    fn apply(&mut self, request: &CommitRequest) -> Result<(), CommitFailure> {
        if !self.is_current(request.stamp) && self.rules.holds(Rule::Generation) {
            return Err(CommitFailure::Refused);
        }
        let partition = request.partition.0 as usize;
        if let Ok(Some(announced)) = Announcement::from_metadata(&request.commit.metadata) {
            let known = &mut self.first_announcements[partition];
            if known.iter().all(|(commit, _)| commit.offset != request.commit.offset) {
                known.push((request.commit.clone(), announced));
            }
        }
        self.commits[partition] = Some(request.commit.clone());
        self.damaged[partition] = None;
        Ok(())
    }

    /// Somebody sets a commit from outside of the group.
    pub fn damage(&mut self, partition: PartitionId, commit: Option<Commit>) {
        let place = partition.0 as usize;
        let true_one = std::mem::replace(&mut self.commits[place], commit);
        self.damaged[place].get_or_insert(true_one);
    }

    /// A start was allowed by this commit: it agrees with the tables, and nobody will put another in its place.
    pub fn accept(&mut self, partition: PartitionId, commit: Option<&Commit>) {
        let place = partition.0 as usize;
        if self.commits[place].as_ref() == commit && self.damaged[place].take().is_some() {
            // the announcement that was lost left nothing behind, and binds nobody
            let offset = commit.map(|commit| commit.offset);
            self.first_announcements[place].retain(|(announced, _)| Some(announced.offset) != offset);
        }
    }

    pub fn is_damaged(&self, partition: PartitionId) -> bool {
        self.damaged[partition.0 as usize].is_some()
    }

    pub fn repair(&mut self) {
        for (commit, damaged) in self.commits.iter_mut().zip(&mut self.damaged) {
            if let Some(true_one) = damaged.take() {
                *commit = true_one;
            }
        }
    }
}
