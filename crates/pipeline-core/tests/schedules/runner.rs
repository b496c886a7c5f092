//! Runs schedules: many of them, on all cores, each found again by its seed.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

use super::invariants;
use super::ops::{Loser, Schedule, schedule};
use super::process::Violation;
use super::rules::Rules;
use super::seen::Seen;
use super::world::World;

/// Schedules that one seed makes.
pub const SCHEDULES_PER_SEED: u32 = 500;
/// Steps of the search for the smallest schedule that fails.
const MAX_SHRINK_STEPS: u32 = 200_000;
/// Schedules in which nothing flows, for each one in which something does: with more the operations are at fault.
const MAX_EMPTY_PER_SCHEDULE: u32 = 4;
/// Longer than anything can be on its way, in seconds.
const LONG_S: i64 = 60;

/// What was run, and what was found.
pub struct Explored {
    pub schedules: u64,
    pub seen: Seen,
    pub failure: Option<Failure>,
}

pub struct Failure {
    pub seed: u64,
    pub what: String,
    pub schedule: Option<Schedule>,
}

/// Whether a schedule that fails is made small.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shrink {
    Yes,
    No,
}

/// Runs one schedule to its end. The history is that of its events, where it is wanted.
pub fn run(schedule: &Schedule, rules: Rules, keep_history: bool) -> (Result<Seen, Violation>, Vec<String>) {
    let mut world = World::new(schedule, rules, keep_history);
    let result = run_in(&mut world, schedule);
    (result.map(|()| world.shared.seen), world.shared.history().to_vec())
}

fn run_in(world: &mut World, schedule: &Schedule) -> Result<(), Violation> {
    world.rebalance(0, Loser::Drops)?;
    for op in &schedule.ops {
        world.apply(*op)?;
    }
    world.shared.seen.schedules_that_flowed = u64::from(world.shared.engine.rows() > 0);
    world.heal()?;
    world.run_to_end()?;
    world.shared.pass(LONG_S);
    while !world.shared.engine.in_flight.is_empty() {
        world.shared.engine.answer(0);
    }
    invariants::check(&mut world.shared)
}

/// Runs at least `count` schedules in which something flowed, on `threads` threads, from `seed` on. Stops at the first
/// failure.
pub fn explore(count: u64, seed: u64, rules: Rules, shrink: Shrink, threads: usize) -> Explored {
    let (next, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    let all = Mutex::new(Explored { schedules: 0, seen: Seen::default(), failure: None });
    let seeds = count.div_ceil(SCHEDULES_PER_SEED.into());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    if at >= seeds || stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let explored = explore_seed(seed.wrapping_add(at), rules, shrink);
                    let mut all = all.lock().expect("no thread panics with the lock");
                    all.schedules += explored.schedules;
                    all.seen.add(&explored.seen);
                    if explored.failure.is_some() {
                        stop.store(true, Ordering::Relaxed);
                        all.failure = explored.failure;
                    }
                }
            });
        }
    });
    all.into_inner().expect("no thread panicked")
}

fn explore_seed(seed: u64, rules: Rules, shrink: Shrink) -> Explored {
    let config = Config {
        cases: SCHEDULES_PER_SEED,
        max_global_rejects: SCHEDULES_PER_SEED * MAX_EMPTY_PER_SCHEDULE,
        max_shrink_iters: if shrink == Shrink::Yes { MAX_SHRINK_STEPS } else { 0 },
        failure_persistence: None,
        ..Config::default()
    };
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    let sum = RefCell::new((0_u64, Seen::default()));
    let result = runner.run(&schedule(), |schedule| match run(&schedule, rules, false).0 {
        Err(violation) => Err(TestCaseError::fail(violation.0)),
        Ok(seen) if seen.schedules_that_flowed == 0 => Err(TestCaseError::reject("nothing flowed")),
        Ok(seen) => {
            let mut sum = sum.borrow_mut();
            sum.0 += 1;
            sum.1.add(&seen);
            Ok(())
        }
    });
    let failure = match result {
        Ok(()) => None,
        Err(TestError::Fail(why, schedule)) => {
            Some(Failure { seed, what: why.message().to_owned(), schedule: Some(schedule) })
        }
        Err(TestError::Abort(why)) => Some(Failure {
            seed,
            what: format!("too many schedules in which nothing flows: {why}"),
            schedule: None,
        }),
    };
    let (schedules, seen) = sum.into_inner();
    Explored { schedules, seen, failure }
}

impl Failure {
    /// All that is needed to understand the failure and to run it again.
    pub fn report(&self, rules: Rules) -> String {
        let mut text = format!("a schedule breaks the promise: {}\n", self.what);
        if let Some(schedule) = &self.schedule {
            let _never_fails = writeln!(text, "the smallest that does: {:?}", schedule.shape);
            for (partition, log) in schedule.logs.iter().enumerate() {
                for record in log {
                    let _never_fails = writeln!(text, "  in the log of partition {partition}: {record:?}");
                }
            }
            let _never_fails = writeln!(text, "what happens in it:");
            let (_, history) = run(schedule, rules, true);
            for line in history {
                let _never_fails = writeln!(text, "  {line}");
            }
        }
        let seed = self.seed;
        let _never_fails = writeln!(
            text,
            "run it again: SEALTRAIL_SCHEDULES_SEED={seed} SEALTRAIL_SCHEDULES={SCHEDULES_PER_SEED} \
             cargo test --release --workspace --test schedules -- every_schedule"
        );
        text
    }
}
