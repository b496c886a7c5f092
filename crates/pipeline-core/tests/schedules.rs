//! Property tests of the pure core over random schedules: polls, inserts and commits whose answers come, come late or
//! never, crashes, rebalances, processes that wake after their partitions have moved, time, restarts of ClickHouse,
//! tables that refuse, commits that somebody changed. After each schedule everything heals; then every record must be
//! in its table exactly once (I1), with its position and value (I4), and the closed batches must tile and add up (I7).
//! A schedule in which nothing flowed does not count (I8).
//!
//! Workers are made of the core as the processor is: `assignment::decide`, `OpenBatch`, `Announcement`, `BatchRun` and
//! the dedupe `Window`. Kafka's coordinator and ClickHouse are small models of what was seen of the real ones. What the
//! asynchronous processor adds around the core is the matter of its own simulation.

#[path = "schedules/coordinator.rs"]
mod coordinator;
#[path = "schedules/driving.rs"]
mod driving;
#[path = "schedules/engine.rs"]
mod engine;
#[path = "schedules/inserts.rs"]
mod inserts;
#[path = "schedules/invariants.rs"]
mod invariants;
#[path = "schedules/judge.rs"]
mod judge;
#[path = "schedules/lives.rs"]
mod lives;
#[path = "schedules/log.rs"]
mod log;
#[path = "schedules/ops.rs"]
mod ops;
#[path = "schedules/process.rs"]
mod process;
#[path = "schedules/rows.rs"]
mod rows;
#[path = "schedules/rules.rs"]
mod rules;
#[path = "schedules/runner.rs"]
mod runner;
#[path = "schedules/seen.rs"]
mod seen;
#[path = "schedules/shared.rs"]
mod shared;
#[path = "schedules/start.rs"]
mod start;
#[path = "schedules/worker.rs"]
mod worker;
#[path = "schedules/world.rs"]
mod world;

use std::time::Instant;

use rules::{Rule, Rules};
use runner::{Shrink, explore};

/// How many schedules are run where `SEALTRAIL_SCHEDULES` doesn't say.
const SCHEDULES: u64 = 300_000;
/// A broken rule must be found within so many schedules.
const TEETH_SCHEDULES: u64 = 10_000;
/// What a schedule can come across must be come across at least once in so many schedules.
const RAREST: u64 = 200;

fn from_environment(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| {
        text.parse().unwrap_or_else(|_| panic!("{name} must be a whole number, not {text:?}"))
    })
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, Into::into)
}

#[test]
fn every_schedule_ends_with_each_record_once() {
    let count = from_environment("SEALTRAIL_SCHEDULES", SCHEDULES);
    let seed = from_environment("SEALTRAIL_SCHEDULES_SEED", 0);
    let begun = Instant::now();
    let explored = explore(count, seed, Rules::AllHold, Shrink::Yes, cores());
    if let Some(failure) = explored.failure {
        panic!("{}", failure.report(Rules::AllHold));
    }
    eprintln!("{} schedules in {:.1} s from seed {seed}", explored.schedules, begun.elapsed().as_secs_f64());
    for (name, times) in explored.seen.counts() {
        eprintln!("{times:>10} {name}");
        assert!(times >= explored.schedules / RAREST, "the schedules hardly come across {name}");
    }
    assert!(explored.schedules >= count, "{} schedules were run, {count} were asked for", explored.schedules);
    assert_eq!(explored.seen.schedules_that_flowed, explored.schedules, "an empty schedule was counted");
}

/// Each rule is broken on its own, in the harness or in the model, and the schedules find it.
#[test]
fn each_broken_rule_is_found() {
    let mut missed = Vec::new();
    for rule in Rule::ALL {
        let rules = Rules::AllBut(rule);
        let explored = explore(TEETH_SCHEDULES, 0, rules, Shrink::No, 1);
        match explored.failure {
            Some(failure) => {
                let tried = explored.schedules + 1;
                eprintln!("{rule:?}: after {tried} schedules: {}", failure.what);
            }
            None => missed.push(rule),
        }
    }
    assert!(missed.is_empty(), "not found within {TEETH_SCHEDULES} schedules: {missed:?}");
}
