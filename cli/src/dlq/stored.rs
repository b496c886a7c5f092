//! Whether the event of a letter is in the trail already, and with which body.

use std::collections::{HashMap, HashSet};

use ::schemas::wire;
use audit_event::{AuditEvent, Offset, PartitionId};
use clickhouse_io::ClickHouse;
use clickhouse_io::event_row::EventRow;
use clickhouse_io::known_events::{EventIdentity, IDENTITIES_AT_ONCE};
use clickhouse_io::position::RecordPosition;

use super::schemas::{Known, WriterSchemas};

/// What is stored under an identity, as seen from one letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stored {
    /// The letter's own event.
    SameBody(RecordPosition),
    /// Another event under the same id.
    OtherBody(RecordPosition),
    /// An event, and the letter's own cannot be read to compare them.
    SomeBody(RecordPosition),
    /// A repeat of it; the event itself went with its day.
    OnlyDuplicate,
}

/// An identity, and the event that was read from the letter, if one was.
pub type Wanted<'a> = (EventIdentity, Option<&'a AuditEvent>);

/// Answers each of `wanted`, in order.
pub async fn look_up(
    engine: &ClickHouse,
    schemas: &mut WriterSchemas,
    wanted: &[Wanted<'_>],
) -> anyhow::Result<Vec<Option<Stored>>> {
    let mut places: HashMap<&EventIdentity, Vec<usize>> = HashMap::new();
    for (place, (identity, _)) in wanted.iter().enumerate() {
        places.entry(identity).or_default().push(place);
    }
    let identities: Vec<_> = places.keys().map(|identity| (*identity).clone()).collect();
    let mut found = vec![None; wanted.len()];
    for identities in identities.chunks(IDENTITIES_AT_ONCE) {
        let mut rows = engine.stored_events(identities)?;
        while let Some(row) = rows.next().await? {
            let Some(identity) = identity_of(&row) else { continue };
            let Some(places) = places.get(&identity) else { continue };
            let at = RecordPosition {
                partition: PartitionId(row.kafka_partition),
                offset: Offset(row.kafka_offset),
            };
            let stored = event_in(row, schemas).await?;
            for place in places {
                let seen = compare(wanted[*place].1, stored.as_ref(), at);
                found[*place] = better(found[*place].take(), seen);
            }
        }
    }
    let missing = places.iter().filter(|(_, places)| places.iter().all(|place| found[*place].is_none()));
    let missing: Vec<_> = missing.map(|(identity, _)| (*identity).clone()).collect();
    let repeated =
        if missing.is_empty() { HashSet::new() } else { engine.known_identities(&missing).await? };
    for place in repeated.iter().filter_map(|identity| places.get(identity)).flatten() {
        found[*place] = Some(Stored::OnlyDuplicate);
    }
    Ok(found)
}

fn identity_of(row: &EventRow) -> Option<EventIdentity> {
    let tenant_id = row.tenant_id.parse().ok()?;
    Some(EventIdentity { tenant_id, event_id: audit_event::EventId(row.event_id) })
}

/// `None` if the row's bytes cannot be read any more, which says nothing about the body.
async fn event_in(row: EventRow, schemas: &mut WriterSchemas) -> anyhow::Result<Option<AuditEvent>> {
    if row.raw_record.is_empty() {
        return Ok(row.into_event().ok());
    }
    let Ok((id, datum)) = wire::split(&row.raw_record) else { return Ok(None) };
    match schemas.get(id).await? {
        Known::Schema(schema) => Ok(schema.decode(datum).ok()),
        Known::Unusable(_) | Known::Unknown => Ok(None),
    }
}

fn compare(own: Option<&AuditEvent>, stored: Option<&AuditEvent>, at: RecordPosition) -> Stored {
    match (own, stored) {
        (Some(own), Some(stored)) if own.has_body_of(stored) => Stored::SameBody(at),
        (Some(_), Some(_)) => Stored::OtherBody(at),
        _ => Stored::SomeBody(at),
    }
}

/// The letter's own event outweighs others under its id.
fn better(before: Option<Stored>, seen: Stored) -> Option<Stored> {
    match before {
        Some(before @ Stored::SameBody(_)) => Some(before),
        Some(before) if !matches!(seen, Stored::SameBody(_)) => Some(before),
        _ => Some(seen),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dlq::judge::tests::event;

    fn at(offset: i64) -> RecordPosition {
        RecordPosition { partition: PartitionId(0), offset: Offset(offset) }
    }

    #[test]
    fn source_and_trace_may_differ_and_nothing_else() {
        let mut other = event();
        other.source.host = Some("other".into());
        assert_eq!(compare(Some(&event()), Some(&other), at(1)), Stored::SameBody(at(1)));
        other.message = Some("other".into());
        assert_eq!(compare(Some(&event()), Some(&other), at(1)), Stored::OtherBody(at(1)));
        assert_eq!(compare(None, Some(&other), at(1)), Stored::SomeBody(at(1)));
    }

    #[test]
    fn the_letters_own_event_outweighs_others() {
        let same = better(Some(Stored::OtherBody(at(1))), Stored::SameBody(at(2)));
        assert_eq!(same, Some(Stored::SameBody(at(2))));
        assert_eq!(better(same.clone(), Stored::OtherBody(at(3))), same);
        assert_eq!(better(None, Stored::OtherBody(at(3))), Some(Stored::OtherBody(at(3))));
    }
}
