//! Which dead letters are meant: a condition of our own text, and its values as parameters.

use audit_event::{NextOffset, Offset, PartitionId, RecordTime, TrailId};
use pipeline_core::verdict::DeadLetterReason;

use crate::position::RecordPosition;
use crate::sql::Sql;

/// Positions in one query. They travel as one parameter, and ClickHouse takes 128 KiB of it.
pub const POSITIONS_AT_ONCE: usize = 1_000;

/// Which letters are meant. What is empty or `None` leaves out none.
#[derive(Debug, Clone)]
pub struct LetterFilter {
    pub trail: TrailId,
    pub reasons: Vec<DeadLetterReason>,
    /// As the record key claims them; the empty one stands for keys that name none.
    pub tenants: Vec<String>,
    pub partition: Option<PartitionId>,
    pub from_offset: Option<Offset>,
    pub to_offset: Option<NextOffset>,
    /// At most [`POSITIONS_AT_ONCE`].
    pub positions: Vec<RecordPosition>,
    pub since: Option<RecordTime>,
    pub until: Option<RecordTime>,
}

impl LetterFilter {
    /// Every letter of the trail.
    pub fn of(trail: TrailId) -> Self {
        Self {
            trail,
            reasons: Vec::new(),
            tenants: Vec::new(),
            partition: None,
            from_offset: None,
            to_offset: None,
            positions: Vec::new(),
            since: None,
            until: None,
        }
    }

    pub(super) fn condition(&self) -> String {
        let parts = [
            (true, "trail_id = {trail:UUID}"),
            (!self.reasons.is_empty(), "reason IN {reasons:Array(String)}"),
            (!self.tenants.is_empty(), "tenant_id IN {tenants:Array(String)}"),
            (self.partition.is_some(), "kafka_partition = {partition:Int32}"),
            (self.from_offset.is_some(), "kafka_offset >= {from:Int64}"),
            (self.to_offset.is_some(), "kafka_offset < {to:Int64}"),
            (
                !self.positions.is_empty(),
                "(kafka_partition, kafka_offset) IN {positions:Array(Tuple(Int32, Int64))}",
            ),
            (self.since.is_some(), "received_at >= fromUnixTimestamp64Milli({since:Int64}, 'UTC')"),
            (self.until.is_some(), "received_at < fromUnixTimestamp64Milli({until:Int64}, 'UTC')"),
        ];
        let given: Vec<_> = parts.into_iter().filter(|(given, _)| *given).map(|(_, part)| part).collect();
        given.join(" AND ")
    }

    pub(super) fn params(&self, sql: Sql) -> Sql {
        sql.param("trail", self.trail.to_string())
            .param("reasons", self.reasons.iter().map(|reason| reason.as_str()).collect::<Vec<_>>())
            .param("tenants", self.tenants.clone())
            .param("partition", self.partition.map_or(0, |partition| partition.0))
            .param("from", self.from_offset.map_or(0, |offset| offset.0))
            .param("to", self.to_offset.map_or(0, |offset| offset.0))
            .param("positions", tuples(&self.positions))
            .param("since", self.since.map_or(0, |time| time.0))
            .param("until", self.until.map_or(0, |time| time.0))
    }
}

/// As `Array(Tuple(Int32, Int64))`.
pub(super) fn tuples(positions: &[RecordPosition]) -> Vec<(i32, i64)> {
    positions.iter().map(|position| (position.partition.0, position.offset.0)).collect()
}

/// By the time received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LetterOrder {
    NewestFirst,
    OldestFirst,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_asks_for_what_was_given_and_for_the_trail_always() {
        let all = LetterFilter::of(TrailId(uuid::Uuid::nil()));
        assert_eq!(all.condition(), "trail_id = {trail:UUID}");
        let some = LetterFilter {
            reasons: vec![DeadLetterReason::UnknownSchema],
            partition: Some(PartitionId(2)),
            to_offset: Some(NextOffset(9)),
            ..all
        };
        assert_eq!(
            some.condition(),
            "trail_id = {trail:UUID} AND reason IN {reasons:Array(String)} AND kafka_partition = {partition:Int32} \
             AND kafka_offset < {to:Int64}"
        );
    }
}
