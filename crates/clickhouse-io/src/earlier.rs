//! Earlier records by their offsets, as dedupe asks for them.

use std::collections::BTreeSet;

use audit_event::{AuditEvent, Offset, PartitionId, RecordTime, TenantId, TrailId};
use serde::Deserialize;

use crate::client::{ClickHouse, EngineError};
use crate::event_row::{EventRow, SELECT_COLUMNS};
use crate::sql::Sql;

/// A row of `events`.
#[derive(Debug)]
pub struct StoredEvent {
    pub offset: Offset,
    pub received_at: RecordTime,
    pub body: StoredBody,
}

/// The body of a stored event, or the bytes that hold it.
#[derive(Debug)]
pub enum StoredBody {
    /// Without `source` and `trace`, which are no part of the body.
    Event(Box<AuditEvent>),
    /// The columns can't hold it: decode the record.
    Raw(Vec<u8>),
}

/// Columns of [`EventRow`] that are no part of the body. They stay unread: a look-up takes as long as the columns that
/// it reads are wide.
const UNREAD_COLUMNS: [(&str, &str); 12] = [
    ("source_ip", "CAST(NULL, 'Nullable(String)')"),
    ("source_user_agent", "CAST(NULL, 'Nullable(String)')"),
    ("source_service", "CAST(NULL, 'Nullable(String)')"),
    ("source_host", "CAST(NULL, 'Nullable(String)')"),
    ("source_request_id", "CAST(NULL, 'Nullable(String)')"),
    ("trace_id", "CAST(NULL, 'Nullable(String)')"),
    ("span_id", "CAST(NULL, 'Nullable(String)')"),
    ("door", "''"),
    ("schema_id", "toUInt32(0)"),
    ("flags", "emptyArrayString()"),
    ("traceparent", "''"),
    ("correlation_id", "''"),
];

fn body_columns() -> String {
    let columns = SELECT_COLUMNS.split(", ").map(|column| {
        let unread = UNREAD_COLUMNS.iter().find(|(name, _)| *name == column.trim());
        unread.map_or_else(|| column.to_owned(), |(name, value)| format!("{value} AS {name}"))
    });
    columns.collect::<Vec<_>>().join(", ")
}

/// Offsets in a form that is short in a URL, where ClickHouse takes 128 KiB of a parameter and 1 MiB in all: the first,
/// and the steps from each to the next.
struct Steps {
    first: Offset,
    texts: [String; STEP_PARAMETERS],
}

const STEP_PARAMETERS: usize = 8;
const STEP_PARAMETER_BYTES: usize = 100_000;
const OFFSET_IS_WANTED: &str = "kafka_offset IN (SELECT {first:Int64} + arrayJoin(arrayCumSum(arrayMap(step -> \
     toInt64(step), splitByChar('-', concat({steps0:String}, {steps1:String}, {steps2:String}, {steps3:String}, \
     {steps4:String}, {steps5:String}, {steps6:String}, {steps7:String}))))))";

impl Steps {
    /// As few as hold all offsets. A look-up reads the same granules for one offset or for a hundred thousand.
    fn of(offsets: &BTreeSet<Offset>) -> Vec<Self> {
        let mut all: Vec<Self> = Vec::new();
        let mut last = Offset(0);
        let mut place = 0;
        for offset in offsets {
            let step = format!("-{}", offset.0 - last.0);
            last = *offset;
            match all.last_mut() {
                Some(steps) if steps.texts[place].len() + step.len() <= STEP_PARAMETER_BYTES => {
                    steps.texts[place].push_str(&step);
                }
                Some(steps) if place + 1 < STEP_PARAMETERS => {
                    place += 1;
                    steps.texts[place].push_str(&step);
                }
                _ => {
                    let mut steps = Self { first: *offset, texts: Default::default() };
                    "0".clone_into(&mut steps.texts[0]);
                    all.push(steps);
                    place = 0;
                }
            }
        }
        all
    }

    fn parameters(self, sql: Sql) -> Sql {
        let texts = self.texts.into_iter().enumerate();
        let sql = sql.param("first", self.first.0);
        texts.fold(sql, |sql, (place, text)| sql.param(&format!("steps{place}"), text))
    }
}

/// The most `query_timeout_ms` that one call takes: a read-back asks one table after the other, and a look-up is waited for
/// as long, since it may have to read all rows of the window.
pub const LONGEST_CALL_TIMEOUTS: u32 = 4;

#[derive(Debug, clickhouse::Row, Deserialize)]
struct RepeatRow {
    kafka_offset: i64,
    received_ms: i64,
}

impl ClickHouse {
    /// Hands those of the wanted rows of `events` that are there to `take`, one at a time, in any order. `tenants`: only
    /// theirs, which are found by the table's order.
    pub async fn earlier_events(
        &self,
        trail: TrailId,
        partition: PartitionId,
        wanted: &BTreeSet<Offset>,
        tenants: Option<&[TenantId]>,
        take: &mut (dyn FnMut(StoredEvent) + Send),
    ) -> Result<(), EngineError> {
        const ACTION: &str = "read earlier events";
        let patience = self.query_timeout * LONGEST_CALL_TIMEOUTS;
        let of_tenants = tenants.map_or("", |_| " AND tenant_id IN {tenants:Array(String)}");
        let text = by_offset(&body_columns(), "events") + of_tenants;
        let tenants: Vec<_> = tenants.unwrap_or_default().iter().map(|id| id.as_str().to_owned()).collect();
        let failed = |error| EngineError::from_client(ACTION, &error);
        for steps in Steps::of(wanted) {
            let sql = of_partition(&text, trail, partition).param("tenants", tenants.clone());
            let mut cursor =
                steps.parameters(sql).into_query(&self.client).fetch::<EventRow>().map_err(failed)?;
            loop {
                let next = tokio::time::timeout(patience, cursor.next());
                let row = next.await.map_err(|_| EngineError::timeout(ACTION, patience))?;
                let Some(row) = row.map_err(failed)? else { break };
                take(StoredEvent::try_from(row).map_err(|cause| EngineError::stop(ACTION, cause))?);
            }
        }
        Ok(())
    }

    /// The record times of those of the wanted rows of `duplicates` that are there.
    pub async fn earlier_repeats(
        &self,
        trail: TrailId,
        partition: PartitionId,
        wanted: &BTreeSet<Offset>,
    ) -> Result<Vec<(Offset, RecordTime)>, EngineError> {
        let columns = "kafka_offset, toUnixTimestamp64Milli(received_at) AS received_ms";
        let text = by_offset(columns, "duplicates");
        let mut times = Vec::new();
        for steps in Steps::of(wanted) {
            let sql = steps.parameters(of_partition(&text, trail, partition));
            let rows: Vec<RepeatRow> = self.fetch_all("read earlier duplicates", sql).await?;
            times.extend(rows.iter().map(|row| (Offset(row.kafka_offset), RecordTime(row.received_ms))));
        }
        Ok(times)
    }
}

fn by_offset(columns: &str, table: &str) -> String {
    format!(
        "SELECT {columns} FROM `{table}` WHERE trail_id = {{trail:UUID}} \
         AND kafka_partition = {{partition:Int32}} AND {OFFSET_IS_WANTED}"
    )
}

fn of_partition(text: &str, trail: TrailId, partition: PartitionId) -> Sql {
    Sql::new(text).param("trail", trail.to_string()).param("partition", partition.0)
}

impl TryFrom<EventRow> for StoredEvent {
    type Error = String;

    fn try_from(row: EventRow) -> Result<Self, String> {
        let (offset, received_at) = (Offset(row.kafka_offset), row.received_at());
        let body = if row.raw_record.is_empty() {
            StoredBody::Event(Box::new(row.into_event().map_err(|error| error.to_string())?))
        } else {
            StoredBody::Raw(row.raw_record.into_vec())
        };
        Ok(Self { offset, received_at, body })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(steps: &Steps) -> Vec<i64> {
        let text = steps.texts.concat();
        let steps_from_first = text.split('-').map(|step| step.parse::<i64>().expect("a number"));
        let mut at = steps.first.0;
        let mut offsets = Vec::new();
        for step in steps_from_first {
            at += step;
            offsets.push(at);
        }
        offsets
    }

    #[test]
    fn steps_name_every_offset_once_in_as_few_queries_as_may_be() {
        let dense: BTreeSet<_> = (5_000_000_000..5_000_100_000).map(Offset).collect();
        let sparse: BTreeSet<_> = (0..100_000).map(|n| Offset(n * 100_003)).collect();
        let far: BTreeSet<_> = (0..100_000).map(|n| Offset(n * 10_000_003)).collect();
        for (offsets, queries) in [(dense, 1), (sparse, 1), (far, 2), (BTreeSet::new(), 0)] {
            let steps = Steps::of(&offsets);
            assert_eq!(steps.len(), queries);
            assert!(steps.iter().flat_map(|s| &s.texts).all(|text| text.len() <= STEP_PARAMETER_BYTES));
            let named: Vec<_> = steps.iter().flat_map(expanded).map(Offset).collect();
            assert!(named.iter().eq(&offsets));
        }
    }

    #[test]
    fn what_is_no_part_of_the_body_is_not_read() {
        let columns = body_columns();
        for (name, value) in UNREAD_COLUMNS {
            assert!(
                columns.contains(&format!("{value} AS {name}")),
                "{name} is no column of the row any more"
            );
        }
        assert!(columns.contains(", raw_record, "));
    }
}
