//! One batch on its way to its close, through every answer that may come or not come.
//!
//! The driver asks for the next [`Step`], does it, and tells what happened. The rule that carries the promise: a batch
//! closes without reading back only if the first send of each of its inserts was answered with success. After any
//! other history its inserts are sent again under the same token while that surely still drops a second copy; then the
//! driver waits until nothing can land any more, and what ClickHouse then holds is the truth.

use std::collections::BTreeMap;

use audit_event::Offset;
use thiserror::Error;

use crate::announcement::{Attempt, EngineSeconds};

/// A table that holds records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RecordTable {
    Events,
    Duplicates,
    DeadLetters,
}

impl RecordTable {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Duplicates => "duplicates",
            Self::DeadLetters => "dead_letters",
        }
    }
}

/// Which record of the range belongs into which table: the batch's verdicts, without their contents.
pub type Expected = BTreeMap<Offset, RecordTable>;

/// What has to be inserted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Missing {
    All,
    Only { records: Expected, account: bool },
}

impl Missing {
    pub fn contains(&self, offset: Offset) -> bool {
        match self {
            Self::All => true,
            Self::Only { records, .. } => records.contains_key(&offset),
        }
    }

    pub fn account(&self) -> bool {
        match self {
            Self::All => true,
            Self::Only { account, .. } => *account,
        }
    }
}

/// What ClickHouse holds of the range.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// Each row of the range: its table and its offset, in any order.
    pub records: Vec<(RecordTable, Offset)>,
    /// Rows of `event_batches` that are this batch's account.
    pub accounts: u64,
    /// Rows of `event_batches` that overlap the range and are not its account.
    pub foreign_accounts: u64,
}

/// How the inserts of one attempt went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InsertOutcome {
    /// Each was sent once and answered with success, by a server that ran through all of it.
    Sure,
    /// Anything else: an error, no answer, a server that started anew.
    Unsure,
}

/// Which send of an attempt's inserts it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Send {
    First,
    /// The same blocks under the same token: what is there already is dropped by ClickHouse.
    Again,
}

/// Whether ClickHouse surely still remembers the attempt's token, and its deadline leaves time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenCover {
    Sure,
    Unsure,
}

/// The most times that an attempt's inserts are sent again under its token.
pub const MAX_RESENDS: u32 = 3;

/// What the driver does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Commit the range's begin with an announcement of this attempt.
    Announce(Attempt),
    /// Insert, with tokens of the announced attempt and its deadline.
    Insert {
        attempt: Attempt,
        deadline: EngineSeconds,
        missing: Missing,
        send: Send,
    },
    /// Find out whether the attempt's inserts can be sent again under their token.
    AskToken {
        attempt: Attempt,
        deadline: EngineSeconds,
    },
    /// Wait until no insert of the announced attempt can land any more.
    AwaitLanding {
        deadline: EngineSeconds,
    },
    ReadBack,
    /// All rows are there, once. The next announcement (or a plain commit) closes the batch in Kafka.
    Close,
    Stop(BatchFault),
}

/// What no retry can mend. The partition stops and a person looks.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BatchFault {
    #[error("offset {offset} is there {times} times; find out who else writes, and delete the surplus rows")]
    Doubled { offset: Offset, times: usize },
    #[error("offset {offset} is in {}, where this build's verdict is {}", found.as_str(), expected.map_or("no record at all", RecordTable::as_str))]
    OtherVerdict { offset: Offset, found: RecordTable, expected: Option<RecordTable> },
    #[error(
        "event_batches has {accounts} rows of this batch and {foreign} that overlap it; each batch has one"
    )]
    Accounts { accounts: u64, foreign: u64 },
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    ToAnnounce { attempt: Attempt, missing: Missing },
    ToInsert(Sending),
    ToAskToken(Sending),
    ToAwait { attempt: Attempt, deadline: EngineSeconds },
    ToReadBack { attempt: Attempt },
    Closed { attempt: Attempt },
    Stopped(BatchFault),
}

/// The inserts of an announced attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Sending {
    attempt: Attempt,
    deadline: EngineSeconds,
    missing: Missing,
    /// How often they were sent again.
    resends: u32,
}

impl Sending {
    fn send(&self) -> Send {
        if self.resends == 0 { Send::First } else { Send::Again }
    }
}

/// Whether answers of success alone close a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trust {
    Answers,
    ReadBack,
}

/// The life of one batch.
#[derive(Debug, Clone)]
pub struct BatchRun {
    expected: Expected,
    trust: Trust,
    state: State,
}

impl BatchRun {
    /// A batch that nobody has tried.
    pub fn fresh(expected: Expected) -> Self {
        let state = State::ToAnnounce { attempt: Attempt::FIRST, missing: Missing::All };
        Self { expected, trust: Trust::Answers, state }
    }

    /// The first batch after a plain commit. If that commit was put there by hand, an announcement may have been lost
    /// with it, and a token of the same name may be remembered without its rows: success is read back, at once.
    pub fn first_of_assignment(expected: Expected) -> Self {
        Self { trust: Trust::ReadBack, ..Self::fresh(expected) }
    }

    /// A batch that was announced before this assignment: rows of it may be there, or still land until `deadline`.
    pub fn replayed(expected: Expected, attempt: Attempt, deadline: EngineSeconds) -> Self {
        Self { expected, trust: Trust::ReadBack, state: State::ToAwait { attempt, deadline } }
    }

    pub fn next(&self) -> Step {
        match &self.state {
            State::ToAnnounce { attempt, .. } => Step::Announce(*attempt),
            State::ToInsert(sending) => Step::Insert {
                attempt: sending.attempt,
                deadline: sending.deadline,
                missing: sending.missing.clone(),
                send: sending.send(),
            },
            State::ToAskToken(Sending { attempt, deadline, .. }) => {
                Step::AskToken { attempt: *attempt, deadline: *deadline }
            }
            State::ToAwait { deadline, .. } => Step::AwaitLanding { deadline: *deadline },
            State::ToReadBack { .. } => Step::ReadBack,
            State::Closed { .. } => Step::Close,
            State::Stopped(fault) => Step::Stop(fault.clone()),
        }
    }

    /// The attempt that the batch is at.
    pub fn attempt(&self) -> Attempt {
        match &self.state {
            State::ToAnnounce { attempt, .. }
            | State::ToInsert(Sending { attempt, .. })
            | State::ToAskToken(Sending { attempt, .. })
            | State::ToAwait { attempt, .. }
            | State::ToReadBack { attempt }
            | State::Closed { attempt } => *attempt,
            State::Stopped(_) => Attempt::FIRST,
        }
    }

    /// The commit with the announcement was acknowledged.
    pub fn announced(&mut self, deadline: EngineSeconds) {
        if let State::ToAnnounce { attempt, missing } = &self.state {
            let (attempt, missing) = (*attempt, missing.clone());
            self.state = State::ToInsert(Sending { attempt, deadline, missing, resends: 0 });
        }
    }

    /// The inserts were sent once (more), and this came of it.
    pub fn inserted(&mut self, outcome: InsertOutcome) {
        if let State::ToInsert(sending) = &self.state {
            let Sending { attempt, deadline, ref missing, resends } = *sending;
            self.state = match (outcome, sending.send(), missing) {
                (InsertOutcome::Sure, Send::First, Missing::All) if self.trust == Trust::Answers => {
                    State::Closed { attempt }
                }
                (InsertOutcome::Sure, Send::First, _) => State::ToReadBack { attempt },
                // a success may mean no more than that the token was known, and an earlier send may be on its way
                (InsertOutcome::Sure, Send::Again, _) => State::ToAwait { attempt, deadline },
                (InsertOutcome::Unsure, ..) if resends < MAX_RESENDS => State::ToAskToken(sending.clone()),
                (InsertOutcome::Unsure, ..) => State::ToAwait { attempt, deadline },
            };
        }
    }

    /// The answer to [`Step::AskToken`].
    pub fn token(&mut self, cover: TokenCover) {
        if let State::ToAskToken(sending) = &self.state {
            let Sending { attempt, deadline, .. } = *sending;
            self.state = match cover {
                TokenCover::Sure => {
                    State::ToInsert(Sending { resends: sending.resends + 1, ..sending.clone() })
                }
                TokenCover::Unsure => State::ToAwait { attempt, deadline },
            };
        }
    }

    /// Nothing of the announced attempt can land any more.
    pub fn landed(&mut self) {
        if let State::ToAwait { attempt, .. } = self.state {
            self.state = State::ToReadBack { attempt };
        }
    }

    pub fn read_back(&mut self, found: &Found) {
        if let State::ToReadBack { attempt } = self.state {
            self.state = match compare(&self.expected, found) {
                Err(fault) => State::Stopped(fault),
                Ok(None) => State::Closed { attempt },
                Ok(Some(missing)) => State::ToAnnounce { attempt: attempt.next(), missing },
            };
        }
    }
}

/// What is missing, `None` if nothing is.
fn compare(expected: &Expected, found: &Found) -> Result<Option<Missing>, BatchFault> {
    let mut missing = expected.clone();
    for &(table, offset) in &found.records {
        match expected.get(&offset) {
            Some(&wanted) if wanted == table => {
                if missing.remove(&offset).is_none() {
                    let times = found.records.iter().filter(|(_, o)| *o == offset).count();
                    return Err(BatchFault::Doubled { offset, times });
                }
            }
            other => {
                return Err(BatchFault::OtherVerdict { offset, found: table, expected: other.copied() });
            }
        }
    }
    if found.accounts > 1 || found.foreign_accounts > 0 {
        return Err(BatchFault::Accounts { accounts: found.accounts, foreign: found.foreign_accounts });
    }
    let account = found.accounts == 0;
    Ok((account || !missing.is_empty()).then_some(Missing::Only { records: missing, account }))
}

#[cfg(test)]
#[path = "batch_run_tests.rs"]
mod tests;
