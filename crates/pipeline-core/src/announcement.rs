//! The announcement: what stands in a commit's metadata while a range may be in flight.

use std::collections::BTreeSet;

use audit_event::{NextOffset, SchemaId, TrailId};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Kafka's `offset.metadata.max.bytes` is 4,096 by default; a longer text would fail the commit.
pub const MAX_METADATA_BYTES: usize = 4_096;

const VERSION: u8 = 1;

/// Seconds since 1970 by ClickHouse's own clock, the only clock that deadlines are compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EngineSeconds(pub i64);

/// How often the range was tried, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Attempt(pub u32);

impl Attempt {
    pub const FIRST: Self = Self(0);

    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// The most schema ids that one batch may hold as unknown: they travel in its announcement, which has a bound.
pub const MAX_UNKNOWN_SCHEMAS: usize = 64;

/// "Rows of `[commit, to)` may be on their way until `deadline`."
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Announcement {
    v: u8,
    pub trail: TrailId,
    pub to: NextOffset,
    pub attempt: Attempt,
    pub rules: u32,
    /// The last second in which ClickHouse accepts an insert of this attempt.
    pub deadline: EngineSeconds,
    /// Schema ids that the registry did not know when the range was judged. A replay takes them as unknown whatever the
    /// registry says by then, so that its verdicts are the same.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub unknown_schemas: BTreeSet<SchemaId>,
}

#[derive(Debug, Error)]
pub enum MetadataError {
    #[error("the commit's metadata cannot be read: {0}")]
    Unreadable(#[from] serde_json::Error),
    #[error("the commit's metadata has version {found}, this build reads {VERSION}")]
    Version { found: u8 },
}

impl Announcement {
    pub fn new(
        trail: TrailId,
        to: NextOffset,
        attempt: Attempt,
        rules: u32,
        deadline: EngineSeconds,
    ) -> Self {
        Self { v: VERSION, trail, to, attempt, rules, deadline, unknown_schemas: BTreeSet::new() }
    }

    /// At most [`MAX_UNKNOWN_SCHEMAS`] of them.
    #[must_use]
    pub fn with_unknown_schemas(mut self, ids: BTreeSet<SchemaId>) -> Self {
        debug_assert!(ids.len() <= MAX_UNKNOWN_SCHEMAS);
        self.unknown_schemas = ids;
        self
    }

    pub fn to_metadata(&self) -> String {
        let text = serde_json::to_string(self).expect("numbers and a uuid serialise");
        debug_assert!(text.len() <= MAX_METADATA_BYTES);
        text
    }

    /// Reads a commit's metadata; empty metadata is a plain commit, under which nothing is in flight.
    pub fn from_metadata(metadata: &str) -> Result<Option<Self>, MetadataError> {
        if metadata.is_empty() {
            return Ok(None);
        }
        let announcement: Self = serde_json::from_str(metadata)?;
        if announcement.v != VERSION {
            return Err(MetadataError::Version { found: announcement.v });
        }
        Ok(Some(announcement))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_round_trips_and_fits() {
        let trail = TrailId(uuid::Uuid::from_u128(u128::MAX));
        let most = Announcement::new(
            trail,
            NextOffset(i64::MAX),
            Attempt(u32::MAX),
            u32::MAX,
            EngineSeconds(i64::MAX),
        );
        let ids = (0..MAX_UNKNOWN_SCHEMAS as u32).map(|n| SchemaId(u32::MAX - n)).collect();
        let most = most.with_unknown_schemas(ids);
        let text = most.to_metadata();
        assert!(text.len() < MAX_METADATA_BYTES / 2, "{text}");
        assert_eq!(Announcement::from_metadata(&text).expect("reads"), Some(most));
    }

    #[test]
    fn what_cannot_be_read_is_an_error_and_not_a_plain_commit() {
        assert!(Announcement::from_metadata("").expect("a plain commit").is_none());
        for bad in ["x", "{}", "{\"v\":2}", " "] {
            assert!(Announcement::from_metadata(bad).is_err(), "{bad}");
        }
    }
}
