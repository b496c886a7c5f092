//! A seeded simulation: several processors with their real workers, driver, pipeline and fence, and behind the ports a
//! Kafka with groups, generations, rebalances, late and deferred commits, and a ClickHouse with tokens, windows, parts
//! and the faults of the real one. A seed is a whole run on simulated time; the same seed is the same run.
//!
//! `SEALTRAIL_SIMULATION_SEEDS=1000000` runs more of them, `SEALTRAIL_SIMULATION_SEED=17` runs one and shows its log.

#![expect(clippy::print_stdout, reason = "a test shows what it found")]

mod broker;
mod consumer;
mod engine;
mod group;
mod operator;
mod oracle;
mod others;
mod process;
mod run;
mod server;
mod tables;
mod world;

use std::sync::atomic::{AtomicU64, Ordering};

use world::Plan;
pub use world::Safeguard;

/// Seeds that run in CI.
const SEEDS: u64 = 10_000;
/// Seeds within which a missing safeguard must show.
const TEETH_SEEDS: u64 = 1_000;
const TEST_THREADS: u64 = 2;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().expect("a number"))
}

/// Runs seeds side by side until one fails; answers that seed with its fault, or how many records flowed.
fn first_failure(seeds: u64, without: Option<Safeguard>) -> Result<u64, (u64, String)> {
    let next = AtomicU64::new(0);
    let work = || {
        let mut flowed = 0;
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds {
                return Ok(flowed);
            }
            match run::run(Plan::of(seed, without)) {
                Ok(summary) => flowed += summary.flowed,
                Err(fault) => {
                    next.store(seeds, Ordering::Relaxed);
                    return Err((seed, fault));
                }
            }
        }
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..TEST_THREADS).map(|_| scope.spawn(work)).collect();
        threads.into_iter().map(|thread| thread.join().expect("a thread")).sum()
    })
}

#[test]
fn every_seed_keeps_the_invariants() {
    if let Some(seed) = number("SEALTRAIL_SIMULATION_SEED") {
        let _shown =
            tracing_subscriber::fmt().with_ansi(false).with_max_level(tracing::Level::INFO).try_init();
        return match run::run(Plan::of(seed, None)) {
            Ok(summary) => println!("{summary:?}"),
            Err(fault) => panic!("seed {seed}: {fault}"),
        };
    }
    let seeds = number("SEALTRAIL_SIMULATION_SEEDS").unwrap_or(SEEDS);
    match first_failure(seeds, None) {
        Ok(flowed) => assert!(flowed > 10 * seeds, "{flowed} records in {seeds} seeds are too few"),
        Err((seed, fault)) => panic!("SEALTRAIL_SIMULATION_SEED={seed}: {fault}"),
    }
}

#[test]
fn every_safeguard_is_missed_when_it_is_gone() {
    for safeguard in Safeguard::ALL {
        match first_failure(TEETH_SEEDS, Some(safeguard)) {
            Ok(_) => panic!("{safeguard:?} was taken out, and {TEETH_SEEDS} seeds did not notice"),
            Err((seed, fault)) => println!("without {safeguard:?}: seed {seed}: {fault}"),
        }
    }
}

#[test]
fn a_seed_is_always_the_same_run() {
    for seed in 0..25 {
        assert_eq!(run::run(Plan::of(seed, None)), run::run(Plan::of(seed, None)), "seed {seed}");
    }
}
