//! What a seed stands for: the sizes of a run, the chances of its faults, and the one source of all that is drawn.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::time::Instant;

/// A protection that the promise rests on. The simulation takes one out at a time and must find that it is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Safeguard {
    Announcement,
    ServerDeadline,
    ReadBack,
    /// The wait before the read-back, until nothing can land any more.
    LandingWait,
    PartitionFence,
    SingleRecordBatch,
    EventBatchesCheck,
}

impl Safeguard {
    pub const ALL: [Self; 7] = [
        Self::Announcement,
        Self::ServerDeadline,
        Self::ReadBack,
        Self::LandingWait,
        Self::PartitionFence,
        Self::SingleRecordBatch,
        Self::EventBatchesCheck,
    ];
}

/// The sizes and chances of one run, drawn from its seed.
#[derive(Debug, Clone)]
pub struct Plan {
    pub seed: u64,
    pub without: Option<Safeguard>,
    pub partitions: i32,
    pub processors: usize,
    pub records: usize,
    pub max_batch_rows: usize,
    /// How long records keep coming and faults keep happening.
    pub turmoil: Duration,
    /// Chance in a thousand that a call to ClickHouse meets a fault.
    pub call_faults: u32,
    /// Chance in a thousand that a commit's answer is lost.
    pub commit_faults: u32,
    /// Mean time between two faults of whole processes.
    pub between_faults: Duration,
    /// The record clock begins so long before midnight, so that batches cross it.
    pub before_midnight_ms: i64,
}

impl Plan {
    pub fn of(seed: u64, without: Option<Safeguard>) -> Self {
        let mut rng = StdRng::seed_from_u64(seed ^ 0x5EA1_7A11);
        Self {
            seed,
            without,
            partitions: rng.random_range(1..=3),
            processors: rng.random_range(1..=3),
            records: rng.random_range(40..=90),
            max_batch_rows: rng.random_range(2..=12),
            turmoil: Duration::from_secs(rng.random_range(10..=40)),
            call_faults: *pick(&mut rng, &[0, 10, 40, 120]),
            commit_faults: *pick(&mut rng, &[0, 10, 60]),
            between_faults: Duration::from_millis(*pick(&mut rng, &[1_500, 4_000, 9_000])),
            before_midnight_ms: rng.random_range(0..=60_000),
        }
    }
}

fn pick<'a, T>(rng: &mut StdRng, of: &'a [T]) -> &'a T {
    &of[rng.random_range(0..of.len())]
}

/// The seed's random numbers and its clock.
pub struct World {
    pub plan: Plan,
    rng: Mutex<StdRng>,
    draws: AtomicU64,
    began: Instant,
}

impl World {
    pub fn new(plan: Plan) -> Self {
        let rng = Mutex::new(StdRng::seed_from_u64(plan.seed));
        Self { plan, rng, draws: AtomicU64::new(0), began: Instant::now() }
    }

    pub fn draw<T>(&self, draw: impl FnOnce(&mut StdRng) -> T) -> T {
        self.draws.fetch_add(1, Ordering::Relaxed);
        draw(&mut self.rng.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// How often chance was asked: two runs of a seed ask as often.
    pub fn draws(&self) -> u64 {
        self.draws.load(Ordering::Relaxed)
    }

    /// True so many times in a thousand.
    pub fn chance(&self, in_a_thousand: u32) -> bool {
        in_a_thousand > 0 && self.draw(|rng| rng.random_range(0..1_000) < in_a_thousand)
    }

    pub fn between_ms(&self, least: u64, most: u64) -> Duration {
        Duration::from_millis(self.draw(|rng| rng.random_range(least..=most)))
    }

    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    pub fn lacks(&self, safeguard: Safeguard) -> bool {
        self.plan.without == Some(safeguard)
    }

    /// Whether faults still happen; afterwards everything must mend by itself.
    pub fn is_in_turmoil(&self) -> bool {
        self.elapsed() < self.plan.turmoil
    }
}
