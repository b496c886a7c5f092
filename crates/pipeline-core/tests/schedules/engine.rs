//! ClickHouse: four tables, tokens with a bounded window, and inserts that land when they like.

use std::collections::VecDeque;

use audit_event::{Offset, PartitionId};
use pipeline_core::announcement::EngineSeconds;

use super::inserts::{Insert, InsertId, InsertResult, Progress};
use super::rows::{AccountRow, Block, Day, RecordRow, TABLES, TablePlace, Token};
use super::rules::{Rule, Rules};
use super::worker::WorkerId;

/// How long ClickHouse works on an insert that it let in, in seconds.
pub const MAX_EXECUTION_S: i64 = 8;

/// Counts the starts of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerRun(pub u32);

/// What a table answers instead of taking an insert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableFault {
    /// Too many parts, for instance: later it goes.
    Passing,
    /// A column is gone, for instance: somebody must mend it.
    Lasting,
}

/// A token of a table that ClickHouse remembers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Remembered {
    Ours(Token, Day),
    Foreign,
}

#[derive(Default)]
struct Tokens(VecDeque<Remembered>);

/// A token that a worker was told of as surely remembered, and until when.
#[derive(Debug, Clone, Copy)]
struct Promise {
    token: Token,
    until: EngineSeconds,
}

pub struct Engine {
    pub rules: Rules,
    pub now: EngineSeconds,
    pub run: ServerRun,
    pub records: [Vec<RecordRow>; 3],
    pub accounts: Vec<AccountRow>,
    pub faults: [Option<TableFault>; TABLES],
    pub in_flight: Vec<Insert>,
    pub answers: Vec<(WorkerId, InsertId, InsertResult)>,
    tokens: [Tokens; TABLES],
    token_window: usize,
    promises: Vec<Promise>,
    /// Every token of ours that was ever written.
    written: Vec<(Token, TablePlace, Day)>,
    pub last_insert: InsertId,
}

impl Engine {
    pub fn new(token_window: usize, rules: Rules) -> Self {
        Self {
            rules,
            now: EngineSeconds(1_000),
            run: ServerRun(0),
            records: Default::default(),
            accounts: Vec::new(),
            faults: [None; TABLES],
            in_flight: Vec::new(),
            answers: Vec::new(),
            tokens: Default::default(),
            token_window,
            promises: Vec::new(),
            written: Vec::new(),
            last_insert: InsertId(0),
        }
    }

    /// Commits one part: a known token drops it, silently.
    pub fn land(&mut self, token: Token, table: TablePlace, day: Day, part: Block) {
        if self.knows(token, table, day) {
            return;
        }
        self.remember_ours(token, table, day);
        match part {
            Block::Records(_, rows) => self.records[table.0].extend(rows),
            Block::Account(row) => self.accounts.push(row),
        }
    }

    /// The token is written and the server dies before the rows are there.
    pub fn land_token_alone(&mut self, token: Token, table: TablePlace, day: Day) {
        if !self.knows(token, table, day) {
            self.remember_ours(token, table, day);
        }
    }

    fn remember_ours(&mut self, token: Token, table: TablePlace, day: Day) {
        self.written.push((token, table, day));
        self.remember(table, Remembered::Ours(token, day));
    }

    fn knows(&self, token: Token, table: TablePlace, day: Day) -> bool {
        self.tokens[table.0].0.contains(&Remembered::Ours(token, day))
    }

    fn remember(&mut self, table: TablePlace, entry: Remembered) {
        self.tokens[table.0].0.push_back(entry);
        let window = &self.tokens[table.0].0;
        if window.len() > self.token_window
            && let Some(oldest) = window.iter().position(|entry| !self.is_promised(*entry))
        {
            self.tokens[table.0].0.remove(oldest);
        }
    }

    /// Whether a worker relies on the token: inserts were sent again under it, and some may still be on their way.
    fn is_promised(&self, entry: Remembered) -> bool {
        let Remembered::Ours(token, _) = entry else { return false };
        let mut promises = self.promises.iter().filter(|promise| promise.token == token);
        promises.any(|promise| self.now <= promise.until || self.is_inserting(token))
    }

    /// Others insert into the table, with tokens of their own.
    pub fn insert_foreign(&mut self, table: TablePlace, count: u8) {
        for _ in 0..count {
            self.remember(table, Remembered::Foreign);
        }
    }

    /// Whether every token of the attempt that was ever written is still known, and its deadline leaves time. If so
    /// they stay known for as long as an insert of the attempt can land.
    pub fn covers(&mut self, token: Token, deadline: EngineSeconds) -> bool {
        let mut written = self.written.iter().filter(|(ours, ..)| *ours == token);
        let covers = self.now <= deadline && written.all(|(_, table, day)| self.knows(token, *table, *day));
        if covers {
            self.promises.push(Promise { token, until: EngineSeconds(deadline.0 + MAX_EXECUTION_S) });
        }
        covers
    }

    pub fn is_inserting(&self, token: Token) -> bool {
        self.in_flight.iter().any(|i| i.token == token && matches!(i.progress, Progress::Running { .. }))
    }

    pub fn lets_in(&self, deadline: EngineSeconds, at: EngineSeconds) -> bool {
        at <= deadline || !self.rules.holds(Rule::Deadline)
    }

    pub fn rows(&self) -> usize {
        self.records.iter().map(Vec::len).sum()
    }

    pub fn rows_of(&self, partition: PartitionId) -> impl Iterator<Item = (usize, &RecordRow)> {
        let tables = self.records.iter().enumerate();
        tables
            .flat_map(|(place, rows)| rows.iter().map(move |row| (place, row)))
            .filter(move |(_, row)| row.partition == partition)
    }

    pub fn accounts_of(&self, partition: PartitionId) -> impl Iterator<Item = &AccountRow> {
        self.accounts.iter().filter(move |row| row.partition == partition)
    }

    /// The event at an offset, as a worker that rebuilt its window reads it.
    pub fn event_at(&self, partition: PartitionId, offset: Offset) -> Option<&RecordRow> {
        self.records[0].iter().find(|row| row.partition == partition && row.record.offset == offset)
    }
}
