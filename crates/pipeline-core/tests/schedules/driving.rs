//! A batch on its way to its close, as the processor's driver leads it.

use std::collections::BTreeSet;

use audit_event::{NextOffset, Offset, PartitionId, SchemaId};
use pipeline_core::RULES;
use pipeline_core::announcement::{Announcement, Attempt, EngineSeconds};
use pipeline_core::batch::{OpenBatch, Range};
use pipeline_core::batch_run::{
    BatchRun, Expected, Found, InsertOutcome, Missing, RecordTable, Send, Step, TokenCover,
};

use super::coordinator::Membership;
use super::engine::{MAX_EXECUTION_S, ServerRun};
use super::inserts::{InsertFailure, InsertId};
use super::judge::Verdict;
use super::log::LogRecord;
use super::rows::{AccountRow, Block, RECORD_TABLES, RecordRow, Token};
use super::rules::Rule;
use super::shared::Shared;
use super::worker::{End, Moved, Worker};

/// How long an insert may wait to be let in, in seconds.
const DEADLINE_S: i64 = 10;
/// ClickHouse's clock counts whole seconds.
const LANDING_GRACE_S: i64 = 2;

pub struct Batch {
    pub partition: PartitionId,
    pub range: Range,
    pub records: Vec<(LogRecord, Verdict)>,
    pub unknown: BTreeSet<SchemaId>,
}

/// The inserts that an answer is waited for.
struct Sent {
    waiting: Vec<InsertId>,
    account: Option<Block>,
    failure: Option<InsertFailure>,
    which: Send,
    deadline: EngineSeconds,
    token: Token,
}

enum Doing {
    Nothing,
    Announcing { deadline: EngineSeconds },
    Inserting(Sent),
}

pub struct Driving {
    pub batch: Batch,
    run: BatchRun,
    doing: Doing,
    /// The server's start when the attempt was announced; a replay has announced nothing.
    before: Option<ServerRun>,
    /// A broken rule believed that all is there.
    believed: bool,
}

impl Driving {
    pub fn new(batch: Batch, run: BatchRun) -> Self {
        Self { batch, run, doing: Doing::Nothing, before: None, believed: false }
    }

    /// What stands in a worker while its batch makes a move.
    pub fn nothing(partition: PartitionId) -> Self {
        let range = OpenBatch::begin(Offset(0)).range();
        let batch = Batch { partition, range, records: Vec::new(), unknown: BTreeSet::new() };
        Self::new(batch, BatchRun::fresh(Expected::new()))
    }

    /// One move; [`Moved::Over`] when the batch is closed.
    pub fn step(
        &mut self,
        worker: &mut Worker,
        shared: &mut Shared,
        membership: Option<Membership>,
    ) -> Result<Moved, End> {
        match &mut self.doing {
            Doing::Announcing { .. } => return self.hear_of_commit(worker, shared),
            Doing::Inserting(_) => return self.hear_of_inserts(worker, shared),
            Doing::Nothing => {}
        }
        let step = if self.believed { Step::Close } else { self.run.next() };
        if !matches!(step, Step::AwaitLanding { .. }) {
            shared.note(|| format!("{} is at {}: {step:?}", worker.name(), self.batch.name()));
        }
        match step {
            Step::Announce(attempt) => self.announce(attempt, worker, shared, membership)?,
            Step::Insert { attempt, deadline, missing, send } => {
                shared.seen.resends += u64::from(send == Send::Again);
                self.insert(attempt, deadline, &missing, send, worker, shared);
            }
            Step::AskToken { attempt, deadline } => {
                let token = self.token(attempt, shared);
                let is_same_server = self.before == Some(shared.engine.run);
                let covers = !shared.rules.holds(Rule::TokenCover)
                    || is_same_server && shared.engine.covers(token, deadline);
                self.run.token(if covers { TokenCover::Sure } else { TokenCover::Unsure });
            }
            Step::AwaitLanding { deadline } => {
                if !self.has_landed(deadline, shared) {
                    return Ok(Moved::NeedsTime);
                }
                self.run.landed();
            }
            Step::ReadBack => {
                shared.seen.read_backs += 1;
                self.run.read_back(&self.read_back(shared));
            }
            Step::Close => {
                shared.seen.closes += 1;
                return Ok(Moved::Over);
            }
            Step::Stop(fault) => return Err(End::Broken(fault.to_string())),
        }
        Ok(Moved::On)
    }

    fn announce(
        &mut self,
        attempt: Attempt,
        worker: &mut Worker,
        shared: &mut Shared,
        membership: Option<Membership>,
    ) -> Result<(), End> {
        let range = &self.batch.range;
        let deadline = EngineSeconds(shared.engine.now.0 + DEADLINE_S);
        let announcement = Announcement::new(shared.trail.trail_id, range.to, attempt, RULES, deadline)
            .with_unknown_schemas(self.batch.unknown.clone());
        let metadata =
            if shared.rules.holds(Rule::Announcement) { announcement.to_metadata() } else { String::new() };
        self.before = Some(shared.engine.run);
        worker.commit(shared, membership, NextOffset(range.from.0), metadata)?;
        self.doing = Doing::Announcing { deadline };
        Ok(())
    }

    fn hear_of_commit(&mut self, worker: &mut Worker, shared: &Shared) -> Result<Moved, End> {
        let Doing::Announcing { deadline } = self.doing else { return Ok(Moved::On) };
        match worker.commit_answer.take() {
            None => return Ok(Moved::NeedsAnswer),
            Some(Err(_)) if shared.rules.holds(Rule::UnknownCommit) => return Err(End::CommitUnknown),
            Some(_) => {}
        }
        self.run.announced(deadline);
        self.doing = Doing::Nothing;
        Ok(Moved::On)
    }

    fn insert(
        &mut self,
        attempt: Attempt,
        deadline: EngineSeconds,
        missing: &Missing,
        which: Send,
        worker: &Worker,
        shared: &mut Shared,
    ) {
        let token = self.token(attempt, shared);
        let missing = if shared.rules.holds(Rule::OnlyMissing) { missing } else { &Missing::All };
        let waiting = RECORD_TABLES
            .into_iter()
            .filter_map(|table| self.batch.block(table, missing))
            .map(|block| shared.engine.send(worker.id, token, block, deadline))
            .collect();
        let account = missing.account().then(|| Block::Account(self.batch.account()));
        self.doing = Doing::Inserting(Sent { waiting, account, failure: None, which, deadline, token });
    }

    /// The account follows the others' success; then the server's start is looked at.
    fn hear_of_inserts(&mut self, worker: &mut Worker, shared: &mut Shared) -> Result<Moved, End> {
        let Doing::Inserting(sent) = &mut self.doing else { return Ok(Moved::On) };
        for (id, result) in worker.insert_answers.drain(..) {
            if let Some(at) = sent.waiting.iter().position(|waiting| *waiting == id) {
                sent.waiting.remove(at);
                sent.failure = sent.failure.or(result.err());
            }
        }
        if !sent.waiting.is_empty() {
            return Ok(Moved::NeedsAnswer);
        }
        if sent.failure.is_none()
            && let Some(account) = sent.account.take()
        {
            sent.waiting = vec![shared.engine.send(worker.id, sent.token, account, sent.deadline)];
            return Ok(Moved::NeedsAnswer);
        }
        let is_same_server = self.before == Some(shared.engine.run) || !shared.rules.holds(Rule::SameServer);
        let outcome = match sent.failure {
            Some(InsertFailure::Stop) => return Err(End::TableFault),
            None if is_same_server => InsertOutcome::Sure,
            _ => InsertOutcome::Unsure,
        };
        self.believed = outcome == InsertOutcome::Sure
            && sent.which == Send::Again
            && !shared.rules.holds(Rule::FirstSendOnly);
        self.run.inserted(outcome);
        self.doing = Doing::Nothing;
        Ok(Moved::On)
    }

    fn has_landed(&self, deadline: EngineSeconds, shared: &Shared) -> bool {
        let token = self.token(self.run.attempt(), shared);
        let is_time = shared.engine.now.0 > deadline.0 + MAX_EXECUTION_S + LANDING_GRACE_S;
        (is_time || !shared.rules.holds(Rule::Wait))
            && (!shared.engine.is_inserting(token) || !shared.rules.holds(Rule::RunningInserts))
    }

    fn token(&self, attempt: Attempt, shared: &Shared) -> Token {
        let Range { from, to, .. } = self.batch.range;
        let attempt = if shared.rules.holds(Rule::AttemptInToken) { attempt } else { Attempt::FIRST };
        Token { partition: self.batch.partition, from, to, attempt }
    }

    fn read_back(&self, shared: &Shared) -> Found {
        if !shared.rules.holds(Rule::ReadBack) {
            let records = self.batch.records.iter().map(|(record, v)| (v.table, record.offset)).collect();
            return Found { records, accounts: 1, foreign_accounts: 0 };
        }
        let Batch { partition, range, .. } = &self.batch;
        let is_inside = |offset: Offset| range.from <= offset && offset.0 < range.to.0;
        let rows = shared.engine.rows_of(*partition).filter(|(_, row)| is_inside(row.record.offset));
        let records = rows.map(|(table, row)| (RECORD_TABLES[table], row.record.offset)).collect();
        let account = self.batch.account();
        let overlaps = |row: &AccountRow| row.from.0 < range.to.0 && row.to.0 > range.from.0;
        let (own, foreign) = shared
            .engine
            .accounts_of(*partition)
            .filter(|row| overlaps(row))
            .partition::<Vec<&AccountRow>, _>(|row| **row == account);
        Found { records, accounts: own.len() as u64, foreign_accounts: foreign.len() as u64 }
    }
}

impl Batch {
    pub fn expected(&self) -> Expected {
        self.records.iter().map(|(record, verdict)| (record.offset, verdict.table)).collect()
    }

    fn name(&self) -> String {
        format!("[{}, {})", self.range.from, self.range.to)
    }

    fn block(&self, table: RecordTable, missing: &Missing) -> Option<Block> {
        let rows: Vec<_> = self
            .records
            .iter()
            .filter(|(record, verdict)| verdict.table == table && missing.contains(record.offset))
            .map(|(record, verdict)| RecordRow {
                partition: self.partition,
                record: *record,
                first: verdict.first,
            })
            .collect();
        (!rows.is_empty()).then_some(Block::Records(table, rows))
    }

    fn count(&self, table: RecordTable) -> u64 {
        self.records.iter().filter(|(_, verdict)| verdict.table == table).count() as u64
    }

    fn account(&self) -> AccountRow {
        let Range { from, to, least_received_at, greatest_received_at, .. } = self.range;
        AccountRow {
            partition: self.partition,
            from,
            to,
            rows: self.count(RecordTable::Events),
            duplicates: self.count(RecordTable::Duplicates),
            dead_letters: self.count(RecordTable::DeadLetters),
            gaps: self.range.gaps(),
            least_received_at,
            greatest_received_at,
        }
    }
}
