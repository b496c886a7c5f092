//! What the window costs: memory a record, and look-ups.

use audit_event::control::DedupeRules;
use audit_event::{EventId, Offset, RecordTime};
use uuid::Uuid;

use super::*;

const DAY_MS: i64 = 24 * 60 * 60 * 1000;
/// The most that a remembered record may take, and what is aimed at.
const MOST_BYTES: f64 = 32.0;
const AIM_BYTES: f64 = 16.0;
const BATCH: i64 = 100_000;

fn hasher() -> RecordHasher {
    RecordHasher::new((7, 11))
}

fn candidate(offset: i64, id: i64, body: u64, received_at: i64) -> Candidate {
    let event_id = EventId(Uuid::from_u128(id as u128));
    Candidate {
        offset: Offset(offset),
        received_at: RecordTime(received_at),
        key: hasher().key("acme", event_id),
        body: BodyHash::from_bits(1 + body + ((id as u64) << 8)).expect("not 0"),
    }
}

fn told(id: i64, body: u64, offset: Offset) -> ToldEvent {
    let Candidate { received_at, key, body, .. } = candidate(offset.0, id, body, 0);
    ToldEvent { offset, received_at, key, body }
}

fn rules(window_offsets: i64) -> DedupeRules {
    DedupeRules { window_offsets, window_ms: DAY_MS }
}

/// Judges a batch that needs no look-up.
fn judge(window: &mut Window, batch: &[Candidate]) -> Vec<DedupeVerdict> {
    let mut judging = Judging::begin(window, batch);
    assert_eq!(judging.wants(), None);
    judging.into_verdicts()
}

/// Fills a window with records of these ids and offsets, in whole batches, and looks at it after each.
fn fill(
    window: &mut Window,
    offsets: impl Iterator<Item = i64>,
    id: impl Fn(i64) -> i64,
    mut look: impl FnMut(&Window),
) {
    let mut batch = Vec::new();
    for offset in offsets {
        batch.push(candidate(offset, id(offset), 0, offset / 100));
        if batch.len() == BATCH as usize {
            judge(window, &batch);
            look(window);
            batch.clear();
        }
    }
}

fn bytes_each(window: &Window) -> f64 {
    window.bytes() as f64 / window.len() as f64
}

fn a_full_window_takes(window_offsets: i64, most: f64) {
    let mut window = Window::new(rules(window_offsets)).expect("short enough");
    fill(
        &mut window,
        0..window_offsets,
        |offset| offset,
        |window| {
            // in a short one the known bodies, 8 MiB and their segments' edges, weigh more than the rest
            let each = bytes_each(window);
            assert!(window.len() < 2_000_000 || each <= MOST_BYTES, "{each} bytes of {}", window.len());
        },
    );
    assert_eq!(window.len() as i64, window_offsets);
    assert!(bytes_each(&window) <= most, "{} bytes a record when full", bytes_each(&window));
    // it slides by half of its length
    fill(
        &mut window,
        window_offsets..window_offsets * 3 / 2,
        |offset| offset,
        |window| {
            assert_eq!(window.len() as i64, window_offsets);
            assert!(bytes_each(window) <= most, "{} bytes a record while it slides", bytes_each(window));
        },
    );
}

#[test]
fn a_window_of_a_million_takes_at_most_32_bytes_a_record() {
    a_full_window_takes(1_000_000, MOST_BYTES);
}

#[test]
fn a_window_of_ten_million_takes_at_most_16_bytes_a_record() {
    a_full_window_takes(10_000_000, AIM_BYTES);
}

#[test]
fn repeats_and_gaps_stay_below_32_bytes_a_record() {
    // each event four times; each record in a transaction of its own, whose marker is a gap
    let mut repeats = Window::new(rules(2_000_000)).expect("short enough");
    fill(&mut repeats, 0..3_000_000, |offset| offset / 4, |_| {});
    assert!(bytes_each(&repeats) <= MOST_BYTES, "{} bytes with repeats", bytes_each(&repeats));
    let mut gaps = Window::new(rules(10_000_000)).expect("short enough");
    fill(&mut gaps, (0..10_000_000).step_by(10), |offset| offset, |_| {});
    assert!(bytes_each(&gaps) <= MOST_BYTES, "{} bytes with gaps", bytes_each(&gaps));
}

fn restored(records: i64, repeats_of_0: i64) -> Window {
    let before = Offset(records + repeats_of_0);
    let mut restoring = Restoring::begin(rules(1_000_000), before).expect("short enough");
    for offset in 0..before.0 {
        let id = if offset < records { offset } else { 0 };
        let Candidate { offset, received_at, key, .. } = candidate(offset, id, 0, 0);
        restoring.take(offset, received_at, key, Offset(id));
    }
    restoring.finish()
}

#[test]
fn a_client_that_sends_again_at_once_costs_no_look_up() {
    let mut window = Window::new(rules(10_000_000)).expect("short enough");
    fill(&mut window, 0..1_000_000, |offset| offset, |_| {});
    let storm: Vec<_> = (0..BATCH).map(|n| candidate(1_000_000 + n, 50_000 + n, 0, 20_000)).collect();
    for (verdict, n) in judge(&mut window, &storm).into_iter().zip(0..) {
        assert_eq!(verdict, DedupeVerdict::Duplicate { first: Offset(50_000 + n) });
    }
}

#[test]
fn a_storm_after_a_restart_is_looked_up_in_one_go() {
    let mut window = restored(200_000, 0);
    let storm: Vec<_> = (0..BATCH).map(|n| candidate(200_000 + n, n, 0, 20_000)).collect();
    let mut judging = Judging::begin(&mut window, &storm);
    let wanted = judging.wants().expect("bodies are not known").clone();
    assert!(wanted.events.keys().copied().eq((0..BATCH).map(Offset)) && wanted.repeats.is_empty());
    let events = wanted.events.keys().map(|offset| told(offset.0, 0, *offset)).collect();
    judging.tell(Told { events, repeats: Vec::new() }).expect("all of it");
    assert_eq!(judging.wants(), None);
    let verdicts = judging.into_verdicts();
    assert!(verdicts.iter().all(|verdict| matches!(verdict, DedupeVerdict::Duplicate { .. })));
}

/// An id that was repeated for ever must not make each later record of it dear.
#[test]
fn what_stands_behind_many_repeats_costs_one_look_up() {
    let mut window = restored(1, 50_000);
    let latest = Offset(50_000);
    let link = window.ring.segment(latest).expect("remembered").link(latest);
    assert_eq!((link.first, link.other), (Offset(0), None), "all repeats are passed over in one step");
    let again: Vec<_> = (0..3).map(|n| candidate(60_000 + n, 0, n as u64 % 2, 5)).collect();
    let mut judging = Judging::begin(&mut window, &again);
    let wanted = judging.wants().expect("the body is not known").clone();
    assert!(wanted.events.keys().eq([&Offset(0)]) && wanted.repeats.is_empty());
    judging.tell(Told { events: vec![told(0, 0, Offset(0))], repeats: Vec::new() }).expect("all of it");
    assert_eq!(judging.wants(), None);
    let repeat = DedupeVerdict::Duplicate { first: Offset(0) };
    assert_eq!(judging.into_verdicts(), [repeat, DedupeVerdict::Conflict { with: Offset(0) }, repeat]);
}

/// With fingerprints of one bit each new id meets all others, more of them than one look-up takes; they are asked for
/// in growing steps, and it is a first.
#[test]
fn a_collision_is_a_first_however_many_there_are() {
    let hasher = hasher().with_fingerprint_bits(1);
    let key = |id: i64| hasher.key("acme", EventId(Uuid::from_u128(id as u128)));
    let ids = 150_000;
    let mut restoring = Restoring::begin(rules(1_000_000), Offset(ids)).expect("short enough");
    for offset in 0..ids {
        restoring.take(Offset(offset), RecordTime(0), key(offset), Offset(offset));
    }
    let mut window = restoring.finish();
    let new = [Candidate { key: key(-1), ..candidate(ids, -1, 0, 0) }];
    let mut judging = Judging::begin(&mut window, &new);
    let (mut rounds, mut asked) = (0, 0);
    while let Some(wanted) = judging.wants().cloned() {
        (rounds, asked) = (rounds + 1, asked + wanted.len());
        assert!(wanted.len() <= MAX_LOOK_UPS);
        let event = |offset: &Offset| ToldEvent { key: key(offset.0), ..told(offset.0, 0, *offset) };
        judging
            .tell(Told { events: wanted.events.keys().map(event).collect(), repeats: Vec::new() })
            .expect("all of it");
    }
    assert_eq!(judging.into_verdicts(), [DedupeVerdict::First]);
    assert_eq!(window.collisions(), asked as u64);
    assert!(asked > 70_000 && rounds < 10, "{asked} rows in {rounds} rounds");
}

#[test]
fn a_row_that_is_gone_stops_the_judgement() {
    let mut window = restored(10, 0);
    let again = [candidate(10, 3, 0, 0)];
    let mut judging = Judging::begin(&mut window, &again);
    assert!(judging.wants().is_some());
    assert_eq!(judging.tell(Told::default()), Err(Gone(Offset(3))));
}

#[test]
fn rows_outside_of_the_window_are_not_restored() {
    let mut restoring = Restoring::begin(rules(10), Offset(100)).expect("short enough");
    for offset in [89, 90, 99, 100, 101] {
        let Candidate { offset, received_at, key, .. } = candidate(offset, 0, 0, 0);
        restoring.take(offset, received_at, key, offset);
    }
    assert_eq!(restoring.finish().len(), 2);
}

#[test]
fn a_window_that_32_bits_do_not_count_is_refused() {
    assert!(Window::new(rules(MAX_WINDOW_OFFSETS)).is_ok());
    for window_offsets in [MAX_WINDOW_OFFSETS + 1, i64::MAX, -1] {
        assert_eq!(Window::new(rules(window_offsets)).err(), Some(WindowTooLong { window_offsets }));
    }
    // offsets far beyond 32 bits, and a jump of more than they count
    let mut window = Window::new(rules(1_000_000)).expect("short enough");
    for begin in [0, 5_000_000_000, 5_000_500_000, 900_000_000_000] {
        let batch = [candidate(begin, 1, 0, 0), candidate(begin + 1, 2, 0, 0), candidate(begin + 2, 1, 0, 0)];
        let verdicts = judge(&mut window, &batch);
        let first = if begin == 5_000_500_000 { 5_000_000_000 } else { begin };
        assert_eq!(verdicts[2], DedupeVerdict::Duplicate { first: Offset(first) }, "{begin}");
        assert_eq!(window.len(), if first == begin { 3 } else { 6 });
    }
}
