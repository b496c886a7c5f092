//! Inserts on their way into the model's tables: on the wire, running, landed in part, torn by a restart.

use std::collections::VecDeque;

use pipeline_core::announcement::EngineSeconds;

use super::engine::{Engine, MAX_EXECUTION_S, ServerRun, TableFault};
use super::rows::{Block, Day, TablePlace, Token};
use super::worker::WorkerId;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InsertId(pub u32);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InsertFailure {
    Retry,
    Stop,
}

pub type InsertResult = Result<(), InsertFailure>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    OnTheWire,
    /// ClickHouse compared its clock with the deadline and let it in.
    Running {
        since: EngineSeconds,
    },
}

/// What becomes of an insert that nobody waits for when its time runs out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LastMoment {
    Lands,
    Dies,
}

#[derive(Debug, Clone)]
pub struct Insert {
    pub id: InsertId,
    pub owner: WorkerId,
    pub token: Token,
    pub table: TablePlace,
    pub parts: VecDeque<(Day, Block)>,
    pub deadline: EngineSeconds,
    pub progress: Progress,
    pub last_moment: LastMoment,
    /// The server is held up and works on beyond the longest execution.
    pub is_overrunning: bool,
    /// The worker was answered, or gave up waiting.
    pub is_orphan: bool,
}

impl Engine {
    pub fn send(&mut self, owner: WorkerId, token: Token, block: Block, deadline: EngineSeconds) -> InsertId {
        self.last_insert = InsertId(self.last_insert.0 + 1);
        self.in_flight.push(Insert {
            id: self.last_insert,
            owner,
            token,
            table: block.table(),
            parts: block.parts().into(),
            deadline,
            progress: Progress::OnTheWire,
            last_moment: LastMoment::Dies,
            is_overrunning: false,
            is_orphan: false,
        });
        self.last_insert
    }

    /// The insert runs to its end and its answer arrives.
    pub fn answer(&mut self, at: usize) {
        let result = self.run_to_end(at);
        let insert = self.in_flight.remove(at);
        self.tell(&insert, result);
    }

    /// The insert runs to its end; nobody hears of it.
    pub fn lose_answer(&mut self, at: usize) {
        let _result_is_lost = self.run_to_end(at);
        let insert = self.in_flight.remove(at);
        self.tell(&insert, Err(InsertFailure::Retry));
    }

    /// The connection breaks before the insert arrives or while it runs: what landed stays.
    pub fn lose(&mut self, at: usize) {
        let insert = self.in_flight.remove(at);
        self.tell(&insert, Err(InsertFailure::Retry));
    }

    /// The disk fails between the token and the rows.
    pub fn tear(&mut self, at: usize) {
        if self.let_in(at, self.now).is_ok() {
            self.write_token_alone(at);
        }
        self.lose(at);
    }

    fn write_token_alone(&mut self, at: usize) {
        let insert = &self.in_flight[at];
        if let Some((day, _rows_never_came)) = insert.parts.front() {
            self.land_token_alone(insert.token, insert.table, *day);
        }
    }

    /// The worker gives up waiting; the insert is still on its way.
    pub fn give_up_waiting(&mut self, at: usize, last_moment: LastMoment) {
        let insert = self.in_flight[at].clone();
        self.tell(&insert, Err(InsertFailure::Retry));
        self.in_flight[at].is_orphan = true;
        self.in_flight[at].last_moment = last_moment;
    }

    /// The insert is let in, and its first `parts` land.
    pub fn run_in_part(&mut self, at: usize, parts: usize) {
        if self.let_in(at, self.now).is_err() {
            return self.lose(at);
        }
        for _ in 0..parts.min(self.in_flight[at].parts.len().saturating_sub(1)) {
            self.land_next(at);
        }
    }

    fn let_in(&mut self, at: usize, when: EngineSeconds) -> InsertResult {
        let insert = &self.in_flight[at];
        match self.faults[insert.table.0] {
            Some(TableFault::Passing) => return Err(InsertFailure::Retry),
            Some(TableFault::Lasting) => return Err(InsertFailure::Stop),
            None => {}
        }
        if insert.progress == Progress::OnTheWire {
            if !self.lets_in(insert.deadline, when) {
                return Err(InsertFailure::Retry);
            }
            self.in_flight[at].progress = Progress::Running { since: when };
        }
        Ok(())
    }

    fn land_next(&mut self, at: usize) {
        let insert = &mut self.in_flight[at];
        if let Some((day, part)) = insert.parts.pop_front() {
            let (token, table) = (insert.token, insert.table);
            self.land(token, table, day, part);
        }
    }

    fn run_to_end(&mut self, at: usize) -> InsertResult {
        self.let_in(at, self.now)?;
        while !self.in_flight[at].parts.is_empty() {
            self.land_next(at);
        }
        Ok(())
    }

    fn tell(&mut self, insert: &Insert, result: InsertResult) {
        if !insert.is_orphan {
            self.answers.push((insert.owner, insert.id, result));
        }
    }

    /// The worker is gone; what it sent is still on its way.
    pub fn orphan_all_of(&mut self, worker: WorkerId, last_moment: LastMoment) {
        for insert in self.in_flight.iter_mut().filter(|i| i.owner == worker && !i.is_orphan) {
            insert.is_orphan = true;
            insert.last_moment = last_moment;
        }
    }

    /// The server dies and starts anew, while it works on each insert that somebody waits for. Where `torn` says so the
    /// next part's token is written without its rows; where `retried` says so a proxy sends the insert again and brings
    /// the answer.
    pub fn restart(&mut self, torn: impl Fn(usize) -> bool, retried: impl Fn(usize) -> bool) {
        let is_working = |i: &Insert| !i.is_orphan || matches!(i.progress, Progress::Running { .. });
        let working: Vec<_> = self.in_flight.iter().filter(|i| is_working(i)).map(|i| i.id).collect();
        self.run = ServerRun(self.run.0 + 1);
        for (place, id) in working.into_iter().enumerate() {
            let Some(at) = self.in_flight.iter().position(|insert| insert.id == id) else { continue };
            if torn(place) && self.let_in(at, self.now).is_ok() {
                self.write_token_alone(at);
            }
            if retried(place) {
                self.in_flight[at].progress = Progress::OnTheWire;
                self.answer(at);
            } else {
                self.lose(at);
            }
        }
    }

    /// Time passes. What cannot be let in any more, and what ran for too long, comes to its end.
    pub fn pass(&mut self, seconds: i64) {
        let target = EngineSeconds(self.now.0 + seconds);
        let mut at = 0;
        while at < self.in_flight.len() {
            let ended = self.end_of(at, target);
            match ended {
                None => at += 1,
                Some((LastMoment::Lands, when)) => {
                    self.now = EngineSeconds(self.now.0.max(when.0));
                    self.answer(at);
                }
                Some((LastMoment::Dies, _)) => self.lose(at),
            }
        }
        self.now = target;
    }

    /// Whether the insert's time runs out before `target`, how it ends, and when.
    fn end_of(&mut self, at: usize, target: EngineSeconds) -> Option<(LastMoment, EngineSeconds)> {
        let Insert { deadline, last_moment, is_overrunning, .. } = self.in_flight[at];
        if self.in_flight[at].progress == Progress::OnTheWire {
            if self.lets_in(deadline, target) {
                return None;
            }
            let when = EngineSeconds(deadline.0.max(self.now.0));
            if last_moment == LastMoment::Dies || self.let_in(at, when).is_err() {
                return Some((LastMoment::Dies, when));
            }
        }
        let Progress::Running { since } = self.in_flight[at].progress else { return None };
        let last = EngineSeconds(since.0 + MAX_EXECUTION_S);
        (target > last && !is_overrunning).then_some((last_moment, last))
    }
}
