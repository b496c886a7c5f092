//! Rows out of the tables and back into them, in ClickHouse's own Native format, for backup and restore. Rows never
//! change and know their position, so that offsets alone cut a consistent copy out of tables that are being written.

use std::io;
use std::time::Duration;

use audit_event::{NextOffset, Offset, TrailId};
use clickhouse::insert_formatted::InsertFormatted;
use thiserror::Error;

use crate::client::{ClickHouse, EngineError};
use crate::sql::Sql;

const FORMAT: &str = "Native";
/// The longest silence in the middle of a copy.
const IDLE_LIMIT: Duration = Duration::from_secs(120);
/// How long the server may work on the rest of a file after its last byte.
const END_LIMIT: Duration = Duration::from_secs(600);

/// A table that is copied, and how its rows are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CopiedTable {
    pub name: &'static str,
    /// The column by whose day the table is partitioned; `None` where the whole table is one small file.
    day_column: Option<&'static str>,
    /// The columns that hold the first offset of a row and the one behind its last.
    offsets: (&'static str, &'static str),
}

const RECORDS: (&str, &str) = ("kafka_offset", "kafka_offset + 1");

/// In the order in which they are restored: the accounts come last, as the processor writes them.
pub const TABLES: [CopiedTable; 5] = [
    CopiedTable { name: "trails", day_column: None, offsets: ("0", "0") },
    CopiedTable { name: "duplicates", day_column: Some("received_at"), offsets: RECORDS },
    CopiedTable { name: "dead_letters", day_column: Some("received_at"), offsets: RECORDS },
    CopiedTable { name: "events", day_column: Some("received_at"), offsets: RECORDS },
    CopiedTable {
        name: "event_batches",
        day_column: Some("least_received_at"),
        offsets: ("from_offset", "to_offset"),
    },
];

/// Which rows of the present trail are copied: offsets `[from, to)` of each partition, by its number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    pub trail: TrailId,
    pub from: Vec<Offset>,
    pub to: Vec<NextOffset>,
    /// Whether the rows of earlier trails are copied too: they never change, so a second copy of them is of no use.
    pub earlier_trails: bool,
}

/// A file's worth of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Portion {
    pub table: CopiedTable,
    /// As `toYYYYMMDD` writes it.
    pub day: Option<u32>,
    pub rows: u64,
}

/// What the closed batches of the cut say that there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CutAccount {
    pub offsets: i64,
    pub events: u64,
    pub duplicates: u64,
    pub dead_letters: u64,
}

#[derive(Debug, Error)]
pub enum CopyError {
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Cut {
    fn condition(&self, table: &CopiedTable) -> String {
        if table.day_column.is_none() {
            return if self.earlier_trails { "1" } else { "0" }.to_owned();
        }
        let (first, next) = table.offsets;
        let of_partition = |array: &str| format!("{{{array}:Array(Int64)}}[kafka_partition + 1]");
        let earlier = if self.earlier_trails { " OR trail_id != {trail:UUID}" } else { "" };
        format!(
            "((trail_id = {{trail:UUID}} AND {first} >= {} AND {next} <= {}){earlier})",
            of_partition("from"),
            of_partition("to")
        )
    }

    fn params(&self, sql: Sql) -> Sql {
        sql.param("trail", self.trail.to_string())
            .param("from", self.from.iter().map(|offset| offset.0).collect::<Vec<_>>())
            .param("to", self.to.iter().map(|offset| offset.0).collect::<Vec<_>>())
    }
}

impl ClickHouse {
    /// The files that the cut will be, with the rows that each must hold.
    pub async fn portions(&self, cut: &Cut) -> Result<Vec<Portion>, EngineError> {
        let mut portions = Vec::new();
        for table in TABLES {
            let day =
                table.day_column.map_or("toUInt32(0)".to_owned(), |column| format!("toYYYYMMDD({column})"));
            let sql = Sql::new(format!(
                "SELECT {day} AS day, count() FROM `{}` WHERE {} GROUP BY day ORDER BY day",
                table.name,
                cut.condition(&table)
            ));
            let days: Vec<(u32, u64)> = self.fetch_all("count the rows", cut.params(sql)).await?;
            let portion =
                |(day, rows)| Portion { table, day: table.day_column.is_some().then_some(day), rows };
            portions.extend(days.into_iter().map(portion));
        }
        Ok(portions)
    }

    /// Adds up the closed batches of the cut, of the present trail only.
    pub async fn cut_account(&self, cut: &Cut) -> Result<CutAccount, EngineError> {
        let present = Cut { earlier_trails: false, ..cut.clone() };
        let table = TABLES[TABLES.len() - 1];
        let sql = Sql::new(format!(
            "SELECT sum(to_offset - from_offset), sum(rows), sum(duplicates), sum(dead_letters) FROM `{}` WHERE {}",
            table.name,
            present.condition(&table)
        ));
        let (offsets, events, duplicates, dead_letters) =
            self.fetch_one("add up the batches", present.params(sql)).await?;
        Ok(CutAccount { offsets, events, duplicates, dead_letters })
    }

    /// Rows of the present trail in a table within the cut.
    pub async fn rows_in_cut(&self, table: &CopiedTable, cut: &Cut) -> Result<u64, EngineError> {
        let present = Cut { earlier_trails: false, ..cut.clone() };
        let sql =
            Sql::new(format!("SELECT count() FROM `{}` WHERE {}", table.name, present.condition(table)));
        self.fetch_one("count the rows", present.params(sql)).await
    }

    pub async fn count_rows(&self, table: &CopiedTable) -> Result<u64, EngineError> {
        self.fetch_one("count the rows", Sql::new(format!("SELECT count() FROM `{}`", table.name))).await
    }

    /// The ids of the schemas that the records name.
    pub async fn schema_ids(&self) -> Result<Vec<u32>, EngineError> {
        let sql = Sql::new(
            "SELECT DISTINCT id FROM (SELECT schema_id AS id FROM events UNION ALL \
             SELECT assumeNotNull(schema_id) FROM dead_letters WHERE schema_id IS NOT NULL) ORDER BY id",
        );
        self.fetch_all("read the schemas' ids", sql).await
    }

    /// Hands the rows to `take`, piece by piece.
    pub async fn copy_out(
        &self,
        portion: &Portion,
        cut: &Cut,
        mut take: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<(), CopyError> {
        const ACTION: &str = "copy rows out";
        let Portion { table, day, .. } = portion;
        let of_day = table
            .day_column
            .zip(*day)
            .map_or(String::new(), |(column, day)| format!(" AND toYYYYMMDD({column}) = {day}"));
        let sql = Sql::new(format!("SELECT * FROM `{}` WHERE {}{of_day}", table.name, cut.condition(table)));
        let failed = |error| EngineError::from_client(ACTION, &error);
        let mut cursor = cut.params(sql).into_query(&self.client).fetch_bytes(FORMAT).map_err(failed)?;
        loop {
            let next = tokio::time::timeout(IDLE_LIMIT, cursor.next()).await;
            let piece = next.map_err(|_| EngineError::timeout(ACTION, IDLE_LIMIT))?.map_err(failed)?;
            let Some(piece) = piece else { return Ok(()) };
            take(&piece)?;
        }
    }

    /// Begins to put rows back.
    pub fn copy_in(&self, table: &CopiedTable) -> CopyIn {
        let statement = format!("INSERT INTO `{}` FORMAT {FORMAT}", table.name);
        let insert = self
            .client
            .insert_formatted_with(statement)
            .with_timeouts(Some(IDLE_LIMIT), Some(END_LIMIT))
            .with_setting("async_insert", "0")
            // the tables were empty, and a block that looks like another one is not a retry here
            .with_setting("insert_deduplicate", "0")
            .with_setting("deduplicate_insert", "disable")
            .with_setting("input_format_skip_unknown_fields", "0");
        CopyIn { insert }
    }
}

/// Rows on their way back.
pub struct CopyIn {
    insert: InsertFormatted,
}

impl CopyIn {
    const ACTION: &str = "copy rows in";

    pub async fn send(&mut self, piece: Vec<u8>) -> Result<(), EngineError> {
        self.insert.send(piece.into()).await.map_err(|e| EngineError::from_client(Self::ACTION, &e))
    }

    /// Waits until the server has them all.
    pub async fn end(self) -> Result<(), EngineError> {
        self.insert.end().await.map_err(|e| EngineError::from_client(Self::ACTION, &e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn earlier_trails_are_copied_whole_or_not_at_all() {
        let cut = |earlier_trails| Cut {
            trail: TrailId(uuid::Uuid::nil()),
            from: vec![Offset(0)],
            to: vec![NextOffset(5)],
            earlier_trails,
        };
        let events = TABLES[3];
        assert!(cut(true).condition(&events).ends_with("OR trail_id != {trail:UUID})"));
        assert!(!cut(false).condition(&events).contains("OR"));
        assert_eq!(cut(true).condition(&TABLES[0]), "1", "the trails themselves come with a full copy");
        assert_eq!(cut(false).condition(&TABLES[0]), "0");
    }

    #[test]
    fn every_table_that_the_processor_writes_is_copied() {
        for table in schemas::table::ALL {
            assert!(TABLES.iter().any(|copied| copied.name == table.name), "{}", table.name);
        }
    }
}
