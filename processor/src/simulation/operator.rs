//! Who starts the processes, and who breaks them: a supervisor for each processor, and the faults of whole processes.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use audit_event::PartitionId;
use kafka_io::group::Committed;
use rand::Rng;
use service_kit::Readiness;
use service_kit::health::PartState;
use tokio_util::sync::CancellationToken;

use super::consumer::Ended;
use super::oracle;
use super::process::{Life, Process};
use super::run::{Stage, elsewhere};
use super::world::{Safeguard, World};
use crate::handler::ASSIGNMENT;
use crate::sending::MAX_BLOCKS_PER_S;

const RESTART_WAIT: Duration = Duration::from_millis(700);
/// A reset commit must be noticed, and a group be empty, within this time.
const PATIENCE: Duration = Duration::from_secs(30);

/// One processor, through all its incarnations.
struct Slot {
    process: Arc<Process>,
    readiness: Readiness,
    stop: CancellationToken,
    /// Killed or stopped by the operator: it stays down while others look at the empty group.
    held: bool,
}

pub struct Operator {
    stage: Arc<Stage>,
    slots: Vec<Arc<Mutex<Slot>>>,
    faults: Arc<Mutex<Vec<String>>>,
}

impl Operator {
    pub fn start(stage: Arc<Stage>) -> Self {
        let faults = Arc::<Mutex<Vec<String>>>::default();
        let slot = || Slot {
            process: Arc::new(Process::start()),
            readiness: Readiness::of(&[]),
            stop: CancellationToken::new(),
            held: false,
        };
        let slots: Vec<_> = (0..stage.world.plan.processors).map(|_| Arc::new(Mutex::new(slot()))).collect();
        for slot in &slots {
            tokio::spawn(supervise(stage.clone(), slot.clone(), faults.clone()));
        }
        tokio::spawn(look_after_server(stage.clone()));
        Self { stage, slots, faults }
    }

    fn world(&self) -> &World {
        &self.stage.world
    }

    /// What processes said when they stopped of themselves, and which partitions stand still.
    pub fn faults(&self) -> String {
        let mut faults = lock(&self.faults).clone();
        for slot in &self.slots {
            let parts = lock(slot).readiness.parts();
            faults.extend(parts.into_values().filter_map(|state| match state {
                PartState::NotReady { reason } => Some(reason),
                PartState::Ready => None,
            }));
        }
        if faults.is_empty() { "no process stopped".to_owned() } else { faults.join("; ") }
    }

    pub async fn make_turmoil(&self) {
        while self.world().is_in_turmoil() {
            let pause = self.world().plan.between_faults.as_millis() as u64;
            tokio::time::sleep(self.world().between_ms(0, 2 * pause)).await;
            self.one_fault().await;
        }
    }

    async fn one_fault(&self) {
        let world = self.world();
        let at = world.draw(|rng| rng.random_range(0..self.slots.len()));
        let (slot, fault) = (&self.slots[at], world.draw(|rng| rng.random_range(0..100)));
        tracing::info!(elapsed = ?world.elapsed(), at, fault, "fault");
        match fault {
            0..=29 => lock(slot).process.set(Life::Dead),
            30..=49 => {
                let (process, wakes) = (lock(slot).process.clone(), world.between_ms(100, 9_000));
                process.set(Life::Paused);
                tokio::spawn(async move {
                    tokio::time::sleep(wakes).await;
                    process.set(Life::Running);
                });
            }
            50..=59 => lock(slot).stop.cancel(),
            60..=69 => self.stage.server.kill(),
            70..=79 => {
                let (server, wakes) = (self.stage.server.clone(), world.between_ms(100, 6_000));
                server.pause(true);
                tokio::spawn(async move {
                    tokio::time::sleep(wakes).await;
                    server.pause(false);
                });
            }
            80..=86 => {
                let (server, seconds) =
                    (self.stage.server.clone(), world.draw(|rng| rng.random_range(1..60)));
                tokio::spawn(async move {
                    for _ in 0..seconds {
                        server.foreign_inserts(MAX_BLOCKS_PER_S);
                        tokio::time::sleep(Duration::from_secs(1)).await;
                    }
                });
            }
            87..=95 => self.stage.broker.group.unbalance(),
            _ => self.reset_a_commit().await,
        }
    }

    /// F38: somebody resets a commit while nobody is there. The processors must refuse, and go on when it is put back.
    async fn reset_a_commit(&self) {
        let group = &self.stage.broker.group;
        let partition =
            PartitionId(self.world().draw(|rng| rng.random_range(0..self.world().plan.partitions)));
        self.hold(true);
        let before = group.committed(partition);
        if !self.until_empty(|| group.set_commit(partition, before.clone())).await {
            return self.hold(false);
        }
        let before = group.committed(partition);
        let planted = self.world().draw(|rng| elsewhere(&before, rng));
        // one that agrees with the tables does no harm, and nobody can notice it
        let server = &self.stage.server;
        let closed_to = oracle::closed_to(server, partition);
        let agrees = planted.as_ref().map_or(0, |c| c.offset.0) == closed_to;
        if agrees && !oracle::has_rows_above(server, partition, closed_to) {
            return self.hold(false);
        }
        lock(&self.faults).clear();
        group.set_commit(partition, planted);
        self.hold(false);
        let noticed = self.until(|| !lock(&self.faults).is_empty()).await;
        if self.world().lacks(Safeguard::EventBatchesCheck) {
            return;
        }
        if !noticed {
            return lock(&self.faults).push("F38: nobody noticed that a commit was reset".to_owned());
        }
        self.put_back(partition, before).await;
    }

    async fn put_back(&self, partition: PartitionId, before: Option<Committed>) {
        self.hold(true);
        self.until_empty(|| self.stage.broker.group.set_commit(partition, before.clone())).await;
        lock(&self.faults).clear();
        self.hold(false);
    }

    fn hold(&self, held: bool) {
        for slot in &self.slots {
            let mut slot = lock(slot);
            slot.held = held;
            if held {
                slot.process.set(Life::Dead);
            }
        }
    }

    async fn until_empty(&self, is_empty: impl Fn() -> bool) -> bool {
        self.until(is_empty).await
    }

    async fn until(&self, holds: impl Fn() -> bool) -> bool {
        let waiting = async {
            while !holds() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.is_ok()
    }

    /// Everything runs again; from now on nobody helps.
    pub async fn heal(&self) -> Result<(), String> {
        self.stage.server.pause(false);
        self.slots.iter().for_each(|slot| lock(slot).process.set(Life::Running));
        self.hold(false);
        let faults = lock(&self.faults);
        if faults.is_empty() { Ok(()) } else { Err(faults.join("; ")) }
    }
}

/// Starts the processor again whenever it has ended.
async fn supervise(stage: Arc<Stage>, slot: Arc<Mutex<Slot>>, faults: Arc<Mutex<Vec<String>>>) {
    loop {
        if lock(&slot).held {
            tokio::time::sleep(RESTART_WAIT).await;
            continue;
        }
        let (process, stop) = (Arc::new(Process::start()), CancellationToken::new());
        let readiness = Readiness::of(&[ASSIGNMENT]);
        {
            let mut slot = lock(&slot);
            (slot.process, slot.stop, slot.readiness) = (process.clone(), stop.clone(), readiness.clone());
        }
        tokio::select! {
            biased;
            () = process.until(|life| life == Life::Dead) => {}
            ended = stage.process(process.clone(), readiness, stop) => {
                process.set(Life::Dead);
                if let Ended::Fatal(fault) = ended {
                    lock(&faults).push(fault);
                }
            }
        }
        tokio::time::sleep(RESTART_WAIT).await;
    }
}

/// A ClickHouse that was killed comes back.
async fn look_after_server(stage: Arc<Stage>) {
    loop {
        tokio::time::sleep(Duration::from_millis(100)).await;
        if stage.server.is_down() {
            tokio::time::sleep(stage.world.between_ms(100, 4_000)).await;
            stage.server.restart();
        }
    }
}

fn lock<T>(of: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}
