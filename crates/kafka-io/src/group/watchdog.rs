//! The watchdog: notices a partition that stands still though there are records for it and its worker would take them,
//! a worker that shows no sign of life, and a partition that nobody has. It decides only; time and what was seen are its
//! arguments.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use audit_event::{AssignmentGeneration, NextOffset, PartitionId};
use tokio::time::Instant;

use super::inquiry::Question;

/// How often the watchdog looks.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Time counts only while somebody looked: a process that was stopped for an hour has not waited for an hour.
const LONGEST_STEP: Duration = Duration::from_secs(2);
/// A silent partition's end, and who has which partition, is asked for so often in the time that it may stand still.
const QUESTIONS: u32 = 4;

/// A partition as the polling thread sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    pub partition: PartitionId,
    pub generation: AssignmentGeneration,
    /// Behind the last record that came out of the poll.
    pub position: NextOffset,
    pub flow: FlowSeen,
    pub worker: WorkerSeen,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FlowSeen {
    /// Nothing keeps records from flowing.
    Free,
    /// The worker is behind, so the partition is paused or the poll waits.
    Held,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WorkerSeen {
    /// It ended: the partition stopped, and says so elsewhere.
    Ended,
    /// It waits for records and has none.
    Resting,
    /// It has something to do, and has given so many signs of life.
    Busy { signs: u64 },
}

/// What stands still.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stall {
    /// There are records up to `end`, and none came.
    Fetch { partition: PartitionId, position: NextOffset, end: NextOffset, after: Duration },
    /// The worker has something to do and shows no sign of life.
    Worker { partition: PartitionId, after: Duration },
    /// No member of the group has the partition.
    NoOwner { partition: PartitionId, after: Duration },
}

impl Stall {
    pub fn partition(self) -> PartitionId {
        match self {
            Self::Fetch { partition, .. }
            | Self::Worker { partition, .. }
            | Self::NoOwner { partition, .. } => partition,
        }
    }
}

impl fmt::Display for Stall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fetch { partition, position, end, after } => write!(
                f,
                "partition {partition} is stalled: nothing came for {} s at {position}, and the log ends at {end}",
                after.as_secs()
            ),
            Self::Worker { partition, after } => write!(
                f,
                "partition {partition} is stalled: its worker gave no sign of life for {} s",
                after.as_secs()
            ),
            Self::NoOwner { partition, after } => write!(
                f,
                "partition {partition} is stalled: no member of the group has had it for {} s",
                after.as_secs()
            ),
        }
    }
}

/// What a look brought.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Verdict {
    pub stall: Option<Stall>,
    pub ask: Vec<Question>,
}

/// How long something may stand still.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// A partition for which there are records.
    pub fetch: Duration,
    /// A worker, which may be in the middle of a call that takes long.
    pub worker: Duration,
    /// A partition that nobody has, which may be on its way from one member to another.
    pub owner: Duration,
}

pub(super) struct Watchdog {
    patience: Patience,
    last_look: Option<Instant>,
    poll_was_held: bool,
    watched: BTreeMap<PartitionId, Watched>,
    /// Since the owners were asked for.
    owners_asked: Duration,
    /// Partitions that nobody has, and how many answers in a row said so.
    unowned: BTreeMap<PartitionId, u32>,
}

struct Watched {
    generation: AssignmentGeneration,
    position: NextOffset,
    /// Where librdkafka fetches next: it goes over transactions' markers, which are never polled.
    fetched: Option<NextOffset>,
    /// The log's end, asked for while nothing came.
    end: Option<NextOffset>,
    quiet: Duration,
    asked_at: Duration,
    behind: Duration,
    signs: u64,
    silent: Duration,
}

impl Watchdog {
    pub fn new(patience: Patience) -> Self {
        Self {
            patience,
            last_look: None,
            poll_was_held: false,
            watched: BTreeMap::new(),
            owners_asked: Duration::ZERO,
            unowned: BTreeMap::new(),
        }
    }

    pub fn is_due(&self, now: Instant) -> bool {
        self.last_look.is_none_or(|last| now.saturating_duration_since(last) >= LOOK_EVERY)
    }

    /// The poll waited for a worker, so nothing could come for any partition.
    pub fn poll_was_held(&mut self) {
        self.poll_was_held = true;
    }

    /// librdkafka says where it fetches next.
    pub fn fetched(&mut self, partition: PartitionId, next: NextOffset) {
        if let Some(watched) = self.watched.get_mut(&partition)
            && watched.fetched.replace(next) != Some(next)
        {
            watched.moved();
        }
    }

    /// A broker says where the log ends.
    pub fn log_ends(&mut self, partition: PartitionId, end: NextOffset) {
        if let Some(watched) = self.watched.get_mut(&partition) {
            watched.end = Some(end);
        }
    }

    /// The coordinator says that nobody has these.
    pub fn unowned(&mut self, partitions: &[PartitionId]) {
        self.unowned.retain(|partition, _| partitions.contains(partition));
        partitions.iter().for_each(|partition| *self.unowned.entry(*partition).or_default() += 1);
    }

    fn without_owner(&self) -> Option<Stall> {
        // the first answer says since when
        let (&partition, _) = self.unowned.iter().find(|(_, answers)| **answers > QUESTIONS)?;
        Some(Stall::NoOwner { partition, after: self.patience.owner })
    }

    pub fn look(&mut self, now: Instant, all: &[Seen]) -> Verdict {
        let since =
            self.last_look.replace(now).map_or(Duration::ZERO, |last| now.saturating_duration_since(last));
        let step = since.min(LONGEST_STEP);
        let poll_was_held = std::mem::take(&mut self.poll_was_held);
        self.watched.retain(|partition, _| all.iter().any(|seen| seen.partition == *partition));
        let mut verdict = Verdict { stall: self.without_owner(), ask: Vec::new() };
        let mut silent = Vec::new();
        for seen in all {
            let watched = self.watched.entry(seen.partition).or_insert_with(|| Watched::new(seen));
            if watched.generation != seen.generation {
                *watched = Watched::new(seen);
                continue;
            }
            let is_silent = watched.see_worker(seen, step) >= self.patience.worker;
            let is_behind = watched.see_flow(seen, poll_was_held, step) >= self.patience.fetch;
            if watched.wants_end(self.patience.fetch / QUESTIONS) {
                silent.push(seen.partition);
            }
            let stall = match watched.end {
                _ if is_silent => Stall::Worker { partition: seen.partition, after: watched.silent },
                Some(end) if is_behind => {
                    let (position, after) = (seen.position, watched.behind);
                    Stall::Fetch { partition: seen.partition, position, end, after }
                }
                _ => continue,
            };
            verdict.stall.get_or_insert(stall);
        }
        if !silent.is_empty() {
            verdict.ask.push(Question::LogEnds(silent));
        }
        self.owners_asked += step;
        if self.owners_asked >= self.patience.owner / QUESTIONS {
            self.owners_asked = Duration::ZERO;
            verdict.ask.push(Question::Owners);
        }
        verdict
    }
}

impl Watched {
    fn new(seen: &Seen) -> Self {
        Self {
            generation: seen.generation,
            position: seen.position,
            fetched: None,
            end: None,
            quiet: Duration::ZERO,
            asked_at: Duration::ZERO,
            behind: Duration::ZERO,
            signs: 0,
            silent: Duration::ZERO,
        }
    }

    fn moved(&mut self) {
        (self.quiet, self.asked_at, self.behind, self.end) = Default::default();
    }

    /// For how long records have been there that did not come.
    fn see_flow(&mut self, seen: &Seen, poll_was_held: bool, step: Duration) -> Duration {
        let is_kept_back = poll_was_held || seen.flow == FlowSeen::Held || seen.worker == WorkerSeen::Ended;
        if self.position != seen.position || is_kept_back {
            self.position = seen.position;
            self.moved();
            return Duration::ZERO;
        }
        self.quiet += step;
        let reached = self.fetched.max(Some(self.position));
        self.behind = if self.end > reached { self.behind + step } else { Duration::ZERO };
        self.behind
    }

    fn wants_end(&mut self, every: Duration) -> bool {
        let wants = self.quiet >= self.asked_at + every;
        if wants {
            self.asked_at = self.quiet;
        }
        wants
    }

    /// For how long the worker has had something to do and shown nothing.
    fn see_worker(&mut self, seen: &Seen, step: Duration) -> Duration {
        self.silent = match seen.worker {
            WorkerSeen::Busy { signs } if signs == self.signs => self.silent + step,
            WorkerSeen::Busy { signs } => {
                self.signs = signs;
                Duration::ZERO
            }
            WorkerSeen::Ended | WorkerSeen::Resting => Duration::ZERO,
        };
        self.silent
    }
}

#[cfg(test)]
#[path = "watchdog_tests.rs"]
mod tests;
