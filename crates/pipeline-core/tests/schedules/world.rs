//! The world of one schedule: processes, and what an operation does to them.

use audit_event::{NextOffset, Offset, PartitionId, SchemaId};
use pipeline_core::assignment::Commit;

use super::engine::TableFault;
use super::inserts::LastMoment;
use super::log::{LATE_SCHEMAS, Log};
use super::ops::{CommitFate, Damage, InsertFate, Op, Pick, Schedule};
use super::process::{Life, Process, Violation};
use super::rows::{TABLES, TablePlace};
use super::rules::Rules;
use super::shared::{FLUSH_INTERVAL_MS, Shared};
use super::worker::{Moved, Worker, WorkerId};

pub struct World {
    pub shared: Shared,
    pub processes: Vec<Process>,
    pub last_worker: WorkerId,
}

/// A worker by its process and its place there.
pub type WorkerAt = (usize, usize);

/// Records that a poll brings while all goes well.
const RECORDS_AT_ONCE: usize = 2;
/// Longer than anything can be on its way.
const LONG_S: i64 = 60;

impl World {
    pub fn new(schedule: &Schedule, rules: Rules, keep_history: bool) -> Self {
        let genesis = Offset(schedule.shape.genesis);
        let logs = schedule.logs.iter().map(|specs| Log::new(genesis, specs)).collect();
        let processes = (0..schedule.shape.processes).map(|_| Process::new()).collect();
        let shared = Shared::new(&schedule.shape, logs, rules, keep_history);
        Self { shared, processes, last_worker: WorkerId(0) }
    }

    pub fn apply(&mut self, op: Op) -> Result<(), Violation> {
        self.shared.note(|| format!("— {op:?}"));
        match op {
            Op::Go { worker, moves } => {
                if let Some(at) = self.pick_worker(worker) {
                    self.go(at, moves.into())?;
                }
            }
            Op::Poll { worker, records } => {
                if let Some((process, place)) = self.pick_worker(worker) {
                    self.processes[process].workers[place].poll(&self.shared, records.into());
                }
            }
            Op::Flush { worker } => {
                self.shared.now.0 += FLUSH_INTERVAL_MS;
                self.step(worker, 1)?;
            }
            Op::Step { worker, moves } => self.step(worker, moves)?,
            Op::ClosePlainly { worker } => {
                if let Some((process, place)) = self.pick_worker(worker) {
                    let Process { membership, workers, .. } = &mut self.processes[process];
                    workers[place].close_plainly(&mut self.shared, *membership);
                }
            }
            Op::Insert { insert, fate } => self.settle_insert(insert, fate),
            Op::Commit { commit, fate } => self.settle_commit(commit, fate),
            Op::Pass { seconds } => self.shared.pass(seconds.into()),
            Op::Rebalance { salt, loser } => self.rebalance(salt, loser)?,
            Op::Start { process } => self.start(process)?,
            Op::Crash { .. } | Op::Pause { .. } | Op::Revive { .. } | Op::Notice { .. } => {
                self.change_life(op);
            }
            Op::DamageCommit { partition, damage } => {
                self.damage_commit(partition, damage);
                self.start_all()?;
            }
            _ => self.disturb(op),
        }
        self.deliver();
        Ok(())
    }

    fn pick_worker(&self, pick: Pick) -> Option<WorkerAt> {
        let running = self.processes.iter().enumerate().filter(|(_, process)| process.life == Life::Runs);
        let all: Vec<_> =
            running.flat_map(|(p, process)| (0..process.workers.len()).map(move |w| (p, w))).collect();
        picked(pick, all.len()).map(|at| all[at])
    }

    fn step(&mut self, worker: Pick, moves: u8) -> Result<(), Violation> {
        let Some((process, place)) = self.pick_worker(worker) else { return Ok(()) };
        for _ in 0..moves {
            match self.processes[process].step(place, &mut self.shared)? {
                Moved::On => {}
                Moved::NeedsRecords => {
                    self.processes[process].workers[place].poll(&self.shared, RECORDS_AT_ONCE);
                }
                Moved::NeedsAnswer | Moved::NeedsTime | Moved::Over => break,
            }
        }
        Ok(())
    }

    /// The worker makes up to so many moves; what it asks for is answered at once. Answers the last move.
    pub fn go(&mut self, (process, place): WorkerAt, moves: usize) -> Result<Moved, Violation> {
        let mut moved = Moved::On;
        for _ in 0..moves {
            let id = self.processes[process].workers[place].id;
            moved = self.processes[process].step(place, &mut self.shared)?;
            match moved {
                Moved::On => {}
                Moved::NeedsRecords => {
                    let worker = &mut self.processes[process].workers[place];
                    worker.poll(&self.shared, RECORDS_AT_ONCE);
                    if worker.is_drained() {
                        break;
                    }
                    self.shared.now.0 += FLUSH_INTERVAL_MS / 2;
                }
                Moved::NeedsAnswer => self.answer_all_of(id),
                Moved::NeedsTime | Moved::Over => break,
            }
        }
        Ok(moved)
    }

    pub fn answer_all_of(&mut self, worker: WorkerId) {
        while let Some(at) =
            self.shared.engine.in_flight.iter().position(|i| i.owner == worker && !i.is_orphan)
        {
            self.shared.engine.answer(at);
        }
        if let Some(at) = self.shared.coordinator.waiting(worker) {
            self.shared.coordinator.answer(at);
        }
        self.deliver();
    }

    /// Answers reach their workers; a paused process reads them when it wakes.
    pub fn deliver(&mut self) {
        for (owner, id, result) in std::mem::take(&mut self.shared.engine.answers) {
            self.shared.note(|| format!("insert {} of worker {}: {result:?}", id.0, owner.0));
            if let Some(worker) = self.worker(owner) {
                worker.insert_answers.push((id, result));
            }
        }
        for (owner, answer) in std::mem::take(&mut self.shared.coordinator.answers) {
            self.shared.note(|| format!("commit of worker {}: {answer:?}", owner.0));
            if let Some(worker) = self.worker(owner) {
                worker.commit_answer = Some(answer);
            }
        }
    }

    fn worker(&mut self, id: WorkerId) -> Option<&mut Worker> {
        self.processes.iter_mut().flat_map(|process| &mut process.workers).find(|worker| worker.id == id)
    }

    fn settle_insert(&mut self, pick: Pick, fate: InsertFate) {
        let engine = &mut self.shared.engine;
        let Some(at) = picked(pick, engine.in_flight.len()) else { return };
        self.shared.seen.late_inserts += u64::from(engine.in_flight[at].is_orphan);
        match fate {
            InsertFate::Answered => engine.answer(at),
            InsertFate::AnswerLost => engine.lose_answer(at),
            InsertFate::Lost => engine.lose(at),
            InsertFate::Torn => {
                self.shared.seen.torn_inserts += 1;
                engine.tear(at);
            }
            InsertFate::Late { lands: true } => engine.give_up_waiting(at, LastMoment::Lands),
            InsertFate::Late { lands: false } => engine.give_up_waiting(at, LastMoment::Dies),
            InsertFate::Runs { parts } => engine.run_in_part(at, parts.into()),
            InsertFate::Overruns => {
                let id = engine.in_flight[at].id;
                engine.run_in_part(at, 0);
                if let Some(insert) = engine.in_flight.iter_mut().find(|insert| insert.id == id) {
                    insert.is_overrunning = true;
                    insert.last_moment = LastMoment::Lands;
                }
            }
        }
    }

    fn settle_commit(&mut self, pick: Pick, fate: CommitFate) {
        let coordinator = &mut self.shared.coordinator;
        let Some(at) = picked(pick, coordinator.in_flight.len()) else { return };
        self.shared.seen.late_commits += u64::from(coordinator.in_flight[at].is_late);
        match fate {
            CommitFate::Answered => coordinator.answer(at),
            CommitFate::AnswerLost => coordinator.lose_answer(at),
            CommitFate::Lost => coordinator.lose(at),
            CommitFate::Late => coordinator.delay(at),
        }
    }

    fn disturb(&mut self, op: Op) {
        let Shared { engine, seen, .. } = &mut self.shared;
        match op {
            Op::RestartEngine { torn, retried } => {
                seen.restarts_in_an_insert += u64::from(!engine.in_flight.is_empty());
                engine.restart(|place| bit(torn, place), |place| bit(retried, place));
            }
            Op::ForeignInserts { table, count } => {
                seen.foreign_inserts += 1;
                engine.insert_foreign(TablePlace(usize::from(table) % TABLES), count);
            }
            Op::FaultTable { table, lasting } => {
                seen.table_faults += 1;
                let fault = if lasting { TableFault::Lasting } else { TableFault::Passing };
                engine.faults[usize::from(table) % TABLES] = Some(fault);
            }
            Op::MendTables => engine.faults = [None; TABLES],
            Op::ToggleSchema { schema } => {
                self.shared.toggle_schema(SchemaId(1 + u32::from(schema) % LATE_SCHEMAS));
            }
            _ => {}
        }
    }

    /// Nobody can change a group's commits while it has members, and what was on its way is at its end by then.
    fn damage_commit(&mut self, pick: Pick, damage: Damage) {
        for process in &mut self.processes {
            process.die(&mut self.shared, LastMoment::Dies);
        }
        self.shared.coordinator.in_flight.clear();
        self.shared.engine.in_flight.iter_mut().for_each(|insert| insert.is_overrunning = false);
        self.shared.pass(LONG_S);
        let partition = PartitionId(i32::from(pick) % self.shared.logs.len() as i32);
        let log = self.shared.log(partition);
        let (genesis, end) = (log.genesis, log.end());
        let last_to = self.shared.engine.accounts_of(partition).map(|row| row.to).max();
        let plainly = |offset: i64| Some(Commit { offset: NextOffset(offset), metadata: String::new() });
        let has_rows = self.shared.engine.rows_of(partition).next().is_some();
        let changed = match (damage, last_to) {
            (Damage::Erased, _) if has_rows => None,
            // the offset stays, its announcement is gone
            (Damage::Forgotten, _) => match self.shared.coordinator.committed(partition) {
                Some(commit) if !commit.metadata.is_empty() => plainly(commit.offset.0),
                _ => return,
            },
            (Damage::Behind, Some(_)) => plainly(genesis.0),
            (Damage::Ahead, last_to) if last_to.is_none_or(|to| to.0 < end.0) => plainly(end.0),
            // there is nothing that a changed commit could harm
            _ => return,
        };
        self.shared.coordinator.damage(partition, changed);
    }
}

fn bit(bits: u8, place: usize) -> bool {
    bits >> (place % 8) & 1 == 1
}

pub fn picked(pick: Pick, count: usize) -> Option<usize> {
    (count > 0).then(|| usize::from(pick) % count)
}
