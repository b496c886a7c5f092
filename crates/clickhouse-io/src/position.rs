//! A record's position as people write it: `partition:offset`.

use std::fmt;
use std::str::FromStr;

use audit_event::{Offset, PartitionId, TrailId};
use serde::{Serialize, Serializer};
use thiserror::Error;

/// Where a record stands in the topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RecordPosition {
    pub partition: PartitionId,
    pub offset: Offset,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a position is PARTITION:OFFSET, such as 2:1041")]
pub struct NotAPosition;

impl RecordPosition {
    pub(crate) fn of(partition: i32, offset: i64) -> Self {
        Self { partition: PartitionId(partition), offset: Offset(offset) }
    }

    /// `trail:partition:offset`, which no other record of any trail has.
    pub fn in_trail(self, trail: TrailId) -> String {
        format!("{trail}:{self}")
    }

    /// Reads what [`Self::in_trail`] wrote.
    pub fn parse_in_trail(text: &[u8]) -> Option<(TrailId, Self)> {
        let (trail, position) = std::str::from_utf8(text).ok()?.split_once(':')?;
        let (trail, position) = (TrailId(trail.parse().ok()?), position.parse::<Self>().ok()?);
        // one spelling only, so that equal texts are equal positions
        (position.in_trail(trail).as_bytes() == text).then_some((trail, position))
    }
}

impl fmt::Display for RecordPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.partition, self.offset)
    }
}

impl FromStr for RecordPosition {
    type Err = NotAPosition;

    fn from_str(text: &str) -> Result<Self, NotAPosition> {
        let (partition, offset) = text.split_once(':').ok_or(NotAPosition)?;
        let partition = partition.parse().ok().filter(|n: &i32| *n >= 0);
        let offset = offset.parse().ok().filter(|n: &i64| *n >= 0);
        partition.zip(offset).map(|(partition, offset)| Self::of(partition, offset)).ok_or(NotAPosition)
    }
}

impl Serialize for RecordPosition {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_reads_as_it_is_written() {
        let position: RecordPosition = "2:1041".parse().expect("a position");
        assert_eq!(position.to_string(), "2:1041");
        for bad in ["", "2", "2:", ":1", "-1:0", "1:-2", "1:2:3", "a:b"] {
            assert_eq!(bad.parse::<RecordPosition>(), Err(NotAPosition), "{bad}");
        }
    }

    #[test]
    fn a_position_in_a_trail_has_one_spelling() {
        let trail = TrailId(uuid::Uuid::from_u128(7));
        let position = RecordPosition::of(3, 9);
        let text = position.in_trail(trail);
        assert_eq!(RecordPosition::parse_in_trail(text.as_bytes()), Some((trail, position)));
        for other in [text.replace(":9", ":09"), text.to_uppercase() + " ", "x:3:9".to_owned()] {
            assert_eq!(RecordPosition::parse_in_trail(other.as_bytes()), None, "{other}");
        }
    }
}
