//! Fuzzing of what arrives from foreign producers: the wire frame and the datum. Whatever the bytes are, they are decoded
//! or refused: no panic, no endless loop, no absurd allocation; and what was decoded is an event like any other.
//!
//! Two parts. Every proper prefix and every change of one byte of each example record are tried one by one. Then records
//! are mutated at random for `SEALTRAIL_FUZZ_SECONDS`, from the seed `SEALTRAIL_FUZZ_SEED` on; a failure is shrunk.

#[path = "fuzz/examples.rs"]
mod examples;
#[path = "fuzz/mutation.rs"]
mod mutation;
#[path = "fuzz/target.rs"]
mod target;

use std::time::{Duration, Instant};

use examples::{Example, under_newer_schema, under_own_schema};
use mutation::fuzz;
use target::Target;

/// How long each kind of record is mutated where `SEALTRAIL_FUZZ_SECONDS` doesn't say.
const FUZZ_SECONDS: u64 = 10;

fn from_environment(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| {
        text.parse().unwrap_or_else(|_| panic!("{name} must be a whole number, not {text:?}"))
    })
}

/// Every proper prefix is refused; a byte more is refused; every change of one byte is decoded or refused.
fn exhaust(target: &Target, examples: &[Example]) {
    let begun = Instant::now();
    let mut tried = 0_u64;
    for Example { name, value } in examples {
        assert!(target.take(value).is_decoded(), "{name} is no event");
        for end in 0..value.len() {
            assert!(!target.take(&value[..end]).is_decoded(), "{name} cut to {end} bytes is decoded");
        }
        let mut longer = value.clone();
        longer.push(0);
        assert!(!target.take(&longer).is_decoded(), "{name} with a byte more is decoded");
        let mut changed = value.clone();
        for at in 0..value.len() {
            for other in (0..=u8::MAX).filter(|other| *other != value[at]) {
                changed[at] = other;
                target.take(&changed);
            }
            changed[at] = value[at];
        }
        tried += value.len() as u64 * 256 + 2;
    }
    eprintln!("{tried} cut or changed records in {:.1} s", begun.elapsed().as_secs_f64());
}

fn fuzz_for_a_while(target: &Target, examples: &[Example]) {
    let seconds = from_environment("SEALTRAIL_FUZZ_SECONDS", FUZZ_SECONDS);
    let seed = from_environment("SEALTRAIL_FUZZ_SEED", 0);
    let fuzzed = fuzz(target, examples, seed, Duration::from_secs(seconds));
    eprintln!("{fuzzed:?}");
    assert!(fuzzed.decoded > 0 && fuzzed.refused > 0, "the mutations are all of one kind");
}

#[test]
fn every_prefix_and_every_changed_byte_is_decoded_or_refused() {
    exhaust(&Target::of_own_schema(), &under_own_schema());
}

#[test]
fn the_same_under_a_newer_producers_schema() {
    exhaust(&Target::of_newer_schema(), &under_newer_schema());
}

#[test]
fn mutated_records_are_decoded_or_refused() {
    fuzz_for_a_while(&Target::of_own_schema(), &under_own_schema());
}

#[test]
fn mutated_records_of_a_newer_producer_are_decoded_or_refused() {
    fuzz_for_a_while(&Target::of_newer_schema(), &under_newer_schema());
}
