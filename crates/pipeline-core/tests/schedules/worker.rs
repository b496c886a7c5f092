//! One worker, as the processor's: from its assignment to its end, one move at a time, on the pure core.

use std::collections::{BTreeSet, VecDeque};

use audit_event::{NextOffset, Offset, PartitionId, SchemaId};
use pipeline_core::announcement::Announcement;
use pipeline_core::assignment::{self, Commit, Start};
use pipeline_core::batch::OpenBatch;
use pipeline_core::batch_run::BatchRun;

use super::coordinator::{CommitFailure, CommitRequest, Membership};
use super::driving::{Batch, Driving};
use super::inserts::{InsertId, InsertResult};
use super::judge::Judge;
use super::log::{Content, LogRecord, RECORD_BYTES};
use super::rules::Rule;
use super::shared::Shared;
use super::start::{facts, replaying};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkerId(pub u32);

/// Whether the worker's assignment still is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lease {
    Lives,
    /// It ended; the worker hangs somewhere and has not noticed.
    Ended,
}

/// How a worker ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The fence refused a commit.
    Fenced,
    /// The consumer must be thrown away.
    CommitUnknown,
    /// A table refuses inserts until somebody mends it.
    TableFault,
    /// The start was refused: what the core says.
    Refused(String),
    /// What must never happen.
    Broken(String),
}

/// What a move came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moved {
    On,
    NeedsRecords,
    NeedsAnswer,
    NeedsTime,
    Over,
}

/// What Kafka holds about the last batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LastCommit {
    /// Found at the assignment, as it was left by somebody else.
    Found,
    Plain,
    Announcement,
}

/// A batch that takes records; a replayed one with its announcement.
pub struct Gathering {
    pub open: OpenBatch,
    pub records: Vec<LogRecord>,
    pub unknown: BTreeSet<SchemaId>,
    pub replay: Option<Announcement>,
}

pub enum State {
    Starting(Option<Commit>),
    Gathering(Gathering),
    Driving(Box<Driving>),
    ClosingPlainly,
    Over(End),
}

pub struct Worker {
    pub id: WorkerId,
    pub partition: PartitionId,
    pub lease: Lease,
    pub state: State,
    pub last_commit: LastCommit,
    pub insert_answers: Vec<(InsertId, InsertResult)>,
    pub commit_answer: Option<Result<(), CommitFailure>>,
    next: NextOffset,
    waiting: VecDeque<LogRecord>,
    fetched_to: Offset,
    judge: Option<Judge>,
}

impl Worker {
    pub fn new(id: WorkerId, partition: PartitionId, committed: Option<Commit>) -> Self {
        Self {
            id,
            partition,
            lease: Lease::Lives,
            state: State::Starting(committed),
            last_commit: LastCommit::Found,
            insert_answers: Vec::new(),
            commit_answer: None,
            next: NextOffset(0),
            waiting: VecDeque::new(),
            fetched_to: Offset(0),
            judge: None,
        }
    }

    /// Whether the worker has read its log to the end and closed it in Kafka.
    pub fn is_at_rest(&self, shared: &Shared) -> bool {
        self.is_drained()
            && self.fetched_to >= shared.log(self.partition).end()
            && self.last_commit != LastCommit::Announcement
    }

    /// Whether no record waits for its batch.
    pub fn is_drained(&self) -> bool {
        matches!(&self.state, State::Gathering(g) if g.open.is_empty() && g.replay.is_none())
            && self.waiting.is_empty()
    }

    /// Makes one move.
    pub fn step(&mut self, shared: &mut Shared, membership: Option<Membership>) -> Moved {
        let moved = match &mut self.state {
            State::Starting(_) => self.start(shared),
            State::Gathering(_) => self.gather(shared),
            State::Driving(_) => self.drive(shared, membership),
            State::ClosingPlainly => self.finish_plain_close(),
            State::Over(_) => Ok(Moved::Over),
        };
        moved.unwrap_or_else(|end| {
            shared.note(|| format!("{} ends: {end:?}", self.name()));
            self.state = State::Over(end);
            Moved::Over
        })
    }

    pub fn name(&self) -> String {
        let hangs = if self.lease == Lease::Ended { " (hangs)" } else { "" };
        format!("worker {} of partition {}{hangs}", self.id.0, self.partition)
    }

    fn start(&mut self, shared: &mut Shared) -> Result<Moved, End> {
        let State::Starting(commit) = &self.state else { return Ok(Moved::On) };
        let facts = facts(shared, self.partition, commit.clone());
        let start =
            assignment::decide(&shared.trail, &facts).map_err(|refusal| End::Refused(refusal.to_string()))?;
        shared.coordinator.accept(self.partition, facts.commit.as_ref());
        shared.note(|| format!("{} starts: {start:?}", self.name()));
        let from = start.from();
        self.judge =
            Some(Judge::restored(self.id, self.partition, from, shared.trail.dedupe, &shared.engine));
        (self.next, self.fetched_to) = (NextOffset(from.0), from);
        self.state = match start {
            Start::Resume { .. } => self.gathering(),
            Start::Replay { announced, .. } => {
                shared.seen.replays += 1;
                State::Gathering(replaying(shared, from, announced))
            }
        };
        Ok(Moved::On)
    }

    pub fn gathering(&self) -> State {
        State::Gathering(Gathering {
            open: OpenBatch::begin(self.next.as_offset()),
            records: Vec::new(),
            unknown: BTreeSet::new(),
            replay: None,
        })
    }

    /// Takes records from Kafka.
    pub fn poll(&mut self, shared: &Shared, count: usize) {
        if matches!(self.state, State::Starting(_) | State::Over(_)) {
            return;
        }
        let log = shared.log(self.partition);
        let place = log.place_of(self.fetched_to);
        for record in log.records[place..].iter().take(count) {
            self.waiting.push_back(*record);
            self.fetched_to = record.offset.next().as_offset();
        }
    }

    fn gather(&mut self, shared: &mut Shared) -> Result<Moved, End> {
        if !self.fill(shared)? {
            return Ok(Moved::NeedsRecords);
        }
        let next = self.gathering();
        let State::Gathering(Gathering { open, records, unknown, replay }) =
            std::mem::replace(&mut self.state, next)
        else {
            return Ok(Moved::On);
        };
        let judge = self.judge.as_mut().ok_or(End::Broken("no window".to_owned()))?;
        let verdicts = judge
            .judge(&records, &unknown, &shared.engine)
            .map_err(|gone| End::Broken(format!("the body at {} is gone", gone.0)))?;
        let records = records.into_iter().zip(verdicts).collect();
        let batch = Batch { partition: self.partition, range: open.range(), records, unknown };
        let run = match replay {
            None if self.last_commit == LastCommit::Found && shared.rules.holds(Rule::FirstReadBack) => {
                BatchRun::first_of_assignment(batch.expected())
            }
            None => BatchRun::fresh(batch.expected()),
            Some(a) => BatchRun::replayed(batch.expected(), a.attempt, a.deadline),
        };
        self.state = State::Driving(Box::new(Driving::new(batch, run)));
        Ok(Moved::On)
    }

    /// Fills the batch as the processor's gatherer does; answers whether it is due.
    fn fill(&mut self, shared: &Shared) -> Result<bool, End> {
        let State::Gathering(Gathering { open, records, unknown, replay }) = &mut self.state else {
            return Ok(false);
        };
        while let Some(record) = self.waiting.front() {
            if !open.takes(record.offset) || open.is_due(&shared.limits, shared.now) {
                return Ok(true);
            }
            if let Content::EventOf(schema) = record.value.content
                && !unknown.contains(&schema)
                && !shared.registry_knows(schema)
            {
                if replay.is_some() && shared.rules.holds(Rule::AnnouncedSchemas) {
                    // it was known when the range was judged: the partition waits for it
                    return Ok(false);
                }
                unknown.insert(schema);
            }
            let Some(record) = self.waiting.pop_front() else { break };
            open.push(record.offset, RECORD_BYTES, record.received_at, shared.now)
                .map_err(|e| End::Broken(e.to_string()))?;
            records.push(record);
        }
        Ok(open.is_due(&shared.limits, shared.now))
    }

    fn drive(&mut self, shared: &mut Shared, membership: Option<Membership>) -> Result<Moved, End> {
        let State::Driving(driving) = &mut self.state else { return Ok(Moved::On) };
        let mut driving = std::mem::replace(driving, Box::new(Driving::nothing(self.partition)));
        let moved = driving.step(self, shared, membership)?;
        if moved == Moved::Over {
            self.next = driving.batch.range.to;
            self.last_commit = LastCommit::Announcement;
            self.state = self.gathering();
            return Ok(Moved::On);
        }
        self.state = State::Driving(driving);
        Ok(moved)
    }

    /// Nothing comes, or the partition goes away: what is closed is committed plainly.
    pub fn close_plainly(&mut self, shared: &mut Shared, membership: Option<Membership>) {
        if !self.is_drained() || self.last_commit != LastCommit::Announcement {
            return;
        }
        self.state = match self.commit(shared, membership, self.next, String::new()) {
            Ok(()) => State::ClosingPlainly,
            Err(end) => State::Over(end),
        };
    }

    fn finish_plain_close(&mut self) -> Result<Moved, End> {
        match self.commit_answer.take() {
            None => return Ok(Moved::NeedsAnswer),
            Some(Ok(())) => {}
            Some(Err(_)) => return Err(End::CommitUnknown),
        }
        self.last_commit = LastCommit::Plain;
        self.state = self.gathering();
        Ok(Moved::On)
    }

    /// Asks the polling thread for a commit: the fence looks at the assignment, the consumer stamps the commit.
    pub fn commit(
        &mut self,
        shared: &mut Shared,
        membership: Option<Membership>,
        offset: NextOffset,
        metadata: String,
    ) -> Result<(), End> {
        let is_fenced = self.lease == Lease::Ended && shared.rules.holds(Rule::PartitionFence);
        let Some(stamp) = membership.filter(|_| !is_fenced) else {
            shared.seen.fenced_commits += 1;
            return Err(End::Fenced);
        };
        shared.note(|| format!("{} commits {offset} {metadata}", self.name()));
        self.commit_answer = None;
        shared.coordinator.send(CommitRequest {
            owner: self.id,
            partition: self.partition,
            stamp,
            commit: Commit { offset, metadata },
            is_late: false,
        });
        Ok(())
    }
}
