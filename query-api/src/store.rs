//! The way to ClickHouse: bounded in number, in time and in bytes, and read-only.

use std::sync::Arc;
use std::time::Duration;

use clickhouse_io::event_row::RowError;
use clickhouse_io::{ClickHouse, EngineError, ErrorKind, Sql};
use service_kit::{Problem, Readiness};
use thiserror::Error;
use tokio::sync::Semaphore;

use crate::config::Config;
use crate::metrics::StoreMetrics;
use crate::starting::{self, CLICKHOUSE};

/// How long a request waits for a free slot.
const SLOT_WAIT: Duration = Duration::from_secs(2);
/// ClickHouse ends a query that runs longer, in seconds.
const MAX_EXECUTION_S: &str = "20";

/// ClickHouse's codes for what a caller can mend. Source: src/Common/ErrorCodes.cpp.
const TIMEOUT_EXCEEDED: u32 = 159;
const TOO_MANY_ROWS_OR_BYTES: u32 = 396;

#[derive(Debug, Error)]
pub enum StoreFault {
    #[error("the events are not ready to be read; try again")]
    NotReady,
    #[error("too many queries are running; try again")]
    Busy,
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error("a row cannot be read: {0}")]
    Row(#[from] RowError),
}

impl From<StoreFault> for Problem {
    /// ClickHouse's own words go to the log, never to a caller.
    fn from(fault: StoreFault) -> Self {
        match &fault {
            StoreFault::NotReady | StoreFault::Busy => Self::unavailable(fault.to_string()),
            StoreFault::Engine(error) if error.code == Some(TOO_MANY_ROWS_OR_BYTES) => {
                Self::bad_request("the answer would be too large; lower `limit`, or narrow the filter")
            }
            StoreFault::Engine(error) if error.code == Some(TIMEOUT_EXCEEDED) => {
                tracing::warn!(action = error.action, "query took too long");
                Self::unavailable("the query took too long; narrow it with `from` and `to`, or try again")
            }
            StoreFault::Engine(error) if error.kind == ErrorKind::Retry => {
                tracing::warn!(%error, "query failed");
                Self::unavailable("the store of events does not answer just now; try again")
            }
            StoreFault::Engine(_) | StoreFault::Row(_) => {
                tracing::error!(error = %fault, "query failed, and a retry will not mend it");
                Problem::internal()
            }
        }
    }
}

/// Runs queries.
pub struct Store {
    engine: ClickHouse,
    slots: Arc<Semaphore>,
    max_result_bytes: String,
    readiness: Readiness,
    metrics: StoreMetrics,
}

impl Store {
    pub fn new(engine: ClickHouse, config: &Config, readiness: Readiness, metrics: StoreMetrics) -> Self {
        Self {
            engine,
            slots: Arc::new(Semaphore::new(config.max_concurrent_queries.min(Semaphore::MAX_PERMITS))),
            max_result_bytes: config.max_result_bytes.to_string(),
            readiness,
            metrics,
        }
    }

    pub fn slots(&self) -> Arc<Semaphore> {
        self.slots.clone()
    }

    /// Runs one query in a slot; `query` gets the statement with our bounds set.
    pub async fn run<T, F>(
        &self,
        sql: Sql,
        query: impl FnOnce(ClickHouse, Sql) -> F,
    ) -> Result<Vec<T>, StoreFault>
    where
        F: Future<Output = Result<Vec<T>, EngineError>>,
    {
        if !starting::is_ready(&self.readiness, CLICKHOUSE) {
            return Err(StoreFault::NotReady);
        }
        let _slot = match tokio::time::timeout(SLOT_WAIT, self.slots.acquire()).await {
            Ok(Ok(slot)) => slot,
            Ok(Err(_)) | Err(_) => {
                self.metrics.no_slot.inc();
                return Err(StoreFault::Busy);
            }
        };
        let mut running = RunningQuery { metrics: &self.metrics, is_answered: false };
        let _observed_when_dropped = self.metrics.query_seconds.start_timer();
        let answer = query(self.engine.clone(), self.bounded(sql)).await;
        running.is_answered = true;
        match &answer {
            Ok(rows) => self.metrics.rows.inc_by(rows.len() as u64),
            Err(_) => self.metrics.failed.inc(),
        }
        Ok(answer?)
    }

    fn bounded(&self, sql: Sql) -> Sql {
        // 2: nothing may be written, and the settings beside it may still be given
        sql.setting("readonly", "2")
            .setting("max_execution_time", MAX_EXECUTION_S)
            .setting("max_result_bytes", self.max_result_bytes.clone())
            .setting("result_overflow_mode", "throw")
            .setting("cancel_http_readonly_queries_on_client_close", "1")
    }
}

/// Dropped without an answer when whoever asked has gone.
struct RunningQuery<'a> {
    metrics: &'a StoreMetrics,
    is_answered: bool,
}

impl Drop for RunningQuery<'_> {
    fn drop(&mut self) {
        if !self.is_answered {
            self.metrics.cancelled.inc();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(kind: ErrorKind, code: Option<u32>) -> Problem {
        let cause = "DB::Exception: SELECT secret".to_owned();
        StoreFault::Engine(EngineError { action: "search events", cause, kind, code }).into()
    }

    #[test]
    fn faults_have_their_status_and_keep_the_servers_words() {
        let cases = [
            (ErrorKind::Retry, None, 503, Some(1)),
            (ErrorKind::Retry, Some(TIMEOUT_EXCEEDED), 503, Some(1)),
            (ErrorKind::Retry, Some(TOO_MANY_ROWS_OR_BYTES), 400, None),
            (ErrorKind::Stop, Some(60), 500, None),
        ];
        for (kind, code, status, retry_after_s) in cases {
            let problem = problem(kind, code);
            assert_eq!((problem.status, problem.retry_after_s), (status, retry_after_s), "{code:?}");
            assert!(!problem.detail.unwrap_or_default().contains("SELECT"));
        }
    }
}
