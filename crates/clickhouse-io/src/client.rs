//! The connection, and the server's own clock.

use std::path::PathBuf;
use std::time::Duration;

use clickhouse::Client;
use client_security::secret::{Secret, SecretError, resolve};
use client_security::{TrustError, client_config};
use pipeline_core::announcement::EngineSeconds;
use schemars::JsonSchema;
use schemas::table;
use serde::{Deserialize, Serialize};
use thiserror::Error;

pub(crate) use crate::errors::EngineError;
use crate::http;
use crate::sql::Sql;

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ClickHouseConfig {
    /// Its HTTP port, http or https.
    #[schemars(extend("format" = "URL"))]
    pub url: String,
    /// The database of the tables.
    pub database: String,
    /// The user that the service is to ClickHouse.
    pub user: String,
    /// The user's password; or `password_file`.
    pub password: Option<Secret>,
    /// The file that holds the password.
    pub password_file: Option<PathBuf>,
    /// File with the certificate authorities to trust, in PEM; without it those of the system.
    pub ca_file: Option<PathBuf>,
    /// The longest wait for the answer to a query that is not an insert.
    #[schemars(range(min = 1, max = 3_600_000))]
    pub query_timeout_ms: u64,
}

impl Default for ClickHouseConfig {
    fn default() -> Self {
        Self {
            url: "http://127.0.0.1:8123".to_owned(),
            database: "sealtrail".to_owned(),
            user: "default".to_owned(),
            password: None,
            password_file: None,
            ca_file: None,
            query_timeout_ms: 30_000,
        }
    }
}

/// Settings that contradict each other, or name what is not there.
#[derive(Debug, Error)]
pub enum SettingsError {
    #[error(transparent)]
    Password(#[from] SecretError),
    #[error(transparent)]
    Trust(#[from] TrustError),
    #[error("clickhouse.url holds a password; put it into clickhouse.user and clickhouse.password")]
    PasswordInUrl,
}

/// A client of one ClickHouse server.
#[derive(Clone)]
pub struct ClickHouse {
    pub(crate) client: Client,
    pub(crate) query_timeout: Duration,
    database: String,
}

/// The server's clock, how long it has been up, and how far its tables' blocks are counted: read in one query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EngineClock {
    pub now: EngineSeconds,
    pub uptime_s: i64,
    pub newest_blocks: NewestBlocks,
}

/// The greatest block number in each of our tables, in the order of [`table::ALL`]; 0 where a table is empty. Each block
/// that is written takes the next number, so the difference bounds how many tokens a table has learned meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NewestBlocks(pub [i64; table::ALL.len()]);

impl NewestBlocks {
    /// The most blocks that one table took since `earlier`; `None` if a number went back, after which nothing is known.
    pub fn since(&self, earlier: &Self) -> Option<u64> {
        let differences = self.0.iter().zip(earlier.0).map(|(now, then)| u64::try_from(now - then).ok());
        differences.collect::<Option<Vec<_>>>()?.into_iter().max()
    }
}

#[derive(Debug, clickhouse::Row, Deserialize)]
struct ClockRow {
    now_s: i64,
    uptime_s: i64,
    newest_blocks: Vec<i64>,
}

impl EngineClock {
    /// Whether the server that answered `later` is the one that answered `self`, without a restart between: both began
    /// at the same second, give or take the one that rounding costs.
    pub fn is_same_run(self, later: Self) -> bool {
        self.began_at_s().abs_diff(later.began_at_s()) <= 1
    }

    fn began_at_s(self) -> i64 {
        self.now.0 - self.uptime_s
    }
}

impl ClickHouse {
    /// Reads the files that the configuration names; nothing is sent yet.
    pub fn new(config: &ClickHouseConfig) -> Result<Self, SettingsError> {
        // the URL is shown in logs and errors
        if config.url.contains('@') || config.url.contains("password=") {
            return Err(SettingsError::PasswordInUrl);
        }
        let password =
            resolve("clickhouse.password", config.password.as_ref(), config.password_file.as_ref())?;
        let tls = client_config("clickhouse.ca_file", config.ca_file.as_deref())?;
        let mut client = http::client(tls)
            .with_url(&config.url)
            .with_database(&config.database)
            .with_user(&config.user)
            .with_product_info("sealtrail", env!("CARGO_PKG_VERSION"));
        if let Some(password) = password {
            client = client.with_password(password.expose());
        }
        Ok(Self {
            client,
            query_timeout: Duration::from_millis(config.query_timeout_ms),
            database: config.database.clone(),
        })
    }

    pub fn database(&self) -> &str {
        &self.database
    }

    /// The same server without a database, to make one.
    pub(crate) fn without_database(&self) -> Self {
        Self { client: self.client.clone().with_database("default"), ..self.clone() }
    }

    pub async fn clock(&self) -> Result<EngineClock, EngineError> {
        let sql = Sql::new(
            "WITH (SELECT mapFromArrays(groupArray(table), groupArray(newest)) FROM \
                 (SELECT table, max(max_block_number) AS newest FROM system.parts \
                  WHERE database = {database:String} AND table IN {tables:Array(String)} GROUP BY table)) AS newest_of \
             SELECT toInt64(toUnixTimestamp(now())) AS now_s, toInt64(uptime()) AS uptime_s, \
                 arrayMap(name -> newest_of[name], {tables:Array(String)}) AS newest_blocks",
        )
        .param("database", self.database.clone())
        .param("tables", table::ALL.map(|table| table.name).to_vec());
        let row: ClockRow = self.fetch_one("read the clock", sql).await?;
        Ok(EngineClock {
            now: EngineSeconds(row.now_s),
            uptime_s: row.uptime_s,
            newest_blocks: row.newest_blocks.try_into().map(NewestBlocks).unwrap_or_default(),
        })
    }

    pub async fn execute(&self, action: &'static str, sql: Sql) -> Result<(), EngineError> {
        let run = sql.into_query(&self.client).execute();
        self.within(action, run).await
    }

    pub async fn fetch_one<T>(&self, action: &'static str, sql: Sql) -> Result<T, EngineError>
    where
        T: clickhouse::RowOwned + clickhouse::RowRead,
    {
        self.within(action, sql.into_query(&self.client).fetch_one::<T>()).await
    }

    pub async fn fetch_all<T>(&self, action: &'static str, sql: Sql) -> Result<Vec<T>, EngineError>
    where
        T: clickhouse::RowOwned + clickhouse::RowRead,
    {
        self.within(action, sql.into_query(&self.client).fetch_all::<T>()).await
    }

    async fn within<T>(
        &self,
        action: &'static str,
        run: impl Future<Output = Result<T, clickhouse::error::Error>>,
    ) -> Result<T, EngineError> {
        match tokio::time::timeout(self.query_timeout, run).await {
            Ok(result) => result.map_err(|error| EngineError::from_client(action, &error)),
            Err(_) => Err(EngineError::timeout(action, self.query_timeout)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restart_shows_however_long_the_server_has_been_up_again() {
        let clock = |now, uptime_s| EngineClock {
            now: EngineSeconds(now),
            uptime_s,
            newest_blocks: NewestBlocks::default(),
        };
        let before = clock(1_000, 5);
        assert!(before.is_same_run(clock(1_003, 8)) && before.is_same_run(clock(1_003, 7)));
        assert!(!before.is_same_run(clock(1_010, 6)), "up for longer than before, and yet another run");
        assert!(!before.is_same_run(clock(1_001, 0)));
    }

    #[test]
    fn a_password_is_never_in_the_url_and_never_shown() {
        let config = |url: &str| ClickHouseConfig {
            url: url.to_owned(),
            password: Some(Secret::new("hunter2")),
            ..ClickHouseConfig::default()
        };
        assert!(!format!("{:?}", config("http://h:8123")).contains("hunter2"));
        assert!(ClickHouse::new(&config("https://h:8443")).is_ok());
        for url in ["http://ada:pw@h:8123", "http://h:8123/?password=pw"] {
            assert!(matches!(ClickHouse::new(&config(url)), Err(SettingsError::PasswordInUrl)), "{url}");
        }
    }
}
