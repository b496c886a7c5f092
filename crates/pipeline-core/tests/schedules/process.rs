//! A processor's process: a consumer in the group, and a worker for each partition it holds.

use super::coordinator::Membership;
use super::inserts::LastMoment;
use super::shared::Shared;
use super::worker::{End, Lease, Moved, State, Worker};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    Runs,
    /// SIGSTOP: it knows nothing of what happens meanwhile.
    Paused,
    Dead,
}

pub struct Process {
    pub life: Life,
    pub membership: Option<Membership>,
    pub workers: Vec<Worker>,
}

/// What must never happen.
#[derive(Debug, Clone)]
pub struct Violation(pub String);

impl Process {
    pub fn new() -> Self {
        Self { life: Life::Runs, membership: None, workers: Vec::new() }
    }

    pub fn is_current(&self, shared: &Shared) -> bool {
        self.membership.is_some_and(|membership| shared.coordinator.is_current(membership))
    }

    /// One worker makes a move, and what its end means for the process follows.
    pub fn step(&mut self, worker: usize, shared: &mut Shared) -> Result<Moved, Violation> {
        let membership = self.membership;
        let moved = self.workers[worker].step(shared, membership);
        if moved == Moved::Over {
            self.after_end(worker, shared)?;
        }
        Ok(moved)
    }

    fn after_end(&mut self, worker: usize, shared: &mut Shared) -> Result<(), Violation> {
        let ended = &self.workers[worker];
        let State::Over(end) = &ended.state else { return Ok(()) };
        match end {
            End::Fenced => self.remove(worker, shared),
            End::CommitUnknown => {
                shared.seen.unknown_commits += 1;
                self.give_up_consumer(shared);
            }
            End::TableFault => self.die(shared, LastMoment::Dies),
            // a worker that was away for long may find that others went on
            End::Refused(_)
                if shared.coordinator.is_damaged(ended.partition)
                    || ended.lease == Lease::Ended
                    || !self.is_current(shared) =>
            {
                shared.seen.refused_starts += 1;
                self.die(shared, LastMoment::Dies);
            }
            End::Refused(what) | End::Broken(what) => {
                return Err(Violation(format!("{} stopped: {what}", ended.name())));
            }
        }
        Ok(())
    }

    /// A worker is gone; what it sent may still arrive.
    pub fn remove(&mut self, worker: usize, shared: &mut Shared) {
        let gone = self.workers.remove(worker);
        abandon(&gone, shared, LastMoment::Dies);
    }

    /// The consumer is thrown away, and all assignments end with it.
    pub fn give_up_consumer(&mut self, shared: &mut Shared) {
        self.membership = None;
        for worker in std::mem::take(&mut self.workers) {
            abandon(&worker, shared, LastMoment::Lands);
        }
    }

    /// The consumer lost its assignments; workers that hang may go on for a while.
    pub fn lose_assignments(&mut self, hang: bool, shared: &mut Shared) {
        if hang {
            self.workers.iter_mut().for_each(|worker| worker.lease = Lease::Ended);
            self.membership = None;
        } else {
            self.give_up_consumer(shared);
        }
    }

    pub fn die(&mut self, shared: &mut Shared, last_moment: LastMoment) {
        self.life = Life::Dead;
        self.membership = None;
        for worker in std::mem::take(&mut self.workers) {
            abandon(&worker, shared, last_moment);
        }
    }
}

fn abandon(worker: &Worker, shared: &mut Shared, last_moment: LastMoment) {
    shared.engine.orphan_all_of(worker.id, last_moment);
    shared.coordinator.delay_all_of(worker.id);
}
