//! What must hold at the end of every run: I1, I4, I6 to I8 of docs/DELIVERY.md.

use std::collections::BTreeMap;

use audit_event::{Offset, PartitionId};
use pipeline_core::batch_run::RecordTable;

use super::broker::Broker;
use super::server::Server;
use super::tables::{AccountRow, RecordRow};

const TABLES: [RecordTable; 3] = [RecordTable::Events, RecordTable::Duplicates, RecordTable::DeadLetters];

/// The rows of one partition.
struct Stored {
    records: Vec<(RecordTable, RecordRow)>,
    accounts: Vec<AccountRow>,
}

impl Stored {
    fn of(server: &Server, partition: PartitionId) -> Self {
        let mut records = Vec::new();
        for table in TABLES {
            server.look(table.as_str(), |rows| {
                let rows = rows.records().filter(|row| row.partition == partition.0);
                records.extend(rows.map(|row| (table, row.clone())));
            });
        }
        let mut accounts: Vec<_> = server.look("event_batches", |rows| {
            rows.accounts().filter(|row| row.partition == partition.0).cloned().collect()
        });
        accounts.sort_by_key(|row| (row.from, row.to));
        Self { records, accounts }
    }
}

/// Whether every record is in a table, so that there is nothing to wait for. A gap at the end of the log counts as seen.
pub fn is_caught_up(broker: &Broker, server: &Server) -> bool {
    broker.partitions().all(|partition| {
        let last = broker.written(partition).iter().rposition(Option::is_some).map_or(0, |at| at as i64 + 1);
        let closed_to = closed_to(server, partition);
        let committed = broker.group.committed(partition);
        let is_closed = committed.is_some_and(|c| c.offset.0 >= last && c.metadata.is_empty());
        closed_to >= last && (last == 0 || is_closed)
    })
}

/// Where the last batch of the partition ends.
pub fn closed_to(server: &Server, partition: PartitionId) -> i64 {
    server.look("event_batches", |rows| {
        rows.accounts().filter(|row| row.partition == partition.0).map(|row| row.to).max().unwrap_or(0)
    })
}

/// Whether any row stands at or above the offset.
pub fn has_rows_above(server: &Server, partition: PartitionId, offset: i64) -> bool {
    Stored::of(server, partition).records.iter().any(|(_, row)| row.offset >= offset)
}

/// The first breach of an invariant, in words.
pub fn check(broker: &Broker, server: &Server) -> Result<u64, String> {
    let mut flowed = 0;
    for partition in broker.partitions() {
        flowed += check_partition(broker, server, partition)
            .map_err(|fault| format!("partition {partition}: {fault}"))?;
    }
    if flowed == 0 { Err("I8: nothing flowed".to_owned()) } else { Ok(flowed) }
}

fn check_partition(broker: &Broker, server: &Server, partition: PartitionId) -> Result<u64, String> {
    let stored = Stored::of(server, partition);
    let mut tables: BTreeMap<Offset, RecordTable> = BTreeMap::new();
    for (table, row) in &stored.records {
        if let Some(other) = tables.insert(Offset(row.offset), *table) {
            return Err(format!("I1: offset {} is in {other:?} and in {table:?}", row.offset));
        }
    }
    let verdicts = broker.verdicts(partition, |offset| tables.get(&offset).copied());
    for (offset, verdict) in &verdicts {
        match tables.get(offset) {
            None => return Err(format!("I1: offset {offset} is nowhere, and must be in {verdict:?}")),
            Some(table) if table != verdict => {
                return Err(format!("I1: offset {offset} is in {table:?}, and must be in {verdict:?}"));
            }
            Some(_) => {}
        }
    }
    if let Some(offset) = tables.keys().find(|offset| !verdicts.contains_key(offset)) {
        return Err(format!("I1: offset {offset} is stored, and was never written"));
    }
    check_rows(broker, partition, &stored.records)?;
    check_accounts(&stored)?;
    Ok(verdicts.len() as u64)
}

/// I4: each row carries the position and the content of its own record.
fn check_rows(
    broker: &Broker,
    partition: PartitionId,
    records: &[(RecordTable, RecordRow)],
) -> Result<(), String> {
    let written = broker.written(partition);
    for (table, row) in records {
        let Some(Some(record)) = written.get(row.offset as usize) else { continue };
        let event = record.event.as_ref();
        let content = match table {
            RecordTable::Events => event.and_then(|e| e.message.clone()).unwrap_or_default().into_bytes(),
            RecordTable::Duplicates => Vec::new(),
            RecordTable::DeadLetters => record.record.value.clone().unwrap_or_default(),
        };
        let id = event.filter(|_| *table != RecordTable::DeadLetters).map(|e| e.event_id.0.as_u128());
        if (row.received_ms, row.event_id, &row.content) != (record.record.received_at.0, id, &content) {
            return Err(format!("I4: the row of offset {} is not its record: {row:?}", row.offset));
        }
    }
    Ok(())
}

/// I7: the batches tile, and each adds up with what is in the tables.
fn check_accounts(stored: &Stored) -> Result<(), String> {
    let mut next = 0;
    for account in &stored.accounts {
        if account.from != next {
            return Err(format!("I7: a batch begins at {} where {next} was due", account.from));
        }
        let of_range = |row: &RecordRow| (account.from..account.to).contains(&row.offset);
        let count =
            |table| stored.records.iter().filter(|(t, row)| *t == table && of_range(row)).count() as u64;
        let [rows, duplicates, dead_letters, gaps] = account.counts;
        let found = TABLES.map(count);
        let length = (account.to - account.from) as u64;
        if found != [rows, duplicates, dead_letters] || rows + duplicates + dead_letters + gaps != length {
            return Err(format!("I7: {account:?} does not add up, the tables hold {found:?}"));
        }
        next = account.to;
    }
    Ok(())
}
