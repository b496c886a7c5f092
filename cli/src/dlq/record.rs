//! What a replay leaves in the trail: `trail.dead_letters_replayed`, one event for each tenant whose letters it writes
//! (and one more for every further [`selection::PORTION_LETTERS`]). It is written, and acknowledged, before the first letter
//! is: a replay that is killed in the middle is recorded too. What it says is therefore the intention, and its outcome is
//! `unknown`; a replay that ends otherwise and can still speak adds a second one, with outcome `failure`.
//!
//! [`selection::PORTION_LETTERS`]: super::selection::PORTION_LETTERS

use std::collections::BTreeMap;
use std::fmt::Write;

use audit_event::{AuditEvent, Outcome, Target, TenantId, TrailId};
use clickhouse_io::position::RecordPosition;
use uuid::Uuid;

use crate::actor::Actor;
use crate::own_event::own_event;

pub const EVENT_TYPE: &str = "trail.dead_letters_replayed";
/// The filter is a person's command line; a longer one is cut.
const MAX_FILTER_BYTES: usize = 4 * 1024;

/// What all events of one replay share.
#[derive(Debug, Clone)]
pub struct Replay {
    pub id: Uuid,
    pub trail: TrailId,
    pub actor: Actor,
    /// As flags; empty if all letters were meant.
    pub filter: String,
    pub forced: bool,
}

/// A tenant's letters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Share {
    pub positions: Vec<RecordPosition>,
    /// By the reason for which they were dead letters.
    pub reasons: BTreeMap<String, u64>,
}

impl Share {
    pub fn add(&mut self, position: RecordPosition, reason: &str) {
        self.positions.push(position);
        *self.reasons.entry(reason.to_owned()).or_default() += 1;
    }
}

impl Replay {
    /// The event that goes ahead of the letters.
    pub fn begun(&self, tenant_id: &TenantId, share: &Share) -> AuditEvent {
        let letters = share.positions.len();
        let mut event = self.event(tenant_id, share, Outcome::Unknown);
        event.message = Some(format!("{letters} dead letters are sent through the pipeline again"));
        event
    }

    /// The event that follows when it did not end as it was meant to.
    pub fn failed(&self, tenant_id: &TenantId, share: &Share, written: u64, why: &str) -> AuditEvent {
        let letters = share.positions.len();
        let mut event = self.event(tenant_id, share, Outcome::Failure);
        event.message =
            Some(format!("{written} of {letters} dead letters were written, then the replay stopped: {why}"));
        event.attributes.insert("letters_written".to_owned(), written.to_string());
        event
    }

    fn event(&self, tenant_id: &TenantId, share: &Share, outcome: Outcome) -> AuditEvent {
        let mut event = own_event(EVENT_TYPE, tenant_id, &self.actor);
        event.outcome = outcome;
        event.targets = vec![Target { id: self.trail.to_string(), kind: "trail".to_owned(), name: None }];
        event.batch_id = Some(self.id.to_string());
        event.attributes.extend(self.attributes(share));
        event
    }

    fn attributes(&self, share: &Share) -> BTreeMap<String, String> {
        let reasons: Vec<_> = share.reasons.iter().map(|(reason, n)| format!("{reason}={n}")).collect();
        let mut filter = self.filter.clone();
        filter.truncate(filter.floor_char_boundary(MAX_FILTER_BYTES));
        let pairs = [
            ("filter", filter),
            ("forced", self.forced.to_string()),
            ("letters", share.positions.len().to_string()),
            ("positions", ranges(&share.positions)),
            ("reasons", reasons.join(",")),
        ];
        pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

/// `0:5-9,12 2:41`: partitions, and their offsets from first to last.
pub fn ranges(positions: &[RecordPosition]) -> String {
    let mut sorted = positions.to_vec();
    sorted.sort_unstable();
    let mut text = String::new();
    let mut rest = sorted.as_slice();
    let mut last_partition = None;
    while let Some(first) = rest.first() {
        let is_next = |(n, at): (usize, &RecordPosition)| {
            at.partition == first.partition && at.offset.0 == first.offset.0 + n as i64
        };
        let run = rest.iter().enumerate().take_while(|next| is_next(*next)).count();
        let separator = match last_partition {
            Some(partition) if partition == first.partition => ",".to_owned(),
            Some(_) => format!(" {}:", first.partition),
            None => format!("{}:", first.partition),
        };
        let _never_fails = write!(text, "{separator}{}", first.offset);
        if run > 1 {
            let _never_fails = write!(text, "-{}", rest[run - 1].offset);
        }
        last_partition = Some(first.partition);
        rest = &rest[run..];
    }
    text
}

#[cfg(test)]
mod tests {
    use ::schemas::catalogue;

    use super::*;

    fn at(text: &str) -> RecordPosition {
        text.parse().expect("a position")
    }

    fn replay() -> Replay {
        Replay {
            id: Uuid::from_u128(1),
            trail: TrailId(Uuid::from_u128(2)),
            actor: Actor { id: "ada".into(), os_user: "root".into(), host: Some("h".into()) },
            filter: "ä".repeat(MAX_FILTER_BYTES),
            forced: false,
        }
    }

    #[test]
    fn positions_are_told_in_full_and_shortly() {
        let positions = ["2:41", "0:6", "0:5", "0:12", "0:7", "0:9", "10:0"].map(at);
        assert_eq!(ranges(&positions), "0:5-7,9,12 2:41 10:0");
        assert_eq!(ranges(&[]), "");
    }

    #[test]
    fn the_event_says_who_what_and_which() {
        let mut share = Share::default();
        share.add(at("0:5"), "undecodable");
        share.add(at("0:6"), "undecodable");
        let tenant: TenantId = "demo".parse().expect("a tenant");
        let begun = replay().begun(&tenant, &share);
        assert_eq!(catalogue::find(EVENT_TYPE).expect("in the catalogue").operation, begun.operation);
        assert_eq!((begun.outcome, begun.actor.id.as_str()), (Outcome::Unknown, "ada"));
        assert_eq!(begun.attributes["positions"], "0:5-6");
        assert_eq!(begun.attributes["reasons"], "undecodable=2");
        assert_eq!(begun.attributes["os_user"], "root", "whoever is said to act");
        assert!(begun.attributes["filter"].len() <= MAX_FILTER_BYTES);
        let failed = replay().failed(&tenant, &share, 1, "kafka is away");
        assert_eq!((failed.outcome, failed.attributes["letters_written"].as_str()), (Outcome::Failure, "1"));
        assert_eq!(failed.batch_id, begun.batch_id);
        assert_ne!(failed.event_id, begun.event_id);
    }

    #[test]
    fn the_most_scattered_portion_fits_into_a_record() {
        let mut share = Share::default();
        let scattered = (0..super::super::selection::PORTION_LETTERS as i64)
            .map(|n| at(&format!("0:{}", i64::MAX / 2 + 2 * n)));
        scattered.for_each(|position| share.add(position, "undecodable"));
        let event = replay().begun(&"demo".parse().expect("a tenant"), &share);
        let value = ::schemas::avro::encode(&event, audit_event::SchemaId(1)).expect("encodes");
        assert!(value.len() < ::schemas::MAX_RECORD_BYTES / 2, "{} bytes", value.len());
    }
}
