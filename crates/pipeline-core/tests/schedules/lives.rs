//! Processes come, stop, wake and die; partitions move between them; at the end everything heals.

use super::coordinator::Membership;
use super::inserts::LastMoment;
use super::ops::{Loser, Op, Pick};
use super::process::{Life, Process, Violation};
use super::rows::TABLES;
use super::worker::{Lease, Moved, State, Worker, WorkerId};
use super::world::{World, picked};

/// Moves that a worker makes when it is asked to finish.
const DRAIN_MOVES: usize = 24;
/// Moves that a revived process makes before it hears that its partitions are gone.
const ZOMBIE_MOVES: usize = 3;
/// Rounds after which a healed world must be at its end; one is a second.
const MAX_ROUNDS: usize = 400;
/// The round in which ClickHouse gets over whatever held it up.
const LAST_OVERRUN: usize = 60;
/// Moves of one worker in one round.
const ROUND_MOVES: usize = 40;

impl World {
    pub fn change_life(&mut self, op: Op) {
        let (Op::Crash { process, .. }
        | Op::Pause { process }
        | Op::Revive { process }
        | Op::Notice { process, .. }) = op
        else {
            return;
        };
        let Some(at) = picked(process, self.processes.len()) else { return };
        let (process, shared) = (&mut self.processes[at], &mut self.shared);
        match (op, process.life) {
            (Op::Crash { late, .. }, Life::Runs | Life::Paused) => {
                shared.seen.crashes += 1;
                process.die(shared, if late { LastMoment::Lands } else { LastMoment::Dies });
            }
            (Op::Pause { .. }, Life::Runs) => process.life = Life::Paused,
            (Op::Revive { .. }, Life::Paused) => {
                shared.seen.zombies += u64::from(!process.is_current(shared));
                process.life = Life::Runs;
            }
            (Op::Notice { hang, .. }, Life::Runs) if !process.is_current(shared) => {
                process.lose_assignments(hang, shared);
            }
            _ => {}
        }
    }

    /// A process starts and joins the group.
    pub fn start(&mut self, process: Pick) -> Result<(), Violation> {
        let Some(at) = picked(process, self.processes.len()) else { return Ok(()) };
        if self.processes[at].life != Life::Dead {
            return Ok(());
        }
        self.processes[at] = Process::new();
        self.rebalance(process, Loser::Drains)
    }

    pub fn start_all(&mut self) -> Result<(), Violation> {
        for process in self.processes.iter_mut().filter(|process| process.life == Life::Dead) {
            *process = Process::new();
        }
        self.rebalance(0, Loser::Drains)
    }

    /// Partitions are given out anew among the processes that run. Those that stay keep what they can.
    pub fn rebalance(&mut self, salt: u8, loser: Loser) -> Result<(), Violation> {
        let running: Vec<_> =
            (0..self.processes.len()).filter(|p| self.processes[*p].life == Life::Runs).collect();
        if running.is_empty() {
            return Ok(());
        }
        self.shared.seen.rebalances += 1;
        for &process in &running {
            if !self.processes[process].is_current(&self.shared) {
                self.processes[process].lose_assignments(loser == Loser::Hangs, &mut self.shared);
            }
        }
        let target = |partition: usize| {
            running[(usize::from(salt) + partition * usize::from(salt / 3)) % running.len()]
        };
        for &process in &running {
            self.revoke(process, |partition| target(partition) == process, loser)?;
        }
        self.admit(&running);
        for partition in self.shared.partitions() {
            self.assign(target(partition.0 as usize), partition);
        }
        Ok(())
    }

    /// The revoke callback: it returns when the outstanding commits are answered and the losers have ended or hang.
    fn revoke(
        &mut self,
        process: usize,
        keeps: impl Fn(usize) -> bool,
        loser: Loser,
    ) -> Result<(), Violation> {
        let mut place = 0;
        while place < self.processes[process].workers.len() {
            let worker = &mut self.processes[process].workers[place];
            if worker.lease == Lease::Ended || keeps(worker.partition.0 as usize) {
                place += 1;
                continue;
            }
            let id = worker.id;
            if let Some(at) = self.shared.coordinator.waiting(id) {
                self.shared.coordinator.answer(at);
                self.deliver();
            }
            if loser == Loser::Drains {
                self.drain(process, place)?;
            }
            // the worker may have ended, and its consumer with it
            let workers = &mut self.processes[process].workers;
            if workers.get(place).is_none_or(|worker| worker.id != id) {
                continue;
            }
            if loser == Loser::Hangs {
                workers[place].lease = Lease::Ended;
                place += 1;
            } else {
                self.processes[process].remove(place, &mut self.shared);
            }
        }
        Ok(())
    }

    fn drain(&mut self, process: usize, place: usize) -> Result<(), Violation> {
        let id = self.processes[process].workers[place].id;
        for _ in 0..DRAIN_MOVES {
            let Process { membership, workers, .. } = &mut self.processes[process];
            let Some(worker) = workers.get_mut(place).filter(|worker| worker.id == id) else { return Ok(()) };
            if matches!(worker.state, State::Gathering(_)) {
                worker.close_plainly(&mut self.shared, *membership);
                if matches!(worker.state, State::Gathering(_)) {
                    return Ok(());
                }
            }
            if self.go((process, place), 1)? == Moved::NeedsTime {
                return Ok(());
            }
        }
        Ok(())
    }

    fn admit(&mut self, running: &[usize]) {
        let members: Vec<_> = running
            .iter()
            .map(|process| match self.processes[*process].membership {
                Some(membership) => membership.member,
                None => self.shared.coordinator.new_member(),
            })
            .collect();
        let generation = self.shared.coordinator.rebalance(members.clone());
        for (process, member) in running.iter().zip(members) {
            self.processes[*process].membership = Some(Membership { member, generation });
        }
    }

    fn assign(&mut self, process: usize, partition: audit_event::PartitionId) {
        let workers = &mut self.processes[process].workers;
        if workers.iter().any(|worker| worker.partition == partition && worker.lease == Lease::Lives) {
            return;
        }
        self.last_worker = WorkerId(self.last_worker.0 + 1);
        let committed = self.shared.coordinator.committed(partition).cloned();
        workers.push(Worker::new(self.last_worker, partition, committed));
    }

    /// Every fault ends, and whoever was away comes back.
    pub fn heal(&mut self) -> Result<(), Violation> {
        self.shared.note(|| "— everything heals".to_owned());
        self.shared.engine.faults = [None; TABLES];
        self.shared.learn_all_schemas();
        for process in 0..self.processes.len() {
            match self.processes[process].life {
                Life::Dead => self.processes[process] = Process::new(),
                Life::Paused => self.change_life(Op::Revive { process: process as u8 }),
                Life::Runs => {}
            }
            for place in (0..self.processes[process].workers.len()).rev() {
                if place < self.processes[process].workers.len() {
                    self.go((process, place), ZOMBIE_MOVES)?;
                }
            }
        }
        while !self.shared.coordinator.in_flight.is_empty() {
            self.shared.coordinator.answer(0);
        }
        self.deliver();
        // who started on a damaged commit was refused by now
        self.shared.coordinator.repair();
        Ok(())
    }

    /// Works on until all logs are read and closed, within a bound.
    pub fn run_to_end(&mut self) -> Result<(), Violation> {
        for round in 0..MAX_ROUNDS {
            if round == LAST_OVERRUN {
                self.shared.engine.in_flight.iter_mut().for_each(|insert| insert.is_overrunning = false);
            }
            if self.needs_rebalance() {
                self.start_all()?;
            }
            if self.round()? {
                return Ok(());
            }
            self.shared.pass(1);
            self.deliver();
        }
        Err(Violation(format!("not at the end after {MAX_ROUNDS} seconds without a fault")))
    }

    fn needs_rebalance(&self) -> bool {
        let is_held = |partition| {
            let workers =
                self.processes.iter().filter(|p| p.is_current(&self.shared)).flat_map(|p| &p.workers);
            workers.filter(|w| w.lease == Lease::Lives).any(|worker| worker.partition == partition)
        };
        !self.shared.partitions().all(is_held)
    }

    /// Every worker goes on as far as it can. Answers whether all is done.
    fn round(&mut self) -> Result<bool, Violation> {
        for process in 0..self.processes.len() {
            let mut place = 0;
            while place < self.processes[process].workers.len() {
                let id = self.processes[process].workers[place].id;
                self.go((process, place), ROUND_MOVES)?;
                let Process { membership, workers, .. } = &mut self.processes[process];
                if let Some(worker) = workers.get_mut(place).filter(|worker| worker.id == id) {
                    if worker.is_drained() {
                        worker.close_plainly(&mut self.shared, *membership);
                    }
                    place += 1;
                }
            }
        }
        let mut workers = self.processes.iter().flat_map(|process| &process.workers);
        Ok(!self.needs_rebalance() && workers.all(|w| w.lease == Lease::Ended || w.is_at_rest(&self.shared)))
    }
}
