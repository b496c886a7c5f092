//! Inserts of one block each, with a token, under a deadline that ClickHouse itself checks.

use std::time::Duration;

use pipeline_core::announcement::EngineSeconds;
use schemas::columns::Block;
use schemas::table::Table;
use uuid::Uuid;

use crate::client::{ClickHouse, EngineError};
use crate::sql::Sql;

/// How an insert is sent.
#[derive(Debug, Clone)]
pub struct InsertTerms {
    /// `trail:topic:partition:from-to:attempt`, the same for every table: ClickHouse counts tokens per table.
    pub token: String,
    /// The last second in which the server accepts the block.
    pub deadline: EngineSeconds,
    pub max_execution_s: u64,
}

impl InsertTerms {
    fn query_id_prefix(&self, table: &Table) -> String {
        format!("{}:{}:", self.token, table.name)
    }
}

/// An expression that throws where the table has not all the columns that this build writes, of the same types. The server
/// evaluates it once, after it has taken up the table as it then is.
fn throw_if_changed(table: &Table) -> String {
    let quoted = |text: &str| format!("'{}'", text.replace('\'', "\\'"));
    let wanted: Vec<_> =
        table.columns.iter().map(|c| format!("({}, {})", quoted(c.name), quoted(c.sql_type))).collect();
    format!(
        "throwIf((SELECT count() FROM system.columns WHERE database = currentDatabase() AND table = '{}' \
         AND (name, type) IN ({})) != {}, '{COLUMNS_CHANGED}', toInt16({TYPE_MISMATCH}))",
        table.name,
        wanted.join(", "),
        wanted.len(),
    )
}

/// What the server says then, under a code that stops.
const COLUMNS_CHANGED: &str =
    "a column has another type than this build writes; `sealtrail doctor` says which";
const TYPE_MISMATCH: u16 = 53;

impl ClickHouse {
    /// Sends a block. An error says nothing about whether the rows are there.
    ///
    /// The deadline is checked per block inside the server: a check in the client would sleep with a stopped process,
    /// and `now()` would be the time at which the statement began. The columns' types are compared inside too: under a
    /// narrower one the server would store another value and answer with success. The settings are pinned because
    /// servers differ.
    pub async fn insert(&self, block: Block, terms: &InsertTerms) -> Result<(), EngineError> {
        const ACTION: &str = "insert";
        let table = block.table;
        let columns = table.column_names();
        // the structure has quotes of its own, as in DateTime64(3, 'UTC')
        let structure = table.structure().replace('\'', "\\'");
        let statement = format!(
            "INSERT INTO `{}` ({columns}) SELECT {columns} FROM input('{structure}') \
             WHERE throwIf(nowInBlock() > toDateTime({})) = 0 AND {} = 0 FORMAT ArrowStream",
            table.name,
            terms.deadline.0,
            throw_if_changed(&table),
        );
        let wait = Duration::from_secs(terms.max_execution_s) + self.query_timeout;
        let mut insert = self
            .client
            .insert_formatted_with(statement)
            .with_timeouts(Some(self.query_timeout), Some(wait))
            .with_setting("query_id", format!("{}{}", terms.query_id_prefix(&table), Uuid::new_v4()))
            .with_setting("insert_deduplication_token", &terms.token)
            .with_setting("async_insert", "0")
            .with_setting("insert_deduplicate", "1")
            .with_setting("deduplicate_insert", "enable")
            .with_setting("max_execution_time", terms.max_execution_s.to_string())
            .with_setting("input_format_null_as_default", "0")
            // counts for INSERT … SELECT, and so for input() too
            .with_setting("insert_null_as_default", "0")
            .with_setting("allow_custom_error_code_in_throwif", "1")
            .with_setting("input_format_arrow_allow_missing_columns", "0")
            // one block in must be one block written
            .with_setting("max_insert_block_size", "1000000")
            .with_setting("min_insert_block_size_rows", "0")
            .with_setting("min_insert_block_size_bytes", "0")
            .with_setting("max_block_size", "1000000")
            .with_setting("max_insert_threads", "1");
        insert.send(block.arrow_stream).await.map_err(|e| EngineError::from_client(ACTION, &e))?;
        insert.end().await.map_err(|e| EngineError::from_client(ACTION, &e))
    }

    /// Whether the server still works on an insert under this token. Time alone does not tell: a server that was
    /// stopped goes on where it was.
    pub async fn is_inserting(&self, token: &str) -> Result<bool, EngineError> {
        let sql =
            Sql::new("SELECT count() FROM system.processes WHERE startsWith(query_id, {prefix:String})")
                .param("prefix", format!("{token}:"));
        Ok(self.fetch_one::<u64>("look for running inserts", sql).await? > 0)
    }
}
