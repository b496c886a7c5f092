//! Random mutation of example records: bytes, stretches, and the numbers that lengths and counts are made of.

use std::cell::Cell;
use std::time::{Duration, Instant};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};
use schemas::MAX_RECORD_BYTES;

use super::examples::Example;
use super::target::Target;

/// Records that one seed makes.
const RECORDS_PER_SEED: u32 = 20_000;
/// Changes of one record.
const MAX_MUTATIONS: usize = 4;
/// Steps of the search for the smallest record that fails.
const MAX_SHRINK_STEPS: u32 = 50_000;

/// Numbers that lengths, counts and indexes are tried with.
const NUMBERS: [i64; 16] = [
    0,
    -1,
    1,
    2,
    64,
    -64,
    0x7f,
    i16::MAX as i64,
    i32::MAX as i64,
    i32::MIN as i64,
    1 << 20,
    (8 << 20) + 1,
    1 << 40,
    i64::MAX,
    i64::MIN,
    i64::MAX / 24,
];

/// One change. Positions are taken round and round, so that each is somewhere.
#[derive(Debug, Clone, Copy)]
enum Mutation {
    Flip {
        at: u16,
        bit: u8,
    },
    Set {
        at: u16,
        to: u8,
    },
    Insert {
        at: u16,
        what: u8,
        times: u8,
    },
    Remove {
        at: u16,
        count: u8,
    },
    /// A stretch comes again and again.
    Repeat {
        at: u16,
        count: u8,
        times: u8,
    },
    /// A stretch of another example.
    Splice {
        at: u16,
        other: u8,
        from: u16,
        count: u8,
    },
    /// A number in Avro's form, over what stands there or before it.
    Number {
        at: u16,
        number: u8,
        over: bool,
    },
    Cut {
        at: u16,
    },
}

impl Mutation {
    /// Any number is a mutation.
    fn from_bits(bits: u64) -> Self {
        let [kind, a, b, c, d, e, f, _] = bits.to_be_bytes();
        let at = u16::from_be_bytes([a, b]);
        match kind % 16 {
            0..3 => Self::Flip { at, bit: c % 8 },
            3..5 => Self::Set { at, to: c },
            5 => Self::Insert { at, what: c, times: 1 + d % 16 },
            6..8 => Self::Remove { at, count: 1 + c % 32 },
            8 => Self::Repeat { at, count: 1 + c, times: d },
            9..11 => Self::Splice { at, other: c, from: u16::from_be_bytes([d, e]), count: 1 + f },
            11..15 => Self::Number { at, number: c, over: d % 2 == 0 },
            _ => Self::Cut { at },
        }
    }

    fn apply(self, value: &mut Vec<u8>, examples: &[Example]) {
        let place = |at: u16| usize::from(at) % value.len().max(1);
        match self {
            _ if value.is_empty() => {}
            Self::Flip { at, bit } => {
                let at = place(at);
                value[at] ^= 1 << bit;
            }
            Self::Set { at, to } => {
                let at = place(at);
                value[at] = to;
            }
            Self::Insert { at, what, times } => {
                let at = place(at);
                value.splice(at..at, std::iter::repeat_n(what, times.into()));
            }
            Self::Remove { at, count } => drop(value.drain(stretch(place(at), count, value.len()))),
            Self::Repeat { at, count, times } => {
                let at = place(at);
                let again = value[stretch(at, count, value.len())].repeat(times.into());
                value.splice(at..at, again);
            }
            Self::Splice { at, other, from, count } => {
                let at = place(at);
                let other = &examples[usize::from(other) % examples.len()].value;
                let from = usize::from(from) % other.len();
                let part = &other[stretch(from, count, other.len())];
                value.splice(at..at, part.iter().copied());
            }
            Self::Number { at, number, over } => {
                let at = place(at);
                let number = zigzag(NUMBERS[usize::from(number) % NUMBERS.len()]);
                let end = if over { (at + number.len()).min(value.len()) } else { at };
                value.splice(at..end, number);
            }
            Self::Cut { at } => value.truncate(place(at)),
        }
    }
}

fn stretch(at: usize, count: u8, len: usize) -> std::ops::Range<usize> {
    at..(at + usize::from(count)).min(len)
}

/// Avro's variable-length form of a number.
fn zigzag(number: i64) -> Vec<u8> {
    let mut rest = ((number << 1) ^ (number >> 63)) as u64;
    let mut bytes = Vec::new();
    while rest >= 0x80 {
        bytes.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    bytes.push(rest as u8);
    bytes
}

/// What was tried.
#[derive(Debug)]
#[allow(dead_code, reason = "shown")]
pub struct Fuzzed {
    pub decoded: u64,
    pub refused: u64,
    pub seeds: u64,
}

/// Mutates examples until the time is over. Panics with the smallest record that the target fails on.
pub fn fuzz(target: &Target, examples: &[Example], seed: u64, time: Duration) -> Fuzzed {
    let end = Instant::now() + time;
    let (decoded, refused) = (Cell::new(0), Cell::new(0));
    let mut seeds = 0;
    while Instant::now() < end {
        let seed = seed.wrapping_add(seeds);
        seeds += 1;
        let result = runner(seed).run(&mutated(examples.len()), |(example, mutations)| {
            if Instant::now() >= end {
                return Err(TestCaseError::reject("the time is over"));
            }
            let value = apply_all(&examples[example], &mutations, examples);
            let count = if target.take(&value).is_decoded() { &decoded } else { &refused };
            count.set(count.get() + 1);
            Ok(())
        });
        if let Err(TestError::Fail(why, (example, mutations))) = result {
            let Example { name, .. } = &examples[example];
            let value = apply_all(&examples[example], &mutations, examples);
            panic!("{why}\nseed {seed}: {name} with {mutations:?} is\n{value:02x?}");
        }
    }
    Fuzzed { decoded: decoded.get(), refused: refused.get(), seeds }
}

fn mutated(examples: usize) -> impl Strategy<Value = (usize, Vec<Mutation>)> {
    (0..examples, vec(any::<u64>().prop_map(Mutation::from_bits), 1..=MAX_MUTATIONS))
}

fn apply_all(example: &Example, mutations: &[Mutation], examples: &[Example]) -> Vec<u8> {
    let mut value = example.value.clone();
    for mutation in mutations {
        mutation.apply(&mut value, examples);
        value.truncate(MAX_RECORD_BYTES);
    }
    value
}

fn runner(seed: u64) -> TestRunner {
    let config = Config {
        cases: RECORDS_PER_SEED,
        max_shrink_iters: MAX_SHRINK_STEPS,
        // the first rejection says that the time is over
        max_global_rejects: 0,
        failure_persistence: None,
        ..Config::default()
    };
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes))
}
