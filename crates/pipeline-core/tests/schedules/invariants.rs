//! What must hold when a schedule is over: the invariants of docs/DELIVERY.md that the core can keep or break.

use std::collections::BTreeMap;

use audit_event::control::DedupeRules;
use audit_event::{NextOffset, Offset, PartitionId, SchemaId};
use pipeline_core::assignment::Commit;
use pipeline_core::batch_run::RecordTable;

use super::log::{Content, Log, LogRecord};
use super::process::Violation;
use super::rows::{AccountRow, RECORD_TABLES, RecordRow};
use super::shared::Shared;

type Check = Result<(), Violation>;

/// Where every record belongs.
type Oracle = BTreeMap<Offset, (LogRecord, RecordTable)>;

pub fn check(shared: &mut Shared) -> Check {
    for partition in shared.partitions() {
        let oracle = oracle(shared.log(partition), &shared.trail.dedupe, |offset, schema| {
            was_announced_unknown(shared, partition, offset, schema)
        });
        let count = |table| oracle.values().filter(|(_, wanted)| *wanted == table).count() as u64;
        shared.seen.duplicates += count(RecordTable::Duplicates);
        let garbage = shared.log(partition).records.iter().filter(|r| r.value.content == Content::Garbage);
        shared.seen.conflicts += count(RecordTable::DeadLetters).saturating_sub(garbage.count() as u64);
        each_record_is_there_once(shared, partition, &oracle)?;
        batches_tile(shared, partition, &oracle)?;
    }
    Ok(())
}

/// The first announcement of a range says which schemas were unknown when it was judged.
fn was_announced_unknown(shared: &Shared, partition: PartitionId, offset: Offset, schema: SchemaId) -> bool {
    shared.coordinator.first_announcements[partition.0 as usize].iter().any(|(commit, announced)| {
        commit.offset.0 <= offset.0
            && offset.0 < announced.to.0
            && announced.unknown_schemas.contains(&schema)
    })
}

/// The design's predicate, word for word and without any window: a record is a duplicate if an earlier decodable record
/// with the same tenant and event id lies within N offsets and W of record time; a conflict, hence a dead letter, if
/// none of those has the same body; a dead letter never counts as a first.
fn oracle(log: &Log, rules: &DedupeRules, is_unknown: impl Fn(Offset, SchemaId) -> bool) -> Oracle {
    let mut oracle = Oracle::new();
    for record in &log.records {
        let table = match record.value.content {
            Content::Garbage => RecordTable::DeadLetters,
            Content::EventOf(schema) if is_unknown(record.offset, schema) => RecordTable::DeadLetters,
            Content::Event | Content::EventOf(_) => {
                let key = |r: &LogRecord| (r.value.tenant, r.value.event);
                let in_window = |earlier: &LogRecord| {
                    record.offset.0 - earlier.offset.0 <= rules.window_offsets
                        && (record.received_at.0 - earlier.received_at.0).abs() <= rules.window_ms
                };
                let earlier: Vec<_> = oracle
                    .values()
                    .filter(|(r, table)| {
                        *table != RecordTable::DeadLetters && key(r) == key(record) && in_window(r)
                    })
                    .collect();
                if earlier.is_empty() {
                    RecordTable::Events
                } else if earlier.iter().any(|(r, _)| r.value.body == record.value.body) {
                    RecordTable::Duplicates
                } else {
                    RecordTable::DeadLetters
                }
            }
        };
        oracle.insert(record.offset, (*record, table));
    }
    oracle
}

/// I1 and I4: each record once, in its table, with its position and value; and nothing else.
fn each_record_is_there_once(shared: &Shared, partition: PartitionId, oracle: &Oracle) -> Check {
    let mut times: BTreeMap<Offset, u32> = BTreeMap::new();
    for (place, row) in shared.engine.rows_of(partition) {
        let (offset, table) = (row.record.offset, RECORD_TABLES[place]);
        *times.entry(offset).or_default() += 1;
        match oracle.get(&offset) {
            None => {
                return violation(format!("I1: {partition}/{offset} is in {} and in no log", table.as_str()));
            }
            Some((_, wanted)) if *wanted != table => {
                let (found, wanted) = (table.as_str(), wanted.as_str());
                return violation(format!(
                    "I1: {partition}/{offset} is in {found} and belongs into {wanted}"
                ));
            }
            Some((record, _)) if *record != row.record => {
                return violation(format!(
                    "I4: the row of {partition}/{offset} is {:?}, not {record:?}",
                    row.record
                ));
            }
            Some(_) => points_at_its_event(shared, row, table)?,
        }
    }
    for offset in oracle.keys() {
        match times.get(offset).copied().unwrap_or_default() {
            1 => {}
            0 => return violation(format!("I1: {partition}/{offset} is lost")),
            times => return violation(format!("I1: {partition}/{offset} is there {times} times")),
        }
    }
    Ok(())
}

/// A duplicate names the event that it repeats.
fn points_at_its_event(shared: &Shared, row: &RecordRow, table: RecordTable) -> Check {
    let points_right = match table {
        RecordTable::Duplicates => shared.engine.event_at(row.partition, row.first).is_some_and(|event| {
            let (a, b) = (event.record.value, row.record.value);
            (a.tenant, a.event, a.body) == (b.tenant, b.event, b.body) && row.first < row.record.offset
        }),
        RecordTable::Events | RecordTable::DeadLetters => row.first == row.record.offset,
    };
    if points_right { Ok(()) } else { violation(format!("I4: {row:?} points at no event of its own")) }
}

/// I7: the closed batches tile the log from its genesis to its end and add up, and the last commit says so.
fn batches_tile(shared: &Shared, partition: PartitionId, oracle: &Oracle) -> Check {
    let log = shared.log(partition);
    let mut accounts: Vec<_> = shared.engine.accounts_of(partition).copied().collect();
    accounts.sort_by_key(|row| row.from);
    let mut due = NextOffset(log.genesis.0);
    for account in accounts {
        if account.from.0 != due.0 {
            return violation(format!("I7: {account:?} does not begin at {due}"));
        }
        adds_up(&account, oracle)?;
        due = account.to;
    }
    let end = NextOffset(log.end().0);
    let closed = Commit { offset: end, metadata: String::new() };
    if due != end || shared.coordinator.committed(partition) != Some(&closed) {
        let commit = shared.coordinator.committed(partition);
        return violation(format!(
            "I7: partition {partition} ends at {end}, its batches at {due}, {commit:?}"
        ));
    }
    Ok(())
}

fn adds_up(account: &AccountRow, oracle: &Oracle) -> Check {
    let inside: Vec<_> =
        oracle.range(account.from..account.to.as_offset()).map(|(_, wanted)| wanted).collect();
    let count = |table| inside.iter().filter(|(_, wanted)| *wanted == table).count() as u64;
    let times = || inside.iter().map(|(record, _)| record.received_at);
    let right = AccountRow {
        rows: count(RecordTable::Events),
        duplicates: count(RecordTable::Duplicates),
        dead_letters: count(RecordTable::DeadLetters),
        gaps: (account.to.0 - account.from.0) as u64 - inside.len() as u64,
        least_received_at: times().min().unwrap_or(account.least_received_at),
        greatest_received_at: times().max().unwrap_or(account.greatest_received_at),
        ..*account
    };
    if *account == right { Ok(()) } else { violation(format!("I7: {account:?} should be {right:?}")) }
}

fn violation(what: String) -> Check {
    Err(Violation(what))
}
