//! Where a worker begins: what it is told, and the batch that it replays.

use std::collections::BTreeSet;

use audit_event::{NextOffset, Offset, PartitionId};
use pipeline_core::announcement::Announcement;
use pipeline_core::assignment::{Commit, Facts, LastBatch, StoredEnd};
use pipeline_core::batch::OpenBatch;

use super::rules::Rule;
use super::shared::Shared;
use super::worker::Gathering;

pub fn replaying(shared: &Shared, from: Offset, announced: Announcement) -> Gathering {
    let open = if shared.rules.holds(Rule::ReplayedRange) {
        OpenBatch::replay(from, announced.to)
    } else {
        OpenBatch::begin(from)
    };
    let unknown = if shared.rules.holds(Rule::AnnouncedSchemas) {
        announced.unknown_schemas.clone()
    } else {
        BTreeSet::new()
    };
    Gathering { open, records: Vec::new(), unknown, replay: Some(announced) }
}

pub fn facts(shared: &Shared, partition: PartitionId, commit: Option<Commit>) -> Facts {
    let log = shared.log(partition);
    let last = shared.engine.accounts_of(partition).max_by_key(|row| row.to);
    let least = last.map_or(0, |row| row.to.0);
    let rows = shared.engine.rows_of(partition).map(|(_, row)| row.record.offset);
    let mut facts = Facts {
        partition,
        commit,
        stored: StoredEnd {
            last_batch: last.map(|row| LastBatch { from: row.from, to: row.to }),
            highest_row: rows.filter(|offset| offset.0 >= least).max(),
        },
        log_start: Offset(0),
        high_watermark: NextOffset(log.end().0),
    };
    if !shared.rules.holds(Rule::EventBatches) {
        // what would agree with any commit
        let to = facts.commit.as_ref().map(|commit| commit.offset);
        facts.stored =
            StoredEnd { last_batch: to.map(|to| LastBatch { from: Offset(0), to }), highest_row: None };
    }
    facts
}
