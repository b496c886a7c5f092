//! The tables compared with what this build writes: ClickHouse answers 200 while it drops an unknown column, narrows
//! 300 to 44 and turns NULL into "", so exact types are compared before a row is trusted to them.

use std::collections::HashMap;

use schemas::table::{self, Table};
use thiserror::Error;

use crate::client::{ClickHouse, EngineError};
use crate::sql::Sql;

/// The fewest blocks that a table must remember tokens of, as the migrations set it.
pub const MIN_DEDUPLICATION_WINDOW: u64 = 10_000;

#[derive(Debug, Error)]
pub enum TableFault {
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error("table {table} is missing; run `sealtrail migrate`")]
    Missing { table: &'static str },
    #[error(
        "column {table}.{column} has type {found}, this build writes {needed}; run `sealtrail migrate`, or undo the change"
    )]
    Column { table: &'static str, column: &'static str, found: String, needed: &'static str },
    #[error(
        "table {table} has non_replicated_deduplication_window = {found}, the promise needs {MIN_DEDUPLICATION_WINDOW} or more; restore the setting"
    )]
    DeduplicationOff { table: &'static str, found: u64 },
    #[error(
        "table {table} has {setting} off: a power cut can take back what was answered; ALTER TABLE {table} MODIFY SETTING {setting} = 1"
    )]
    NotDurable { table: &'static str, setting: &'static str },
}

/// What makes an answered insert outlive a power cut on one node.
const DURABLE: [&str; 2] = ["fsync_after_insert", "fsync_part_directory"];

impl ClickHouse {
    /// Compares all four tables; the first fault is the answer. An added column is fine.
    pub async fn check_tables(&self) -> Result<(), TableFault> {
        for table in table::ALL {
            // first the columns: a table that is not there has no setting to ask for
            if let Some(fault) = self.column_faults(&table).await?.into_iter().next() {
                return Err(fault);
            }
            if let Some(fault) = self.deduplication_fault(&table).await? {
                return Err(fault);
            }
        }
        Ok(())
    }

    /// All that is wrong with the tables, what only an operator can judge included.
    pub async fn table_faults(&self) -> Result<Vec<TableFault>, EngineError> {
        let mut faults = Vec::new();
        for table in table::ALL {
            let of_columns = self.column_faults(&table).await?;
            let is_missing = matches!(of_columns[..], [TableFault::Missing { .. }]);
            faults.extend(of_columns);
            if !is_missing {
                faults.extend(self.deduplication_fault(&table).await?);
                faults.extend(self.durability_faults(&table).await?);
            }
        }
        Ok(faults)
    }

    async fn column_faults(&self, table: &Table) -> Result<Vec<TableFault>, EngineError> {
        let sql = Sql::new(
            "SELECT name, type FROM system.columns WHERE database = {database:String} AND table = {table:String}",
        )
        .param("database", self.database().to_owned())
        .param("table", table.name);
        let found: Vec<(String, String)> = self.fetch_all("read the tables' columns", sql).await?;
        Ok(compare_columns(table, &found.into_iter().collect()))
    }

    async fn deduplication_fault(&self, table: &Table) -> Result<Option<TableFault>, EngineError> {
        let found = self.table_setting(table, "non_replicated_deduplication_window").await?;
        let too_few = found < MIN_DEDUPLICATION_WINDOW;
        Ok(too_few.then_some(TableFault::DeduplicationOff { table: table.name, found }))
    }

    async fn durability_faults(&self, table: &Table) -> Result<Vec<TableFault>, EngineError> {
        let mut faults = Vec::new();
        for setting in DURABLE {
            if self.table_setting(table, setting).await? == 0 {
                faults.push(TableFault::NotDurable { table: table.name, setting });
            }
        }
        Ok(faults)
    }

    /// A number among the settings of a table's own; 0 where it is not there.
    async fn table_setting(&self, table: &Table, setting: &'static str) -> Result<u64, EngineError> {
        let sql = Sql::new(
            "SELECT toUInt64OrZero(extract(create_table_query, concat({setting:String}, ' = (\\\\d+)'))) \
             FROM system.tables WHERE database = {database:String} AND name = {table:String}",
        )
        .param("setting", setting)
        .param("database", self.database().to_owned())
        .param("table", table.name);
        self.fetch_one("read the tables' settings", sql).await
    }
}

fn compare_columns(table: &Table, found: &HashMap<String, String>) -> Vec<TableFault> {
    if found.is_empty() {
        return vec![TableFault::Missing { table: table.name }];
    }
    let compare = |column: &table::Column| {
        let found = found.get(column.name).map_or("nothing", String::as_str);
        (found != column.sql_type).then(|| TableFault::Column {
            table: table.name,
            column: column.name,
            found: found.to_owned(),
            needed: column.sql_type,
        })
    };
    table.columns.iter().filter_map(compare).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_that_differs_is_named() {
        let table = table::DUPLICATES;
        let mut found: HashMap<_, _> =
            table.columns.iter().map(|c| (c.name.to_owned(), c.sql_type.to_owned())).collect();
        found.insert("added".into(), "UInt8".into());
        assert_eq!(compare_columns(&table, &found).len(), 0, "an added column is fine");
        found.insert("kafka_offset".into(), "Int32".into());
        found.remove("event_id");
        let named: Vec<_> = compare_columns(&table, &found).iter().map(ToString::to_string).collect();
        assert_eq!(named.len(), 2, "{named:?}");
        assert!(named[0].contains("kafka_offset has type Int32, this build writes Int64"), "{named:?}");
        assert!(named[1].contains("event_id has type nothing"), "{named:?}");
        assert!(matches!(compare_columns(&table, &HashMap::new())[..], [TableFault::Missing { .. }]));
    }
}
