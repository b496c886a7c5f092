use audit_event::{Offset, PartitionId, RecordTime};

use super::*;
use crate::dlq::judge::tests::event;

fn at(offset: i64) -> RecordPosition {
    RecordPosition { partition: PartitionId(0), offset: Offset(offset) }
}

pub fn letter(offset: i64, reason: DeadLetterReason) -> Letter {
    Letter {
        position: at(offset),
        received_at: RecordTime(0),
        reason: reason.as_str().to_owned(),
        stage: reason.stage().as_str().to_owned(),
        detail: String::new(),
        tenant_id: "demo".to_owned(),
        schema_id: None,
        key: Some(b"demo|0192f0c1-2345-7abc-8def-0123456789ab".to_vec()),
        value: Some(b"x".to_vec()),
        headers: Vec::new(),
        traceparent: String::new(),
        correlation_id: String::new(),
    }
}

fn rejected(reason: DeadLetterReason) -> Result<AuditEvent, Rejection> {
    Err(Rejection::new(reason, "why"))
}

fn of(letter: &Letter, judged: &Result<AuditEvent, Rejection>, stored: Option<Stored>) -> Prospect {
    prospect(letter, judged, stored, &Origins::new(), &HashMap::new())
}

fn advice(letter: &Letter, judged: Result<AuditEvent, Rejection>, stored: Option<Stored>) -> Advice {
    let prospect = of(letter, &judged, stored);
    let identity = identity(letter, judged.as_ref());
    Assessment { prospect, event: judged.ok(), identity }.advice()
}

#[test]
fn what_is_in_the_trail_is_never_written_again() {
    let unknown = letter(1, DeadLetterReason::UnknownSchema);
    assert_eq!(advice(&unknown, Ok(event()), None), Advice::Replay);
    for stored in
        [Stored::SameBody(at(7)), Stored::OtherBody(at(7)), Stored::SomeBody(at(7)), Stored::OnlyDuplicate]
    {
        assert_eq!(advice(&unknown, Ok(event()), Some(stored.clone())), Advice::Skip, "{stored:?}");
        let dead = rejected(DeadLetterReason::Undecodable);
        assert_eq!(advice(&unknown, dead, Some(stored.clone())), Advice::Skip, "{stored:?}, not even forced");
    }
    assert_eq!(
        of(&unknown, &Ok(event()), Some(Stored::OtherBody(at(7)))),
        Prospect::Conflict { with: Some(at(7)) }
    );
}

#[test]
fn a_conflict_stays_one_even_where_its_first_is_gone() {
    let conflict = letter(1, DeadLetterReason::ConflictingDuplicate);
    for stored in [None, Some(Stored::OnlyDuplicate), Some(Stored::OtherBody(at(7)))] {
        assert_eq!(advice(&conflict, Ok(event()), stored.clone()), Advice::Skip, "{stored:?}");
        assert!(matches!(of(&conflict, &Ok(event()), stored), Prospect::Conflict { .. }));
    }
}

#[test]
fn only_what_another_build_might_read_can_be_forced() {
    let dead = letter(1, DeadLetterReason::Undecodable);
    for (reason, wanted) in [
        (DeadLetterReason::Undecodable, Advice::OnlyIfForced),
        (DeadLetterReason::UnknownSchema, Advice::OnlyIfForced),
        (DeadLetterReason::TooLarge, Advice::OnlyIfForced),
        (DeadLetterReason::NoValue, Advice::Skip),
        (DeadLetterReason::ForeignTenant, Advice::Skip),
    ] {
        assert_eq!(advice(&dead, rejected(reason), None), wanted, "{reason:?}");
    }
    let nameless = Letter { key: Some(b"demo|not-an-id".to_vec()), ..dead };
    assert_eq!(advice(&nameless, rejected(DeadLetterReason::Undecodable), None), Advice::Skip);
}

#[test]
fn a_copy_is_left_to_its_original_and_what_died_again_to_a_person() {
    let original = letter(1, DeadLetterReason::UnknownSchema);
    let copy = letter(2, DeadLetterReason::UnknownSchema);
    let origins = Origins::from([(at(2), at(1))]);
    let died = HashMap::from([(at(1), (at(2), "unknown_schema".to_owned()))]);
    let seen = |letter| prospect(letter, &Ok(event()), None, &origins, &died);
    assert_eq!(seen(&copy), Prospect::Copy { of: at(1) });
    assert_eq!(seen(&original), Prospect::DiedBefore { at: at(2), reason: "unknown_schema".into() });
}
