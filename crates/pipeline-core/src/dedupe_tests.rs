//! The window against the design's sentence, over random histories.

use std::collections::BTreeMap;

use audit_event::control::DedupeRules;
use audit_event::{EventId, Offset, RecordTime};
use proptest::prelude::*;
use uuid::Uuid;

use super::window::Sizes;
use super::*;

const RULES: DedupeRules = DedupeRules { window_offsets: 12, window_ms: 50 };
/// So small that a history has many segments, and that bodies are forgotten.
const SIZES: Sizes = Sizes { segment_bits: 2, known_body_offsets: 5 };

#[derive(Debug, Clone, Copy)]
struct Record {
    offset: i64,
    time: i64,
    tenant: u8,
    id: u8,
    body: u64,
}

/// Offsets with gaps, some larger than the window; times that now and then jump back or far ahead; few ids and bodies,
/// so that they meet.
fn records() -> impl Strategy<Value = Vec<Record>> {
    let skip = prop_oneof![20 => 1_i64..3, 2 => 3_i64..9, 1 => Just(40_i64)];
    let time_step = prop_oneof![20 => 0_i64..8, 3 => -70_i64..0, 2 => 30_i64..120];
    let step = (skip, time_step, 0_u8..2, 0_u8..3, 0_u64..3);
    proptest::collection::vec(step, 0..100).prop_map(|steps| {
        let (mut offset, mut time) = (-1, 1_000);
        steps
            .into_iter()
            .map(|(skip, time_step, tenant, id, body)| {
                offset += skip;
                time += time_step;
                Record { offset, time, tenant, id, body: body / 2 }
            })
            .collect()
    })
}

type History = BTreeMap<i64, (Record, DedupeVerdict)>;

fn first_of(record: &Record, verdict: DedupeVerdict) -> Offset {
    match verdict {
        DedupeVerdict::Duplicate { first } => first,
        _ => Offset(record.offset),
    }
}

/// The design's sentence, word for word, over the whole history. Of several that match the latest is named.
fn by_the_book(history: &History, record: &Record) -> DedupeVerdict {
    let earlier: Vec<_> = history
        .values()
        .rev()
        .filter(|(_, verdict)| !matches!(verdict, DedupeVerdict::Conflict { .. }))
        .filter(|(e, _)| (e.tenant, e.id) == (record.tenant, record.id))
        .filter(|(e, _)| record.offset - e.offset <= RULES.window_offsets)
        .filter(|(e, _)| (record.time - e.time).abs() <= RULES.window_ms)
        .collect();
    match (earlier.iter().find(|(e, _)| e.body == record.body), earlier.first()) {
        (Some((e, verdict)), _) => DedupeVerdict::Duplicate { first: first_of(e, *verdict) },
        (None, Some((e, verdict))) => DedupeVerdict::Conflict { with: first_of(e, *verdict) },
        (None, None) => DedupeVerdict::First,
    }
}

fn key(hasher: &RecordHasher, record: &Record) -> RecordKey {
    hasher.key(&format!("t{}", record.tenant), EventId(Uuid::from_u128(record.id.into())))
}

/// As the real one: it covers tenant and id too.
fn body(record: &Record) -> BodyHash {
    let bits = 1 + u64::from(record.tenant) + 10 * u64::from(record.id) + 100 * record.body;
    BodyHash::from_bits(bits).expect("not 0")
}

fn candidate(hasher: &RecordHasher, record: &Record) -> Candidate {
    Candidate {
        offset: Offset(record.offset),
        received_at: RecordTime(record.time),
        key: key(hasher, record),
        body: body(record),
    }
}

/// What the tables hold: rows of `events` below `before`, and of `duplicates`.
fn look_up(
    hasher: &RecordHasher,
    history: &History,
    wanted: &Wanted,
    candidates: &[Candidate],
    before: i64,
) -> Told {
    let row = |offset: &Offset| {
        assert!(offset.0 < before, "{offset} was asked for, and only rows below {before} are surely there");
        history[&offset.0]
    };
    let event = |(offset, asked_by): (&Offset, &CandidateIndex)| {
        let (record, verdict) = row(offset);
        assert_eq!(verdict, DedupeVerdict::First, "{offset} is no row of events");
        let key = key(hasher, &record);
        assert_eq!(key.fingerprint, candidates[asked_by.0].key.fingerprint, "the one who asks may repeat it");
        ToldEvent { offset: *offset, received_at: RecordTime(record.time), key, body: body(&record) }
    };
    let repeat = |offset| {
        let (record, verdict) = row(offset);
        assert!(matches!(verdict, DedupeVerdict::Duplicate { .. }), "{offset} is no row of duplicates");
        ToldRepeat { offset: *offset, received_at: RecordTime(record.time) }
    };
    Told {
        events: wanted.events.iter().map(event).collect(),
        repeats: wanted.repeats.iter().map(repeat).collect(),
    }
}

fn restored(hasher: &RecordHasher, history: &History, before: i64, backwards: bool) -> Window {
    let window = Window::with_sizes(RULES, SIZES).expect("short enough");
    let mut restoring = Restoring::of(window, Offset(before));
    let mut rows: Vec<_> = history.values().collect();
    if backwards {
        rows.reverse();
    }
    // each row twice: an engine may answer so while it merges parts
    for (record, verdict) in rows.into_iter().flat_map(|row| [row, row]) {
        let Candidate { offset, received_at, key, .. } = candidate(hasher, record);
        if !matches!(verdict, DedupeVerdict::Conflict { .. }) {
            restoring.take(offset, received_at, key, first_of(record, *verdict));
        }
    }
    restoring.finish()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6_000))]

    /// The window answers as the sentence does: in batches of any size, with fingerprints that collide, and when it is
    /// thrown away and rebuilt from what is stored, at any point.
    #[test]
    fn the_window_answers_by_the_book(
        records in records(),
        batch_sizes in proptest::collection::vec(1_usize..12, 1..20),
        restart_after in 0_usize..20,
        backwards in any::<bool>(),
        bits in prop_oneof![Just(1_u32), Just(2), Just(64)],
        seed in any::<(u64, u64)>(),
    ) {
        let mut hasher = RecordHasher::new(seed).with_fingerprint_bits(bits);
        let mut window = Window::with_sizes(RULES, SIZES).expect("short enough");
        let mut history = History::new();
        let (mut batch_begin, mut stored_before) = (0, 0);
        let mut left = &records[..];
        for (number, size) in batch_sizes.iter().cycle().enumerate().take_while(|_| !records.is_empty()) {
            let (batch, rest) = left.split_at((*size).min(left.len()));
            let Some(first) = batch.first() else { break };
            left = rest;
            if number == restart_after {
                hasher = RecordHasher::new((seed.1, seed.0)).with_fingerprint_bits(bits);
                window = restored(&hasher, &history, first.offset, backwards);
                (batch_begin, stored_before) = (first.offset, first.offset);
            }
            // rows of the batch before may not be there yet
            stored_before = batch_begin.max(stored_before);
            batch_begin = first.offset;
            let candidates: Vec<_> = batch.iter().map(|record| candidate(&hasher, record)).collect();
            let mut judging = Judging::begin(&mut window, &candidates);
            while let Some(wanted) = judging.wants() {
                prop_assert!(!wanted.is_empty());
                let told = look_up(&hasher, &history, wanted, &candidates, stored_before);
                judging.tell(told).expect("all of it");
            }
            for (record, verdict) in batch.iter().zip(judging.into_verdicts()) {
                let book = by_the_book(&history, record);
                prop_assert_eq!(verdict, book, "{:?}", record);
                if let DedupeVerdict::Duplicate { first } = verdict {
                    let (first, verdict) = history[&first.0];
                    prop_assert_eq!(verdict, DedupeVerdict::First);
                    prop_assert_eq!((first.tenant, first.id, first.body), (record.tenant, record.id, record.body));
                }
                history.insert(record.offset, (*record, verdict));
            }
            prop_assert!(window.len() <= RULES.window_offsets as usize);
        }
        let last = records.last().map_or(0, |record| record.offset);
        let remembered = history.values().filter(|(record, verdict)| {
            record.offset > last - RULES.window_offsets && !matches!(verdict, DedupeVerdict::Conflict { .. })
        });
        prop_assert!(window.len() >= remembered.count(), "nothing within the window is forgotten");
    }
}
