use audit_event::control::DedupeRules;

use super::*;
use crate::announcement::{Attempt, EngineSeconds};

fn trail() -> TrailRecord {
    TrailRecord {
        v: 1,
        trail_id: TrailId(uuid::Uuid::from_u128(1)),
        topic: "t".into(),
        genesis: vec![Offset(0), Offset(5)],
        begun_at: String::new(),
        dedupe: DedupeRules::default(),
    }
}

fn announcement(to: i64) -> Announcement {
    Announcement::new(trail().trail_id, NextOffset(to), Attempt::FIRST, RULES, EngineSeconds(9))
}

fn facts(commit: Option<(i64, String)>, last: Option<(i64, i64)>) -> Facts {
    Facts {
        partition: PartitionId(0),
        commit: commit.map(|(offset, metadata)| Commit { offset: NextOffset(offset), metadata }),
        stored: StoredEnd {
            last_batch: last.map(|(from, to)| LastBatch { from: Offset(from), to: NextOffset(to) }),
            highest_row: None,
        },
        log_start: Offset(0),
        high_watermark: NextOffset(100),
    }
}

fn refusal(facts: &Facts) -> Refusal {
    decide(&trail(), facts).expect_err("refused")
}

#[test]
fn an_empty_trail_begins_at_its_genesis() {
    assert_eq!(decide(&trail(), &facts(None, None)).expect("starts"), Start::Resume { from: Offset(0) });
    let second = Facts { partition: PartitionId(1), ..facts(None, None) };
    assert_eq!(decide(&trail(), &second).expect("starts").from(), Offset(5));
}

#[test]
fn a_plain_commit_resumes_where_the_last_batch_ended() {
    let start = decide(&trail(), &facts(Some((10, String::new())), Some((4, 10)))).expect("starts");
    assert_eq!(start, Start::Resume { from: Offset(10) });
}

#[test]
fn a_row_that_nobody_announced_is_a_refusal() {
    let with_row = |commit: (i64, String), row: i64| {
        let mut facts = facts(Some(commit), Some((4, 10)));
        facts.stored.highest_row = Some(Offset(row));
        decide(&trail(), &facts)
    };
    assert!(matches!(with_row((10, String::new()), 10), Err(Refusal::RowsAbove { row: Offset(10), .. })));
    let announced = announcement(20).to_metadata();
    assert!(with_row((10, announced.clone()), 19).is_ok());
    assert!(matches!(with_row((10, announced), 20), Err(Refusal::RowsAbove { .. })));
}

#[test]
fn an_announced_range_is_replayed_whether_its_account_is_there_or_not() {
    for last in [Some((4, 10)), Some((10, 20))] {
        let start =
            decide(&trail(), &facts(Some((10, announcement(20).to_metadata())), last)).expect("starts");
        assert_eq!(start, Start::Replay { from: Offset(10), announced: announcement(20) });
    }
    let first = decide(&trail(), &facts(Some((0, announcement(20).to_metadata())), None)).expect("starts");
    assert_eq!(first.from(), Offset(0));
}

#[test]
fn every_doubt_stops() {
    let plain = String::new;
    assert!(matches!(refusal(&facts(None, Some((0, 3)))), Refusal::CommitMissing));
    let row = StoredEnd { highest_row: Some(Offset(3)), ..StoredEnd::default() };
    assert!(matches!(refusal(&Facts { stored: row, ..facts(None, None) }), Refusal::CommitMissing));
    assert!(matches!(refusal(&facts(Some((10, "?".into())), Some((0, 10)))), Refusal::Metadata(_)));
    assert!(matches!(refusal(&facts(Some((5, plain())), Some((5, 10)))), Refusal::CommitBehind { .. }));
    assert!(matches!(refusal(&facts(Some((12, plain())), Some((5, 10)))), Refusal::CommitAhead { .. }));
    assert!(matches!(refusal(&facts(Some((5, plain())), None)), Refusal::CommitAhead { .. }));
    let wider = facts(Some((10, announcement(20).to_metadata())), Some((0, 20)));
    assert!(matches!(refusal(&wider), Refusal::CommitBehind { .. }));
    let cut = Facts { log_start: Offset(11), ..facts(Some((10, plain())), Some((0, 10))) };
    assert!(matches!(refusal(&cut), Refusal::LogStartAbove { .. }));
    let short = Facts {
        high_watermark: NextOffset(15),
        ..facts(Some((10, announcement(20).to_metadata())), Some((0, 10)))
    };
    assert!(matches!(refusal(&short), Refusal::HighWatermarkBelow { .. }));
    let raised = Facts { partition: PartitionId(2), ..facts(None, None) };
    assert!(matches!(refusal(&raised), Refusal::UnknownPartition { .. }));
    let mut other = announcement(20);
    other.trail = TrailId(uuid::Uuid::from_u128(2));
    assert!(matches!(
        refusal(&facts(Some((10, other.to_metadata())), Some((0, 10)))),
        Refusal::OtherTrail { .. }
    ));
    let mut newer = announcement(20);
    newer.rules += 1;
    assert!(matches!(
        refusal(&facts(Some((10, newer.to_metadata())), Some((0, 10)))),
        Refusal::OtherRules { .. }
    ));
    let empty = facts(Some((10, announcement(10).to_metadata())), Some((0, 10)));
    assert!(matches!(refusal(&empty), Refusal::EmptyRange { .. }));
}
