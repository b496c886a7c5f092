//! The tables compared with what this build writes: ClickHouse answers 200 while it drops an unknown column, narrows
//! 300 to 44 and turns NULL into "", so exact types are compared before a row is trusted to them.

use std::collections::HashMap;

use schemas::table::{self, Table};
use thiserror::Error;

use crate::client::{ClickHouse, EngineError};
use crate::sql::Sql;

/// The fewest inserts that a table must remember tokens of.
pub const MIN_DEDUPLICATION_WINDOW: u64 = 1_000;

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
}

impl ClickHouse {
    /// Compares all four tables. An added column is fine.
    pub async fn check_tables(&self) -> Result<(), TableFault> {
        for table in table::ALL {
            self.check_columns(&table).await?;
            self.check_deduplication(&table).await?;
        }
        Ok(())
    }

    async fn check_columns(&self, table: &Table) -> Result<(), TableFault> {
        let sql = Sql::new(
            "SELECT name, type FROM system.columns WHERE database = {database:String} AND table = {table:String}",
        )
        .param("database", self.database().to_owned())
        .param("table", table.name);
        let found: Vec<(String, String)> = self.fetch_all("read the tables' columns", sql).await?;
        if found.is_empty() {
            return Err(TableFault::Missing { table: table.name });
        }
        let types: HashMap<_, _> = found.into_iter().collect();
        for column in table.columns {
            let found = types.get(column.name).map_or("nothing", String::as_str);
            if found != column.sql_type {
                return Err(TableFault::Column {
                    table: table.name,
                    column: column.name,
                    found: found.to_owned(),
                    needed: column.sql_type,
                });
            }
        }
        Ok(())
    }

    async fn check_deduplication(&self, table: &Table) -> Result<(), TableFault> {
        let sql = Sql::new(
            "SELECT toUInt64OrZero(extract(create_table_query, 'non_replicated_deduplication_window = (\\\\d+)')) \
             FROM system.tables WHERE database = {database:String} AND name = {table:String}",
        )
        .param("database", self.database().to_owned())
        .param("table", table.name);
        let found: u64 = self.fetch_one("read the tables' settings", sql).await?;
        if found < MIN_DEDUPLICATION_WINDOW {
            return Err(TableFault::DeduplicationOff { table: table.name, found });
        }
        Ok(())
    }
}
