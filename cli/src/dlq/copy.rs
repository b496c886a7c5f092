//! The copy of a letter that a replay writes.

use audit_event::TrailId;
use clickhouse_io::dead_letters::Letter;
use kafka_io::headers;
use uuid::Uuid;

use crate::outgoing::Outgoing;

/// The letter as it was, with its provenance. A header of that name that it brought itself goes: it would be a lie.
pub fn copy_of(letter: Letter, trail: TrailId, replay: Uuid) -> Outgoing {
    let ours = [headers::REPLAY_OF, headers::REPLAY_ID];
    let mut carried = letter.headers;
    carried.retain(|(name, _)| !ours.contains(&name.as_str()));
    let provenance = [letter.position.in_trail(trail), replay.to_string()];
    carried.extend(ours.map(ToOwned::to_owned).into_iter().zip(provenance.map(String::into_bytes)));
    Outgoing { key: letter.key, value: letter.value, headers: carried }
}

#[cfg(test)]
mod tests {
    use pipeline_core::verdict::DeadLetterReason;

    use super::super::prospect::tests::letter;
    use super::*;

    #[test]
    fn a_copy_is_the_record_as_it_was_and_says_where_it_is_from() {
        let mut original = letter(5, DeadLetterReason::UnknownSchema);
        original.headers = vec![
            ("a".into(), b"1".to_vec()),
            (headers::REPLAY_OF.into(), b"a lie".to_vec()),
            ("a".into(), b"2".to_vec()),
        ];
        let (trail, replay) = (TrailId(Uuid::from_u128(1)), Uuid::from_u128(2));
        let copy = copy_of(original.clone(), trail, replay);
        assert_eq!((&copy.key, &copy.value), (&original.key, &original.value));
        let names: Vec<_> = copy.headers.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["a", "a", headers::REPLAY_OF, headers::REPLAY_ID]);
        assert_eq!(copy.headers[2].1, format!("{trail}:0:5").into_bytes());
    }
}
