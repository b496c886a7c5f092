//! Where to begin when a partition is assigned: a decision out of what Kafka and ClickHouse say.

use audit_event::control::TrailRecord;
use audit_event::{NextOffset, Offset, PartitionId, TrailId};
use thiserror::Error;

use crate::RULES;
use crate::announcement::{Announcement, MetadataError};

/// What Kafka's group coordinator holds for the partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    pub offset: NextOffset,
    pub metadata: String,
}

/// The last row of `event_batches` for the partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastBatch {
    pub from: Offset,
    pub to: NextOffset,
}

/// How far ClickHouse's tables reach in the partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StoredEnd {
    pub last_batch: Option<LastBatch>,
    /// The greatest offset in `events`, `duplicates` and `dead_letters` that is at or above the last batch's end; rows
    /// there belong to a range that is in flight.
    pub highest_row: Option<Offset>,
}

impl StoredEnd {
    /// Nothing of the partition was ever stored.
    pub fn is_empty(&self) -> bool {
        self.last_batch.is_none() && self.highest_row.is_none()
    }
}

/// All that is known when a partition is assigned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    pub partition: PartitionId,
    pub commit: Option<Commit>,
    pub stored: StoredEnd,
    pub log_start: Offset,
    pub high_watermark: NextOffset,
}

/// What to do first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// Nothing is in flight: read on from here.
    Resume { from: Offset },
    /// A range may be in flight: replay it first.
    Replay { from: Offset, announced: Announcement },
}

impl Start {
    pub fn from(&self) -> Offset {
        match self {
            Self::Resume { from } | Self::Replay { from, .. } => *from,
        }
    }
}

/// Why a partition must not be worked on. Each says what to do.
#[derive(Debug, Error)]
pub enum Refusal {
    #[error(
        "there is no commit for the partition, and ClickHouse has rows of it: the group was renamed or its commits were erased; \
         restore the commits, or commit the to_offset of the partition's last event_batches row"
    )]
    CommitMissing,
    #[error("{0}; the group id belongs to another program, or to another version of this one")]
    Metadata(#[from] MetadataError),
    #[error(
        "the commit belongs to trail {found}, this is trail {expected}: the topic was made anew; begin with a new group and tables"
    )]
    OtherTrail { expected: TrailId, found: TrailId },
    #[error(
        "the trail has no partition {partition}: the partition count was raised, which breaks deduplication by key; remove it or begin a new trail"
    )]
    UnknownPartition { partition: PartitionId },
    #[error(
        "the commit {commit} is behind ClickHouse's last batch, which ends at {last_to}: commits were reset; restore them"
    )]
    CommitBehind { commit: NextOffset, last_to: NextOffset },
    #[error(
        "the commit {commit} is ahead of ClickHouse's last batch, which ends at {last_to}: rows or commits were lost; restore clickhouse from a backup, which sets the commits"
    )]
    CommitAhead { commit: NextOffset, last_to: NextOffset },
    #[error(
        "clickhouse has the row of offset {row}, and nothing at or above {end} was announced: the commit was reset, or somebody else \
         writes; restore the commit with its metadata"
    )]
    RowsAbove { row: Offset, end: NextOffset },
    #[error(
        "the log starts at {log_start}, above the commit {commit}: records were removed before they were stored; raise the topic's retention"
    )]
    LogStartAbove { commit: NextOffset, log_start: Offset },
    #[error("the log ends at {high_watermark}, below {needed}: the topic was made anew or lost records")]
    HighWatermarkBelow { needed: NextOffset, high_watermark: NextOffset },
    #[error("the announced range ends at {to}, not above its begin {from}")]
    EmptyRange { from: Offset, to: NextOffset },
    #[error(
        "the announced range was judged by rules {announced}, this build knows {RULES}; finish it with the version that announced it"
    )]
    OtherRules { announced: u32 },
}

/// Decides. Every doubt is a refusal: a wrong start loses or doubles rows, a refusal waits for a person.
pub fn decide(trail: &TrailRecord, facts: &Facts) -> Result<Start, Refusal> {
    let genesis =
        trail.genesis_of(facts.partition).ok_or(Refusal::UnknownPartition { partition: facts.partition })?;
    let Some(commit) = &facts.commit else {
        return first_start(genesis, facts);
    };
    let announced = Announcement::from_metadata(&commit.metadata)?;
    check_announced(trail, commit, announced.as_ref())?;
    check_last_batch(genesis, commit, announced.as_ref(), facts.stored.last_batch)?;
    let end = announced.as_ref().map_or(commit.offset, |announced| announced.to);
    if let Some(row) = facts.stored.highest_row.filter(|row| row.0 >= end.0) {
        return Err(Refusal::RowsAbove { row, end });
    }
    check_log(facts, commit.offset, end)?;
    let from = commit.offset.as_offset();
    Ok(match announced {
        Some(announced) => Start::Replay { from, announced },
        None => Start::Resume { from },
    })
}

fn first_start(genesis: Offset, facts: &Facts) -> Result<Start, Refusal> {
    if !facts.stored.is_empty() {
        return Err(Refusal::CommitMissing);
    }
    let begin = NextOffset(genesis.0);
    check_log(facts, begin, begin)?;
    Ok(Start::Resume { from: genesis })
}

fn check_announced(
    trail: &TrailRecord,
    commit: &Commit,
    announced: Option<&Announcement>,
) -> Result<(), Refusal> {
    let Some(announced) = announced else { return Ok(()) };
    if announced.trail != trail.trail_id {
        return Err(Refusal::OtherTrail { expected: trail.trail_id, found: announced.trail });
    }
    if announced.to <= commit.offset {
        return Err(Refusal::EmptyRange { from: commit.offset.as_offset(), to: announced.to });
    }
    if announced.rules != RULES {
        return Err(Refusal::OtherRules { announced: announced.rules });
    }
    Ok(())
}

/// The last batch ends at the commit, or at the end of the announced range.
fn check_last_batch(
    genesis: Offset,
    commit: &Commit,
    announced: Option<&Announcement>,
    last_batch: Option<LastBatch>,
) -> Result<(), Refusal> {
    let last_to = last_batch.map_or(NextOffset(genesis.0), |batch| batch.to);
    let announced_is_in = announced.is_some_and(|a| {
        a.to == last_to && last_batch.is_some_and(|batch| batch.from == commit.offset.as_offset())
    });
    if last_to == commit.offset || announced_is_in {
        Ok(())
    } else if last_to > commit.offset {
        Err(Refusal::CommitBehind { commit: commit.offset, last_to })
    } else {
        Err(Refusal::CommitAhead { commit: commit.offset, last_to })
    }
}

fn check_log(facts: &Facts, from: NextOffset, needed: NextOffset) -> Result<(), Refusal> {
    if facts.log_start.0 > from.0 {
        return Err(Refusal::LogStartAbove { commit: from, log_start: facts.log_start });
    }
    if facts.high_watermark < needed {
        return Err(Refusal::HighWatermarkBelow { needed, high_watermark: facts.high_watermark });
    }
    Ok(())
}

#[cfg(test)]
#[path = "assignment_tests.rs"]
mod tests;
